#include "bus/members.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct members members;

static int set_up(void **unused)
{
    (void)unused;
    members_init(&members);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    members_fini(&members);
    assert_int_equal(members.n, 0);
    return 0;
}

/* A node of two workers that does everything, at server "A". */
static bool hear(uint32_t node, int64_t now_ms)
{
    return members_heard(&members, node, 100 + node, 3, 2, STR("A"), now_ms);
}

static void is_empty_at_first(void **unused)
{
    (void)unused;
    uint32_t node = 4711;
    assert_null(members_find(&members, 0));
    assert_false(members_remove(&members, 0));
    assert_false(members_expire(&members, INT64_MAX, &node));
    assert_int_equal(node, 4711);
    assert_true(members_all_know_us(&members)); /* all none of them */
    members_forgive(&members, 100);
    members_forget_welcomes(&members);
}

static void keeps_what_it_heard(void **unused)
{
    (void)unused;
    assert_true(members_heard(&members, 7, 0x123456789a, MEMBER_PUBLISHES, 0, STR("NAXY"), 50));
    assert_true(
        members_heard(&members, 0, 1, MEMBER_HOLDS_SOCKETS, MEMBERS_WORKERS_MAX, STR_EMPTY, 60));
    const struct member *m = members_find(&members, 7);
    assert_non_null(m);
    assert_int_equal(m->node, 7);
    assert_int_equal(m->incarnation, 0x123456789a);
    assert_int_equal(m->roles, MEMBER_PUBLISHES);
    assert_int_equal(m->n_workers, 0);
    assert_string_equal(m->server, "NAXY");
    assert_int_equal(m->heard_ms, 50);
    assert_false(m->knows_us);
    m = members_find(&members, 0);
    assert_int_equal(m->n_workers, MEMBERS_WORKERS_MAX);
    assert_string_equal(m->server, "");
    assert_null(members_find(&members, 1));
    assert_int_equal(members.n, 2);
}

/* Only what others must know is a change; being heard again is none. */
static void tells_what_changed(void **unused)
{
    (void)unused;
    assert_true(members_heard(&members, 7, 1, 3, 2, STR("A"), 10));
    assert_false(members_heard(&members, 7, 1, 3, 2, STR("A"), 20));
    assert_int_equal(members_find(&members, 7)->heard_ms, 20);
    assert_true(members_heard(&members, 7, 2, 3, 2, STR("A"), 30));
    assert_true(members_heard(&members, 7, 2, 1, 2, STR("A"), 30));
    assert_true(members_heard(&members, 7, 2, 1, 4, STR("A"), 30));
    assert_true(members_heard(&members, 7, 2, 1, 4, STR("AB"), 30));
    assert_true(members_heard(&members, 7, 2, 1, 4, STR("A"), 30));
    assert_string_equal(members_find(&members, 7)->server, "A"); /* nothing of "AB" is left */
    assert_true(members_heard(&members, 7, 2, 1, 4, STR_EMPTY, 30));
    assert_false(members_heard(&members, 7, 2, 1, 4, STR_EMPTY, 40));
    assert_int_equal(members.n, 1);
}

static void refuses_impossible_numbers(void **unused)
{
    (void)unused;
    char server[MEMBERS_SERVER_MAX];
    memset(server, 'N', sizeof server);
    assert_false(members_heard(&members, 7, 1, 3, MEMBERS_WORKERS_MAX + 1, STR("A"), 10));
    assert_false(members_heard(&members, 7, 1, 3, UINT32_MAX, STR("A"), 10));
    assert_false(members_heard(&members, 7, 1, 3, 1, str_make(server, sizeof server), 10));
    assert_int_equal(members.n, 0);
    assert_true(members_heard(&members, 7, 1, 3, 1, str_make(server, sizeof server - 1), 10));
    assert_int_equal(strlen(members_find(&members, 7)->server), sizeof server - 1);
    /* Nor does a known one change into that, or count as heard. */
    assert_false(members_heard(&members, 7, 9, 3, MEMBERS_WORKERS_MAX + 1, STR("A"), 99));
    assert_false(members_heard(&members, 7, 9, 3, 1, str_make(server, sizeof server), 99));
    assert_int_equal(members_find(&members, 7)->incarnation, 1);
    assert_int_equal(members_find(&members, 7)->heard_ms, 10);
}

static void takes_only_so_many(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        assert_true(hear(i, 10));
    assert_false(hear(MEMBERS_MAX, 10));
    assert_null(members_find(&members, MEMBERS_MAX));
    assert_int_equal(members.n, MEMBERS_MAX);
    /* Those who are in are heard on. */
    assert_false(hear(3, 20));
    assert_int_equal(members_find(&members, 3)->heard_ms, 20);
    assert_true(members_heard(&members, 3, 9, 3, 2, STR("B"), 20));
    assert_true(members_remove(&members, 3));
    assert_true(hear(MEMBERS_MAX, 30));
}

