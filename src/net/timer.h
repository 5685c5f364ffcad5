/* timer.h - a timer wheel: any number of timers, each set and stopped at the same small cost.
 *
 * Time is an argument, in milliseconds of a clock that does not go back. A timer never fires
 * early and at most TIMER_GRAIN_MS plus one loop turn late. */
#ifndef NET_TIMER_H
#define NET_TIMER_H
#include <stdbool.h>
#include <stdint.h>

enum {
    TIMER_GRAIN_MS = 16,
    TIMER_SLOTS = 4096, /* one round is 65 s: most timers fire in the round they are set in */
};

struct timer;
typedef void timer_fn(struct timer *t);

struct timer { /* part of whatever waits; zeroed is "not set" */
    struct timer *next, **link;
    timer_fn *fn;
    uint32_t due; /* tick */
};

struct timer_wheel {
    struct timer *slots[TIMER_SLOTS];
    uint64_t used[TIMER_SLOTS / 64]; /* a bit for each slot that is not empty */
    uint32_t tick;                   /* the last tick that has been run */
};

void timer_wheel_init(struct timer_wheel *w, int64_t now_ms);

/* Sets (or sets anew) `t` to call t->fn once at `due_ms` or soon after. */
void timer_set(struct timer_wheel *w, struct timer *t, int64_t due_ms);
void timer_stop(struct timer_wheel *w, struct timer *t); /* fine when not set */

static inline bool timer_is_set(const struct timer *t)
{
    return t->link != 0;
}

/* Calls what is due. Functions may set and stop any timer. */
void timer_run(struct timer_wheel *w, int64_t now_ms);

/* Milliseconds until the next timer may be due, 0 if one is; -1 when none is set. */
int timer_wait_ms(const struct timer_wheel *w, int64_t now_ms);

#endif
