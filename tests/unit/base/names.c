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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_names_of_any_bytes),
        cmocka_unit_test(joins_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
