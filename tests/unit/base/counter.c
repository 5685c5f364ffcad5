#include "base/counter.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void puts_each_into_its_bucket(void **unused)
{
    (void)unused;
    struct histogram h = {0};
    uint64_t sum = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        if (i)
            assert_true(histogram_bounds_us[i] > histogram_bounds_us[i - 1]);
        histogram_add(&h, histogram_bounds_us[i]);
        histogram_add(&h, histogram_bounds_us[i] + 1);
        sum += 2ull * histogram_bounds_us[i] + 1;
    }
    histogram_add(&h, -7);
    histogram_add(&h, INT64_MAX / 4);
    assert_int_equal(counter_read(&h.buckets[0]), 2);
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
        assert_int_equal(counter_read(&h.buckets[i]), 2);
    assert_int_equal(counter_read(&h.buckets[HISTOGRAM_BUCKETS - 1]), 2);
    assert_int_equal(counter_read(&h.sum_us), sum + INT64_MAX / 4);
}

enum { ROUNDS = 100000 };

static void *count(void *counter)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        counter_add(counter, 3);
    return NULL;
}

static void is_read_while_it_grows(void **unused)
{
    (void)unused;
    static struct counter c;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, count, &c), 0);
    uint64_t before = 0, now;
    do {
        now = counter_read(&c);
        assert_true(now >= before && now % 3 == 0);
        before = now;
    } while (now < 3ull * ROUNDS);
    pthread_join(thread, NULL);
    counter_set(&c, 5);
    assert_int_equal(counter_read(&c), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_each_into_its_bucket),
        cmocka_unit_test(is_read_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
