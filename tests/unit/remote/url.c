#include "remote/url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static struct remote_url url;

static enum err parse(const char *text)
{
    /* A copy of just this length: a sanitizer sees a byte too many being read. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    enum err e = remote_url_parse(&url, str_make(copy, len), STR("redis://"));
    free(copy);
    return e;
}

static void reads_all_parts(void **unused)
{
    (void)unused;
    assert_int_equal(parse("redis://me:p%40ss%3aw:rd@example.org:6380/12"), ERR_OK);
    assert_string_equal(url.user, "me");
    assert_string_equal(url.password, "p@ss:w:rd");
    assert_string_equal(url.host, "example.org");
    assert_string_equal(url.path, "12");
    assert_int_equal(url.port, 6380);
    assert_true(url.has_login);
}

static void reads_what_is_left_out(void **unused)
{
    (void)unused;
    assert_int_equal(parse("redis://h"), ERR_OK);
    assert_string_equal(url.host, "h");
    assert_string_equal(url.path, "");
    assert_int_equal(url.port, 0);
    assert_false(url.has_login);
    assert_int_equal(parse("redis://:only@h/"), ERR_OK);
    assert_string_equal(url.user, "");
    assert_string_equal(url.password, "only");
    assert_int_equal(parse("redis://a:b@c@h"), ERR_OK);
    assert_string_equal(url.password, "b@c");
    assert_int_equal(parse("redis://[::1]:7/2"), ERR_OK);
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 7);
    assert_int_equal(parse("redis://[fe80::1]"), ERR_OK);
    assert_string_equal(url.host, "fe80::1");
}

static void refuses_what_is_none(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        "redis",
        "redis://",
        "redis:///0",
        "http://h",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:1x",
        "redis://h:-1",
        "redis://user@h",
        "redis://@h",
        "redis://a:b@",
        "redis://a:%4@h",
        "redis://a:%zz@h",
        "redis://a:%00@h",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[]",
        "redis://h/0?x=1",
        "redis://h/0#x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (parse(bad[i]) != ERR_PROTO)
            fail_msg("taken: %s", bad[i]);
}

static void knows_the_longest_part(void **unused)
{
    (void)unused;
    char text[400];
    for (size_t len = REMOTE_URL_PART_MAX - 2; len <= REMOTE_URL_PART_MAX + 1; len++) {
        memcpy(text, "redis://", 8);
        memset(text + 8, 'h', len);
        text[8 + len] = 0;
        assert_int_equal(parse(text), len < REMOTE_URL_PART_MAX ? ERR_OK : ERR_PROTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_parts),
        cmocka_unit_test(reads_what_is_left_out),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(knows_the_longest_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
