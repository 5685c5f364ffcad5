/* loop.h - one thread's event loop: level-triggered epoll, a timer wheel, an inbox.
 *
 * A turn: wait; letters; input of some ready descriptors; timers; letters, for as long as the input
 * took; then the turn's end, where gathered output is written and what was closed is freed. Nothing
 * is freed while a turn goes on, so a function may close anything, itself included. */
#ifndef NET_LOOP_H
#define NET_LOOP_H
#include <stdbool.h>
#include <stdint.h>
#include "base/counter.h"
#include "base/err.h"
#include "net/inbox.h"
#include "net/timer.h"

/* What letters may cost in one reading (inbox_read); there are two a turn, and input and output
 * are served in between. */
enum { LOOP_LETTERS_BUDGET = 1 << 20 };

struct io;
typedef void io_fn(struct io *io, uint32_t events); /* EPOLLIN, EPOLLOUT, ... */

struct io { /* part of whatever has a descriptor */
    io_fn *fn;
    int fd;
    uint32_t events; /* what epoll watches for */
};

typedef void loop_end_fn(void *ctx);

struct loop {
    int epoll;
    bool stopping;
    bool busy;            /* work is left: the next turn does not wait */
    unsigned first_input; /* of what is ready, in the next turn */
    bool had_input;       /* this turn: letters or descriptors that were ready */
    int64_t now_us;       /* monotonic; taken once a turn, after waiting; */
    int64_t now_ms;       /* the same moment */
    double now_s;         /* unix time; the same moment */
    struct timer_wheel timers;
    struct inbox *inbox; /* borrowed */
    letter_fn *read_one;
    void *reader;
    loop_end_fn *end; /* the turn's end */
    void *end_ctx;
    struct io bell;
    struct histogram turns; /* how long they took, without the waiting */
};

/* ERR_SYS: no descriptor left. `inbox` is read with read_one(reader, letter) on this thread. */
enum err loop_init(struct loop *l, struct inbox *inbox, letter_fn *read_one, void *reader);
void loop_fini(struct loop *l);

/* Calls end(ctx) at every turn's end. */
void loop_at_end(struct loop *l, loop_end_fn *end, void *ctx);

/* Watches io->fd for `events`, calling io->fn. ERR_SYS: epoll refuses (errno). */
enum err loop_add(struct loop *l, struct io *io, uint32_t events);
void loop_change(struct loop *l, struct io *io, uint32_t events);
void loop_move(struct loop *l, struct io *to, struct io *from); /* to is a copy of from, same fd */
void loop_remove(struct loop *l,
                 struct io *io); /* before closing io->fd; may be called in a turn */

/* The clock of now_ms at this moment, for threads that have no loop. */
int64_t loop_clock_ms(void);
int64_t loop_clock_us(void); /* the same clock, finer */

/* Turns until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* One turn, waiting at most `wait_ms` (-1: until something happens). For tests and loop_run. */
void loop_turn(struct loop *l, int wait_ms);

#endif
