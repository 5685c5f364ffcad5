#include "base/names.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void keeps_names_of_any_bytes(void **unused)
{
    (void)unused;
    char large[70000];
    memset(large, 'x', sizeof large);
    const struct str names[] = {STR("a"),
                                STR(""),
                                STR("a\0b"),
                                STR("\xff\xfe;\n"),
                                STR("\1\0\0"),
                                STR(""),
                                str_make(large, sizeof large)};
    enum { N = sizeof names / sizeof *names };
    struct buf list = BUF_INIT;
    assert_int_equal(names_count(buf_as_str(&list)), 0);
    for (unsigned i = 0; i < N; i++) {
        names_add(&list, names[i]);
        assert_int_equal(names_count(buf_as_str(&list)), i + 1);
    }
    struct str rest = buf_as_str(&list), name = STR("untouched");
    for (unsigned i = 0; i < N; i++) {
        assert_true(names_next(&rest, &name));
        assert_true(str_eq(name, names[i]));
    }
    name = STR("untouched");
    assert_false(names_next(&rest, &name));
    assert_true(str_eq(name, STR("untouched")));
    buf_fini(&list);
}

/* Lists may be put one after the other, and begin anywhere in memory. */
static void joins_lists(void **unused)
{
    (void)unused;
    struct buf a = BUF_INIT, all = BUF_INIT;
    names_add(&a, STR("one"));
    names_add(&a, STR("two"));
    buf_char(&all, 'x');
    buf_str(&all, buf_as_str(&a));
    buf_str(&all, buf_as_str(&a));
    struct str rest = str_make(all.p + 1, all.len - 1), name;
    assert_int_equal(names_count(rest), 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(names_next(&rest, &name));
        assert_true(str_eq(name, i % 2 ? STR("two") : STR("one")));
    }
    buf_fini(&a);
    buf_fini(&all);
}

/* In memory of just this size: a sanitizer sees a step too far. */
static bool is_valid(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    if (len)
        memcpy(copy, bytes, len);
    bool valid = names_valid(str_make(copy, len));
    free(copy);
    return valid;
}

/* A list that ends with one of its names is one; cut anywhere else it is not. */
static void knows_lists(void **unused)
{
    (void)unused;
    static const struct str names[] = {{"one", 3}, {"", 0}, {"a\0b\0\0\0", 6}, {"", 0}, {"two", 3}};
    struct buf list = BUF_INIT;
    size_t ends[6] = {0};
    for (unsigned i = 0; i < 5; i++) {
        names_add(&list, names[i]);
        ends[i + 1] = list.len;
    }
    for (size_t len = 0; len <= list.len; len++) {
        bool whole = false;
        for (unsigned i = 0; i < 6; i++)
            whole |= ends[i] == len;
        assert_int_equal(is_valid(list.p, len), whole);
    }
    assert_true(names_valid(STR_EMPTY));
    assert_true(names_valid((struct str){NULL, 0}));
    buf_fini(&list);
}

static void knows_wrong_lengths(void **unused)
{
    (void)unused;
    enum { NAME = 5, LEN = 4 + NAME + 4 };
    char list[LEN] = {0};
    for (uint32_t len = 0; len < 300; len++) {
        memcpy(list, &len, sizeof len);
        /* One name, and one that is empty: the first may be longer by those four bytes, or end just
         * before what reads as the length 0. */
        assert_int_equal(is_valid(list, LEN), len == NAME || len == NAME + 4 || len == 1);
    }
    static const uint32_t wrong[] = {LEN - 3,        LEN,       0x7fffffff, 0x80000000,
                                     UINT32_MAX - 3, UINT32_MAX};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(list, &wrong[i], sizeof wrong[i]);
        assert_false(is_valid(list, LEN));
    }
    /* Of the second name, just as well. */
    const uint32_t right = NAME;
    memcpy(list, &right, sizeof right);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(list + 4 + NAME, &wrong[i], sizeof wrong[i]);
        assert_false(is_valid(list, LEN));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_names_of_any_bytes),
        cmocka_unit_test(joins_lists),
        cmocka_unit_test(knows_lists),
        cmocka_unit_test(knows_wrong_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
