/* topics.h - the subjects this node listens to, and since when that is sure. Pure: who subscribes
 * for real is told by callbacks.
 *
 * The first listener of a subject subscribes it; after the last one it is kept for a moment, as
 * names come and go in bursts. */
#ifndef BUS_TOPICS_H
#define BUS_TOPICS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/map.h"
#include "base/str.h"

enum {
    TOPICS_GRACE_MS = 2000,
    TOPICS_IDLE_MAX = 16384, /* names that clients make up and leave must not pile up for so long */
};

struct topic {
    uint32_t refs;
    bool subscribed; /* `sub` is good; false: could not be done yet */
    void *sub;       /* the subscriber's */
    int64_t idle_ms; /* since when nobody listens; while refs is 0 */
    struct topic *next_idle, *prev_idle;
    uint32_t subject_len;
    char subject[]; /* NUL-terminated */
};

/* Subscribes (or ends it). False: not now; topics_catch_up tries again. */
typedef bool topics_subscribe_fn(void *ctx, struct topic *t);
typedef void topics_unsubscribe_fn(void *ctx, struct topic *t);

struct topics {
    struct map map;
    struct topic *first_idle, *last_idle; /* oldest first */
    topics_subscribe_fn *subscribe;
    topics_unsubscribe_fn *unsubscribe;
    void *ctx;
    uint32_t n_idle;
    uint32_t n_waiting; /* listened to, but not subscribed yet */
};

void topics_init(struct topics *t, topics_subscribe_fn *subscribe,
                 topics_unsubscribe_fn *unsubscribe, void *ctx);
void topics_fini(struct topics *t); /* unsubscribes nothing */

/* One listener more. True: the subject was not subscribed before: it is sure only after a fence. */
bool topics_add(struct topics *t, struct str subject);
/* One listener less (there is one). What is not subscribed is not kept: while the subscriber is
 * away names would pile up. */
void topics_drop(struct topics *t, struct str subject, int64_t now_ms);

/* Ends what has been idle for TOPICS_GRACE_MS, at most `n` of them. */
void topics_run(struct topics *t, int64_t now_ms, unsigned n);

/* Ends the oldest idle ones beyond TOPICS_IDLE_MAX at once. */
void topics_trim(struct topics *t);

/* Subscribes what could not be subscribed before; true: all of it. */
bool topics_catch_up(struct topics *t);

/* The subscriber has lost all subscriptions: each that somebody listens to is to be made anew, by
 * topics_catch_up. */
void topics_forget(struct topics *t);

#endif
