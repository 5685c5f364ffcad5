/* fence.h - when a subscription is sure: the answer to "do all who publish know of it?". Pure:
 * sending is a callback.
 *
 * A fence is a letter behind the subscriptions on their own road. It comes back to ourselves from
 * our NATS server, and goes to one node behind each other server where somebody publishes; routes
 * between servers keep the order, so whoever sends it back stands behind a server that knows what
 * we listen to. One fence flies at a time and covers all that was subscribed before it: a burst
 * costs one. */
#ifndef BUS_FENCE_H
#define BUS_FENCE_H
#include "bus/members.h"

enum { FENCE_SERVERS_MAX = 256 };

typedef void fence_send_fn(void *ctx, uint32_t node, uint64_t number);

struct fence_post { /* a server that must know */
    char server[MEMBERS_SERVER_MAX];
    uint32_t node; /* asked there */
    bool done;
};

struct fence {
    bool flying;
    uint64_t number; /* of the fence that flies, or flew last */
    uint32_t self;
    fence_send_fn *send;
    void *ctx;
    struct fence_post *posts; /* the first one is ourselves */
    unsigned n_posts;
};

void fence_init(struct fence *f, uint32_t self, fence_send_fn *send, void *ctx);
void fence_fini(struct fence *f);

/* Sends a fence; none flies. `server` is ours. */
void fence_start(struct fence *f, const struct members *m, const char *server);

/* Fence `number` came back from `node`. True: now it is complete. */
bool fence_back(struct fence *f, uint32_t node, uint64_t number);

/* Nodes came or went: who was asked and is gone is replaced. True: now it is complete. */
bool fence_review(struct fence *f, const struct members *m);

/* Sends it once more to those who have not sent it back: letters get lost on the way (somebody was
 * between two connections, or behind with reading). */
void fence_again(struct fence *f);

/* It will not come back: the connection was lost. */
void fence_drop(struct fence *f);

#endif