static void removes_the_right_one(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 20; i++)
        hear(i, i);
    static const uint32_t order[] = {0, 19, 7, 18, 10};
    for (unsigned k = 0; k < 5; k++) {
        assert_true(members_remove(&members, order[k]));
        assert_false(members_remove(&members, order[k]));
        assert_int_equal(members.n, 19 - k);
        for (uint32_t i = 0; i < 20; i++) {
            bool is_gone = false;
            for (unsigned d = 0; d <= k; d++)
                is_gone |= order[d] == i;
            const struct member *m = members_find(&members, i);
            assert_int_equal(m == NULL, is_gone);
            assert_true(!m || m->heard_ms == i);
        }
    }
}

static void expires_who_is_silent(void **unused)
{
    (void)unused;
    uint32_t node, gone = 0;
    for (uint32_t i = 0; i < 6; i++)
        hear(i, 100 * i);
    assert_false(members_expire(&members, 0, &node)); /* just at that time is not before it */
    hear(1, 1000);
    while (members_expire(&members, 300, &node))
        gone |= 1u << node;
    assert_int_equal(gone, 1u << 0 | 1u << 2);
    assert_int_equal(members.n, 4);
    /* Time in which we stood still is not theirs. */
    members_forgive(&members, 500);
    assert_false(members_expire(&members, 800, &node));
    assert_true(members_expire(&members, 801, &node));
    assert_int_equal(node, 3);
    assert_int_equal(members_find(&members, 1)->heard_ms, 1500);
}

static void remembers_who_knows_us(void **unused)
{
    (void)unused;
    hear(1, 10);
    hear(2, 10);
    assert_false(members_all_know_us(&members));
    members_find(&members, 1)->knows_us = true;
    assert_false(members_all_know_us(&members));
    members_find(&members, 2)->knows_us = true;
    assert_true(members_all_know_us(&members));
    /* Being heard again changes nothing in it, nor does another server; being another process
     * does. */
    hear(1, 20);
    members_heard(&members, 1, 101, 3, 2, STR("B"), 20);
    assert_true(members_all_know_us(&members));
    members_heard(&members, 1, 999, 3, 2, STR("B"), 20);
    assert_false(members_find(&members, 1)->knows_us);
    assert_true(members_find(&members, 2)->knows_us);
    members_find(&members, 1)->knows_us = true;
    hear(3, 20);
    assert_false(members_all_know_us(&members));
    assert_true(members_remove(&members, 3));
    assert_true(members_all_know_us(&members));
    members_forget_welcomes(&members);
    assert_false(members_find(&members, 1)->knows_us || members_find(&members, 2)->knows_us);
    assert_false(members_all_know_us(&members));
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    enum { NODES = 40 };
    struct prng r = {1};
    int64_t heard[NODES];
    bool is_in[NODES] = {false};
    for (int64_t now = 0; now < 20000; now++) {
        uint32_t i = prng_below(&r, NODES), node;
        switch (prng_below(&r, 3)) {
        case 0:
            assert_int_equal(members_remove(&members, i), is_in[i]);
            is_in[i] = false;
            break;
        case 1:
            assert_int_equal(hear(i, now), !is_in[i]);
            is_in[i] = true;
            heard[i] = now;
            break;
        case 2:
            while (members_expire(&members, now - 50, &node)) {
                assert_true(is_in[node] && heard[node] < now - 50);
                is_in[node] = false;
            }
            for (unsigned k = 0; k < NODES; k++)
                assert_true(!is_in[k] || heard[k] >= now - 50);
            break;
        }
        unsigned n = 0;
        for (unsigned k = 0; k < NODES; k++) {
            n += is_in[k];
            assert_int_equal(members_find(&members, k) != NULL, is_in[k]);
        }
        assert_int_equal(members.n, n);
    }
}

#define WITH_MEMBERS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* The bus stands still: nobody is heard, ourselves neither. Until we know that it is us (at
 * MEMBERS_DEAD_MS), nobody is taken for dead, whoever beat first. */
static void nobody_is_dead_when_the_bus_stands_still(void **unused)
{
    (void)unused;
    const int64_t stop = 100000;
    for (int64_t heard = stop - MEMBERS_BEAT_MS; heard <= stop; heard += 10) {
        for (int64_t echo = stop - MEMBERS_BEAT_MS; echo <= stop; echo += 10) {
            for (int64_t now = stop; now <= echo + MEMBERS_DEAD_MS; now += 10)
                assert_true(heard >= members_silent_since(now, echo));
        }
    }
    /* While it works, silence is enough. */
    for (int64_t echo = stop - 2 * MEMBERS_BEAT_MS; echo <= stop; echo += 10)
        assert_int_equal(members_silent_since(stop, echo), stop - MEMBERS_DEAD_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_dead_when_the_bus_stands_still),
        WITH_MEMBERS(is_empty_at_first),
        WITH_MEMBERS(keeps_what_it_heard),
        WITH_MEMBERS(tells_what_changed),
        WITH_MEMBERS(refuses_impossible_numbers),
        WITH_MEMBERS(takes_only_so_many),
        WITH_MEMBERS(removes_the_right_one),
        WITH_MEMBERS(expires_who_is_silent),
        WITH_MEMBERS(remembers_who_knows_us),
        WITH_MEMBERS(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
