/* deflate.c - what a peer offers and sends compressed. The input is a line of offers, then data:
 * what comes out of it stays in its bounds, and survives being compressed by us. */
#include "ws/deflate.h"
#include "fuzz_check.h"

enum { MAX = 64 * 1024 };

static void check_answer(struct str offers)
{
    struct str answer = ws_deflate_answer(offers);
    CHECK(!answer.len || str_starts(answer, STR("permessage-deflate; server_no_context_takeover")));
    /* What is answered could have been offered. */
    CHECK(!answer.len || str_eq(ws_deflate_answer(answer), answer));
}

static void check_data(struct ws_deflate *d, struct str data)
{
    struct buf out = BUF_INIT, again = BUF_INIT, small = BUF_INIT;
    enum err e = ws_inflate(d, data, MAX, &out);
    CHECK(e == ERR_OK || e == ERR_LIMIT || e == ERR_PROTO);
    CHECK(out.len <= MAX && (e != ERR_LIMIT || out.len == MAX));
    ws_deflate(d, buf_as_str(&out), &small);
    CHECK(ws_inflate(d, buf_as_str(&small), out.len, &again) == ERR_OK);
    CHECK(str_eq(buf_as_str(&again), buf_as_str(&out)));
    if (out.len)
        CHECK(ws_inflate(d, buf_as_str(&small), out.len - 1, &again) == ERR_LIMIT);
    buf_fini(&out);
    buf_fini(&again);
    buf_fini(&small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct ws_deflate *d;
    struct str rest = str_make((const char *)data, len);
    if (!d)
        d = ws_deflate_new();
    check_answer(str_cut(&rest, '\n'));
    check_data(d, rest);
    return 0;
}
