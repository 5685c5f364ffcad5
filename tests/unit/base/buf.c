#include "base/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void starts_empty(void **unused)
{
    (void)unused;
    struct buf b = BUF_INIT;
    assert_true(str_eq(buf_as_str(&b), STR("")));
    assert_non_null(buf_as_str(&b).p);
    buf_add(&b, NULL, 0);
    buf_consume(&b, 0);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void appends(void **unused)
{
    (void)unused;
    struct buf b = BUF_INIT;
    buf_add(&b, "ab", 2);
    buf_str(&b, STR("c\0d"));
    buf_char(&b, '!');
    buf_printf(&b, "%d-%s", 42, "x");
    assert_true(str_eq(buf_as_str(&b), STR("abc\0d!42-x")));

    char *memory = b.p;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_ptr_equal(b.p, memory);
    buf_fini(&b);
    assert_null(b.p);
    buf_char(&b, 'z');
    assert_true(str_eq(buf_as_str(&b), STR("z")));
    buf_fini(&b);
}

static void grows_and_keeps(void **unused)
{
    (void)unused;
    struct buf b = BUF_INIT;
    for (unsigned i = 0; i < 10000; i++)
        buf_char(&b, (char)i);
    assert_int_equal(b.len, 10000);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(b.p[i], (char)i);

    char *room = buf_reserve(&b, 100000);
    assert_ptr_equal(room, b.p + 10000);
    assert_true(b.cap >= 110000);
    assert_int_equal(b.len, 10000);
    buf_fini(&b);
}

static void prints_over_the_edge(void **unused)
{
    (void)unused;
    for (int fill = 50; fill < 70; fill++) {
        struct buf b = BUF_INIT;
        for (int i = 0; i < fill; i++)
            buf_char(&b, 'a');
        buf_printf(&b, "%s", "0123456789");
        assert_int_equal(b.len, fill + 10);
        assert_memory_equal(b.p + fill, "0123456789", 10);
        buf_fini(&b);
    }
}

static void consumes(void **unused)
{
    (void)unused;
    struct buf b = BUF_INIT;
    buf_str(&b, STR("0123456789"));
    buf_consume(&b, 3);
    assert_true(str_eq(buf_as_str(&b), STR("3456789")));
    buf_consume(&b, 7);
    assert_int_equal(b.len, 0);
    buf_str(&b, STR("again"));
    assert_true(str_eq(buf_as_str(&b), STR("again")));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),         cmocka_unit_test(appends),
        cmocka_unit_test(grows_and_keeps),      cmocka_unit_test(consumes),
        cmocka_unit_test(prints_over_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
