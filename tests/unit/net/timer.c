#include "net/timer.h"
#include "base/mem.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROUND_MS = TIMER_SLOTS * TIMER_GRAIN_MS };

/* Where the number of a slot, or that of a tick, begins again. */
#define TICK_WRAP_MS ((INT64_C(1) << 32) * TIMER_GRAIN_MS)
static const int64_t starts[] = {
    0, 5, 1000, ROUND_MS - 1, ROUND_MS - 500, 7 * (int64_t)ROUND_MS - 33, TICK_WRAP_MS - 700,
};
enum { N_STARTS = sizeof starts / sizeof *starts };

struct probe {
    struct timer timer;
    int64_t due_ms;
    int64_t latest_ms; /* a run at this time or later must call it */
    unsigned calls;
    unsigned expected;
};

static struct timer_wheel wheel;
static int64_t now_ms, ran_ms; /* of this run, of the one before */

static void on_probe(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);
    assert_false(timer_is_set(t));
    if (now_ms < p->due_ms)
        fail_msg("due at %lld, called at %lld", (long long)p->due_ms, (long long)now_ms);
    if (ran_ms >= p->latest_ms)
        fail_msg("due at %lld, not called at %lld", (long long)p->due_ms, (long long)ran_ms);
    p->calls++;
}

static void start(int64_t at_ms)
{
    timer_wheel_init(&wheel, at_ms);
    now_ms = ran_ms = at_ms;
}

static void run(int64_t at_ms)
{
    now_ms = at_ms;
    timer_run(&wheel, now_ms);
    ran_ms = now_ms;
}

static void set(struct probe *p, int64_t due_ms)
{
    if (timer_is_set(&p->timer))
        p->expected--;
    p->timer.fn = on_probe;
    p->due_ms = due_ms;
    p->latest_ms = (due_ms > ran_ms ? due_ms : ran_ms) + TIMER_GRAIN_MS;
    p->expected++;
    timer_set(&wheel, &p->timer, due_ms);
}

static void is_never_early_and_hardly_late(void **unused)
{
    (void)unused;
    for (unsigned s = 0; s < N_STARTS; s++) {
        for (int64_t wait = -40; wait <= 200; wait++) {
            struct probe p = {0};
            start(starts[s]);
            set(&p, starts[s] + wait);
            for (int64_t at = starts[s]; at <= starts[s] + 240; at++)
                run(at);
            assert_int_equal(p.calls, 1);
        }
    }
}

static void calls_after_whole_rounds(void **unused)
{
    (void)unused;
    for (unsigned s = 0; s < N_STARTS; s++) {
        for (int rounds = 1; rounds <= 3; rounds++) {
            for (int64_t more = -2 * TIMER_GRAIN_MS; more <= 2 * TIMER_GRAIN_MS; more++) {
                struct probe p = {0};
                int64_t due = starts[s] + (int64_t)rounds * ROUND_MS + more;
                start(starts[s]);
                set(&p, due);
                for (int64_t at = starts[s]; at < due; at += 1009)
                    run(at);
                run(due - 1);
                assert_int_equal(p.calls, 0);
                run(due + TIMER_GRAIN_MS);
                assert_int_equal(p.calls, 1);
            }
        }
    }
}

static void calls_each_once_after_a_long_sleep(void **unused)
{
    (void)unused;
    enum { N = 5000 };
    struct probe *p = calloc(N, sizeof *p);
    for (unsigned s = 0; s < N_STARTS; s++) {
        memset(p, 0, N * sizeof *p);
        start(starts[s]);
        for (int i = 0; i < N; i++)
            set(&p[i], starts[s] + 53 * (int64_t)i);
        run(starts[s] + 53 * (int64_t)N + TIMER_GRAIN_MS);
        for (int i = 0; i < N; i++)
            assert_int_equal(p[i].calls, 1);
        assert_int_equal(timer_wait_ms(&wheel, now_ms), -1);
    }
    free(p);
}

