#include "net/loop.h"
#include "base/mem.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop loop;
static struct inbox *inbox;
static unsigned n_letters, n_ends;

static unsigned read_letter(void *reader, struct letter *l)
{
    assert_ptr_equal(reader, &loop);
    n_letters++;
    mem_free(l);
    return 1;
}

static void on_end(void *ctx)
{
    assert_ptr_equal(ctx, &loop);
    n_ends++;
}

static int set_up(void **unused)
{
    (void)unused;
    n_letters = n_ends = 0;
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, &loop))
        return -1;
    loop_at_end(&loop, on_end, &loop);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    loop_fini(&loop);
    inbox_free(inbox);
    return 0;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- descriptors ---- */

struct probe {
    struct io io;
    int write_fd;
    unsigned calls;
    uint32_t events;
    struct probe *removes; /* in its callback */
};

static void on_probe(struct io *io, uint32_t events)
{
    struct probe *p = container_of(io, struct probe, io);
    p->calls++;
    p->events = events;
    if (p->removes)
        loop_remove(&loop, &p->removes->io);
}

static void probe_open(struct probe *p)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    *p = (struct probe){.io = {.fn = on_probe, .fd = fds[0]}, .write_fd = fds[1]};
    assert_int_equal(loop_add(&loop, &p->io, EPOLLIN), ERR_OK);
}

static void probe_close(struct probe *p)
{
    close(p->io.fd);
    close(p->write_fd);
}

static void make_ready(struct probe *p)
{
    assert_int_equal(write(p->write_fd, "x", 1), 1);
}

static void calls_what_is_ready(void **unused)
{
    (void)unused;
    struct probe a, b;
    probe_open(&a);
    probe_open(&b);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls + b.calls, 0);
    make_ready(&a);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.events, EPOLLIN);
    assert_int_equal(b.calls, 0);
    /* Level-triggered: what is not read comes again. */
    make_ready(&b);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 2);
    assert_int_equal(b.calls, 1);

    loop_change(&loop, &a.io, 0);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 2);
    loop_change(&loop, &a.io, EPOLLIN);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 3);
    loop_remove(&loop, &a.io);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 3);
    assert_int_equal(b.calls, 4);
    assert_int_equal(n_ends, 6);
    loop_remove(&loop, &b.io);
    probe_close(&a);
    probe_close(&b);
}

static void removes_another_in_the_same_turn(void **unused)
{
    (void)unused;
    struct probe a, b;
    probe_open(&a);
    probe_open(&b);
    a.removes = &b;
    b.removes = &a;
    make_ready(&a);
    make_ready(&b);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls + b.calls, 1);
    for (int i = 0; i < 3; i++)
        loop_turn(&loop, 0);
    /* The one that is left is called on. */
    assert_int_equal(a.calls + b.calls, 4);
    assert_true(a.calls == 0 || b.calls == 0);
    probe_close(&a);
    probe_close(&b);
}

static void removes_itself(void **unused)
{
    (void)unused;
    struct probe a;
    probe_open(&a);
    a.removes = &a;
    make_ready(&a);
    loop_turn(&loop, 0);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 1);
    probe_close(&a);
}

static struct probe moved_to;

static void move_away(struct io *io, uint32_t events)
{
    (void)events;
    struct probe *from = container_of(io, struct probe, io);
    from->calls++;
    moved_to = *from;
    moved_to.calls = 0;
    moved_to.io.fn = on_probe;
    loop_move(&loop, &moved_to.io, io);
}

static void moves_a_descriptor(void **unused)
{
    (void)unused;
    struct probe a;
    probe_open(&a);
    a.io.fn = move_away;
    make_ready(&a);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(moved_to.calls, 0);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(moved_to.calls, 1);
    loop_remove(&loop, &moved_to.io);
    probe_close(&a);
}

static struct probe *to_move;

static void move_other(struct io *io, uint32_t events)
{
    (void)events;
    container_of(io, struct probe, io)->calls++;
    moved_to = *to_move;
    loop_move(&loop, &moved_to.io, &to_move->io);
    loop_remove(&loop, io);
}

/* What was on its way to the old place is not lost: it comes again, to the new one. */
static void moves_another_in_the_same_turn(void **unused)
{
    (void)unused;
    struct probe a, b;
    probe_open(&a);
    probe_open(&b);
    a.io.fn = move_other;
    to_move = &b;
    make_ready(&a);
    make_ready(&b);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    assert_int_equal(moved_to.calls, 0);
    loop_turn(&loop, 0);
    assert_int_equal(b.calls, 0);
    assert_int_equal(moved_to.calls, 1);
    loop_remove(&loop, &moved_to.io);
    probe_close(&a);
    probe_close(&b);
}

static void tells_what_epoll_refuses(void **unused)
{
    (void)unused;
    struct io io = {.fn = on_probe, .fd = -1};
    assert_int_equal(loop_add(&loop, &io, EPOLLIN), ERR_SYS);
}

/* ---- timers ---- */

static int64_t called_ms;

static void on_timer(struct timer *t)
{
    (void)t;
    called_ms = clock_ms();
}

