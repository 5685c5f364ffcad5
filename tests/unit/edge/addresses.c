/* Whose socket it is: what a proxy has said, or the kernel's word. */
#include "edge/addresses.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

static struct in6_addr ip(const char *text)
{
    struct in6_addr ip;
    assert_int_equal(inet_pton(AF_INET6, text, &ip), 1);
    return ip;
}

static void expect(const struct addresses *a, uint64_t number, int fd, const char *text)
{
    char out[ADDRESSES_TEXT];
    addresses_write(a, number, fd, out);
    assert_string_equal(out, text);
}

static void tells_what_proxies_said(void **unused)
{
    (void)unused;
    struct addresses a = {0};
    const struct in6_addr four = ip("::ffff:192.0.2.1"), six = ip("2001:db8::1");
    const uint64_t round = 1ull << 32;
    addresses_set(&a, round | 3, NULL); /* nobody needs a list yet */
    assert_null(a.list);
    addresses_set(&a, round | 3, &four);
    addresses_set(&a, round | 700, &six);
    expect(&a, round | 3, -1, "192.0.2.1");
    expect(&a, round | 700, -1, "2001:db8::1");
    expect(&a, round | 4, -1, "");
    expect(&a, round | 100000, -1, "");
    /* The next one in its place came by itself. */
    addresses_set(&a, 2 * round | 3, NULL);
    expect(&a, 2 * round | 3, -1, "");
    addresses_fini(&a);
}

static void asks_the_kernel_about_others(void **unused)
{
    (void)unused;
    struct addresses a = {0};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(here);
    int listener = socket(AF_INET, SOCK_STREAM, 0), peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&here, &len), 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&here, sizeof(here)), 0);
    int fd = accept(listener, NULL, NULL);
    expect(&a, 1ull << 32, fd, "127.0.0.1");
    close(fd);
    close(peer);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_proxies_said),
        cmocka_unit_test(asks_the_kernel_about_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
