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

/* ---- the walk that lets others come and go ---- */

struct scan {
    unsigned found[MANY];
    unsigned n;
};

static void note_found(void *ctx, void *item)
{
    struct scan *s = ctx;
    struct thing *t = item;
    assert_true(t->is_in);
    s->found[t - things]++;
    s->n++;
}

static void scans_an_empty_map(void **unused)
{
    (void)unused;
    static struct scan s;
    struct map m;
    memset(&s, 0, sizeof s);
    name_things();
    map_init(&m, name_of);
    assert_int_equal(map_scan(&m, 0, note_found, &s), 0);
    /* Also when it was not empty a moment ago, and whatever the cursor. */
    put(&m, &things[0]);
    take(&m, &things[0]);
    assert_int_equal(map_scan(&m, 0, note_found, &s), 0);
    assert_int_equal(map_scan(&m, 0x80000000, note_found, &s), 0);
    assert_int_equal(map_scan(&m, UINT32_MAX, note_found, &s), 0);
    assert_int_equal(s.n, 0);
    map_fini(&m);
}

/* In a map that stays as it is each thing is found once, a few at a time. */
static void scans_each_once(void **unused)
{
    (void)unused;
    static const unsigned sizes[] = {1, 2, 6, 7, 100, MANY};
    static struct scan s;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct map m;
        name_things();
        map_init(&m, name_of);
        for (unsigned k = 0; k < sizes[i]; k++)
            put(&m, &things[k]);
        memset(&s, 0, sizeof s);
        uint32_t cursor = 0, calls = 0;
        do {
            cursor = map_scan(&m, cursor, note_found, &s);
            calls++;
        } while (cursor);
        assert_int_equal(calls, (m.places + 15) / 16);
        for (unsigned k = 0; k < MANY; k++)
            assert_int_equal(s.found[k], k < sizes[i]);
        map_fini(&m);
    }
}

/* Whatever the cursor (it may come from outside), the scan goes on and ends. */
static void scans_from_any_cursor(void **unused)
{
    (void)unused;
    static struct scan s;
    struct prng r = {7};
    struct map m;
    name_things();
    map_init(&m, name_of);
    for (unsigned k = 0; k < 100; k++)
        put(&m, &things[k]);
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t cursor = i == 0 ? UINT32_MAX : (uint32_t)prng_next(&r), calls = 0;
        do {
            cursor = map_scan(&m, cursor, note_found, &s);
            assert_true(++calls <= m.places);
        } while (cursor);
    }
    map_fini(&m);
}

/* Things 0 to `n_stay` - 1 are in all the time; others come and go in waves, so that the map grows
 * and shrinks many times during one walk, or stays empty but for them. */
static void try_scan(uint64_t seed, unsigned n_stay, unsigned n_others)
{
    static struct scan s;
    struct prng r = {seed};
    struct map m;
    uint32_t least = UINT32_MAX, most = 0;
    name_things();
    memset(&s, 0, sizeof s);
    map_init(&m, name_of);
    for (unsigned k = 0; k < n_stay; k++)
        put(&m, &things[k]);
    for (unsigned k = prng_below(&r, n_others + 1); k > 0; k--)
        put(&m, &things[n_stay + k - 1]);
    uint32_t cursor = 0, calls = 0;
    unsigned coming = prng_below(&r, 11);
    do {
        cursor = map_scan(&m, cursor, note_found, &s);
        least = m.places < least ? m.places : least;
        most = m.places > most ? m.places : most;
        if (calls % 4 == 0)
            coming = prng_below(&r, 2) ? 10 : prng_below(&r, 11);
        for (unsigned k = prng_below(&r, n_others); k > 0; k--) {
            struct thing *t = &things[n_stay + prng_below(&r, n_others)];
            bool come = prng_below(&r, 10) < coming;
            if (come && !t->is_in)
                put(&m, t);
            else if (!come && t->is_in)
                take(&m, t);
        }
        /* It ends, as it never goes back. */
        assert_true(++calls <= 2 * 8192);
    } while (cursor);
    for (unsigned k = 0; k < n_stay; k++) {
        if (!s.found[k])
            fail_msg("seed %u: thing %u was not found (%u to %u places)", (unsigned)seed, k, least,
                     most);
    }
    map_fini(&m);
}

static void scans_while_things_come_and_go(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        try_scan(seed, 1, 30);
        try_scan(seed, 10, 60);
        try_scan(seed, 40, 500);
    }
    for (uint64_t seed = 1; seed <= 5; seed++)
        try_scan(seed, 300, 3000);
}

/* One change of size between two calls, at every cursor: eight times smaller and back. */
static void scans_over_each_change_of_size(void **unused)
{
    (void)unused;
    enum { STAY = 20, ALL = 150 };
    static struct scan s;
    for (uint32_t change_at = 0; change_at < 17; change_at++) {
        for (unsigned grows = 0; grows < 2; grows++) {
            struct map m;
            uint32_t cursor = 0, calls = 0;
            bool all = !grows;
            name_things();
            memset(&s, 0, sizeof s);
            map_init(&m, name_of);
            for (unsigned k = 0; k < (all ? ALL : STAY); k++)
                put(&m, &things[k]);
            uint32_t places = m.places;
            do {
                cursor = map_scan(&m, cursor, note_found, &s);
                if (calls++ != change_at)
                    continue;
                for (unsigned k = STAY; k < ALL; k++) {
                    if (grows)
                        put(&m, &things[k]);
                    else
                        take(&m, &things[k]);
                }
                assert_int_not_equal(m.places, places);
            } while (cursor);
            for (unsigned k = 0; k < STAY; k++)
                assert_in_range(s.found[k], 1, 2);
            map_fini(&m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_empty_at_first),
        cmocka_unit_test(finds_things_by_any_name),
        cmocka_unit_test(grows_and_shrinks),
        cmocka_unit_test(closes_gaps_behind_what_goes),
        cmocka_unit_test(agrees_with_the_model),
        cmocka_unit_test(scans_an_empty_map),
        cmocka_unit_test(scans_each_once),
        cmocka_unit_test(scans_from_any_cursor),
        cmocka_unit_test(scans_while_things_come_and_go),
        cmocka_unit_test(scans_over_each_change_of_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
