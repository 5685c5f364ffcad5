#include "http/parse.h"
#include "http_story.h"
#include "mem_count.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

enum { BODY_MAX = 100 };

static size_t last_end; /* of the latest story */

static void compare(const struct http_story *s, const char *expected, const char *how, size_t cut)
{
    last_end = s->end;
    if (!str_eq(buf_as_str(&s->text), str_of(expected)))
        fail_msg("%s %zu: got '%.*s', expected '%s'", how, cut, (int)s->text.len, s->text.p,
                 expected);
}

static void expect_in_pieces(struct str input, size_t piece, const char *expected)
{
    struct http_story s;
    http_story_init(&s, BODY_MAX);
    for (size_t at = 0; at < input.len;) {
        size_t len = piece < input.len - at ? piece : input.len - at;
        http_story_feed(&s, input.p + at, len);
        at += len;
    }
    compare(&s, expected, "pieces of", piece);
    http_story_fini(&s);
}

/* Whole, byte by byte and in other small pieces, and cut at every point: always the same. */
static void expect(struct str input, const char *expected)
{
    size_t held = mem_count.bytes;
    expect_in_pieces(input, SIZE_MAX, expected);
    size_t end = last_end;
    for (size_t piece = 1; piece <= 7; piece++) {
        expect_in_pieces(input, piece, expected);
        assert_int_equal(last_end, end);
    }
    for (size_t cut = 0; cut <= input.len; cut++) {
        struct http_story s;
        http_story_init(&s, BODY_MAX);
        http_story_feed(&s, input.p, cut);
        http_story_feed(&s, input.p + cut, input.len - cut);
        compare(&s, expected, "cut at", cut);
        assert_int_equal(last_end, end);
        http_story_fini(&s);
    }
    assert_int_equal(mem_count.bytes, held);
}

#define EXPECT(input, expected) expect(STR(input), expected)
#define GET_LINE                "GET / HTTP/1.1\r\n"
#define HOST                    "Host: h\r\n"

/* ---- requests ---- */

static void reads_requests(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE HOST "\r\n", "GET /? host=h body=\n");
    EXPECT("GET /a/b%20c?x=1&y=2?3 HTTP/1.1\r\nHOST:  example:80 \r\nX-Other: 1\r\n\r\n",
           "GET /a/b%20c?x=1&y=2?3 host=example:80 body=\n");
    EXPECT("HEAD /? HTTP/1.1\r\n" HOST "\r\n", "HEAD /? host=h body=\n");
    EXPECT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS *? host=h body=\n");
    EXPECT("DELETE /a HTTP/1.1\r\n" HOST "\r\n", "DELETE /a? host=h body=\n");
    EXPECT("PUT /a HTTP/1.1\r\n" HOST "\r\n", "PUT /a? host=h body=\n");
    EXPECT("PATCH /a HTTP/1.1\r\n" HOST "\r\n", "OTHER /a? host=h body=\n");
    EXPECT("POST /a HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
           "POST /a? host=h type=text/plain body=hello\n");
    EXPECT("POST /a HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST /a? host=h body=\n");
    EXPECT("POST /a HTTP/1.1\r\n" HOST "\r\n", "POST /a? host=h body=\n");
}