static void is_stopped_and_set_anew(void **unused)
{
    (void)unused;
    struct probe p = {0}, before = {0}, behind = {0};
    start(100);
    timer_stop(&wheel, &p.timer);
    assert_false(timer_is_set(&p.timer));
    /* All in one slot; the one in the middle of the list goes. */
    set(&before, 500);
    set(&p, 500);
    set(&behind, 500);
    assert_true(timer_is_set(&p.timer));
    timer_stop(&wheel, &p.timer);
    timer_stop(&wheel, &p.timer);
    run(600);
    assert_int_equal(p.calls, 0);
    assert_int_equal(before.calls + behind.calls, 2);
    assert_int_equal(timer_wait_ms(&wheel, 600), -1);

    /* Sooner, later. */
    set(&p, 5000);
    set(&p, 700);
    run(720);
    assert_int_equal(p.calls, 1);
    set(&p, 800);
    set(&p, 5000);
    run(4999);
    assert_int_equal(p.calls, 1);
    run(5016);
    assert_int_equal(p.calls, 2);
}

/* ---- functions that set and stop ---- */

struct chain {
    struct timer timer;
    struct timer *stops; /* the timer it stops, */
    struct timer *sets;  /* and the one it sets, */
    int64_t in_ms;       /* for so much later */
    unsigned calls;
};

static void on_chain(struct timer *t)
{
    struct chain *c = container_of(t, struct chain, timer);
    c->calls++;
    if (c->stops)
        timer_stop(&wheel, c->stops);
    if (c->sets)
        timer_set(&wheel, c->sets, now_ms + c->in_ms);
}

static void may_set_itself(void **unused)
{
    (void)unused;
    struct chain c = {.timer = {.fn = on_chain}, .in_ms = 100};
    c.sets = &c.timer;
    start(0);
    timer_set(&wheel, &c.timer, 100);
    unsigned before = 0;
    for (int64_t at = 0; at < 100000; at += 7) {
        run(at);
        assert_true(c.calls - before <= 1);
        before = c.calls;
    }
    /* Every 100 ms, each time at most a grain and a step late. */
    assert_in_range(c.calls, 100000 / (100 + TIMER_GRAIN_MS + 7), 100000 / 100);

    /* At once means soon, not for ever in this run; also after a sleep of many rounds. */
    c.in_ms = 0;
    c.calls = 0;
    run(100200);
    assert_in_range(c.calls, 1, 200 / TIMER_GRAIN_MS + 1);
    c.calls = 0;
    run(100200 + 20 * (int64_t)ROUND_MS);
    assert_int_equal(c.calls, 1);
    c.in_ms = -1000;
    run(now_ms + TIMER_GRAIN_MS);
    assert_int_equal(c.calls, 2);
}

static void may_stop_one_that_is_due_too(void **unused)
{
    (void)unused;
    struct chain a = {.timer = {.fn = on_chain}}, b = {.timer = {.fn = on_chain}};
    a.stops = &b.timer;
    b.stops = &a.timer;
    for (int64_t apart = 0; apart <= 64; apart += 16) {
        a.calls = b.calls = 0;
        start(0);
        timer_set(&wheel, &a.timer, 100);
        timer_set(&wheel, &b.timer, 100 + apart);
        run(500);
        assert_int_equal(a.calls + b.calls, 1);
        if (apart)
            assert_int_equal(a.calls, 1);
        assert_int_equal(timer_wait_ms(&wheel, 500), -1);
    }
}

static void may_set_another(void **unused)
{
    (void)unused;
    struct probe p = {0};
    struct chain c = {.timer = {.fn = on_chain}, .sets = &p.timer, .in_ms = 50};
    start(0);
    set(&p, 100000);
    timer_set(&wheel, &c.timer, 100);
    now_ms = 112;
    timer_run(&wheel, 112);
    p.due_ms = 162;
    p.latest_ms = 162 + TIMER_GRAIN_MS;
    run(161);
    assert_int_equal(p.calls, 0);
    run(178);
    assert_int_equal(p.calls, 1);
}

