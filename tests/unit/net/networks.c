#include "net/networks.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a;
    if (!networks_read_ip(&a, str_of(text)))
        fail_msg("%s", text);
    return a;
}

static void expect_text(const struct sockaddr_storage *a, const char *expected)
{
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(a->ss_family,
              a->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
                                       : (const void *)&((const struct sockaddr_in *)a)->sin_addr,
              text, sizeof text);
    assert_string_equal(text, expected);
}

static bool have(const char *list, const char *ip)
{
    struct networks n = {.n = 0};
    const struct sockaddr_storage a = address(ip);
    assert_int_equal(networks_add(&n, str_of(list)), ERR_OK);
    return networks_have(&n, &a);
}

static void knows_its_networks(void **unused)
{
    (void)unused;
    assert_true(have("10.0.0.0/8", "10.255.0.1"));
    assert_false(have("10.0.0.0/8", "11.0.0.1"));
    assert_true(have("192.168.4.0/22", "192.168.7.255"));
    assert_false(have("192.168.4.0/22", "192.168.8.0"));
    assert_true(have("1.2.3.4", "1.2.3.4"));
    assert_false(have("1.2.3.4", "1.2.3.5"));
    assert_true(have("0.0.0.0/0", "1.2.3.5"));
    assert_false(have("0.0.0.0/0", "::1"));
    assert_true(have("::/0", "1.2.3.5"));
    assert_true(have(" 1.1.1.1 , fd00::/8 ", "fdff::1"));
    assert_false(have("1.1.1.1,fd00::/8", "fe00::1"));
    assert_true(have("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(have("2001:db8::/33", "2001:db8:8000::1"));
    /* IPv4 in IPv6 is the same address. */
    assert_true(have("127.0.0.0/8", "::ffff:127.1.2.3"));
    assert_true(have("::ffff:127.0.0.0/104", "127.1.2.3"));
    assert_false(have("", "127.0.0.1"));
    const struct sockaddr_storage other = {.ss_family = AF_UNIX};
    struct networks n = {.n = 0};
    assert_int_equal(networks_add(&n, STR("::/0")), ERR_OK);
    assert_false(networks_have(&n, &other));
}

static void takes_no_other_text(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {
        "x",           "1.2.3",      "1.2.3.4/",  "1.2.3.4/33",   "1.2.3.4/x",
        "1.2.3.4/8 8", "::1/129",    "1.2.3.4,,", "1.2.3.4/0008", ",",
        "[::1]",       "1.2.3.4:80", "::1/-1",    "01.2.3.4.5/8", "1.2.3.4;5.6.7.8",
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct networks n = {.n = 0};
        if (networks_add(&n, str_of(wrong[i])) != ERR_PROTO)
            fail_msg("%s", wrong[i]);
    }
    struct networks n = {.n = 0};
    for (unsigned i = 0; i < NETWORKS_MAX; i++)
        assert_int_equal(networks_add(&n, STR("1.2.3.4")), ERR_OK);
    assert_int_equal(networks_add(&n, STR("1.2.3.4")), ERR_LIMIT);
}

static void reads_addresses(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *ip;
    } good[] = {{"1.2.3.4", "1.2.3.4"}, {"1.2.3.4:80", "1.2.3.4"},
                {"::1", "::1"},         {"[::1]", "::1"},
                {"[::1]:65535", "::1"}, {"2001:db8::1:80", "2001:db8::1:80"}};
    static const char *const bad[] = {"",     "unknown", "_hidden",   "1.2.3.4:",  "1.2.3.4:65536",
                                      "[::1", "[::1]x",  "[::1]:",    "[1.2.3.4]", "1.2.3.4:8:8",
                                      "[]",   "[",       "1.2.3.4:x", "::1%lo"};
    struct sockaddr_storage a;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(networks_read_address(&a, str_of(good[i].text)));
        expect_text(&a, good[i].ip);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (networks_read_address(&a, str_of(bad[i])))
            fail_msg("%s", bad[i]);
    }
    assert_false(networks_read_address(&a, STR("1.2.3.4\0x")));
}

/* Only what trusted proxies have added is believed. */
static void finds_the_client_behind_proxies(void **unused)
{
    (void)unused;
    static const struct {
        const char *forwarded, *client; /* NULL: nobody is named */
    } cases[] = {
        {"1.1.1.1", "1.1.1.1"},
        {"6.6.6.6, 1.1.1.1", "1.1.1.1"},
        {"6.6.6.6, 1.1.1.1,10.0.0.2", "1.1.1.1"},
        {"6.6.6.6,1.1.1.1:4711", "1.1.1.1"},
        {"10.0.0.3,10.0.0.2", "10.0.0.3"}, /* all ours */
        {"6.6.6.6,junk", NULL},
        {"6.6.6.6,junk,10.0.0.2", "10.0.0.2"},
        {"", NULL},
        {"1.1.1.1,", NULL},
        {"[2001:db8::7]:80", "2001:db8::7"},
    };
    struct networks trusted = {.n = 0};
    assert_int_equal(networks_add(&trusted, STR("10.0.0.0/8")), ERR_OK);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sockaddr_storage client;
        bool found = networks_forwarded(&trusted, str_of(cases[i].forwarded), &client);
        assert_int_equal(found, cases[i].client != NULL);
        if (found)
            expect_text(&client, cases[i].client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_networks),
        cmocka_unit_test(takes_no_other_text),
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(finds_the_client_behind_proxies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
