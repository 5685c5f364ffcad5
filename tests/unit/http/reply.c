#include "http/reply.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* RFC 9110 section 5.6.7 has this moment for its example. */
#define NOW_S 784111777.9
#define DATE  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void expect_at(double now_s, struct http_reply r, const char *expected)
{
    struct buf out = BUF_INIT;
    buf_str(&out, STR("before"));
    http_reply_write(&out, &r, now_s);
    assert_memory_equal(out.p, "before", 6);
    if (!str_eq(str_make(out.p + 6, out.len - 6), str_of(expected)))
        fail_msg("got '%.*s', expected '%s'", (int)out.len - 6, out.p + 6, expected);
    buf_fini(&out);
}

static void expect(struct http_reply r, const char *expected)
{
    expect_at(NOW_S, r, expected);
}

static void writes_replies(void **unused)
{
    (void)unused;
    expect(
        (struct http_reply){
            .status = 200, .type = HTTP_TEXT, .body = STR("pong"), .keep_alive = true},
        "HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 4\r\n\r\npong");
    expect((struct http_reply){.status = 404, .body = STR("none")},
           "HTTP/1.1 404 Not Found\r\n" DATE "Content-Length: 4\r\nConnection: close\r\n\r\nnone");
}

static void sends_any_bytes(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    const struct http_reply r = {.status = 200, .body = STR("a\0b"), .keep_alive = true};
    http_reply_write(&out, &r, NOW_S);
    assert_memory_equal(out.p + out.len - 7, "\r\n\r\na\0b", 7);
    buf_fini(&out);
}

static void adds_further_headers(void **unused)
{
    (void)unused;
    expect((struct http_reply){.status = 405,
                               .extra = STR("Allow: GET, HEAD\r\nX: 1\r\n"),
                               .keep_alive = true},
           "HTTP/1.1 405 Method Not Allowed\r\n" DATE "Content-Length: 0\r\nAllow: GET, HEAD\r\n"
           "X: 1\r\n\r\n");
    expect((struct http_reply){.status = 503, .extra = STR("Retry-After: 1\r\n")},
           "HTTP/1.1 503 Service Unavailable\r\n" DATE "Content-Length: 0\r\nRetry-After: 1\r\n"
           "Connection: close\r\n\r\n");
}

static void tells_head_the_length(void **unused)
{
    (void)unused;
    expect((struct http_reply){.status = 200,
                               .type = HTTP_JSON,
                               .body = STR("0123456789"),
                               .keep_alive = true,
                               .head_only = true},
           "HTTP/1.1 200 OK\r\n" DATE "Content-Type: application/json;charset=UTF-8\r\n"
           "Content-Length: 10\r\n\r\n");
}

/* RFC 9110 section 8.6: no Content-Length with 204. */
static void sends_no_content(void **unused)
{
    (void)unused;
    expect((struct http_reply){.status = 204, .body = STR("never sent"), .keep_alive = true},
           "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    expect((struct http_reply){.status = 304, .body = STR("not either"), .keep_alive = true},
           "HTTP/1.1 304 Not Modified\r\n" DATE "\r\n");
}

static void writes_the_date_of_each_second(void **unused)
{
    (void)unused;
    const struct http_reply r = {.status = 200, .keep_alive = true};
#define REPLY(date) "HTTP/1.1 200 OK\r\nDate: " date " GMT\r\nContent-Length: 0\r\n\r\n"
    expect_at(0, r, REPLY("Thu, 01 Jan 1970 00:00:00"));
    expect_at(0.999, r, REPLY("Thu, 01 Jan 1970 00:00:00"));
    expect_at(1, r, REPLY("Thu, 01 Jan 1970 00:00:01"));
    expect_at(951827696, r, REPLY("Tue, 29 Feb 2000 12:34:56"));
    expect_at(4102444799, r, REPLY("Thu, 31 Dec 2099 23:59:59"));
    expect_at(1, r, REPLY("Thu, 01 Jan 1970 00:00:01"));
}

