#include "hub/glob.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
    struct str pattern, name;
    bool matches;
} cases[] = {
    {STR(""), STR(""), true},
    {STR(""), STR("a"), false},
    {STR("a"), STR(""), false},
    {STR("abc"), STR("abc"), true},
    {STR("abc"), STR("ABC"), false},
    {STR("abc"), STR("abcd"), false},
    {STR("abcd"), STR("abc"), false},
    {STR("app*"), STR("apple"), true},
    {STR("app*"), STR("app"), false},
    {STR("app*"), STR("app*"), true},
    {STR("t*st"), STR("test"), true},
    {STR("t*st"), STR("tst"), false},
    {STR("t*st"), STR("tstst"), true},
    {STR("*"), STR(""), false},
    {STR("*"), STR("a"), true},
    {STR("*"), STR("anything at all"), true},
    {STR("*"), STR("a\nb"), false},
    {STR("*"), STR("\n"), false},
    {STR("*"), STR("\0"), true},
    {STR("**"), STR("a"), false},
    {STR("**"), STR("ab"), true},
    {STR("***"), STR("ab"), false},
    {STR("***"), STR("abcd"), true},
    {STR("a**b"), STR("axb"), false},
    {STR("a**b"), STR("axyb"), true},
    {STR("*a"), STR("aa"), true},
    {STR("*a"), STR("a"), false},
    {STR("*a*"), STR("aaa"), true},
    {STR("*a*"), STR("aa"), false},
    {STR("*ab*cd"), STR("xabyabcdzcd"), true},
    {STR("*ab*cd"), STR("xabcd"), false},
    {STR("a\n*"), STR("a\nb"), true},
    {STR("*\n*"), STR("a\nb"), true},
    {STR("*\n*"), STR("a\nb\nc"), false},
    {STR("*b"), STR("a\nb"), false},
    {STR("*b*b"), STR("abab"), true},
    {STR("*b*"), STR("ab\nb"), false},
    {STR("a.c"), STR("abc"), false},
    {STR("a?c"), STR("abc"), false},
    {STR("[ab]"), STR("a"), false},
    {STR("\\*"), STR("\\x"), true},
    /* One star, one character of two, three or four bytes. */
    {STR("**"), STR("\xc3\xa9"), false},
    {STR("**"), STR("\xc3\xa9x"), true},
    {STR("a*"), STR("a\xe2\x82\xac"), true},
    {STR("**"), STR("\xf0\x9f\x98\x80"), false},
    {STR("***"), STR("\xf0\x9f\x98\x80\xc3\xa9z"), true},
    {STR("\xc3\xa9*"), STR("\xc3\xa9\xc3\xa9"), true},
    /* A star ends between characters. */
    {STR("*\xa9"), STR("x\xc3\xa9"), false},
    {STR("\xc3*"), STR("\xc3\xa9"), false},
    /* What is no UTF-8 counts by bytes. */
    {STR("**"), STR("\xff\xfe"), true},
    {STR("**"), STR("\xe2\x82"), true},
    {STR("***"), STR("\xe2\x82"), false},
    {STR("*\xff"), STR("\xff\xff"), true},
    {STR("*\x82"), STR("\xe2\x82"), true},
};

static void matches(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (glob_match(cases[i].pattern, cases[i].name) != cases[i].matches)
            fail_msg("'%.*s' on '%.*s'", (int)cases[i].pattern.len, cases[i].pattern.p,
                     (int)cases[i].name.len, cases[i].name.p);
    }
}

/* What takes a naive matcher longer than the universe lasts ends at once. */
static void takes_no_exponential_time(void **unused)
{
    (void)unused;
    char pattern[200], name[2000];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[sizeof pattern - 1] = 'b';
    memset(name, 'a', sizeof name);
    assert_false(glob_match(str_make(pattern, sizeof pattern), str_make(name, sizeof name)));
    name[sizeof name - 1] = 'b';
    assert_true(glob_match(str_make(pattern, sizeof pattern), str_make(name, sizeof name)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(takes_no_exponential_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
