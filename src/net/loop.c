#include "net/loop.h"
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

enum {
    LOOP_EVENTS = 64, /* ready descriptors taken in one turn; the others are first in the next */
    /* After so long what else is ready waits for the next turn, so that letters are read and output
     * is written meanwhile. */
    INPUT_MAX_US = 10000,
    LETTERS_MAX_US = 10000, /* for letters behind the input, however long that took */
};

int64_t loop_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t loop_clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void take_time(struct loop *l)
{
    struct timespec t;
    l->now_us = loop_clock_us();
    l->now_ms = l->now_us / 1000;
    clock_gettime(CLOCK_REALTIME, &t);
    l->now_s = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_bell(struct io *io, uint32_t events)
{
    (void)events;
    inbox_silence(container_of(io, struct loop, bell)->inbox);
}

enum err loop_init(struct loop *l, struct inbox *inbox, letter_fn *read_one, void *reader)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return ERR_SYS;
    *l = (struct loop){.epoll = epoll,
                       .inbox = inbox,
                       .read_one = read_one,
                       .reader = reader,
                       .bell = {.fn = on_bell, .fd = inbox_fd(inbox)}};
    take_time(l);
    timer_wheel_init(&l->timers, l->now_ms);
    enum err e = loop_add(l, &l->bell, EPOLLIN);
    if (e)
        close(epoll);
    return e;
}

void loop_fini(struct loop *l)
{
    close(l->epoll);
}

void loop_at_end(struct loop *l, loop_end_fn *end, void *ctx)
{
    l->end = end;
    l->end_ctx = ctx;
}

static int control(struct loop *l, int op, struct io *io)
{
    struct epoll_event ev = {.events = io->events, .data.ptr = io};
    return epoll_ctl(l->epoll, op, io->fd, &ev);
}

enum err loop_add(struct loop *l, struct io *io, uint32_t events)
{
    io->events = events;
    return control(l, EPOLL_CTL_ADD, io) == 0 ? ERR_OK : ERR_SYS;
}

void loop_change(struct loop *l, struct io *io, uint32_t events)
{
    if (io->events == events)
        return;
    io->events = events;
    int r = control(l, EPOLL_CTL_MOD, io);
    assert(r == 0);
    (void)r;
}

static void gone(struct io *io, uint32_t events)
{
    (void)io;
    (void)events;
}

void loop_move(struct loop *l, struct io *to, struct io *from)
{
    from->fn = gone;
    int r = control(l, EPOLL_CTL_MOD, to);
    assert(r == 0);
    (void)r;
}

void loop_remove(struct loop *l, struct io *io)
{
    /* An event of this turn may still be on its way to it. */
    io->fn = gone;
    control(l, EPOLL_CTL_DEL, io);
}

/* One reading at least, and then as many as take no longer than this turn's input has: whatever
 * that posts to this thread is carried out about as fast as it comes. */
static void read_letters(struct loop *l)
{
    int64_t until_us = 0, now_us = 0;
    while (inbox_read(l->inbox, LOOP_LETTERS_BUDGET, l->read_one, l->reader)) {
        if (!inbox_has_unread(l->inbox))
            return;
        now_us = loop_clock_us();
        if (!until_us) {
            int64_t took = now_us - l->now_us;
            until_us = now_us + (took < LETTERS_MAX_US ? took : LETTERS_MAX_US);
        }
        if (now_us >= until_us)
            return;
    }
}

/* Epoll tells of those that were passed over once more, behind others and in their order: so the
 * next turn begins as far on as this one came, and all have their turn. */
static void take_input(struct loop *l, const struct epoll_event *events, unsigned n)
{
    unsigned taken = 0, first = n ? l->first_input % n : 0;
    while (taken < n && (!taken || loop_clock_us() - l->now_us < INPUT_MAX_US)) {
        const struct epoll_event *e = &events[(first + taken++) % n];
        struct io *io = e->data.ptr;
        io->fn(io, e->events);
    }
    l->first_input = taken < n ? first + taken : 0;
}

void loop_turn(struct loop *l, int wait_ms)
{
    struct epoll_event events[LOOP_EVENTS];
    int timer_ms = timer_wait_ms(&l->timers, l->now_ms);
    if (timer_ms >= 0 && (wait_ms < 0 || timer_ms < wait_ms))
        wait_ms = timer_ms;

    if (inbox_sleep(l->inbox) || l->busy)
        wait_ms = 0;
    int n = epoll_wait(l->epoll, events, LOOP_EVENTS, wait_ms);
    inbox_wake(l->inbox);
    take_time(l);
    /* Letters first: what was posted before a peer sent its bytes is carried out before them. And
     * again behind the input, which posts letters to this very thread. */
    unsigned n_letters = inbox_read(l->inbox, LOOP_LETTERS_BUDGET, l->read_one, l->reader);
    l->had_input = n > 0 || n_letters > 0;
    take_input(l, events, n > 0 ? (unsigned)n : 0);
    timer_run(&l->timers, l->now_ms);
    read_letters(l);
    if (l->end)
        l->end(l->end_ctx);
    histogram_add(&l->turns, loop_clock_us() - l->now_us);
}

void loop_run(struct loop *l)
{
    while (!l->stopping)
        loop_turn(l, -1);
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}
