#include "cli/bench_target.h"
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void expect(const char *url, const char *host, const char *port, const char *path,
                   const char *authority)
{
    struct bench_target t;
    char why[200];
    if (bench_target_parse(&t, str_of(url), "/gcs", why, sizeof why))
        fail_msg("%s", why);
    assert_string_equal(t.host, host);
    assert_string_equal(t.port, port);
    assert_string_equal(t.path, path);
    assert_string_equal(t.authority, authority);
}

static void reads_addresses(void **unused)
{
    (void)unused;
    expect("ws://127.0.0.1:8888/gcs", "127.0.0.1", "8888", "/gcs", "127.0.0.1:8888");
    expect("http://push.example.org", "push.example.org", "80", "/gcs", "push.example.org:80");
    expect("push.example.org:8888", "push.example.org", "8888", "/gcs", "push.example.org:8888");
    expect("ws://h:1/", "h", "1", "", "h:1");
    expect("ws://h:1/a/b/", "h", "1", "/a/b", "h:1");
    expect("ws://[::1]:8888/x", "::1", "8888", "/x", "[::1]:8888");
    expect("[fe80::1]", "fe80::1", "80", "/gcs", "[fe80::1]:80");
}

static void knows_who_speaks_tls(void **unused)
{
    (void)unused;
    static const struct {
        const char *url, *port;
        bool tls;
    } cases[] = {
        {"ws://h", "80", false},       {"http://h", "80", false},  {"h", "80", false},
        {"wss://h", "443", true},      {"https://h", "443", true}, {"wss://h:80/x", "80", true},
        {"http://h:443", "443", false}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench_target t;
        char why[200];
        assert_int_equal(bench_target_parse(&t, str_of(cases[i].url), "", why, sizeof why), ERR_OK);
        assert_string_equal(t.port, cases[i].port);
        assert_int_equal(t.tls, cases[i].tls);
    }
}

static void refuse(const char *url, const char *word)
{
    struct bench_target t;
    char why[200] = "";
    assert_int_equal(bench_target_parse(&t, str_of(url), "", why, sizeof why), ERR_PROTO);
    if (!strstr(why, word) || !strstr(why, url))
        fail_msg("'%s' does not say '%s' and '%s'", why, word, url);
}

static void refuses_what_is_none(void **unused)
{
    (void)unused;
    refuse("", "HOST:PORT");
    refuse("ws://", "HOST:PORT");
    refuse("ws://:80", "HOST:PORT");
    refuse("ws://h:", "HOST:PORT");
    refuse("ws://h:0", "HOST:PORT");
    refuse("ws://h:65536", "HOST:PORT");
    refuse("ws://h:8x", "HOST:PORT");
    refuse("ws://::1:80", "HOST:PORT");
    refuse("ws://[::1", "HOST:PORT");
    refuse("ws://[::1]80", "HOST:PORT");
    refuse("ws://h/a b", "HOST:PORT");
    refuse("ws://h/a?b", "HOST:PORT");
    refuse("ftp://h", "http:// or https://");
    refuse("wss://", "HOST:PORT");
}

static void refuses_what_is_too_long(void **unused)
{
    (void)unused;
    struct bench_target t;
    char url[400], why[200];
    memset(url, 'a', sizeof url - 1);
    url[sizeof url - 1] = 0;
    assert_int_equal(bench_target_parse(&t, str_of(url), "", why, sizeof why), ERR_PROTO);
    memcpy(url, "ws://h/", 7);
    assert_int_equal(bench_target_parse(&t, str_of(url), "", why, sizeof why), ERR_PROTO);
}

/* ---- sockets ---- */

static void dials_what_listens(void **unused)
{
    (void)unused;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(listener, 4), 0);
    getsockname(listener, (struct sockaddr *)&sa, &len);

    struct bench_target t;
    char url[64], why[200];
    snprintf(url, sizeof url, "127.0.0.1:%u", ntohs(sa.sin_port));
    assert_int_equal(bench_target_parse(&t, str_of(url), "", why, sizeof why), ERR_OK);
    assert_int_equal(bench_target_resolve(&t, why, sizeof why), ERR_OK);
    assert_in_range(t.n_addresses, 1, BENCH_TARGET_ADDRESSES);
    const uint32_t dialled[] = {0, 20000, 45000}; /* from 127.0.0.1, .2 and .3 */
    for (unsigned i = 0; i < 3; i++) {
        struct sockaddr_in from;
        len = sizeof from;
        t.dialled = dialled[i];
        int fd = bench_target_dial(&t, 0);
        assert_true(fd >= 0);
        int peer = accept(listener, (struct sockaddr *)&from, &len);
        assert_true(peer >= 0);
        assert_int_equal(ntohl(from.sin_addr.s_addr), INADDR_LOOPBACK + i);
        close(fd);
        close(peer);
    }
    close(listener);
}

static void says_which_host_is_not_found(void **unused)
{
    (void)unused;
    struct bench_target t;
    char why[200] = "";
    assert_int_equal(bench_target_parse(&t, STR("ws://nowhere.invalid:1"), "", why, sizeof why),
                     ERR_OK);
    assert_int_equal(bench_target_resolve(&t, why, sizeof why), ERR_SYS);
    assert_non_null(strstr(why, "cannot find nowhere.invalid: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),      cmocka_unit_test(knows_who_speaks_tls),
        cmocka_unit_test(refuses_what_is_none), cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(dials_what_listens),   cmocka_unit_test(says_which_host_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
