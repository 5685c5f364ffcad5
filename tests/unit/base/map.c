#include "base/map.h"
#include "base/hash.h"
#include "mem_count.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct thing {
    char name[16];
    bool is_in;
};

static struct str name_of(const void *item)
{
    return str_of(((const struct thing *)item)->name);
}

enum { MANY = 4000 };
static struct thing things[MANY];

static void name_things(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(things[i].name, sizeof things[i].name, "thing %u", i);
        things[i].is_in = false;
    }
}

/* Every thing is found, or not; the walk meets each that is in once. */
static void check(const struct map *m, unsigned n_things)
{
    unsigned n = 0, met = 0;
    for (unsigned i = 0; i < n_things; i++) {
        assert_ptr_equal(map_get(m, name_of(&things[i])), things[i].is_in ? &things[i] : NULL);
        n += things[i].is_in;
    }
    assert_int_equal(m->n, n);
    uint32_t place = 0;
    for (struct thing *t; (t = map_each(m, &place)); met++)
        assert_true(t->is_in);
    assert_int_equal(met, n);
    assert_true(m->n <= m->places);
}

static void put(struct map *m, struct thing *t)
{
    map_put(m, t);
    t->is_in = true;
}

static void take(struct map *m, struct thing *t)
{
    map_remove(m, t);
    t->is_in = false;
}

static void is_empty_at_first(void **unused)
{
    (void)unused;
    struct map m;
    uint32_t place = 0;
    size_t held = mem_count.bytes;
    map_init(&m, name_of);
    assert_null(map_get(&m, STR("x")));
    assert_null(map_get(&m, STR("")));
    assert_null(map_each(&m, &place));
    assert_int_equal(mem_count.bytes, held);
    map_fini(&m);
}

static void finds_things_by_any_name(void **unused)
{
    (void)unused;
    struct map m;
    struct thing empty = {"", false}, a = {"a", false}, ab = {"ab", false};
    map_init(&m, name_of);
    map_put(&m, &empty);
    map_put(&m, &a);
    map_put(&m, &ab);
    assert_ptr_equal(map_get(&m, STR("")), &empty);
    assert_ptr_equal(map_get(&m, STR("a")), &a);
    assert_ptr_equal(map_get(&m, STR("ab")), &ab);
    assert_null(map_get(&m, STR("a\0")));
    assert_null(map_get(&m, STR("b")));
    map_remove(&m, &a);
    assert_null(map_get(&m, STR("a")));
    map_fini(&m);
}

static void grows_and_shrinks(void **unused)
{
    (void)unused;
    struct map m;
    size_t held = mem_count.bytes;
    name_things();
    map_init(&m, name_of);
    for (unsigned i = 0; i < MANY; i++) {
        put(&m, &things[i]);
        assert_true(m.n <= m.places / 4 * 3);
        if (i % 97 == 0)
            check(&m, MANY);
    }
    check(&m, MANY);
    for (unsigned i = 0; i < MANY - 1; i++) {
        take(&m, &things[(i * 7919u) % (MANY - 1)]);
        if (i % 97 == 0)
            check(&m, MANY);
    }
    /* Memory follows what is in. */
    check(&m, MANY);
    assert_in_range(m.places, 1, 16);
    take(&m, &things[MANY - 1]);
    assert_int_equal(mem_count.bytes, held);
    put(&m, &things[0]);
    check(&m, 10);
    map_fini(&m);
    assert_int_equal(mem_count.bytes, held);
}

static uint32_t home_of(const struct thing *t, uint32_t places)
{
    return (uint32_t)(hash_bytes(name_of(t)) >> 32) & (places - 1);
}

/* Names that all want one of a few places next to each other, at the end of a table of 64, so
 * that runs of them overlap and go on at its beginning. */
static void name_colliding_things(unsigned n, uint32_t first_home, uint32_t n_homes)
{
    for (unsigned i = 0, k = 0; i < n; k++) {
        snprintf(things[i].name, sizeof things[i].name, "t%u", k);
        things[i].is_in = false;
        if (((home_of(&things[i], 64) - first_home) & 63) < n_homes)
            i++;
    }
}

static void closes_gaps_behind_what_goes(void **unused)
{
    (void)unused;
    enum { N = 24 };
    for (uint32_t n_homes = 1; n_homes <= 5; n_homes += 2) {
        for (uint32_t first = 50; first <= 63; first++) {
            struct prng r = {first};
            struct map m;
            name_colliding_things(N, first, n_homes);
            map_init(&m, name_of);
            /* Enough to make a table of 64 places, where they collide, and not to leave it. */
            for (unsigned i = 0; i < N; i++)
                put(&m, &things[i]);
            for (int step = 0; step < 500; step++) {
                struct thing *t = &things[prng_below(&r, N)];
                if (!t->is_in)
                    put(&m, t);
                else if (m.n > 12)
                    take(&m, t);
                check(&m, N);
            }
            map_fini(&m);
        }
    }
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct prng r = {seed};
        struct map m;
        name_things();
        map_init(&m, name_of);
        /* Times of more coming and times of more going. */
        for (unsigned step = 0; step < 60000; step++) {
            unsigned of = step / 10000 % 2 ? MANY : 40;
            struct thing *t = &things[prng_below(&r, of)];
            bool come = prng_below(&r, 10) < (step / 5000 % 2 ? 3u : 7u);
            if (come && !t->is_in)
                put(&m, t);
            else if (!come && t->is_in)
                take(&m, t);
            if (step % 499 == 0)
                check(&m, MANY);
        }
        check(&m, MANY);
        map_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_empty_at_first),     cmocka_unit_test(finds_things_by_any_name),
        cmocka_unit_test(grows_and_shrinks),     cmocka_unit_test(closes_gaps_behind_what_goes),
        cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
