/* Patterns matched in slices: the answer is the same however often it is interrupted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/names.h"
#include "edge/matching.h"
#include "net/loop.h"

/* What was answered, in order: the numbers of the questions, and the last answer. */
struct answers {
    uint64_t numbers[8];
    unsigned n;
    struct buf last;
    unsigned n_names[8]; /* for each question, by its number */
    unsigned n_pages;
};

/* The cursor is the number of the next name. */
static uint32_t give_names(void *ctx, const struct bus_question *q, uint32_t cursor,
                           struct buf *names)
{
    struct answers *a = ctx;
    unsigned n = a->n_names[q->number % 8];
    assert_int_equal(names->len, 0);
    a->n_pages++;
    while (cursor < n && names->len < MATCHING_PAGE_BYTES) {
        char name[32];
        int len = snprintf(name, sizeof(name), "name-%u", cursor++);
        names_add(names, str_make(name, (size_t)len));
    }
    return cursor < n ? cursor : HUB_CURSOR_END;
}

static void on_done(void *ctx, const struct bus_question *q, struct buf *part)
{
    struct answers *a = ctx;
    a->numbers[a->n++] = q->number;
    buf_fini(&a->last);
    a->last = *part;
    *part = BUF_INIT;
}

static struct bus_question *question(uint64_t number, const char *expression, bool count_only)
{
    struct bus_question *q = mem_zalloc(sizeof(*q));
    atomic_init(&q->refs, 1);
    q->number = number;
    q->count_only = count_only;
    assert_int_equal(pattern_new(&q->pattern, str_of(expression)), ERR_OK);
    return q;
}

static void add(struct matching *m, struct answers *a, struct bus_question *q, unsigned n_names,
                int64_t give_up_ms)
{
    a->n_names[q->number % 8] = n_names;
    assert_int_equal(matching_add(m, q, give_up_ms), ERR_OK);
    bus_question_unref(q);
}

static void answers_with_the_names_that_match(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    assert_false(matching_run(m, 0));
    add(m, &a, question(1, "^name-1.$", false), 100, 1000);
    while (matching_run(m, 0))
        ;
    assert_int_equal(a.n, 1);
    assert_int_equal(names_count(buf_as_str(&a.last)), 10);
    struct str rest = buf_as_str(&a.last), name;
    assert_true(names_next(&rest, &name));
    assert_true(str_eq(name, STR("name-10")));
    buf_fini(&a.last);
    matching_free(m);
}

static void counts_by_hashes(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    add(m, &a, question(1, "^name-7$", true), 100, 1000);
    while (matching_run(m, 0))
        ;
    struct hash128 expected = hash_wide(STR("name-7"), 0);
    assert_int_equal(a.last.len, sizeof(expected));
    assert_memory_equal(a.last.p, &expected, sizeof(expected));
    buf_fini(&a.last);
    matching_free(m);
}

/* So many names take many slices; questions behind them take their turns meanwhile. */
static void goes_on_where_it_stopped(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    unsigned slices = 1;
    add(m, &a, question(1, "name-[0-9]*9$", false), 200000, 1000);
    add(m, &a, question(2, "^name-0$", false), 10, 1000);
    add(m, &a, question(3, "nothing", false), 0, 1000);
    while (matching_run(m, 0))
        slices++;
    assert_true(slices > 1);
    assert_int_equal(a.n, 3);
    assert_int_equal(a.numbers[0], 2);
    assert_int_equal(a.numbers[1], 3);
    assert_int_equal(a.numbers[2], 1);
    assert_int_equal(names_count(buf_as_str(&a.last)), 20000);
    buf_fini(&a.last);
    matching_free(m);
}

static void gives_up_when_nobody_waits(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    add(m, &a, question(1, "x", false), 100, 1000);
    add(m, &a, question(2, "^name-5$", false), 100, 2000);
    while (matching_run(m, 1000))
        ;
    assert_int_equal(a.n, 1);
    assert_int_equal(a.numbers[0], 2);
    assert_int_equal(names_count(buf_as_str(&a.last)), 1);
    buf_fini(&a.last);
    matching_free(m);
}

static void forgets_what_is_open_when_freed(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    add(m, &a, question(1, "x", false), 100, 1000);
    add(m, &a, question(2, "x", false), 100, 1000);
    matching_free(m);
    assert_int_equal(a.n, 0);
}

static void refuses_beyond_its_bound(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    struct bus_question *q = question(1, "name-[0-9]*9$", false);
    a.n_names[1] = 200000;
    for (unsigned i = 0; i < MATCHING_MAX; i++)
        assert_int_equal(matching_add(m, q, 1000), ERR_OK);
    assert_int_equal(matching_add(m, q, 1000), ERR_FULL);
    assert_true(matching_run(m, 0));
    assert_true(a.n_pages > 0);
    /* Those that nobody waits for go without a look at a name. */
    unsigned n = a.n_pages;
    while (matching_run(m, 1000))
        ;
    assert_int_equal(a.n_pages, n);
    assert_int_equal(a.n, 0);
    bus_question_unref(q);
    matching_free(m);
}

/* As long as the rest of a turn took, but not without end. */
static void takes_at_most_half_of_the_time(void **unused)
{
    (void)unused;
    struct answers a = {0};
    struct matching *m = matching_new(give_names, on_done, &a);
    struct bus_question *q = question(1, "nothing", false);
    a.n_names[1] = UINT32_MAX;
    assert_int_equal(matching_add(m, q, 1000), ERR_OK);
    for (unsigned busy_us = 0; busy_us <= 8000; busy_us += 2000) {
        int64_t least = INT64_MAX;
        for (unsigned i = 0; i < 20; i++) {
            for (int64_t until = loop_clock_us() + busy_us; loop_clock_us() < until;)
                ;
            int64_t before = loop_clock_us();
            assert_true(matching_run(m, 0));
            int64_t took = loop_clock_us() - before;
            least = took < least ? took : least;
        }
        /* Never less; and more only because the machine has stopped us. */
        assert_true(least >= (busy_us ? MATCHING_SLICE_MAX_US : MATCHING_SLICE_US));
        assert_true(least < 10 * MATCHING_SLICE_MAX_US);
    }
    bus_question_unref(q);
    matching_free(m);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_with_the_names_that_match),
        cmocka_unit_test(counts_by_hashes),
        cmocka_unit_test(goes_on_where_it_stopped),
        cmocka_unit_test(gives_up_when_nobody_waits),
        cmocka_unit_test(refuses_beyond_its_bound),
        cmocka_unit_test(takes_at_most_half_of_the_time),
        cmocka_unit_test(forgets_what_is_open_when_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