static void reads_chunks(void **unused)
{
    (void)unused;
#define CHUNKED "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\n\r\n", "POST /a? host=h body=hello\n");
    EXPECT(CHUNKED "2\r\nhe\r\n1;ext=1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n",
           "POST /a? host=h body=hello\n");
    EXPECT(CHUNKED "0\r\n\r\n", "POST /a? host=h body=\n");
    EXPECT(CHUNKED "A\r\n0123456789\r\n00\r\n\r\n", "POST /a? host=h body=0123456789\n");
    EXPECT(CHUNKED "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "POST /a? host=h body=hello\n");
    EXPECT(CHUNKED "x\r\n", "400\n");
    EXPECT(CHUNKED "5\r\nhelloX\r\n", "400\n");
}

/* What comes behind the body is no header of the request (RFC 9110 section 6.5.1). */
static void takes_no_header_from_a_trailer(void **unused)
{
    (void)unused;
    EXPECT(CHUNKED "1\r\na\r\n0\r\nContent-Type: text/plain\r\nOrigin: o\r\n\r\n",
           "POST /a? host=h body=a\n");
}

static void reads_pipelined_requests(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                         "GET /3 HTTP/1.1\r\n" HOST "\r\n",
           "GET /? host=h body=\nPOST /2? host=h body=abc\nGET /3? host=h body=\n");
    EXPECT(CHUNKED "1\r\na\r\n0\r\n\r\n" CHUNKED "1\r\nb\r\n0\r\n\r\n",
           "POST /a? host=h body=a\nPOST /a? host=h body=b\n");
    /* Nothing of one request is left to the next one. */
    EXPECT("POST /1?q HTTP/1.1\r\n" HOST
           "Origin: o\r\nContent-Type: t\r\nContent-Length: 1\r\n\r\nx"
           "GET /2 HTTP/1.1\r\n" HOST "\r\n",
           "POST /1?q host=h type=t origin=o body=x\nGET /2? host=h body=\n");
    /* Blank lines in between belong to no request (RFC 9112 section 2.2). */
    EXPECT("\r\n\r\n" GET_LINE HOST "\r\n\r\n\n\r\n" GET_LINE HOST "\r\n",
           "GET /? host=h body=\nGET /? host=h body=\n");
    /* The second one is refused after the first one has been served. */
    EXPECT(GET_LINE HOST "\r\nNO SUCH\r\n\r\n", "GET /? host=h body=\n400\n");
}

static void knows_which_request_is_the_last(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE HOST "Connection: close\r\n\r\n" GET_LINE HOST "\r\n",
           "GET /? host=h body= close\n");
    EXPECT(GET_LINE HOST "Connection: foo, Close\r\n\r\n", "GET /? host=h body= close\n");
    EXPECT("GET / HTTP/1.0\r\n\r\n", "GET /? body= close\n");
    EXPECT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /? body= close\n");
    EXPECT(GET_LINE HOST "Connection: keep-alive\r\n\r\n", "GET /? host=h body=\n");
}

static void reads_the_headers_it_keeps(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE
           "hOSt: h\r\nCONTENT-type: \t t; charset=x \t\r\nexpect: e\r\nOrigin: http://o\r\n"
           "Upgrade: u\r\nSec-WebSocket-Key: k==\r\nsec-websocket-version: 13\r\n\r\n",
           "GET /? host=h type=t; charset=x expect=e origin=http://o upgrade=u key=k== version=13 "
           "body=\n");
    /* The first of several counts; an empty one is there; names must be whole. */
    EXPECT(GET_LINE HOST "Origin: 1\r\nOrigin: 2\r\nContent-Type:\r\nUpgrade: \r\n\r\n",
           "GET /? host=h type= origin=1 upgrade= body=\n");
    EXPECT(GET_LINE HOST "Content-Type:\r\nContent-Type: late\r\n\r\n",
           "GET /? host=h type= body=\n");
    EXPECT(GET_LINE HOST "Origi: 1\r\nOriginn: 2\r\nX-Origin: 3\r\n"
                         "Sec-WebSocket-Version-And-A-Name-Longer-Than-Any: 4\r\n\r\n",
           "GET /? host=h body=\n");
}

static void takes_names_of_any_length(void **unused)
{
    (void)unused;
    /* A length that only fits after being cut must not make a name one of ours. */
    for (size_t more = 0; more <= 520; more += 1) {
        struct buf input = BUF_INIT;
        buf_str(&input, STR(GET_LINE HOST "Origin"));
        for (size_t i = 0; i < more; i++)
            buf_char(&input, 'x');
        buf_str(&input, STR(": 1\r\n\r\n"));
        struct http_story s;
        http_story_init(&s, BODY_MAX);
        http_story_feed(&s, input.p, input.len);
        char expected[80];
        snprintf(expected, sizeof expected, "GET /? host=h%s body=\n", more ? "" : " origin=1");
        compare(&s, expected, "name longer by", more);
        http_story_fini(&s);
        buf_fini(&input);
    }
}