static void writes_long_lengths(void **unused)
{
    (void)unused;
    struct buf body = BUF_INIT, out = BUF_INIT;
    memset(buf_reserve(&body, 1234567), 'x', 1234567);
    body.len = 1234567;
    const struct http_reply r = {.status = 200, .body = buf_as_str(&body), .keep_alive = true};
    http_reply_write(&out, &r, NOW_S);
    buf_char(&out, 0);
    assert_non_null(strstr(out.p, "\r\nContent-Length: 1234567\r\n"));
    assert_memory_equal(out.p + out.len - 1 - body.len, body.p, body.len);
    buf_fini(&body);
    buf_fini(&out);
}

static void knows_its_reasons(void **unused)
{
    (void)unused;
    static const struct {
        int status;
        const char *reason;
    } cases[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {426, "Upgrade Required"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(http_reason(cases[i].status), cases[i].reason);
}

/* ---- bodies that come piece by piece ---- */

/* RFC 9112 section 6.2: no Content-Length beside Transfer-Encoding. */
static void announces_chunks(void **unused)
{
    (void)unused;
    expect((struct http_reply){.status = 200,
                               .type = HTTP_JSON,
                               .body = STR("comes by itself"),
                               .extra = STR("Trailer: X\r\n"),
                               .keep_alive = true,
                               .chunked = true},
           "HTTP/1.1 200 OK\r\n" DATE "Content-Type: application/json;charset=UTF-8\r\n"
           "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n");
    expect((struct http_reply){.status = 200, .chunked = true},
           "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    /* HEAD is told what GET would be. */
    expect(
        (struct http_reply){.status = 200, .keep_alive = true, .chunked = true, .head_only = true},
        "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n");
}

/* For HTTP/1.0, which knows no chunks (section 6.3, 8): the end of the connection is the end. */
static void announces_no_end(void **unused)
{
    (void)unused;
    expect(
        (struct http_reply){
            .status = 200, .type = HTTP_TEXT, .body = STR("comes by itself"), .unbounded = true},
        "HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/plain; charset=utf-8\r\n"
        "Connection: close\r\n\r\n");
}

static void expect_bytes(struct buf *got, struct str expected)
{
    if (!str_eq(buf_as_str(got), expected))
        fail_msg("got '%.*s', expected '%s'", (int)got->len, got->p, expected.p);
    buf_clear(got);
}

/* Lengths are hexadecimal, and an empty piece writes nothing: it would be the end. */
static void writes_chunks(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    http_chunk_write(&out, STR_EMPTY);
    expect_bytes(&out, STR(""));
    http_chunk_write(&out, (struct str){NULL, 0});
    expect_bytes(&out, STR(""));
    http_chunk_write(&out, STR("a"));
    http_chunk_write(&out, STR("\r\n\0bytes"));
    expect_bytes(&out, STR("1\r\na\r\n8\r\n\r\n\0bytes\r\n"));
    http_chunk_write(&out, STR("0123456789"));
    expect_bytes(&out, STR("a\r\n0123456789\r\n"));
    http_chunk_write(&out, STR("0123456789abcdef"));
    expect_bytes(&out, STR("10\r\n0123456789abcdef\r\n"));

    struct buf large = BUF_INIT;
    memset(buf_reserve(&large, 0x12345), 'x', 0x12345);
    large.len = 0x12345;
    buf_str(&out, STR("before"));
    http_chunk_write(&out, buf_as_str(&large));
    assert_int_equal(out.len, 6 + 7 + 0x12345 + 2);
    assert_memory_equal(out.p, "before12345\r\nx", 14);
    assert_memory_equal(out.p + out.len - 3, "x\r\n", 3);
    buf_fini(&large);
    buf_fini(&out);
}

static void ends_chunks(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    http_chunks_end(&out, STR_EMPTY);
    expect_bytes(&out, STR("0\r\n\r\n"));
    http_chunk_write(&out, STR("x"));
    http_chunks_end(&out, STR("A: 1\r\nB: 2\r\n"));
    expect_bytes(&out, STR("1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_replies),       cmocka_unit_test(sends_any_bytes),
        cmocka_unit_test(adds_further_headers), cmocka_unit_test(tells_head_the_length),
        cmocka_unit_test(sends_no_content),     cmocka_unit_test(writes_the_date_of_each_second),
        cmocka_unit_test(writes_long_lengths),  cmocka_unit_test(knows_its_reasons),
        cmocka_unit_test(announces_chunks),     cmocka_unit_test(announces_no_end),
        cmocka_unit_test(writes_chunks),        cmocka_unit_test(ends_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
