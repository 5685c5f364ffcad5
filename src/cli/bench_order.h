/* bench_order.h - what one subscriber has had of one publisher: told by numbers that count up. */
#ifndef CLI_BENCH_ORDER_H
#define CLI_BENCH_ORDER_H
#include <stdint.h>

/* A publisher waits for each answer before it posts again, so the server owes its messages of one
 * channel in their order. Eight bytes for each pair of subscriber and publisher: zeroed is "none".
 */
struct bench_order {
    uint32_t last; /* the greatest number so far */
    uint32_t had;  /* bit k: number last - k has come */
};

enum bench_arrival {
    BENCH_FRESH,
    BENCH_TWICE, /* it has come before */
    BENCH_LATE,  /* behind a greater number; one more than 31 behind counts as late, whatever it is
                  */
};

static inline enum bench_arrival bench_order_take(struct bench_order *o, uint32_t number)
{
    if (number > o->last) {
        uint32_t on = number - o->last;
        o->had = (on > 31 ? 0 : o->had << on) | 1;
        o->last = number;
        return BENCH_FRESH;
    }
    uint32_t back = o->last - number;
    if (back > 31)
        return BENCH_LATE;
    if (o->had & 1u << back)
        return BENCH_TWICE;
    o->had |= 1u << back;
    return BENCH_LATE;
}

#endif
