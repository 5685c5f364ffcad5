#include "base/hash_set.h"
#include "mem_count.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void is_empty_at_first(void **unused)
{
    (void)unused;
    size_t held = mem_count.bytes;
    struct hash_set s = {0};
    assert_int_equal(hash_set_bytes(&s), 0);
    hash_set_fini(&s);
    assert_int_equal(mem_count.bytes, held);
}

static void takes_each_once(void **unused)
{
    (void)unused;
    /* Both halves count, and so does their order. */
    static const struct hash128 hashes[] = {{1, 0},          {0, 1},          {1, 1},
                                            {1, 2},          {2, 1},          {17, 0},
                                            {UINT64_MAX, 0}, {0, UINT64_MAX}, {16, 16}};
    enum { N = sizeof hashes / sizeof *hashes };
    struct hash_set s = {0};
    for (unsigned i = 0; i < N; i++) {
        assert_true(hash_set_add(&s, hashes[i]));
        for (unsigned k = 0; k <= i; k++)
            assert_false(hash_set_add(&s, hashes[k]));
    }
    assert_int_equal(s.n, N);
    hash_set_fini(&s);
    /* Empty again, and good for use. */
    assert_int_equal(hash_set_bytes(&s), 0);
    assert_true(hash_set_add(&s, hashes[0]));
    hash_set_fini(&s);
}

/* All bits 0 mark a free place, but are a hash as well. */
static void takes_zero(void **unused)
{
    (void)unused;
    const struct hash128 zero = {0, 0}, one = {1, 0};
    struct hash_set s = {0};
    assert_true(hash_set_add(&s, zero));
    assert_false(hash_set_add(&s, zero));
    assert_true(hash_set_add(&s, one));
    assert_false(hash_set_add(&s, zero));
    for (uint64_t i = 2; i < 100; i++)
        assert_true(hash_set_add(&s, (struct hash128){i, 0}));
    assert_false(hash_set_add(&s, zero));
    hash_set_fini(&s);
    assert_true(hash_set_add(&s, zero));
    hash_set_fini(&s);
}

/* Hashes that want the same place, at the end of the table as well. */
static void tells_neighbours_apart(void **unused)
{
    (void)unused;
    struct hash_set s = {0};
    for (uint64_t i = 0; i < 300; i++)
        assert_true(hash_set_add(&s, (struct hash128){0xfff, i}));
    for (uint64_t i = 0; i < 300; i++)
        assert_false(hash_set_add(&s, (struct hash128){0xfff, i}));
    assert_true(hash_set_add(&s, (struct hash128){0, 5}));
    assert_false(hash_set_add(&s, (struct hash128){0, 5}));
    hash_set_fini(&s);
}

static void tells_its_memory(void **unused)
{
    (void)unused;
    size_t held = mem_count.bytes;
    struct hash_set s = {0};
    for (uint64_t i = 1; i <= 10000; i++) {
        assert_true(hash_set_add(&s, (struct hash128){i * 0x9e3779b97f4a7c15ull, i}));
        assert_int_equal(hash_set_bytes(&s), mem_count.bytes - held);
        /* At most half full, and at least a quarter; while it grows the old half is there, too. */
        assert_in_range(hash_set_bytes(&s), 2 * i * sizeof(struct hash128),
                        (i < 8 ? 16 : 6 * i) * sizeof(struct hash128));
    }
    hash_set_fini(&s);
    assert_int_equal(mem_count.bytes, held);
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    enum { VALUES = 3000 };
    for (uint64_t seed = 1; seed <= 5; seed++) {
        bool there[VALUES] = {false};
        struct prng r = {seed};
        struct hash_set s = {0};
        for (unsigned step = 0; step < 20000; step++) {
            uint32_t v = prng_below(&r, step < 2000 ? 50 : VALUES);
            /* 0 is {0, 0}; others share the low bits that are their place. */
            const struct hash128 h = {v % 7 * (seed % 2 ? 0x100000000ull : 1), v};
            assert_int_equal(hash_set_add(&s, h), !there[v]);
            there[v] = true;
        }
        hash_set_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_empty_at_first), cmocka_unit_test(takes_each_once),
        cmocka_unit_test(takes_zero),        cmocka_unit_test(tells_neighbours_apart),
        cmocka_unit_test(tells_its_memory),  cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
