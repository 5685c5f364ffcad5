#include "net/timer.h"
#include <assert.h>
#include <string.h>

static uint32_t tick_of(int64_t ms)
{
    return (uint32_t)(ms / TIMER_GRAIN_MS);
}

void timer_wheel_init(struct timer_wheel *w, int64_t now_ms)
{
    memset(w, 0, sizeof(*w));
    w->tick = tick_of(now_ms);
}

void timer_stop(struct timer_wheel *w, struct timer *t)
{
    if (!t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    uint32_t slot = t->due % TIMER_SLOTS;
    if (!w->slots[slot])
        w->used[slot / 64] &= ~(1ull << slot % 64);
    t->link = NULL;
    t->next = NULL;
}

void timer_set(struct timer_wheel *w, struct timer *t, int64_t due_ms)
{
    timer_stop(w, t);
    /* Rounded up, and never the tick that has been run: the wheel would pass it only a round
     * later. */
    t->due = tick_of(due_ms + TIMER_GRAIN_MS - 1);
    if ((int32_t)(t->due - w->tick) <= 0)
        t->due = w->tick + 1;
    uint32_t slot = t->due % TIMER_SLOTS;
    t->next = w->slots[slot];
    if (t->next)
        t->next->link = &t->next;
    t->link = &w->slots[slot];
    w->slots[slot] = t;
    w->used[slot / 64] |= 1ull << slot % 64;
}

/* Takes one due timer out of the slot; the list may change with every call of a timer's
 * function, so the search starts anew each time. Timers of later rounds are few. */
static struct timer *take_due(struct timer_wheel *w, uint32_t slot)
{
    for (struct timer *t = w->slots[slot]; t; t = t->next) {
        if ((int32_t)(t->due - w->tick) <= 0) {
            timer_stop(w, t);
            return t;
        }
    }
    return NULL;
}

void timer_run(struct timer_wheel *w, int64_t now_ms)
{
    uint32_t now = tick_of(now_ms);
    int32_t behind = (int32_t)(now - w->tick);
    if (behind <= 0)
        return;
    /* After a long sleep of the process one round visits every slot; more would be in vain. */
    uint32_t first = behind > TIMER_SLOTS ? now - TIMER_SLOTS + 1 : w->tick + 1;
    for (uint32_t tick = first; (int32_t)(now - tick) >= 0; tick++) {
        w->tick = behind > TIMER_SLOTS ? now : tick;
        if (!(w->used[tick % TIMER_SLOTS / 64] >> tick % 64 & 1))
            continue;
        for (struct timer *t; (t = take_due(w, tick % TIMER_SLOTS));)
            t->fn(t);
    }
    w->tick = now;
}

int timer_wait_ms(const struct timer_wheel *w, int64_t now_ms)
{
    uint32_t start = w->tick + 1;
    for (uint32_t ahead = 0; ahead < TIMER_SLOTS;) {
        uint32_t slot = (start + ahead) % TIMER_SLOTS;
        uint64_t bits = w->used[slot / 64] >> slot % 64;
        if (!bits) {
            ahead += 64 - slot % 64;
            continue;
        }
        ahead += (uint32_t)__builtin_ctzll(bits);
        if (ahead >= TIMER_SLOTS)
            break;
        int64_t base = now_ms - now_ms % TIMER_GRAIN_MS;
        int64_t due = base + (int64_t)(int32_t)(start + ahead - tick_of(now_ms)) * TIMER_GRAIN_MS;
        return due > now_ms ? (int)(due - now_ms) : 0;
    }
    return -1;
}