static void waits_for_its_timers(void **unused)
{
    (void)unused;
    struct timer t = {.fn = on_timer};
    int64_t due = loop.now_ms + 50;
    called_ms = 0;
    timer_set(&loop.timers, &t, due);
    unsigned turns = 0;
    for (; !called_ms; turns++)
        loop_turn(&loop, -1);
    assert_true(called_ms >= due);
    assert_true(loop.now_ms >= due);
    assert_true(turns <= 4); /* it slept in between */
    assert_in_range(loop.now_s, time(NULL) - 1, time(NULL) + 1);
}

static void waits_no_longer_than_told(void **unused)
{
    (void)unused;
    struct timer t = {.fn = on_timer};
    called_ms = 0;
    timer_set(&loop.timers, &t, loop.now_ms + 3600 * 1000);
    int64_t before = clock_ms();
    loop_turn(&loop, 20);
    assert_in_range(clock_ms() - before, 19, 10000);
    assert_int_equal(called_ms, 0);
    timer_stop(&loop.timers, &t);
}

/* A timer's function may end what has input in the same turn: input comes first. */
static struct probe *ended;

static void take_long(struct io *io, uint32_t events)
{
    int64_t until_us = loop_clock_us() + 11000;
    on_probe(io, events);
    while (loop_clock_us() < until_us)
        ;
}

/* Letters, and the turn's end, come between those that take long; and all have their turn. */
static void long_input_is_for_several_turns(void **unused)
{
    enum { N = 7, ROUNDS = 3 };
    (void)unused;
    struct probe probes[N];
    for (unsigned i = 0; i < N; i++) {
        probe_open(&probes[i]);
        probes[i].io.fn = take_long;
        make_ready(&probes[i]);
    }
    unsigned before = n_ends;
    for (unsigned turn = 0; turn < N * ROUNDS; turn++)
        loop_turn(&loop, 0);
    assert_int_equal(n_ends - before, N * ROUNDS);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(probes[i].calls, ROUNDS);
        loop_remove(&loop, &probes[i].io);
        probe_close(&probes[i]);
    }
}

static void end_probe(struct timer *t)
{
    (void)t;
    assert_int_equal(ended->calls, 1);
    loop_remove(&loop, &ended->io);
}

static void reads_before_timers(void **unused)
{
    (void)unused;
    struct probe a;
    struct timer t = {.fn = end_probe};
    ended = &a;
    probe_open(&a);
    make_ready(&a);
    timer_set(&loop.timers, &t, loop.now_ms);
    /* The tick that a timer set for now belongs to is over in a grain. */
    while (clock_ms() < loop.now_ms + 2 * TIMER_GRAIN_MS)
        ;
    loop_turn(&loop, 0);
    loop_turn(&loop, 0);
    assert_int_equal(a.calls, 1);
    probe_close(&a);
}

/* ---- letters ---- */

static void post(void)
{
    inbox_post_always(inbox, mem_alloc(sizeof(struct letter)));
}

static void reads_letters_that_wait(void **unused)
{
    (void)unused;
    /* Posted while the reader is awake: nothing rings, and it must not fall asleep on them. */
    post();
    post();
    loop_turn(&loop, -1);
    assert_int_equal(n_letters, 2);
    assert_int_equal(n_ends, 1);
}

static void does_not_wait_when_busy(void **unused)
{
    (void)unused;
    loop.busy = true;
    loop_turn(&loop, -1);
    loop_turn(&loop, -1);
    assert_int_equal(n_ends, 2);
}

static void *post_one(void *unused)
{
    (void)unused;
    post();
    return NULL;
}

static unsigned stop_at_letter(void *reader, struct letter *l)
{
    read_letter(reader, l);
    loop_stop(&loop);
    return 1;
}

static void is_woken_by_a_letter(void **unused)
{
    (void)unused;
    pthread_t thread;
    loop.read_one = stop_at_letter;
    assert_int_equal(pthread_create(&thread, NULL, post_one, NULL), 0);
    loop_run(&loop);
    pthread_join(thread, NULL);
    assert_int_equal(n_letters, 1);
    /* The bell is silent again: the next turns sleep their time out. */
    int64_t before = clock_ms();
    loop_turn(&loop, 20);
    loop_turn(&loop, 20);
    assert_true(clock_ms() - before >= 18);
}

static void *post_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2000; i++)
        post();
    return NULL;
}

static unsigned stop_at_8000(void *reader, struct letter *l)
{
    read_letter(reader, l);
    if (n_letters == 8000)
        loop_stop(&loop);
    return 1;
}

static void reads_all_letters_of_all_threads(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    loop.read_one = stop_at_8000;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, NULL), 0);
    loop_run(&loop);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(n_letters, 8000);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(calls_what_is_ready),
        WITH_LOOP(removes_another_in_the_same_turn),
        WITH_LOOP(removes_itself),
        WITH_LOOP(moves_a_descriptor),
        WITH_LOOP(moves_another_in_the_same_turn),
        WITH_LOOP(tells_what_epoll_refuses),
        WITH_LOOP(waits_for_its_timers),
        WITH_LOOP(waits_no_longer_than_told),
        WITH_LOOP(long_input_is_for_several_turns),
        WITH_LOOP(reads_before_timers),
        WITH_LOOP(reads_letters_that_wait),
        WITH_LOOP(does_not_wait_when_busy),
        WITH_LOOP(is_woken_by_a_letter),
        WITH_LOOP(reads_all_letters_of_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
