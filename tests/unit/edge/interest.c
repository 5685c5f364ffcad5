#include "edge/interest.h"
#include "prng.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { WORKERS = 4 };

static struct interest *table;
static struct interest_counts *counts[INTEREST_WORKERS_MAX];

static int set_up(void **unused)
{
    (void)unused;
    table = interest_new();
    for (unsigned w = 0; w < INTEREST_WORKERS_MAX; w++)
        counts[w] = calloc(1, sizeof *counts[w]);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    for (unsigned w = 0; w < INTEREST_WORKERS_MAX; w++)
        free(counts[w]);
    interest_free(table);
    return 0;
}

static void change(unsigned worker, uint64_t hash, bool on)
{
    interest_change(table, counts[worker], worker, hash, on);
}

static void has_a_bit_for_each_worker(void **unused)
{
    (void)unused;
    uint64_t hash = 0xfedcba9876543210, expected = 0;
    assert_true(interest_mask(table, hash) == 0);
    for (unsigned w = 0; w < INTEREST_WORKERS_MAX; w++) {
        change(w, hash, true);
        expected |= 1ull << w;
        assert_true(interest_mask(table, hash) == expected);
        assert_true(interest_mask(table, hash + 1) == 0);
    }
    for (unsigned w = 0; w < INTEREST_WORKERS_MAX; w++) {
        change(w, hash, false);
        expected &= ~(1ull << w);
        assert_true(interest_mask(table, hash) == expected);
    }
}

/* Names that share a place: the bit stays until the last one goes. */
static void counts_names_that_share_a_place(void **unused)
{
    (void)unused;
    uint64_t a = 77, b = a + INTEREST_PLACES, c = a + (UINT64_C(1) << 60);
    change(3, a, true);
    change(3, b, true);
    change(5, c, true);
    change(3, a, false);
    assert_true(interest_mask(table, b) == (1u << 3 | 1u << 5));
    assert_true(interest_mask(table, a) == interest_mask(table, b)); /* a false alarm, allowed */
    change(3, b, false);
    assert_true(interest_mask(table, b) == 1u << 5);
    change(5, c, false);
    assert_true(interest_mask(table, c) == 0);
}

/* No name that is on is ever missed, whatever else comes and goes. */
static void agrees_with_the_model(void **unused)
{
    (void)unused;
    enum { NAMES = 400 };
    struct prng r = {11};
    uint64_t hashes[NAMES];
    uint64_t on[NAMES] = {0};
    for (unsigned i = 0; i < NAMES; i++)
        hashes[i] = prng_next(&r) % 300 + (prng_next(&r) << 20);
    for (int step = 0; step < 20000; step++) {
        unsigned i = prng_below(&r, NAMES), w = prng_below(&r, INTEREST_WORKERS_MAX);
        on[i] ^= 1ull << w;
        change(w, hashes[i], on[i] >> w & 1);
        unsigned k = prng_below(&r, NAMES);
        uint64_t expected = 0;
        for (unsigned n = 0; n < NAMES; n++) {
            if (hashes[n] % INTEREST_PLACES == hashes[k] % INTEREST_PLACES)
                expected |= on[n];
        }
        assert_true(interest_mask(table, hashes[k]) == expected);
    }
}

struct worker {
    unsigned index;
    bool missed;
};

/* Each worker sees its own bit at once, while the others change theirs in the same places. */
static void *come_and_go(void *ctx)
{
    struct worker *w = ctx;
    for (int i = 0; i < 20000; i++) {
        uint64_t hash = (uint64_t)(i % 8);
        change(w->index, hash, true);
        w->missed |= !(interest_mask(table, hash) >> w->index & 1);
        change(w->index, hash, false);
        w->missed |= interest_mask(table, hash) >> w->index & 1;
    }
    change(w->index, 3, true);
    return NULL;
}

static void is_changed_by_several_threads(void **unused)
{
    (void)unused;
    pthread_t threads[WORKERS];
    struct worker workers[WORKERS];
    for (unsigned w = 0; w < WORKERS; w++) {
        workers[w] = (struct worker){w, false};
        assert_int_equal(pthread_create(&threads[w], NULL, come_and_go, &workers[w]), 0);
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        pthread_join(threads[w], NULL);
        assert_false(workers[w].missed);
    }
    assert_true(interest_mask(table, 3) == (1u << WORKERS) - 1);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(has_a_bit_for_each_worker),
        WITH_TABLE(counts_names_that_share_a_place),
        WITH_TABLE(agrees_with_the_model),
        WITH_TABLE(is_changed_by_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
