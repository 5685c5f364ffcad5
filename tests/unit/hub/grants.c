#include "hub/grants.h"
#include "mem_count.h"
#include "names_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

static struct grants_pool pool;

static int set_up(void **unused)
{
    (void)unused;
    grants_pool_init(&pool);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    grants_pool_fini(&pool);
    return 0;
}

static struct grants *get(const char *channels, const char *remotes)
{
    struct buf c = names_of(channels), r = names_of(remotes);
    struct grants *g = grants_get(&pool, buf_as_str(&c), buf_as_str(&r));
    buf_fini(&c);
    buf_fini(&r);
    return g;
}

static void drop(struct grants *g)
{
    grants_unref(&pool, g);
}

static void expect_channels(const struct grants *g, const char *expected)
{
    struct buf list = names_of(expected);
    assert_true(str_eq(grants_channels(g), buf_as_str(&list)));
    buf_fini(&list);
}

/* The rule of API section 7.3. */
static void keeps_the_rule(void **unused)
{
    (void)unused;
    static const struct {
        const char *channels; /* the permissions */
        const char *name;
        bool allowed;
    } cases[] = {
        {"", "a", false},
        {"", "", false},
        {"*;", "a", true},
        {"*;", "", true},
        {"*;", "a\nb", true},
        {"x;*;y;", "anything", true},
        {"a;", "a", true},
        {"a;", "A", false},
        {"a;", "", false},
        {"a;", "ab", false},
        {";", "", true},
        {";", "a", false},
        {"app*;", "apple", true},
        {"app*;", "app", false},
        {"app*;", "app*", true},
        {"app*;", "xapple", false},
        {"t*st;", "test", true},
        {"t*st;", "tst", false},
        {"*x;", "ax", true},
        {"*x;", "x", false},
        {"**;", "a", false},
        {"**;", "ab", true},
        {"**;", "", false},
        {"a*;", "a\n", false},
        {"a?;", "ab", false},
        {"a?;", "a?", true},
        {"[ab];", "a", false},
        {"a.b;", "axb", false},
        {"z;y;x;a*;b;", "b", true},
        {"z;y;x;a*;b;", "x", true},
        {"z;y;x;a*;b;", "ab", true},
        {"z;y;x;a*;b;", "w", false},
        {"a;a;a;", "a", true},
        {"caf\xe9;", "caf\xe9", true},
        {"caf*;", "caf\xe9", true},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grants *g = get(cases[i].channels, "");
        if (grants_allow(g, str_of(cases[i].name)) != cases[i].allowed)
            fail_msg("'%s' with '%s'", cases[i].name, cases[i].channels);
        drop(g);
    }
}

static void keeps_remotes_apart(void **unused)
{
    (void)unused;
    struct grants *g = get("a;*;", "cmd;do*;");
    assert_true(grants_allow_remote(g, STR("cmd")));
    assert_true(grants_allow_remote(g, STR("do*")));
    assert_false(grants_allow_remote(g, STR("do1"))); /* no pattern here */
    assert_false(grants_allow_remote(g, STR("a")));
    assert_false(grants_allow_remote(g, STR("")));
    drop(g);
    g = get("", "");
    assert_false(grants_allow_remote(g, STR("cmd")));
    assert_false(grants_allow(g, STR("cmd")));
    drop(g);
}

static void shares_equal_ones(void **unused)
{
    (void)unused;
    struct grants *a = get("a;b;", "r;"), *same = get("a;b;", "r;");
    struct grants *others[] = {get("b;a;", "r;"), get("a;b;", ""),   get("a;b;r;", ""),
                               get("a;", "b;r;"), get("", "a;b;r;"), get("a;b;;", "r;")};
    assert_ptr_equal(a, same);
    assert_int_equal(pool.known.n, 7);
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_not_equal(others[i], a);
        drop(others[i]);
    }
    assert_int_equal(pool.known.n, 1);
    assert_ptr_equal(grants_ref(a), a);
    drop(a);
    drop(a);
    assert_true(grants_allow(same, STR("b")));
    drop(same);
    assert_int_equal(pool.known.n, 0);
}

