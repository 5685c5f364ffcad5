/* outq.h - what waits for a connection behind its first range: a ring of ranges of blobs, each a
 * reference. Queues of the smallest size are kept for the next fan-out. */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H
#include "base/blob.h"

struct outq {
    struct outq *next_spare;
    uint32_t cap; /* a power of two */
    uint32_t head, n;
    struct blob_range ranges[];
};

struct outq_pool { /* one thread's; zeroed is empty */
    struct outq *spare;
    unsigned n_spare;
    size_t bytes; /* memory of the queues that are in use */
};

void outq_pool_fini(struct outq_pool *p);

/* Appends; an empty queue (*q NULL) is made. */
void outq_push(struct outq_pool *p, struct outq **q, struct blob_range r);
/* The oldest, or the newest; a queue that is empty by that is given back (*q NULL). */
struct blob_range outq_take_first(struct outq_pool *p, struct outq **q);
struct blob_range outq_take_last(struct outq_pool *p, struct outq **q);

/* The range that is `i` behind the oldest. */
static inline struct blob_range *outq_at(struct outq *q, uint32_t i)
{
    return &q->ranges[(q->head + i) & (q->cap - 1)];
}

#endif
