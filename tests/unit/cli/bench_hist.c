#include "cli/bench_hist.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static struct bench_hist h;

static int empty(void **unused)
{
    (void)unused;
    bench_hist_clear(&h);
    return 0;
}

static void an_empty_one_has_no_values(void **unused)
{
    (void)unused;
    assert_int_equal(bench_hist_at(&h, 0.5), 0);
    assert_int_equal(bench_hist_at(&h, 1), 0);
    assert_true(bench_hist_mean(&h) == 0);
}

static void small_values_are_exact(void **unused)
{
    (void)unused;
    for (uint64_t v = 1; v <= 100; v++)
        bench_hist_add(&h, v);
    assert_int_equal(bench_hist_at(&h, 0), 1);
    assert_int_equal(bench_hist_at(&h, 0.5), 50);
    assert_int_equal(bench_hist_at(&h, 0.9), 90);
    assert_int_equal(bench_hist_at(&h, 0.99), 99);
    assert_int_equal(bench_hist_at(&h, 0.991), 100);
    assert_int_equal(bench_hist_at(&h, 1), 100);
    assert_int_equal(h.n, 100);
    assert_int_equal(h.min, 1);
    assert_int_equal(h.max, 100);
    assert_true(bench_hist_mean(&h) == 50.5);
}

/* Around each power of two, and at places between: what is read back is the greatest value of a
 * place that is at most 1/128 wide. */
static void every_value_is_kept_to_a_part_in_128(void **unused)
{
    (void)unused;
    unsigned last = 0;
    for (unsigned bit = 0; bit < BENCH_HIST_TOP; bit++) {
        uint64_t base = UINT64_C(1) << bit;
        const uint64_t values[] = {base - 1, base, base + 1, base + base / 3, base + base / 2};
        for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
            uint64_t v = values[i];
            unsigned place = bench_hist_place(v);
            uint64_t top = bench_hist_value(place);
            assert_in_range(place, 0, BENCH_HIST_PLACES - 2);
            assert_in_range(top, v, v + v / BENCH_HIST_STEPS);
            assert_int_equal(bench_hist_place(top), place);
            assert_int_equal(bench_hist_place(top + 1), place + 1);
            if (i == 1)
                assert_true(place >= last);
            last = place;
        }
    }
}

static void what_is_too_long_shares_the_last_place(void **unused)
{
    (void)unused;
    const uint64_t values[] = {UINT64_C(1) << BENCH_HIST_TOP, UINT64_MAX};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(bench_hist_place(values[i]), BENCH_HIST_PLACES - 1);
    bench_hist_add(&h, UINT64_C(1) << 50);
    assert_int_equal(bench_hist_at(&h, 0.5), UINT64_C(1) << 50); /* the greatest is exact */
}

static void percentiles_never_pass_the_greatest(void **unused)
{
    (void)unused;
    bench_hist_add(&h, 1000001);
    assert_int_equal(bench_hist_at(&h, 0.5), 1000001);
    bench_hist_add(&h, 5000000);
    assert_in_range(bench_hist_at(&h, 0.5), 1000001, 1000001 + 1000001 / 128);
    assert_int_equal(bench_hist_at(&h, 0.999), 5000000);
}

/* Against sorting. */
static void percentiles_are_those_of_the_sorted_values(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    uint64_t x = 88172645463325252u;
    static uint64_t sorted[N];
    for (unsigned i = 0; i < N; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        uint64_t v = x >> (23 + x % 40), at = i;
        bench_hist_add(&h, v);
        for (; at && sorted[at - 1] > v; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = v;
    }
    for (unsigned rank = 1; rank <= N; rank++) {
        uint64_t v = sorted[rank - 1], got = bench_hist_at(&h, (double)rank / N);
        assert_in_range(got, v, v + v / BENCH_HIST_STEPS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_one_has_no_values, empty),
        cmocka_unit_test_setup(small_values_are_exact, empty),
        cmocka_unit_test_setup(every_value_is_kept_to_a_part_in_128, empty),
        cmocka_unit_test_setup(what_is_too_long_shares_the_last_place, empty),
        cmocka_unit_test_setup(percentiles_never_pass_the_greatest, empty),
        cmocka_unit_test_setup(percentiles_are_those_of_the_sorted_values, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
