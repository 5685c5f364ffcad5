/* bench_feed.c - the load generator's reader of frames, fed whole and in pieces: both must tell the
 * same. The first byte of the input is the size of the pieces. */
#include <string.h>
#include "cli/bench_feed.h"
#include "base/buf.h"
#include "fuzz_check.h"

static enum err read_piece(struct bench_feed *f, const char *p, size_t len, struct buf *story)
{
    struct bench_frame frame;
    enum err e;
    while ((e = bench_feed_next(f, &p, &len, &frame)) == ERR_OK) {
        CHECK(frame.head.len == (frame.len < BENCH_FEED_HEAD ? frame.len : BENCH_FEED_HEAD));
        buf_printf(story, "%d %llu ", frame.op, (unsigned long long)frame.len);
        buf_str(story, frame.head);
    }
    CHECK(e == ERR_PROTO || (e == ERR_AGAIN && !len));
    return e;
}

/* Each piece is a copy of its own, so that a sanitizer sees who reads past it. */
static enum err feed(const uint8_t *data, size_t len, size_t piece, struct buf *story)
{
    struct bench_feed f;
    enum err e = ERR_AGAIN;
    bench_feed_init(&f);
    for (size_t at = 0; at < len && e == ERR_AGAIN; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);
        memcpy(copy, data + at, n);
        e = read_piece(&f, copy, n, story);
        free(copy);
    }
    bench_feed_fini(&f);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    struct buf whole = BUF_INIT, cut = BUF_INIT;
    CHECK(feed(data + 1, len - 1, len, &whole) ==
          feed(data + 1, len - 1, data[0] ? data[0] : 1, &cut));
    CHECK(str_eq(buf_as_str(&whole), buf_as_str(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
