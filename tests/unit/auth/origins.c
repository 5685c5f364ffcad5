#include "auth/origins.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static void judge(const char *pattern, const char *origin, bool expected)
{
    struct origins *o = origins_new();
    if (origins_add(o, str_of(pattern)))
        fail_msg("'%s' is refused", pattern);
    if (origins_allow(o, str_of(origin)) != expected)
        fail_msg("'%s' and '%s'", pattern, origin);
    origins_free(o);
}

static void compares_whole_origins(void **unused)
{
    (void)unused;
    judge("https://shop.example", "https://shop.example", true);
    judge("https://shop.example", "HTTPS://Shop.Example", true);
    judge("https://Shop.example", "https://shop.example", true);
    judge("https://shop.example", "http://shop.example", false);
    judge("https://shop.example", "https://shop.example:8443", false);
    judge("https://shop.example", "https://shop.example.evil.example", false);
    judge("https://shop.example", "https://evil-shop.example", false);
    judge("https://shop.example", "https://shop.exampl", false);
    judge("https://shop.example", "https://shop.example/", false);
    judge("https://shop.example", "null", false);
    judge("https://shop.example", "", false);
    judge("https://shop.example:8443", "https://shop.example:8443", true);
    judge("https://shop.example:8443", "https://shop.example", false);
    judge("http://[::1]:3000", "http://[::1]:3000", true);
    judge("http://127.0.0.1:3000", "http://127.0.0.1:3000", true);
    judge("capacitor://localhost", "capacitor://localhost", true);
    judge("null", "null", true);
    judge("null", "https://shop.example", false);
}

static void leaves_the_default_port_out(void **unused)
{
    (void)unused;
    judge("https://shop.example:443", "https://shop.example", true);
    judge("http://shop.example:80", "http://shop.example", true);
    judge("http://shop.example:443", "http://shop.example", false);
    judge("https://*.shop.example:443", "https://a.shop.example", true);
    judge("http://[::1]:80", "http://[::1]", true);
}

static void a_star_is_one_label(void **unused)
{
    (void)unused;
    judge("https://*.shop.example", "https://a.shop.example", true);
    judge("https://*.shop.example", "https://a-1_b.SHOP.example", true);
    judge("https://*.shop.example", "https://shop.example", false);
    judge("https://*.shop.example", "https://.shop.example", false);
    judge("https://*.shop.example", "https://a.b.shop.example", false);
    judge("https://*.shop.example", "https://a.shop.example:8443", false);
    judge("https://*.shop.example", "http://a.shop.example", false);
    judge("https://*.shop.example", "https://ashop.example", false);
    judge("https://*.shop.example", "https://evil.example/.shop.example", false);
    judge("https://*.shop.example", "https://evil.example#.shop.example", false);
    judge("https://*.shop.example", "https://u@a.shop.example", false);
    judge("https://*.shop.example", "https://evil:1.shop.example", false);
    judge("https://*.shop.example", "https://*.shop.example", false);
    judge("https://*.shop.example:1", "https://a.shop.example:1", true);
}

static void refuses_what_no_browser_sends(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "",
        "*",
        "shop.example",
        "*.shop.example",
        "//shop.example",
        "https:shop.example",
        "https:/shop.example",
        "https://",
        "https://shop.example/",
        "https://shop.example/path",
        "https://shop.example:",
        "https://shop.example:x",
        "https://shop.example:1:2",
        "https://*",
        "https://*.",
        "https://**.shop.example",
        "https://a.*.example",
        "https://shop.*",
        "https://a*.shop.example",
        "https://*.*.example",
        "https://user@shop.example",
        "https://shop.example ",
        " https://shop.example",
        "https://a,https://b",
        "http://[::1",
        "http://[::1]x",
        "http://[]",
        "Null",
        "://shop.example",
    };
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct origins *o = origins_new();
        if (origins_add(o, str_of(texts[i])) != ERR_PROTO)
            fail_msg("'%s' is taken", texts[i]);
        assert_false(origins_allow(o, str_of(texts[i])));
        origins_free(o);
    }
}

static void any_of_the_list_will_do(void **unused)
{
    (void)unused;
    struct origins *o = origins_new();
    assert_false(origins_allow(o, STR("https://a.example")));
    assert_int_equal(origins_add(o, STR("https://a.example")), ERR_OK);
    assert_int_equal(origins_add(o, STR("https://*.b.example")), ERR_OK);
    assert_int_equal(origins_add(o, STR("bad")), ERR_PROTO);
    assert_true(origins_allow(o, STR("https://a.example")));
    assert_true(origins_allow(o, STR("https://c.b.example")));
    assert_false(origins_allow(o, STR("https://b.example")));
    assert_false(origins_allow(o, STR("bad")));
    origins_free(o);
    origins_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_whole_origins),  cmocka_unit_test(leaves_the_default_port_out),
        cmocka_unit_test(a_star_is_one_label),     cmocka_unit_test(refuses_what_no_browser_sends),
        cmocka_unit_test(any_of_the_list_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
