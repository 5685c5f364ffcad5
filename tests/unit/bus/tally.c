/* Sums of names: all of them, and the first ones alone, whatever order they come in. */
#include "bus/tally.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "hub/census.h"
#include "prng.h"

enum { NAMES = 3000, PARTS = 40 };

static unsigned numbers[NAMES]; /* what was told of each name, in all */

static struct str name_of(unsigned i, char text[16])
{
    return str_make(text, (size_t)snprintf(text, 16, "name-%04u", i));
}

/* Each part has some of the names, in no order, and some of them twice. */
static void add_parts(struct tally *t, uint64_t seed)
{
    struct prng random = {seed};
    char text[16];
    memset(numbers, 0, sizeof(numbers));
    for (unsigned part = 0; part < PARTS; part++) {
        struct buf records = BUF_INIT;
        for (unsigned k = 0; k < NAMES / 8; k++) {
            unsigned i = prng_below(&random, NAMES), n = prng_below(&random, 5);
            numbers[i] += n;
            census_add(&records,
                       &(struct census_record){.app = name_of(i, text), .connections = n});
        }
        tally_add(t, buf_as_str(&records));
        buf_fini(&records);
    }
    /* Every name is there, so that the sums are the model. */
    struct buf records = BUF_INIT;
    for (unsigned i = NAMES; i-- > 0;)
        census_add(&records, &(struct census_record){.app = name_of(i, text)});
    tally_add(t, buf_as_str(&records));
    buf_fini(&records);
}

static void lists_the_first_ones(void **unused)
{
    (void)unused;
    static const size_t limits[] = {1, 2, 7, 100, 1000, NAMES, 2 * NAMES};
    static const int afters[] = {-1, 0, 5, NAMES / 2, NAMES - 2, NAMES - 1};
    for (unsigned l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        for (unsigned a = 0; a < sizeof(afters) / sizeof(afters[0]); a++) {
            struct tally t = {0};
            char text[16];
            size_t n, want = (size_t)(NAMES - 1 - afters[a]);
            tally_limit(&t, limits[l],
                        afters[a] < 0 ? STR_EMPTY : name_of((unsigned)afters[a], text));
            add_parts(&t, 17 * l + a);
            const struct bus_tally *list = tally_list(&t, &n);
            assert_int_equal(n, want < limits[l] ? want : limits[l]);
            for (size_t i = 0; i < n; i++) {
                unsigned number = (unsigned)(afters[a] + 1 + (int)i);
                assert_true(str_eq(list[i].app, name_of(number, text)));
                assert_int_equal(list[i].connections, numbers[number]);
            }
            assert_int_equal(tally_names(&t), NAMES);
            tally_fini(&t);
        }
    }
}

/* A million names would take a hundred times that. */
static void keeps_no_more_than_it_lists(void **unused)
{
    (void)unused;
    struct tally t = {0};
    size_t before;
    tally_limit(&t, 10, STR_EMPTY);
    add_parts(&t, 1);
    before = t.bytes;
    add_parts(&t, 2);
    assert_true(before < 20 * 100);
    assert_true(t.bytes < 20 * 100);
    assert_true(t.entries.n < 20);
    tally_fini(&t);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_the_first_ones),
        cmocka_unit_test(keeps_no_more_than_it_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