/* ---- against a plain model ---- */

/* The wheel knows slots, not rounds: it may wake for a timer of a later round, in vain. */
static int modelled_wait_ms(const struct probe *p, unsigned n)
{
    int64_t best = -1;
    for (unsigned i = 0; i < n; i++) {
        if (!timer_is_set(&p[i].timer))
            continue;
        uint32_t ahead = (p[i].timer.due - wheel.tick - 1) % TIMER_SLOTS;
        int64_t tick_ms = ran_ms - ran_ms % TIMER_GRAIN_MS;
        int64_t wait = tick_ms + (ahead + 1) * (int64_t)TIMER_GRAIN_MS - now_ms;
        if (wait < 0)
            wait = 0;
        if (best < 0 || wait < best)
            best = wait;
    }
    return (int)best;
}

static void random_life(uint64_t seed, int64_t at_ms, unsigned n)
{
    struct prng r = {seed};
    struct probe *p = calloc(n, sizeof *p);
    start(at_ms);
    for (int step = 0; step < 20000; step++) {
        struct probe *one = &p[prng_below(&r, n)];
        switch (prng_below(&r, 8)) {
        case 0:
            set(one, now_ms + prng_below(&r, 300));
            break;
        case 1:
            set(one, now_ms + prng_below(&r, 3 * ROUND_MS));
            break;
        case 2:
            set(one, now_ms - prng_below(&r, 1000));
            break;
        case 3:
            if (timer_is_set(&one->timer))
                one->expected--;
            timer_stop(&wheel, &one->timer);
            break;
        case 4: { /* as the loop does it: sleep as long as the wheel allows, then run */
            int wait = timer_wait_ms(&wheel, now_ms);
            run(now_ms + (wait >= 0 ? wait : 50));
            break;
        }
        case 5:
            run(now_ms + prng_below(&r, 40));
            break;
        case 6:
            run(now_ms + prng_below(&r, prng_below(&r, 50) ? 3000 : 5 * ROUND_MS));
            break;
        case 7: /* time goes on without a run */
            now_ms += prng_below(&r, 40);
            break;
        }
        assert_int_equal(timer_wait_ms(&wheel, now_ms), modelled_wait_ms(p, n));
    }
    /* What is set now, and not too long ahead, comes; the slots are empty then. */
    while (timer_wait_ms(&wheel, now_ms) >= 0)
        run(now_ms + timer_wait_ms(&wheel, now_ms));
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(p[i].calls, p[i].expected);
    free(p);
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    for (unsigned s = 0; s < N_STARTS; s++) {
        random_life(s + 1, starts[s], 1);
        random_life(s + 100, starts[s], 3);
        random_life(s + 200, starts[s], 60);
    }
}

/* Nothing waits longer than the wheel says, and the wheel is not woken all the time. */
static void waits_just_long_enough(void **unused)
{
    (void)unused;
    for (unsigned s = 0; s < N_STARTS; s++) {
        for (int64_t wait = 1; wait < ROUND_MS - TIMER_GRAIN_MS; wait += 61) {
            struct probe p = {0};
            start(starts[s]);
            set(&p, starts[s] + wait);
            int ms = timer_wait_ms(&wheel, starts[s]);
            assert_in_range(ms, wait, wait + TIMER_GRAIN_MS - 1);
            run(starts[s] + ms);
            assert_int_equal(p.calls, 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_never_early_and_hardly_late),
        cmocka_unit_test(calls_after_whole_rounds),
        cmocka_unit_test(calls_each_once_after_a_long_sleep),
        cmocka_unit_test(is_stopped_and_set_anew),
        cmocka_unit_test(may_set_itself),
        cmocka_unit_test(may_stop_one_that_is_due_too),
        cmocka_unit_test(may_set_another),
        cmocka_unit_test(agrees_with_the_model),
        cmocka_unit_test(waits_just_long_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
