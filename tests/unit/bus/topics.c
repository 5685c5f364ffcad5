#include "bus/topics.h"
#include "mem_count.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- one who subscribes, and what it has subscribed ---- */

enum { NAMES = 64 };

static struct topics topics;
static struct {
    bool on[NAMES];       /* subject "s<i>" is subscribed */
    unsigned n_on, n_off; /* calls */
    unsigned room;        /* how many more it will subscribe */
    size_t held;
} subscriber;

static unsigned number_of(const struct topic *t)
{
    unsigned i;
    assert_int_equal(t->subject[t->subject_len], 0);
    assert_int_equal(strlen(t->subject), t->subject_len);
    assert_int_equal(sscanf(t->subject, "s%u", &i), 1);
    assert_in_range(i, 0, NAMES - 1);
    return i;
}

static bool subscribe(void *ctx, struct topic *t)
{
    assert_ptr_equal(ctx, &subscriber);
    subscriber.n_on++;
    if (!subscriber.room)
        return false;
    subscriber.room--;
    unsigned i = number_of(t);
    assert_false(subscriber.on[i]);
    subscriber.on[i] = true;
    t->sub = &subscriber.on[i];
    return true;
}

static void unsubscribe(void *ctx, struct topic *t)
{
    assert_ptr_equal(ctx, &subscriber);
    unsigned i = number_of(t);
    assert_ptr_equal(t->sub, &subscriber.on[i]);
    assert_true(subscriber.on[i]);
    subscriber.on[i] = false;
    subscriber.n_off++;
}

static int set_up(void **unused)
{
    (void)unused;
    memset(&subscriber, 0, sizeof subscriber);
    subscriber.room = UINT32_MAX;
    subscriber.held = mem_count.bytes;
    topics_init(&topics, subscribe, unsubscribe, &subscriber);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    unsigned n_off = subscriber.n_off;
    topics_fini(&topics);
    assert_int_equal(subscriber.n_off, n_off);
    assert_int_equal(mem_count.bytes, subscriber.held);
    return 0;
}

static struct str subject(unsigned i)
{
    static char text[16];
    return str_make(text, (size_t)snprintf(text, sizeof text, "s%u", i));
}

static bool add(unsigned i)
{
    return topics_add(&topics, subject(i));
}

static void drop(unsigned i, int64_t now_ms)
{
    topics_drop(&topics, subject(i), now_ms);
}

static void run(int64_t now_ms)
{
    topics_run(&topics, now_ms, UINT32_MAX);
}

/* The connection is lost and comes again: whoever subscribed has nothing any more. */
static void lose_all(void)
{
    memset(subscriber.on, 0, sizeof subscriber.on);
    topics_forget(&topics);
}

/* ---- */

static void subscribes_with_the_first_listener(void **unused)
{
    (void)unused;
    assert_true(add(1));
    assert_true(subscriber.on[1]);
    assert_false(add(1));
    assert_false(add(1));
    assert_int_equal(subscriber.n_on, 1);
    assert_true(add(2));
    assert_true(subscriber.on[2]);
    assert_int_equal(topics.n_waiting, 0);
    assert_true(topics_catch_up(&topics));
    assert_int_equal(subscriber.n_on, 2);
}

static void unsubscribes_a_while_after_the_last(void **unused)
{
    (void)unused;
    add(1);
    add(1);
    drop(1, 1000);
    run(100000); /* one still listens */
    assert_true(subscriber.on[1]);
    drop(1, 200000);
    run(200000);
    run(200000 + TOPICS_GRACE_MS - 1);
    assert_true(subscriber.on[1]);
    run(200000 + TOPICS_GRACE_MS);
    assert_false(subscriber.on[1]);
    assert_int_equal(topics.map.n, 0);
    run(INT64_MAX);
    assert_int_equal(subscriber.n_off, 1);
    assert_true(add(1)); /* not sure again before a fence */
    assert_true(subscriber.on[1]);
}

