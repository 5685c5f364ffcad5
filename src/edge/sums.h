/* sums.h - what the workers of this process count, added up: for metrics, and for what a node tells
 * of itself. */
#ifndef EDGE_SUMS_H
#define EDGE_SUMS_H
#include "edge/worker.h"

struct sums_histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS], sum_us; /* buckets: each by itself */
};

struct sums {
    uint64_t conns, sockets, subscriptions; /* at present, */
    uint64_t queues, inboxes;               /* bytes, at present; all else since the start */
    uint64_t accepted, delivered, received, sent;
    uint64_t too_many, long_names; /* subscriptions refused */
    uint64_t publishes[MSG_KINDS], publishes_refused;
    uint64_t closes[REASONS], replies[WORKER_STATUSES];
    struct sums_histogram publish_to_write, turns;
};

/* Any thread, while the node's workers are there. */
void sums_take(struct sums *out, const struct node *n);

/* Of this process. */
uint64_t sums_resident_bytes(void);
int64_t sums_cpu_us(void);

#endif
