#include "net/proxy_header.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4                                                                                       \
    SIGNATURE "\x21\x11\0\x0c"                                                                     \
              "\1\2\3\4"                                                                           \
              "\5\6\7\x08"                                                                         \
              "\x12\x67"                                                                           \
              "\0\x50"
#define TCP6                                                                                       \
    SIGNATURE "\x21\x21\0\x24"                                                                     \
              "\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\7"                                               \
              "\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\x08"                                             \
              "\x12\x67"                                                                           \
              "\0\x50"

/* "ip port", or "-" without one. */
static void expect(struct str bytes, const char *expected, size_t len)
{
    struct proxy_header h;
    char ip[INET6_ADDRSTRLEN], text[80] = "-";
    /* Byte by byte there is nothing to say before the last. */
    for (size_t n = 0; n < len; n++)
        assert_int_equal(proxy_header_read(&h, str_make(bytes.p, n)), ERR_AGAIN);
    assert_int_equal(proxy_header_read(&h, bytes), ERR_OK);
    assert_int_equal(h.len, len);
    if (h.has_address) {
        bool is_v6 = h.address.ss_family == AF_INET6;
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&h.address;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&h.address;
        inet_ntop(h.address.ss_family,
                  is_v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, ip,
                  sizeof ip);
        snprintf(text, sizeof text, "%s %u", ip, ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
    }
    assert_string_equal(text, expected);
}

#define EXPECT(literal, expected) expect(STR(literal), expected, sizeof(literal) - 1)

static void reads_lines(void **unused)
{
    (void)unused;
    EXPECT("PROXY TCP4 1.2.3.4 5.6.7.8 4711 80\r\n", "1.2.3.4 4711");
    EXPECT("PROXY TCP6 2001:db8::7 ::1 65535 0\r\n", "2001:db8::7 65535");
    EXPECT("PROXY UNKNOWN\r\n", "-");
    EXPECT("PROXY UNKNOWN ff::1 whatever\r\n", "-");
    struct str more = STR("PROXY TCP4 1.2.3.4 5.6.7.8 4711 80\r\nGET / HTTP/1.1\r\n");
    expect(more, "1.2.3.4 4711", 36);
}

static void reads_binary_headers(void **unused)
{
    (void)unused;
    EXPECT(TCP4, "1.2.3.4 4711");
    EXPECT(TCP6, "2001:db8::7 4711");
    EXPECT(SIGNATURE "\x20\0\0\0", "-");
    EXPECT(SIGNATURE "\x20\x11\0\x03"
                     "abc",
           "-"); /* of its own, whatever it says */
    EXPECT(SIGNATURE "\x21\x31\0\x02"
                     "ab",
           "-"); /* a UNIX socket */
    EXPECT(SIGNATURE "\x21\x11\0\x0f"
                     "\1\2\3\4\5\6\7\x08\x12\x67\0\x50"
                     "\4\0\0",
           "1.2.3.4 4711");
}

static void takes_nothing_else(void **unused)
{
    (void)unused;
    static const struct str wrong[] = {
        STR("G"),
        STR("GET / HTTP/1.1\r\n"),
        STR("proxy TCP4 1.2.3.4 5.6.7.8 4711 80\r\n"),
        STR("PROXY  TCP4 1.2.3.4 5.6.7.8 4711 80\r\n"),
        STR("PROXY TCP4 1.2.3.4 5.6.7.8 4711 80\n"),
        STR("PROXY TCP4 1.2.3.4 5.6.7.8 4711\r\n"),
        STR("PROXY TCP4 1.2.3.4 5.6.7.8 4711 80 1\r\n"),
        STR("PROXY TCP4 1.2.3.4 5.6.7.8 04711 80\r\n"),
        STR("PROXY TCP4 1.2.3.4 5.6.7.8 65536 80\r\n"),
        STR("PROXY TCP4 1.2.3.4:5 5.6.7.8 4711 80\r\n"),
        STR("PROXY TCP4 ::1 5.6.7.8 4711 80\r\n"),
        STR("PROXY TCP6 [::1] ::1 4711 80\r\n"),
        STR("PROXY UDP4 1.2.3.4 5.6.7.8 4711 80\r\n"),
        STR("PROXY \r\n"),
        STR("\r\n\r\nX"),
        STR(SIGNATURE "\x11\x11\0\x0c"
                      "\1\2\3\4\5\6\7\x08\x12\x67\0\x50"),
        STR(SIGNATURE "\x22\x11\0\x0c"
                      "\1\2\3\4\5\6\7\x08\x12\x67\0\x50"),
        STR(SIGNATURE "\x21\x11\0\x0b"
                      "\1\2\3\4\5\6\7\x08\x12\x67\0"),
        STR(SIGNATURE "\x21\x21\0\x0c"
                      "\1\2\3\4\5\6\7\x08\x12\x67\0\x50"),
    };
    struct proxy_header h;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (proxy_header_read(&h, wrong[i]) != ERR_PROTO)
            fail_msg("number %u", i);
}

static void has_limits(void **unused)
{
    (void)unused;
    static char line[200] = "PROXY UNKNOWN ";
    struct proxy_header h;
    memset(line + 14, 'x', sizeof line - 14);
    assert_int_equal(proxy_header_read(&h, str_make(line, PROXY_HEADER_V1_MAX - 1)), ERR_AGAIN);
    assert_int_equal(proxy_header_read(&h, str_make(line, PROXY_HEADER_V1_MAX)), ERR_PROTO);
    memcpy(line + PROXY_HEADER_V1_MAX - 2, "\r\n", 2);
    expect(str_make(line, PROXY_HEADER_V1_MAX), "-", PROXY_HEADER_V1_MAX);
    assert_int_equal(proxy_header_read(&h, STR(SIGNATURE "\x20\0\x02\x08")), ERR_AGAIN);
    assert_int_equal(proxy_header_read(&h, STR(SIGNATURE "\x20\0\x02\x09")), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines),
        cmocka_unit_test(reads_binary_headers),
        cmocka_unit_test(takes_nothing_else),
        cmocka_unit_test(has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
