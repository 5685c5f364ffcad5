#include "base/slots.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void finds_by_number(void **unused)
{
    (void)unused;
    struct slots s;
    int things[40];
    uint64_t numbers[40];
    slots_init(&s);
    assert_null(slots_get(&s, SLOTS_NONE));
    assert_null(slots_get(&s, 1));
    assert_null(slots_get(&s, UINT64_MAX));
    for (int i = 0; i < 40; i++) {
        numbers[i] = slots_add(&s, &things[i]);
        assert_true(numbers[i] != SLOTS_NONE);
    }
    for (int i = 0; i < 40; i++)
        assert_ptr_equal(slots_get(&s, numbers[i]), &things[i]);
    assert_null(slots_get(&s, SLOTS_NONE));
    assert_null(slots_get(&s, numbers[0] + 40));
    assert_null(slots_get(&s, numbers[0] + (1ull << 32)));
    slots_fini(&s);
}

static void never_gives_a_number_twice(void **unused)
{
    (void)unused;
    struct slots s;
    int thing, other;
    uint64_t before = SLOTS_NONE;
    slots_init(&s);
    for (int i = 0; i < 1000; i++) {
        uint64_t number = slots_add(&s, &thing);
        assert_true(number != before && number != SLOTS_NONE);
        assert_null(slots_get(&s, before));
        slots_remove(&s, number);
        assert_null(slots_get(&s, number));
        before = number;
    }
    /* One slot was enough for all of them, one after the other. */
    assert_int_equal(s.n, 1);
    uint64_t number = slots_add(&s, &thing);
    slots_add(&s, &other);
    assert_int_equal(s.n, 2);
    assert_ptr_equal(slots_get(&s, number), &thing);
    slots_fini(&s);
}

static void walks_while_things_go(void **unused)
{
    (void)unused;
    enum { N = 100 };
    struct slots s;
    uint64_t numbers[N];
    uint32_t place = 0;
    unsigned met = 0;
    slots_init(&s);
    assert_null(slots_each(&s, &place));
    for (int i = 0; i < N; i++)
        numbers[i] = slots_add(&s, &numbers[i]);
    for (int i = 0; i < N; i += 3)
        slots_remove(&s, numbers[i]);
    for (uint64_t *number; (number = slots_each(&s, &place)); met++) {
        slots_remove(&s, *number);
        assert_null(slots_get(&s, *number));
    }
    assert_int_equal(met, N - (N + 2) / 3);
    place = 0;
    assert_null(slots_each(&s, &place));
    slots_fini(&s);
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    enum { N = 300 };
    struct slots s;
    struct prng r = {7};
    uint64_t numbers[N] = {0}, old[N] = {0};
    slots_init(&s);
    for (int step = 0; step < 50000; step++) {
        unsigned i = prng_below(&r, N);
        if (numbers[i]) {
            slots_remove(&s, numbers[i]);
            old[i] = numbers[i];
            numbers[i] = SLOTS_NONE;
        } else {
            numbers[i] = slots_add(&s, &numbers[i]);
        }
        unsigned k = prng_below(&r, N);
        assert_ptr_equal(slots_get(&s, numbers[k]), numbers[k] ? &numbers[k] : NULL);
        assert_null(slots_get(&s, old[k]));
    }
    assert_true(s.n <= N);
    slots_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_number),
        cmocka_unit_test(never_gives_a_number_twice),
        cmocka_unit_test(walks_while_things_go),
        cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