static void adds_at_the_end(void **unused)
{
    (void)unused;
    struct grants *g = get("a;b*;", "r;");
    struct grants *with = grants_with(&pool, g, STR("c"));
    expect_channels(g, "a;b*;");
    expect_channels(with, "a;b*;c;");
    assert_true(grants_allow(with, STR("c")) && grants_allow(with, STR("bb")));
    assert_true(grants_allow_remote(with, STR("r")));
    assert_false(grants_allow(g, STR("c")));
    /* What is there is not added again; what is only covered by a pattern is. */
    struct grants *again = grants_with(&pool, with, STR("a"));
    assert_ptr_equal(again, with);
    struct grants *covered = grants_with(&pool, with, STR("bb"));
    expect_channels(covered, "a;b*;c;bb;");
    drop(covered);
    struct grants *all = grants_with(&pool, g, STR("*"));
    assert_true(grants_allow(all, STR("")));
    drop(all);
    drop(again);
    drop(with);
    drop(g);
}

static void does_not_grow_without_end(void **unused)
{
    (void)unused;
    enum { LONG = 100000 };
    char *name = malloc(LONG);
    struct grants *g = get("a;", "");
    for (char c = 'a'; c <= 'z'; c++) {
        memset(name, c, LONG);
        struct grants *with = grants_with(&pool, g, str_make(name, LONG));
        drop(g);
        g = with;
        assert_in_range(grants_channels(g).len, 1, GRANTS_BYTES_MAX + 8);
        assert_int_equal(grants_allow(g, str_make(name, LONG)), c < 'k');
    }
    assert_true(grants_allow(g, STR("a")));
    drop(g);
    free(name);
}

static void reloads_channels_alone(void **unused)
{
    (void)unused;
    struct grants *g = get("a;b*;", "r;");
    struct buf list = names_of("x;y;x;");
    struct grants *reloaded = grants_reloaded(&pool, g, buf_as_str(&list));
    expect_channels(reloaded, "x;y;x;"); /* as given */
    assert_true(grants_allow_remote(reloaded, STR("r")));
    assert_false(grants_allow(reloaded, STR("a")));
    struct grants *none = grants_reloaded(&pool, reloaded, STR_EMPTY);
    expect_channels(none, "");
    assert_true(grants_allow_remote(none, STR("r")));
    assert_false(grants_allow(none, STR("x")));
    drop(none);
    drop(reloaded);
    drop(g);
    buf_fini(&list);
}

/* Ten thousand permissions are found in a few steps, not in ten thousand. */
static void finds_names_in_long_lists(void **unused)
{
    (void)unused;
    enum { N = 10000 };
    struct buf list = BUF_INIT;
    char name[20];
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof name, "channel-%u", (i * 7919u) % N * 2);
        names_add(&list, str_of(name));
    }
    struct grants *g = grants_get(&pool, buf_as_str(&list), STR_EMPTY);
    clock_t began = clock();
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 2 * N; i++) {
            snprintf(name, sizeof name, "channel-%u", i);
            assert_int_equal(grants_allow(g, str_of(name)), i % 2 == 0);
        }
    }
    /* A walk of the list takes minutes for these. */
    assert_true(clock() - began < 20 * CLOCKS_PER_SEC);
    drop(g);
    buf_fini(&list);
}

static void gives_its_memory_back(void **unused)
{
    (void)unused;
    size_t held = mem_count.bytes;
    struct grants *g = get("a;b;c*;", "r;");
    struct grants *with = grants_with(&pool, g, STR("d"));
    drop(g);
    drop(with);
    assert_int_equal(mem_count.bytes, held);
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(keeps_the_rule),
        WITH_POOL(keeps_remotes_apart),
        WITH_POOL(shares_equal_ones),
        WITH_POOL(adds_at_the_end),
        WITH_POOL(does_not_grow_without_end),
        WITH_POOL(reloads_channels_alone),
        WITH_POOL(finds_names_in_long_lists),
        WITH_POOL(gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