static void keeps_who_comes_again(void **unused)
{
    (void)unused;
    add(1);
    for (int64_t now = 0; now < 100 * TOPICS_GRACE_MS; now += TOPICS_GRACE_MS - 1) {
        drop(1, now);
        run(now + TOPICS_GRACE_MS - 1);
        assert_false(add(1)); /* all the time subscribed: sure */
        run(now + 10 * TOPICS_GRACE_MS);
    }
    assert_true(subscriber.on[1]);
    assert_int_equal(subscriber.n_on, 1);
    /* The moment counts from the last one's going. */
    drop(1, 1000000);
    assert_false(add(1));
    drop(1, 1000001);
    run(1000000 + TOPICS_GRACE_MS);
    assert_true(subscriber.on[1]);
    run(1000001 + TOPICS_GRACE_MS);
    assert_false(subscriber.on[1]);
}

static void ends_the_oldest_first(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 6; i++)
        add(i);
    for (unsigned i = 0; i < 6; i++)
        drop(i, 10 * i);
    /* From the middle, the beginning and the end some come again. */
    add(2);
    add(0);
    add(5);
    drop(0, 55);
    run(30 + TOPICS_GRACE_MS);
    static const bool expected[] = {true, false, true, false, true, true};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(subscriber.on[i], expected[i]);
    run(55 + TOPICS_GRACE_MS);
    assert_false(subscriber.on[0] || subscriber.on[4]);
    assert_true(subscriber.on[2] && subscriber.on[5]);
    assert_null(topics.first_idle);
}

static void ends_only_so_many_at_once(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 10; i++)
        add(i);
    for (unsigned i = 0; i < 10; i++)
        drop(i, i);
    topics_run(&topics, 100000, 0);
    assert_int_equal(subscriber.n_off, 0);
    topics_run(&topics, 100000, 4);
    assert_int_equal(subscriber.n_off, 4);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(subscriber.on[i], i >= 4);
    topics_run(&topics, 100000, 100);
    assert_int_equal(subscriber.n_off, 10);
}

static bool subscribe_any(void *ctx, struct topic *t)
{
    (void)ctx;
    (void)t;
    subscriber.n_on++;
    return true;
}

static void unsubscribe_any(void *ctx, struct topic *t)
{
    (void)ctx;
    (void)t;
    subscriber.n_off++;
}

/* However fast names are made up and left. */
static void keeps_only_so_many_idle(void **unused)
{
    (void)unused;
    enum { N = 3 * TOPICS_IDLE_MAX };
    topics.subscribe = subscribe_any;
    topics.unsubscribe = unsubscribe_any;
    for (unsigned i = 0; i < N; i++) {
        add(i);
        drop(i, 0);
        topics_trim(&topics);
        assert_in_range(topics.map.n, 1, TOPICS_IDLE_MAX);
    }
    assert_int_equal(subscriber.n_off, N - TOPICS_IDLE_MAX);
    assert_false(add(N - 1)); /* the oldest went */
    assert_true(add(0));
    run(TOPICS_GRACE_MS);
    assert_int_equal(topics.map.n, 2);
    assert_int_equal(topics.n_idle, 0);
}

static void catches_up_with_what_could_not_be_done(void **unused)
{
    (void)unused;
    subscriber.room = 1;
    assert_true(add(1));
    assert_true(add(2)); /* not done: neither sure for the next one */
    assert_true(add(2));
    assert_true(add(3));
    assert_int_equal(topics.n_waiting, 2);
    assert_int_equal(subscriber.n_on, 3); /* not tried anew by each listener */
    assert_false(topics_catch_up(&topics));
    assert_int_equal(topics.n_waiting, 2);
    subscriber.room = 1;
    assert_false(topics_catch_up(&topics));
    assert_int_equal(topics.n_waiting, 1);
    subscriber.room = 1;
    assert_true(topics_catch_up(&topics));
    assert_int_equal(topics.n_waiting, 0);
    assert_true(subscriber.on[1] && subscriber.on[2] && subscriber.on[3]);
    assert_false(add(2));
    unsigned calls = subscriber.n_on;
    assert_true(topics_catch_up(&topics));
    assert_int_equal(subscriber.n_on, calls);
}

/* What waits and is not wanted any more goes without having been subscribed. */
static void forgets_what_waits_for_nobody(void **unused)
{
    (void)unused;
    subscriber.room = 0;
    add(1);
    add(2);
    drop(1, 0);
    assert_int_equal(topics.n_waiting, 1); /* at once: names do not pile up meanwhile */
    assert_int_equal(topics.map.n, 1);
    assert_int_equal(subscriber.n_off, 0);
    subscriber.room = 10;
    assert_true(topics_catch_up(&topics));
    assert_false(subscriber.on[1]);
    assert_true(subscriber.on[2]);
}

