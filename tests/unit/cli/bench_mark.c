#include "cli/bench_mark.h"
#include "cli/bench_order.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct bench_mark mark = {.run = 0xfedcba98,
                                       .channel = 999999,
                                       .publisher = 1023,
                                       .number = 1,
                                       .due_ns = UINT64_C(0x123456789abcdef0)};

static void expect_mark(const struct bench_mark *m)
{
    assert_int_equal(m->run, mark.run);
    assert_int_equal(m->channel, mark.channel);
    assert_int_equal(m->publisher, mark.publisher);
    assert_int_equal(m->number, mark.number);
    assert_int_equal(m->due_ns, mark.due_ns);
}

static void comes_back_as_it_was_written(void **unused)
{
    (void)unused;
    char text[BENCH_MARK_LEN];
    struct bench_mark m;
    bench_mark_write(text, &mark);
    assert_true(bench_mark_read(text, &m));
    expect_mark(&m);
    for (unsigned i = 0; i < BENCH_MARK_LEN; i++)
        assert_true(text[i] >= 'a' && text[i] <= 'z'); /* nothing that anybody would escape */
}

static void every_other_byte_spoils_it(void **unused)
{
    (void)unused;
    char text[BENCH_MARK_LEN];
    struct bench_mark m;
    for (unsigned i = 0; i < BENCH_MARK_LEN; i++) {
        for (int byte = 0; byte < 256; byte++) {
            bench_mark_write(text, &mark);
            bool same = text[i] == (char)byte;
            text[i] = (char)byte;
            bool digit = i >= BENCH_MARK_MAGIC_LEN && byte >= 'a' && byte <= 'p';
            assert_int_equal(bench_mark_read(text, &m), same || digit);
        }
    }
}

static void is_found_wherever_it_is(void **unused)
{
    (void)unused;
    char text[300];
    for (size_t at = 0; at + BENCH_MARK_LEN <= sizeof text; at++) {
        struct bench_mark m = {0};
        memset(text, 'g', sizeof text); /* where every byte may be a beginning */
        bench_mark_write(text + at, &mark);
        for (size_t hint = 0; hint < 2 * sizeof text; hint += 7) {
            size_t found = hint;
            assert_true(bench_mark_find(text, sizeof text, &found, &m));
            expect_mark(&m);
            assert_int_equal(found, at);
        }
    }
}

static void is_not_found_where_it_is_cut(void **unused)
{
    (void)unused;
    char text[BENCH_MARK_LEN + 3] = "xxx";
    struct bench_mark m;
    bench_mark_write(text + 3, &mark);
    for (size_t len = 0; len < sizeof text; len++) {
        size_t hint = 3;
        assert_false(bench_mark_find(text, len, &hint, &m));
        hint = 0;
        assert_false(bench_mark_find(text, len, &hint, &m));
    }
    size_t hint = 0;
    assert_true(bench_mark_find(text, sizeof text, &hint, &m));
}

/* ---- order ---- */

static void numbers_that_count_up_are_fresh(void **unused)
{
    (void)unused;
    struct bench_order o = {0};
    for (uint32_t n = 1; n < 100; n++)
        assert_int_equal(bench_order_take(&o, n), BENCH_FRESH);
    assert_int_equal(bench_order_take(&o, 1000000), BENCH_FRESH); /* lost ones are not its matter */
}

static void what_came_before_comes_twice(void **unused)
{
    (void)unused;
    struct bench_order o = {0};
    for (uint32_t n = 1; n <= 40; n++)
        bench_order_take(&o, n);
    for (uint32_t n = 9; n <= 40; n++)
        assert_int_equal(bench_order_take(&o, n), BENCH_TWICE);
    assert_int_equal(bench_order_take(&o, 8), BENCH_LATE); /* too long ago to know */
}

static void what_was_passed_over_comes_late_and_once(void **unused)
{
    (void)unused;
    struct bench_order o = {0};
    assert_int_equal(bench_order_take(&o, 1), BENCH_FRESH);
    assert_int_equal(bench_order_take(&o, 4), BENCH_FRESH);
    assert_int_equal(bench_order_take(&o, 2), BENCH_LATE);
    assert_int_equal(bench_order_take(&o, 2), BENCH_TWICE);
    assert_int_equal(bench_order_take(&o, 1), BENCH_TWICE);
    assert_int_equal(bench_order_take(&o, 3), BENCH_LATE);
    assert_int_equal(bench_order_take(&o, 36), BENCH_FRESH);
    assert_int_equal(bench_order_take(&o, 4), BENCH_LATE);
    assert_int_equal(bench_order_take(&o, 5), BENCH_LATE);
    assert_int_equal(bench_order_take(&o, 5), BENCH_TWICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was_written),
        cmocka_unit_test(every_other_byte_spoils_it),
        cmocka_unit_test(is_found_wherever_it_is),
        cmocka_unit_test(is_not_found_where_it_is_cut),
        cmocka_unit_test(numbers_that_count_up_are_fresh),
        cmocka_unit_test(what_came_before_comes_twice),
        cmocka_unit_test(what_was_passed_over_comes_late_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