/* ---- refusals ---- */

static void refuses_malformed_requests(void **unused)
{
    (void)unused;
    EXPECT("\0", "400\n");
    EXPECT("hello\r\n\r\n", "400\n");
    EXPECT("GET\r\n\r\n", "400\n");
    EXPECT("GET /\x01 HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT("get / HTTP/1.1\r\n" HOST "\r\n", "400\n");
    EXPECT(GET_LINE HOST "no colon\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST ": no name\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST "A: 1\r\n:\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST "A: \x01\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST "A: a\0b\r\n\r\n", "400\n");
    EXPECT("\x16\x03\x01\x02\x00\x01", "400\n"); /* TLS where none is spoken */
}

/* RFC 9112 section 5.1: a blank before the colon, or within the name. */
static void refuses_blanks_in_names(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE HOST "Content-Length : 0\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST "Other : 1\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST "Other\t: 1\r\n\r\n", "400\n");
    EXPECT(GET_LINE HOST "a b: 1\r\n\r\n", "400\n");
}

static void wants_one_host(void **unused)
{
    (void)unused;
    EXPECT("GET / HTTP/1.1\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", "400\n");
    EXPECT("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /? host= body=\n");
}

/* RFC 9112 section 6.3: what two readers could measure differently. */
static void refuses_doubtful_lengths(void **unused)
{
    (void)unused;
#define POST_LINE "POST / HTTP/1.1\r\n" HOST
    EXPECT(POST_LINE "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400\n");
    EXPECT(POST_LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "400\n");
    EXPECT(POST_LINE "Content-Length: 1, 1\r\n\r\na", "400\n");
    EXPECT(POST_LINE "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400\n");
    EXPECT(POST_LINE "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", "400\n");
    EXPECT(POST_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "400\n");
    EXPECT(POST_LINE "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "400\n");
    EXPECT("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400\n");
    EXPECT(POST_LINE "Content-Length: -1\r\n\r\n", "400\n");
    EXPECT(POST_LINE "Content-Length: 0x1\r\n\r\na", "400\n");
    EXPECT(POST_LINE "Content-Length: 1 2\r\n\r\na", "400\n");
    EXPECT(POST_LINE "Content-Length:\r\n\r\n", "400\n");
    EXPECT(POST_LINE "Content-Length: 99999999999999999999\r\n\r\n", "400\n");
    EXPECT(POST_LINE "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "400\n");
}

/* RFC 9112 section 6.1: only the one coding that must be understood is. */
static void refuses_other_codings(void **unused)
{
    (void)unused;
    EXPECT(POST_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501\n");
    EXPECT(POST_LINE "Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n",
           "POST /? host=h body=a\n");
}

/* RFC 9112 section 3.2.2: as to a proxy. */
static void reads_absolute_targets(void **unused)
{
    (void)unused;
    EXPECT("GET http://h:80/a?b=http://c HTTP/1.1\r\n" HOST "\r\n",
           "GET /a?b=http://c host=h body=\n");
    EXPECT("GET HTTPS://h/ HTTP/1.1\r\n" HOST "\r\n", "GET /? host=h body=\n");
    EXPECT("GET http://h?x HTTP/1.1\r\n" HOST "\r\n", "GET ?x host=h body=\n");
    EXPECT("GET http://h HTTP/1.1\r\n" HOST "\r\n", "GET ? host=h body=\n");
    EXPECT("GET /http://h/a HTTP/1.1\r\n" HOST "\r\n", "GET /http://h/a? host=h body=\n");
}

static void refuses_headers_without_a_name(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE HOST ": y\r\n\r\n", "400\n");
    EXPECT(GET_LINE ": y\r\n" HOST "\r\n", "400\n");
    EXPECT(GET_LINE HOST ":\r\n\r\n", "400\n");
}

static void reads_targets_in_absolute_form(void **unused)
{
    (void)unused;
    EXPECT("GET http://a.test/b?c HTTP/1.1\r\n" HOST "\r\n", "GET /b?c host=h body=\n");
    EXPECT("GET HTTPS://a.test:1/b HTTP/1.1\r\n" HOST "\r\n", "GET /b? host=h body=\n");
    EXPECT("GET http://a.test?c HTTP/1.1\r\n" HOST "\r\n", "GET ?c host=h body=\n");
}

static void refuses_other_versions(void **unused)
{
    (void)unused;
    EXPECT("GET / HTTP/2.0\r\n" HOST "\r\n", "505\n");
    EXPECT("GET / HTTP/0.9\r\n\r\n", "505\n");
    EXPECT("GET / HTTP/1.2\r\n" HOST "\r\n", "505\n");
    EXPECT("GET / HTTP/3.0\r\n" HOST "\r\n", "505\n");
    EXPECT("GET / HTTQ/1.1\r\n" HOST "\r\n", "400\n");
}

static void refuses_to_be_a_proxy(void **unused)
{
    (void)unused;
    EXPECT("CONNECT example:443 HTTP/1.1\r\n" HOST "\r\n", "501\n");
}

/* ---- upgrades ---- */

static void sees_websockets(void **unused)
{
    (void)unused;
#define WS "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    EXPECT(GET_LINE HOST WS "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x80",
           "GET /? host=h upgrade=websocket key=k version=13 body= ws\n");
    /* What follows is no HTTP any more, and left alone. */
    EXPECT(GET_LINE HOST WS "\r\n\x81\x80", "GET /? host=h upgrade=websocket body= ws\n");
    assert_int_equal(last_end, sizeof(GET_LINE HOST WS "\r\n") - 1);
    EXPECT(GET_LINE HOST "connection: keep-alive, UPGRADE\r\nupgrade: WebSocket\r\n\r\n",
           "GET /? host=h upgrade=WebSocket body= ws\n");
    EXPECT(GET_LINE HOST "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
           "GET /? host=h upgrade=h2c, websocket body= ws\n");
    /* Without one of the two it is a request like any other. */
    EXPECT(GET_LINE HOST "Upgrade: websocket\r\n\r\n" GET_LINE HOST "\r\n",
           "GET /? host=h upgrade=websocket body=\nGET /? host=h body=\n");
    EXPECT(GET_LINE HOST "Connection: Upgrade\r\n\r\n" GET_LINE HOST "\r\n",
           "GET /? host=h body=\nGET /? host=h body=\n");
    EXPECT("POST / HTTP/1.1\r\n" HOST WS "Content-Length: 3\r\n\r\nabc" GET_LINE HOST "\r\n",
           "POST /? host=h upgrade=websocket body=abc\nGET /? host=h body=\n");
    EXPECT("GET / HTTP/1.0\r\n" HOST WS "\r\n", "GET /? host=h upgrade=websocket body= close\n");
}

static void ignores_other_upgrades(void **unused)
{
    (void)unused;
    EXPECT(GET_LINE HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                         "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" GET_LINE HOST "\r\n",
           "GET /? host=h upgrade=h2c body=\nGET /? host=h body=\n");
    EXPECT("POST / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"
           "Content-Length: 2\r\n\r\nab" GET_LINE HOST "\r\n",
           "POST /? host=h upgrade=TLS/1.0 body=ab\nGET /? host=h body=\n");
}

/* ---- limits, each at its byte ---- */

static void add_many(struct buf *b, char c, size_t n)
{
    memset(buf_reserve(b, n), c, n);
    b->len += n;
}

/* In one piece, and in pieces of some sizes. A refusal (`status`) comes before more than `most`
 * bytes are held; 0: the request is taken. */
static void expect_large(struct str input, size_t most, int status)
{
    static const size_t pieces[] = {1, 2, 100, 1448, 16384, 65536, SIZE_MAX};
    for (unsigned i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct http_story s;
        http_story_init(&s, BODY_MAX);
        size_t held = mem_count.bytes;
        mem_count.peak = held;
        for (size_t at = 0; at < input.len && !s.over;) {
            size_t piece = pieces[i] < input.len - at ? pieces[i] : input.len - at;
            http_story_feed(&s, input.p + at, piece);
            at += piece;
        }
        if (status) {
            char expected[8];
            snprintf(expected, sizeof expected, "%d\n", status);
            compare(&s, expected, "pieces of", pieces[i]);
            assert_in_range(mem_count.peak - held, 0, most);
        } else {
            assert_false(s.over);
            assert_int_equal(s.end, input.len);
        }
        http_story_fini(&s);
    }
}

static void limits_the_target(void **unused)
{
    (void)unused;
    for (size_t more = 0; more <= 1; more++) {
        struct buf input = BUF_INIT;
        buf_str(&input, STR("GET /"));
        add_many(&input, 'a', HTTP_TARGET_MAX - 1 + more);
        buf_str(&input, STR(" HTTP/1.1\r\n" HOST "\r\n"));
        expect_large(buf_as_str(&input), 2 * HTTP_TARGET_MAX, more ? 414 : 0);
        buf_fini(&input);
    }
    /* One without an end is not waited for. */
    struct buf input = BUF_INIT;
    buf_str(&input, STR("GET /?"));
    add_many(&input, 'a', HTTP_TARGET_MAX);
    expect_large(buf_as_str(&input), 2 * HTTP_TARGET_MAX, 414);
    buf_fini(&input);
}

static void limits_the_bytes_of_headers(void **unused)
{
    (void)unused;
    static const char *const names[] = {"X", "Origin"};
    for (unsigned n = 0; n < 2; n++) {
        for (size_t more = 0; more <= 1; more++) {
            struct buf input = BUF_INIT;
            buf_str(&input, STR(GET_LINE HOST));
            buf_printf(&input, "%s: ", names[n]);
            add_many(&input, 'v', HEADERS_MAX - 5 - strlen(names[n]) + more);
            buf_str(&input, STR("\r\n\r\n"));
            expect_large(buf_as_str(&input), 2 * HEADERS_MAX + 200, more ? 431 : 0);
            buf_fini(&input);
        }
    }
    /* What is far too long is refused before it is copied. */
    struct buf input = BUF_INIT;
    buf_str(&input, STR(GET_LINE HOST "Origin: "));
    add_many(&input, 'v', 4 * HEADERS_MAX);
    expect_large(buf_as_str(&input), 2 * HEADERS_MAX + 200, 431);
    buf_clear(&input);
    /* Names count as values do. */
    buf_str(&input, STR(GET_LINE HOST));
    add_many(&input, 'n', HEADERS_MAX - 4);
    expect_large(buf_as_str(&input), 500, 431);
    buf_fini(&input);
}

static void limits_the_lines_of_headers(void **unused)
{
    (void)unused;
    for (size_t more = 0; more <= 1; more++) {
        struct buf input = BUF_INIT;
        buf_str(&input, STR(GET_LINE HOST));
        for (size_t i = 1; i < HTTP_HEADERS_N_MAX + more; i++)
            buf_str(&input, i % 2 ? STR("A:\r\n") : STR("B: b\r\n"));
        buf_str(&input, STR("\r\n"));
        expect_large(buf_as_str(&input), 500, more ? 431 : 0);
        buf_fini(&input);
    }
}

static void limits_the_body(void **unused)
{
    (void)unused;
    for (size_t more = 0; more <= 1; more++) {
        struct buf input = BUF_INIT;
        buf_printf(&input, POST_LINE "Content-Length: %zu\r\n\r\n", BODY_MAX + more);
        size_t head = input.len;
        add_many(&input, 'b', BODY_MAX + more);
        expect_large(buf_as_str(&input), 500, more ? 413 : 0);
        /* The announcement tells. */
        if (more)
            expect_large(str_make(input.p, head), 500, 413);

        buf_clear(&input);
        buf_str(&input, STR(CHUNKED "32\r\n"));
        add_many(&input, 'b', 50);
        buf_printf(&input, "\r\n%zx\r\n", 50 + more);
        add_many(&input, 'b', 50 + more);
        buf_str(&input, STR("\r\n0\r\n\r\n"));
        expect_large(buf_as_str(&input), 500, more ? 413 : 0);
        buf_fini(&input);
    }
}

/* RFC 9110 section 5.3: of this one all lines count, as one list. */
static void joins_who_forwarded(void **unused)
{
    (void)unused;
#define FORWARDED "X-Forwarded-For: "
    EXPECT(GET_LINE HOST FORWARDED " 1.1.1.1 \r\n\r\n", "GET /? host=h forwarded=1.1.1.1 body=\n");
    EXPECT(GET_LINE HOST FORWARDED "1.1.1.1\r\nOrigin: o\r\nx-forwarded-for: 2.2.2.2\r\n" FORWARDED
                                   "\r\n" FORWARDED "3.3.3.3\r\n\r\n",
           "GET /? host=h origin=o forwarded=1.1.1.1,2.2.2.2,,3.3.3.3 body=\n");
    /* Of very many the last ones. */
    struct buf input = BUF_INIT;
    buf_str(&input, STR(GET_LINE HOST FORWARDED));
    add_many(&input, '1', HTTP_FORWARDED_MAX);
    buf_str(&input, STR("\r\n" FORWARDED "2\r\n" FORWARDED "3\r\n\r\n"));
    expect(buf_as_str(&input), "GET /? host=h forwarded=2,3 body=\n");
    buf_fini(&input);
}

/* ---- memory, continue ---- */

static void copies_no_whole_body(void **unused)
{
    (void)unused;
    static const char text[] = POST_LINE "Content-Length: 5\r\n\r\nhello";
    struct str input = STR(POST_LINE "Content-Length: 5\r\n\r\nhello");
    struct http_parser p;
    size_t used;
    int status;
    http_parser_init(&p, BODY_MAX, HEADERS_MAX);
    assert_int_equal(http_parse(&p, text, input.len, &used, &status), ERR_OK);
    assert_ptr_equal(p.request.body.p, text + input.len - 5);
    assert_null(p.body_part.p);

    /* Only the head came before: still not copied. */
    assert_int_equal(http_parse(&p, text, input.len - 5, &used, &status), ERR_AGAIN);
    assert_int_equal(http_parse(&p, text + input.len - 5, 5, &used, &status), ERR_OK);
    assert_ptr_equal(p.request.body.p, text + input.len - 5);

    assert_int_equal(http_parse(&p, text, input.len - 1, &used, &status), ERR_AGAIN);
    assert_int_equal(http_parse(&p, text + input.len - 1, 1, &used, &status), ERR_OK);
    assert_true(str_eq(p.request.body, STR("hello")));
    http_parser_fini(&p);
}

static void holds_nothing_between_requests(void **unused)
{
    (void)unused;
    struct str input = STR(POST_LINE "Content-Length: 5\r\n\r\nhello");
    struct http_parser p;
    size_t used, held = mem_count.bytes;
    int status;
    http_parser_init(&p, BODY_MAX, HEADERS_MAX);
    for (size_t cut = 0; cut < input.len; cut++) {
        assert_true(http_parser_is_idle(&p));
        assert_int_equal(http_parse(&p, input.p, cut, &used, &status), ERR_AGAIN);
        assert_int_equal(http_parser_is_idle(&p), cut == 0);
        assert_int_equal(http_parse(&p, input.p + cut, input.len - cut, &used, &status), ERR_OK);
        assert_int_equal(used, input.len - cut);
        /* The blank lines that some clients send behind a body begin no request. */
        assert_int_equal(http_parse(&p, "\r\n", 2, &used, &status), ERR_AGAIN);
        assert_int_equal(used, 2);
        assert_true(http_parser_is_idle(&p));
        assert_int_equal(mem_count.bytes, held);
    }
    http_parser_fini(&p);
}

/* At each cut: the head once, where it is in and the body is not, as the request says it later. */
static void gives_the_head_before_the_body(void **unused)
{
    (void)unused;
    static const char text[] =
        POST_LINE "Authorization: Bearer gk_1\r\nContent-Length: 5\r\n\r\nhello";
    const size_t len = sizeof(text) - 1, body = len - 5;
    for (size_t cut = 1; cut < len; cut++) {
        struct http_parser p;
        size_t used;
        int status;
        http_parser_init(&p, BODY_MAX, HEADERS_MAX);
        assert_null(http_parser_head(&p));
        assert_int_equal(http_parse(&p, text, cut, &used, &status), ERR_AGAIN);
        const struct http_request *r = http_parser_head(&p);
        assert_int_equal(r != NULL, cut >= body);
        if (r) {
            assert_int_equal(r->method, HTTP_M_POST);
            assert_true(str_eq(r->headers[HTTP_H_AUTHORIZATION], STR("Bearer gk_1")));
            assert_int_equal(r->body.len, 0);
            assert_null(http_parser_head(&p));
        }
        assert_int_equal(http_parse(&p, text + cut, len - cut, &used, &status), ERR_OK);
        assert_true(str_eq(p.request.body, STR("hello")));
        assert_null(http_parser_head(&p));
        http_parser_fini(&p);
    }
}

static bool wants_continue(const char *text)
{
    struct http_parser p;
    size_t used;
    int status;
    http_parser_init(&p, BODY_MAX, HEADERS_MAX);
    assert_int_equal(http_parse(&p, text, strlen(text), &used, &status), ERR_AGAIN);
    bool wants = http_parser_wants_continue(&p);
    assert_false(http_parser_wants_continue(&p));
    http_parser_fini(&p);
    return wants;
}

static void asks_for_the_body_once(void **unused)
{
    (void)unused;
#define EXPECT_100 POST_LINE "Expect: 100-continue\r\n"
    assert_true(wants_continue(EXPECT_100 "Content-Length: 5\r\n\r\n"));
    assert_true(wants_continue(EXPECT_100 "Transfer-Encoding: chunked\r\n\r\n"));
    assert_true(wants_continue(POST_LINE "expect: 100-Continue\r\nContent-Length: 5\r\n\r\n"));
    assert_false(wants_continue(EXPECT_100 "Content-Length: 5\r\n"));      /* head not over */
    assert_false(wants_continue(EXPECT_100 "Content-Length: 5\r\n\r\nh")); /* comes anyway */
    assert_false(wants_continue(POST_LINE "Content-Length: 5\r\n\r\n"));
    assert_false(wants_continue(POST_LINE "Expect: other\r\nContent-Length: 5\r\n\r\n"));
    assert_false(wants_continue("POST / HTTP/1.0\r\n" HOST
                                "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
    EXPECT(EXPECT_100 "Content-Length: 0\r\n\r\n", "POST /? host=h expect=100-continue body=\n");
    /* A body that will not be taken is refused before it is sent. */
    EXPECT(EXPECT_100 "Content-Length: 101\r\n\r\n", "413\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_requests),
        cmocka_unit_test(reads_chunks),
        cmocka_unit_test(takes_no_header_from_a_trailer),
        cmocka_unit_test(reads_pipelined_requests),
        cmocka_unit_test(knows_which_request_is_the_last),
        cmocka_unit_test(reads_the_headers_it_keeps),
        cmocka_unit_test(takes_names_of_any_length),
        cmocka_unit_test(joins_who_forwarded),
        cmocka_unit_test(refuses_malformed_requests),
        cmocka_unit_test(refuses_blanks_in_names),
        cmocka_unit_test(wants_one_host),
        cmocka_unit_test(refuses_doubtful_lengths),
        cmocka_unit_test(refuses_other_codings),
        cmocka_unit_test(reads_absolute_targets),
        cmocka_unit_test(refuses_headers_without_a_name),
        cmocka_unit_test(reads_targets_in_absolute_form),
        cmocka_unit_test(refuses_other_versions),
        cmocka_unit_test(refuses_to_be_a_proxy),
        cmocka_unit_test(sees_websockets),
        cmocka_unit_test(ignores_other_upgrades),
        cmocka_unit_test(limits_the_target),
        cmocka_unit_test(limits_the_bytes_of_headers),
        cmocka_unit_test(limits_the_lines_of_headers),
        cmocka_unit_test(limits_the_body),
        cmocka_unit_test(copies_no_whole_body),
        cmocka_unit_test(holds_nothing_between_requests),
        cmocka_unit_test(gives_the_head_before_the_body),
        cmocka_unit_test(asks_for_the_body_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
