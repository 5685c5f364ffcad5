#include "hub/pattern.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static struct pattern *pattern_of(struct str expression)
{
    struct pattern *p = NULL;
    enum err e = pattern_new(&p, expression);
    if (e)
        fail_msg("'%.*s' gives '%s'", (int)expression.len, expression.p, err_text(e));
    return p;
}

/* Matches a copy that ends where the memory does, so that a sanitizer sees a step too far. */
static bool matches(struct str expression, struct str text)
{
    struct pattern *p = pattern_of(expression);
    char *copy = malloc(text.len ? text.len : 1);
    memcpy(copy, text.p, text.len);
    bool yes = pattern_match(p, str_make(copy, text.len));
    free(copy);
    pattern_free(p);
    return yes;
}

static void matches_like_the_api_says(void **unused)
{
    (void)unused;
    static const struct {
        struct str expression, text;
        bool yes;
    } cases[] = {
        {STR(""), STR(""), true},
        {STR(""), STR("any"), true},
        {STR("b"), STR("abc"), true}, /* anywhere */
        {STR("^b"), STR("abc"), false},
        {STR("^a.c$"), STR("abc"), true},
        {STR("^a.c$"), STR("abcd"), false},
        {STR("a.c"), STR("a\nc"), false},
        {STR("(?s)a.c"), STR("a\nc"), true},
        {STR("a$"), STR("a\n"), false},
        {STR("A"), STR("a"), false},
        {STR("(?i)A"), STR("a"), true},
        {STR("^\\d{3}$"), STR("123"), true},
        {STR("^\\d$"), STR("\xd9\xa3"), false}, /* Perl classes are ASCII */
        {STR("^\\pN$"), STR("\xd9\xa3"), true},
        {STR("^\\p{Han}+$"), STR("\xe4\xb8\xad\xe6\x96\x87"), true},
        {STR("^[[:alpha:]]+$"), STR("abc"), true},
        {STR("^.$"), STR("\xc3\xa9"), true},
        {STR("^(a|b)*$"), STR("abba"), true},
        {STR("^x{1000}$"), STR("x"), false},
        {STR("\\bnews\\b"), STR("the news-1"), true},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        if (matches(cases[i].expression, cases[i].text) != cases[i].yes)
            fail_msg("'%s' on '%s'", cases[i].expression.p, cases[i].text.p);
}

static void takes_any_bytes_as_text(void **unused)
{
    (void)unused;
    assert_true(matches(STR("b$"), STR("a\0b")));
    assert_true(matches(STR("^a\\x00b$"), STR("a\0b")));
    assert_true(matches(STR("^a\0b$"), STR("a\0b")));
    assert_false(matches(STR("^a$"), STR("a\0b")));
    assert_true(matches(STR("^a.b$"), STR("a\0b")));
    /* Bytes that are no UTF-8 are stepped over, and no pattern for a character takes them. */
    assert_true(matches(STR("b"), STR("\xff\xfe"
                                      "b\xc3")));
    assert_false(matches(STR("^.$"), STR("\xff")));
    assert_false(matches(STR("^[^a]$"), STR("\xff")));
    assert_false(matches(STR("^a.b$"), STR("a\xff"
                                           "b")));
    assert_false(matches(STR("."), STR("\x80\x81\xfe")));
}

static enum err verdict(struct str expression)
{
    struct pattern *p = NULL;
    enum err e = pattern_new(&p, expression);
    assert_true((p != NULL) == (e == ERR_OK));
    pattern_free(p);
    return e;
}

static void refuses_what_re2_does_not_take(void **unused)
{
    (void)unused;
    static const struct str expressions[] = {
        STR("("),       STR(")"),      STR("["),     STR("*"),      STR("a**"),
        STR("a++"),     STR("(a)\\1"), STR("(?=a)"), STR("(?<!a)"), STR("(?>a)"),
        STR("a{1001}"), STR("[b-a]"),  STR("\\"),    STR("\\pX"),   STR("[[:word2:]]"),
        STR("\xff"),    STR("a\xc3"),  STR("(?P<n"), STR("\\8"),    STR("x{1000}{1000}"),
    };
    for (unsigned i = 0; i < sizeof expressions / sizeof *expressions; i++)
        if (verdict(expressions[i]) != ERR_PROTO)
            fail_msg("'%s' gives '%s'", expressions[i].p, err_text(verdict(expressions[i])));
}

static void limits_the_expression(void **unused)
{
    (void)unused;
    static char text[PATTERN_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_int_equal(verdict(str_make(text, PATTERN_BYTES_MAX)), ERR_OK);
    assert_int_equal(verdict(str_make(text, PATTERN_BYTES_MAX + 1)), ERR_LIMIT);
    assert_int_equal(verdict(STR("((\\pL{100}){10}\\pN{100}){1}\\pL{1000}")), ERR_LIMIT);
}

static double seconds_of_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An engine that backtracks takes 2^100000 steps here. The bound only tells that apart; it is far
 * from what RE2 needs. */
static void is_linear_for_every_pattern(void **unused)
{
    (void)unused;
    static const struct str expressions[] = {
        STR("(a+)+$"), STR("^(a|a)*$"), STR("^(a*)*b$"), STR("(a|aa)+$"), STR("(.*)(.*)(.*)x$"),
    };
    enum { LEN = 100000 };
    char *text = malloc(LEN);
    memset(text, 'a', LEN);
    text[LEN - 1] = '!';
    double start = seconds_of_cpu();
    for (unsigned i = 0; i < sizeof expressions / sizeof *expressions; i++)
        assert_false(matches(expressions[i], str_make(text, LEN)));
    assert_true(seconds_of_cpu() - start < 20);
    free(text);
}

enum { THREADS = 4, ROUNDS = 500 };

static void *match_often(void *pattern)
{
    uintptr_t n = 0;
    char text[32];
    for (int i = 0; i < ROUNDS; i++) {
        int len = snprintf(text, sizeof text, "news-%d", i);
        n += pattern_match(pattern, str_make(text, (size_t)len));
    }
    return (void *)n;
}

static void matches_in_many_threads(void **unused)
{
    (void)unused;
    struct pattern *p = pattern_of(STR("^(news|weather)-\\d*[05]$"));
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_often, p), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *n;
        pthread_join(threads[i], &n);
        assert_int_equal((uintptr_t)n, ROUNDS / 5);
    }
    pattern_free(p);
}

static void frees_nothing(void **unused)
{
    (void)unused;
    pattern_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_like_the_api_says),
        cmocka_unit_test(takes_any_bytes_as_text),
        cmocka_unit_test(refuses_what_re2_does_not_take),
        cmocka_unit_test(limits_the_expression),
        cmocka_unit_test(is_linear_for_every_pattern),
        cmocka_unit_test(matches_in_many_threads),
        cmocka_unit_test(frees_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
