/* bench_reply.c - the load generator's reader of HTTP replies, fed whole and in pieces: both must
 * tell the same. The first byte of the input is the size of the pieces. */
#include <string.h>
#include "cli/bench_reply.h"
#include "fuzz_check.h"

enum {
    INPUT_MAX = 8192, /* below the limit of a head, which is noticed by pieces */
    BODY_MAX = 100,
};

static enum err read_piece(struct bench_reply *r, const char *p, size_t len, struct buf *story)
{
    enum err e;
    while ((e = bench_reply_read(r, &p, &len)) == ERR_OK) {
        char text[64];
        CHECK(r->status >= 100 && r->status < 1000 && r->body.len <= BODY_MAX);
        bench_reply_describe(r, text, sizeof(text));
        buf_printf(story, "%u %d %s ", r->status, r->closes, text);
        buf_str(story, buf_as_str(&r->body));
        bench_reply_clear(r);
    }
    CHECK(e == ERR_PROTO || (e == ERR_AGAIN && !len));
    return e;
}

/* Each piece is a copy of its own, so that a sanitizer sees who reads past it. */
static enum err feed(const uint8_t *data, size_t len, size_t piece, struct buf *story)
{
    struct bench_reply r;
    enum err e = ERR_AGAIN;
    bench_reply_init(&r, BODY_MAX);
    for (size_t at = 0; at < len && e == ERR_AGAIN; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);
        memcpy(copy, data + at, n);
        e = read_piece(&r, copy, n, story);
        free(copy);
    }
    buf_printf(story, "%d", bench_reply_ends_with_connection(&r));
    bench_reply_fini(&r);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2 || len > INPUT_MAX)
        return 0;
    struct buf whole = BUF_INIT, cut = BUF_INIT;
    CHECK(feed(data + 1, len - 1, len, &whole) ==
          feed(data + 1, len - 1, data[0] ? data[0] : 1, &cut));
    CHECK(str_eq(buf_as_str(&whole), buf_as_str(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