static void makes_all_anew_when_lost(void **unused)
{
    (void)unused;
    lose_all(); /* of nothing */
    assert_int_equal(topics.n_waiting, 0);
    add(1);
    add(2);
    add(2);
    add(3);
    drop(3, 100);
    subscriber.room = 0;
    add(4);
    lose_all();
    assert_int_equal(topics.n_waiting, 3); /* nobody listens to 3 */
    assert_true(add(1));                   /* not sure any more */
    assert_false(topics_catch_up(&topics));
    run(100 + TOPICS_GRACE_MS);
    assert_int_equal(subscriber.n_off, 0);
    subscriber.room = 10;
    assert_true(topics_catch_up(&topics));
    assert_int_equal(topics.n_waiting, 0);
    assert_true(subscriber.on[1] && subscriber.on[2] && !subscriber.on[3] && subscriber.on[4]);
    /* Listeners are counted as before. */
    drop(2, 200);
    run(100000);
    assert_true(subscriber.on[2]);
    drop(2, 100000);
    run(200000);
    assert_false(subscriber.on[2]);
}

/* Twice lost, with one that was never done in between. */
static void counts_those_that_wait(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 5; i++)
        add(i);
    lose_all();
    subscriber.room = 2;
    assert_false(topics_catch_up(&topics));
    assert_int_equal(topics.n_waiting, 3);
    lose_all();
    assert_int_equal(topics.n_waiting, 5);
    subscriber.room = 5;
    assert_true(topics_catch_up(&topics));
    assert_int_equal(topics.n_waiting, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(subscriber.on[i]);
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct prng r = {seed};
        unsigned refs[NAMES] = {0};
        int64_t idle_ms[NAMES] = {0}, now = 0;
        bool there[NAMES] = {false};
        set_up(NULL);
        for (unsigned step = 0; step < 20000; step++) {
            unsigned i = prng_below(&r, NAMES);
            subscriber.room = prng_below(&r, 4) ? UINT32_MAX : prng_below(&r, 2);
            now += prng_below(&r, 100);
            switch (prng_below(&r, step / 2000 % 2 ? 8 : 6)) {
            case 0:
            case 1: {
                bool was_on = subscriber.on[i];
                assert_int_equal(add(i), !was_on);
                refs[i]++;
                there[i] = true;
                break;
            }
            case 2:
            case 6:
            case 7:
                if (refs[i]) {
                    drop(i, now);
                    idle_ms[i] = now;
                    refs[i]--;
                    there[i] = refs[i] || subscriber.on[i];
                }
                break;
            case 3:
                run(now);
                for (unsigned k = 0; k < NAMES; k++)
                    there[k] &= refs[k] || now - idle_ms[k] < TOPICS_GRACE_MS;
                break;
            case 4:
                if (topics_catch_up(&topics)) {
                    for (unsigned k = 0; k < NAMES; k++)
                        assert_int_equal(subscriber.on[k], there[k]);
                }
                break;
            case 5:
                if (prng_below(&r, 20) == 0) {
                    lose_all();
                    for (unsigned k = 0; k < NAMES; k++)
                        there[k] &= refs[k] > 0;
                }
                break;
            }
            unsigned n = 0, n_waiting = 0;
            for (unsigned k = 0; k < NAMES; k++) {
                n += there[k];
                n_waiting += there[k] && !subscriber.on[k];
                assert_true(there[k] || !subscriber.on[k]);
            }
            assert_int_equal(topics.map.n, n);
            assert_int_equal(topics.n_waiting, n_waiting);
        }
        tear_down(NULL);
    }
    set_up(NULL);
}

#define WITH_TOPICS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOPICS(subscribes_with_the_first_listener),
        WITH_TOPICS(unsubscribes_a_while_after_the_last),
        WITH_TOPICS(keeps_who_comes_again),
        WITH_TOPICS(ends_the_oldest_first),
        WITH_TOPICS(ends_only_so_many_at_once),
        WITH_TOPICS(keeps_only_so_many_idle),
        WITH_TOPICS(catches_up_with_what_could_not_be_done),
        WITH_TOPICS(forgets_what_waits_for_nobody),
        WITH_TOPICS(makes_all_anew_when_lost),
        WITH_TOPICS(counts_those_that_wait),
        WITH_TOPICS(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
