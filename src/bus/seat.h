/* seat.h - how a bus is wired: seats for those who ask, a backend that carries. For edge/ and the
 * backends; handlers include bus.h alone. */
#ifndef BUS_SEAT_H
#define BUS_SEAT_H
#include <stdatomic.h>
#include "bus/bus.h"
#include "net/loop.h"

/* A question on its way: immutable, counted atomically, owns its text and pattern. */
struct bus_question {
    atomic_uint refs;
    unsigned from;   /* the worker that asks */
    uint64_t number; /* its number there */
    bool count_only;
    struct hub_question q;
    struct pattern *pattern; /* owned; NULL: none */
};

struct bus_question *bus_question_ref(struct bus_question *q);
void bus_question_unref(struct bus_question *q);

/* What carries messages and questions. The embedded bus is the node itself (edge/node.c). */
struct bus_backend {
    void *ctx;
    /* Takes its own reference. ERR_FULL: nobody got it; never when `begun` (bus_publish_more). */
    enum err (*publish)(void *ctx, struct msg *m, bool begun);
    /* Sends the question to every part of the answer; *n_parts says how many calls of
     * bus_part_arrived will follow on the asker's thread. ERR_FULL: nobody got it. */
    enum err (*ask)(void *ctx, struct bus_question *q, unsigned *n_parts);
};

/* A seat for worker `worker`, whose loop runs its deadlines. */
struct bus_seat *bus_seat_new(const struct bus_backend *b, struct loop *loop, unsigned worker);
void bus_seat_free(struct bus_seat *s); /* open questions are answered: nothing known */

/* A part of the answer to question `number`: names, or wide hashes when only counted. Parts of
 * questions that are over are ignored. */
void bus_part_arrived(struct bus_seat *s, uint64_t number, struct str part);

#endif
