/* cluster.h - the bus between processes: this node's place in a cluster of slaves and masters, over
 * NATS.
 *
 * One thread of its own keeps the connection, the list of nodes, and the subjects this node listens
 * to. Workers publish and ask from their own threads; what comes from others is handed to the node.
 */
#ifndef BUS_CLUSTER_H
#define BUS_CLUSTER_H
#include "bus/members.h"
#include "bus/seat.h"

enum {
    CLUSTER_SETTLE_MS = 300,       /* to hear of all nodes after connecting: over one beat, */
    CLUSTER_SETTLE_MAX_MS = 1000,  /* and to wait for those that were known before */
    CLUSTER_USER_SUBJECTS = 1024,  /* that all users share */
    CLUSTER_PIECE_MAX = 256 << 10, /* bytes of one message of an answer */
    CLUSTER_ALL_WORKERS = UINT32_MAX,
};

struct cluster;

typedef void cluster_give_fn(void *ctx, enum bus_note kind, struct str note);

/* What the node does for the cluster; all from any thread. */
struct cluster_local {
    void *ctx;
    void (*deliver)(void *ctx, struct msg *m); /* borrowed */
    /* To one worker or CLUSTER_ALL_WORKERS: give the page at `cursor`. */
    void (*question)(void *ctx, struct bus_question *q, uint32_t worker, uint32_t cursor);
    void (*part)(void *ctx, unsigned worker, const struct bus_part *p); /* borrowed */
    /* Another node's note, which may be any bytes; ERR_OK: well-formed. */
    enum err (*note)(void *ctx, enum bus_note kind, struct str note);
    /* A node came, or this one: calls give(give_ctx, ..) for each note that still counts. */
    void (*newcomer)(void *ctx, cluster_give_fn *give, void *give_ctx);
    /* All interest that `worker` has told up to `seq` is known wherever somebody publishes. */
    void (*confirmed)(void *ctx, unsigned worker, uint64_t seq);
    /* Nobody need wait for this node; it `left`: it has told so, and nothing of it is missing. */
    void (*gone)(void *ctx, uint32_t node, bool left);
    void (*away)(void *ctx); /* NATS is lost: nothing becomes sure until it is back */
    void (*lost)(void *ctx); /* messages for any socket may have been lost */
};

struct cluster_options {
    const char *servers, *creds, *ca_file; /* see nats.h */
    const char *prefix;                    /* of all subjects: clusters with others stay apart */
    uint32_t node;
    unsigned n_workers; /* of this node */
    unsigned roles;     /* enum member_role bits */
    int64_t wait_ms;    /* for NATS and the other nodes, at start */
};

/* Judges what can be judged without a connection. ERR_PROTO: `why` gets one sentence. */
enum err cluster_check(const struct cluster_options *o, char *why, size_t why_len);

/* Connects and waits until the other nodes know this one. ERR_SYS, ERR_PROTO, ERR_TIMEOUT: `why`
 * gets one sentence. */
enum err cluster_start(struct cluster **out, const struct cluster_options *o,
                       const struct cluster_local *local, char *why, size_t why_len);
/* The workers run: from now on this node answers questions. */
void cluster_serve(struct cluster *c);
/* The workers begin to close their sockets: this node is asked no longer. What was asked already
 * should still be answered. */
void cluster_leave(struct cluster *c);
/* Says goodbye. No callback comes any more when it returns; workers do not run any more. */
void cluster_stop(struct cluster *c);

struct bus_backend cluster_backend(struct cluster *c);

/* ---- for the workers ---- */

/* A listener came or went in `worker`; `seq` numbers what this worker tells, from 1 on. */
void cluster_interest(struct cluster *c, unsigned worker, uint64_t seq, const struct hub_name *name,
                      bool on);

/* A page for another node, to be flushed by the worker's seat. */
void cluster_send_part(struct cluster *c, const struct bus_question *q, const struct bus_part *p,
                       struct buf *scratch);

#endif
