/* seat.h - how a bus is wired: seats for those who ask, a backend that carries. For edge/ and the
 * backends; handlers include bus.h alone. */
#ifndef BUS_SEAT_H
#define BUS_SEAT_H
#include <stdatomic.h>
#include "bus/bus.h"
#include "base/counter.h"
#include "net/loop.h"

/* A question on its way: immutable, counted atomically, owns its text and pattern. */
struct bus_question {
    atomic_uint refs;
    uint32_t node;     /* that asks: */
    unsigned from;     /* its worker, */
    uint64_t number;   /* and the number there */
    size_t page_bytes; /* SIZE_MAX: all in one page */
    bool count_only;
    struct hub_question q;
    struct pattern *pattern; /* owned; NULL: none */
    struct str expression;
};

/* Copies ask's texts and takes over its pattern; one reference. */
struct bus_question *bus_question_new(const struct bus_ask *ask, uint32_t node, unsigned from,
                                      uint64_t number, uint64_t seed, size_t page_bytes);
struct bus_question *bus_question_ref(struct bus_question *q);
void bus_question_unref(struct bus_question *q);

/* One who answers: a worker of a node. */
struct bus_source {
    uint32_t node;
    uint32_t worker;
};

/* A page of one source, or a piece of one. */
struct bus_part {
    struct bus_source from;
    uint64_t number;  /* of the question */
    uint32_t cursor;  /* of the next page; HUB_CURSOR_END: this was the last one */
    bool follows;     /* the rest of the page comes by itself */
    struct str bytes; /* names, or wide hashes when only counted */
};

/* What carries messages and questions. The embedded bus is the node itself (edge/node.c), the one
 * between processes is cluster.c. All calls come from the workers' threads. */
struct bus_backend {
    void *ctx;
    uint32_t node; /* this one */
    /* Takes its own reference; `scratch` is for writing. ERR_FULL, ERR_AWAY, ERR_LIMIT: nobody got
     * it; never ERR_FULL when `begun` (bus_publish_more). */
    enum err (*publish)(void *ctx, struct msg *m, bool begun, struct buf *scratch);
    /* bus_share; NULL: there are no other nodes. */
    enum err (*share)(void *ctx, enum bus_note kind, struct str note, struct buf *scratch);
    /* Sends what publish and share have gathered; NULL: it gathers nothing. */
    void (*flush)(void *ctx);
    enum bus_state (*state)(void *ctx);
    size_t (*message_max)(void *ctx);
    /* Appends who is to answer such a question (struct bus_source): all workers that hold sockets;
     * HUB_NODES: the first worker of each node. *n_missing: nodes that live but cannot be asked. */
    void (*sources)(void *ctx, enum hub_question_kind kind, struct buf *sources,
                    unsigned *n_missing);
    /* Asks all of them for the first page. ERR_FULL: nobody got it. */
    enum err (*ask)(void *ctx, struct bus_question *q, struct buf *scratch);
    /* Asks one for a further page. */
    void (*more)(void *ctx, struct bus_question *q, struct bus_source source, uint32_t cursor,
                 struct buf *scratch);
};

/* A seat for worker `worker`, whose loop runs its deadlines. */
struct bus_seat *bus_seat_new(const struct bus_backend *b, struct loop *loop, unsigned worker);
void bus_seat_free(struct bus_seat *s); /* open questions are answered: nothing more is known */

struct bus_seat_stats {
    struct counter published[MSG_KINDS];
    struct counter refused; /* messages that nobody got */
};

/* For any thread. */
const struct bus_seat_stats *bus_seat_stats(const struct bus_seat *s);

/* Something was gathered for the backend by other means: the next flush is to send it. */
void bus_seat_gathered(struct bus_seat *s);

/* The turn's end, before answers go out: what was published in it is on its way. */
void bus_seat_flush(struct bus_seat *s);

/* A part of an answer came. What nobody waits for is ignored. */
void bus_part_arrived(struct bus_seat *s, const struct bus_part *p);

/* A node is gone: nobody waits for it any longer. It `left` in order: it is not missing. */
void bus_node_gone(struct bus_seat *s, uint32_t node, bool left);

#endif
