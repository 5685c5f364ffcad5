#include "cli/bench_reply.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/str.h"

/* Reads `text` in pieces; gives the last error, and in *left what is behind the reply. */
static enum err read_in_pieces(struct bench_reply *r, const char *text, size_t piece, size_t *left)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += piece) {
        const char *p = text + at;
        size_t n = len - at < piece ? len - at : piece;
        enum err e = bench_reply_read(r, &p, &n);
        *left = (size_t)(text + len - p);
        if (e != ERR_AGAIN)
            return e;
    }
    return ERR_AGAIN;
}

static void expect(const char *text, unsigned status, const char *body, bool closes, size_t behind)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct bench_reply r;
        size_t left = 0;
        bench_reply_init(&r, 100);
        for (int round = 0; round < 2; round++) { /* and again with what is left of the first */
            assert_int_equal(read_in_pieces(&r, text, piece, &left), ERR_OK);
            assert_int_equal(r.status, status);
            assert_int_equal(r.closes, closes);
            assert_true(str_eq(buf_as_str(&r.body), str_of(body)));
            assert_int_equal(left, behind);
            bench_reply_clear(&r);
        }
        bench_reply_fini(&r);
    }
}

static void reads_replies_of_every_framing(void **unused)
{
    (void)unused;
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false, 0);
    expect("HTTP/1.1 200 OK\r\ncontent-length:5\r\nX: y\r\n\r\nhelloHTTP/1.1", 200, "hello", false,
           8);
    expect("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
           503, "", true, 0);
    expect("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true, 0);
    expect("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
           false, 0);
    expect("HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, 0);
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
           false, 0);
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nbehind",
           200, "abc0123456789", false, 6);
}

static void an_upgrade_keeps_its_head(void **unused)
{
    (void)unused;
    static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81\x01x";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct bench_reply r;
        size_t left = 0;
        bench_reply_init(&r, 10);
        assert_int_equal(read_in_pieces(&r, text, piece, &left), ERR_OK);
        assert_int_equal(left, 3);
        assert_true(str_eq(buf_as_str(&r.head), str_make(text, sizeof text - 4)));
        bench_reply_fini(&r);
    }
}

static void keeps_no_more_of_a_body_than_it_may(void **unused)
{
    (void)unused;
    struct bench_reply r;
    size_t left = 0;
    bench_reply_init(&r, 4);
    assert_int_equal(
        read_in_pieces(&r, "HTTP/1.1 401 No\r\nContent-Length: 10\r\n\r\n0123456789", 7, &left),
        ERR_OK);
    assert_true(str_eq(buf_as_str(&r.body), STR("0123")));
    bench_reply_fini(&r);
}

static void a_body_may_end_with_the_connection(void **unused)
{
    (void)unused;
    struct bench_reply r;
    size_t left = 0;
    bench_reply_init(&r, 100);
    assert_int_equal(read_in_pieces(&r, "HTTP/1.1 200 OK\r\n\r\nwhatever", 3, &left), ERR_AGAIN);
    assert_true(bench_reply_ends_with_connection(&r));
    assert_true(r.closes);
    assert_true(str_eq(buf_as_str(&r.body), STR("whatever")));
    bench_reply_fini(&r);
}

static void refuse(const char *text)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct bench_reply r;
        size_t left = 0;
        bench_reply_init(&r, 100);
        assert_int_equal(read_in_pieces(&r, text, piece, &left), ERR_PROTO);
        bench_reply_fini(&r);
    }
}

static void refuses_what_is_not_http(void **unused)
{
    (void)unused;
    refuse("SSH-2.0-OpenSSH\r\n\r\n");
    refuse("HTTP/2 200 OK\r\n\r\n");
    refuse("HTTP/1.1 2x0 OK\r\n\r\n");
    refuse("HTTP/1.1 099 OK\r\n\r\n");
    refuse("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n");
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n");
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
}

static void refuses_a_head_without_end(void **unused)
{
    (void)unused;
    struct bench_reply r;
    enum err e = ERR_AGAIN;
    size_t fed = 0;
    bench_reply_init(&r, 100);
    while (e == ERR_AGAIN && fed < 10 * BENCH_REPLY_HEAD_MAX) {
        char piece[1000];
        const char *p = piece;
        size_t n = sizeof piece;
        memset(piece, 'x', sizeof piece);
        e = bench_reply_read(&r, &p, &n);
        fed += sizeof piece;
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_in_range(fed, BENCH_REPLY_HEAD_MAX, BENCH_REPLY_HEAD_MAX + 1000);
    bench_reply_fini(&r);
}

static void describes_it_in_a_line(void **unused)
{
    (void)unused;
    struct bench_reply r;
    char text[64];
    size_t left = 0;
    bench_reply_init(&r, 100);
    read_in_pieces(&r, "HTTP/1.1 401 No\r\nContent-Length: 18\r\n\r\n token\x1b error\nnext", 100,
                   &left);
    bench_reply_describe(&r, text, sizeof text);
    assert_string_equal(text, "401 token? error");
    bench_reply_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_replies_of_every_framing),
        cmocka_unit_test(an_upgrade_keeps_its_head),
        cmocka_unit_test(keeps_no_more_of_a_body_than_it_may),
        cmocka_unit_test(a_body_may_end_with_the_connection),
        cmocka_unit_test(refuses_what_is_not_http),
        cmocka_unit_test(refuses_a_head_without_end),
        cmocka_unit_test(describes_it_in_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
