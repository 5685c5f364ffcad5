/* cluster_own.h - what the files of the cluster share: cluster.c is its thread, cluster_out.c what
 * workers send, cluster_in.c what NATS brings. For these three alone. */
#ifndef BUS_CLUSTER_OWN_H
#define BUS_CLUSTER_OWN_H
#include <pthread.h>
#include "bus/cluster.h"
#include "bus/fence.h"
#include "bus/nats.h"
#include "bus/topics.h"
#include "bus/wire.h"

enum cluster_state {
    CLUSTER_AWAY,     /* NATS is not there, or does not answer */
    CLUSTER_SETTLING, /* it is; who else is there is being found out */
    CLUSTER_UP
};

enum { CLUSTER_BASE_SUBJECTS = 4 }; /* that a node listens to from its start on */

enum letter_kind {
    LETTER_INTEREST,
    LETTER_CONNECTED,
    LETTER_LOST_CONNECTION,
    LETTER_OVER,
    LETTER_NODE, /* something of nodes among themselves: beats, fences */
    LETTER_STOP
};

struct cluster_letter {
    struct letter letter;
    enum letter_kind kind;
    /* LETTER_INTEREST */
    unsigned worker;
    uint64_t seq;
    bool on, is_user;
    struct str app, name; /* in the same allocation */
    /* LETTER_NODE */
    enum wire_kind what;
    uint32_t node;
    uint64_t number, incarnation;
    unsigned roles, n_workers;
    char server[MEMBERS_SERVER_MAX];
    char text[];
};

/* Who answers questions, as the workers see it. */
struct roster {
    unsigned n_unreachable;
    struct buf sources; /* struct bus_source, one behind the other */
};

struct cluster {
    struct cluster_options o;
    struct cluster_local local;
    uint64_t incarnation;
    struct buf prefix; /* of subjects, with its dot */

    _Atomic(struct nats *) nats;
    atomic_int state;
    atomic_size_t message_max;
    atomic_uint malformed;       /* letters, since the last beat */
    pthread_mutex_t roster_lock; /* taken for a question, never for a message */
    struct roster roster;

    /* Start waits for this: */
    pthread_mutex_t start_lock;
    pthread_cond_t started;
    bool was_up, id_is_taken;

    /* From here on the cluster's own thread's. */
    pthread_t thread;
    struct inbox *inbox;
    struct loop loop;
    struct io nats_io;
    struct timer beat, reopen;
    int64_t last_beat_ms, settle_began_ms, echo_ms, reopen_wait_ms;
    struct nats *old_nats; /* over; workers may be in a call of it for a moment longer */
    bool connected;
    enum cluster_state said; /* the state, as the thread sees it; workers see AWAY earlier */
    char server[MEMBERS_SERVER_MAX]; /* we are connected to */
    struct nats_sub *base[CLUSTER_BASE_SUBJECTS];
    struct members members;
    struct topics topics;
    struct fence fence;
    uint64_t fence_seen;                     /* the number that flew at the last beat */
    bool fence_wanted;                       /* something was subscribed since the last one */
    uint64_t told[MEMBERS_WORKERS_MAX];      /* by each worker: its last seq, */
    uint64_t covered[MEMBERS_WORKERS_MAX];   /* by the fence that flies, */
    uint64_t confirmed[MEMBERS_WORKERS_MAX]; /* and what it was told back */
    struct buf scratch;
};

static inline bool cluster_holds_sockets(unsigned roles)
{
    return roles & MEMBER_HOLDS_SOCKETS;
}

/* ---- cluster_out.c ---- */

/* Subjects, written to `out`, which is cleared: of a part of the whole ("h"), a channel, the users
 * that share one, a node. */
void cluster_subject(const struct cluster *c, struct buf *out, const char *part);
void cluster_channel_subject(const struct cluster *c, struct buf *out, struct str app,
                             struct str channel);
void cluster_user_subject(const struct cluster *c, struct buf *out, struct str app,
                          struct str user);
void cluster_node_subject(const struct cluster *c, struct buf *out, uint32_t node);

/* Publishes a letter; `scratch` holds the subject, the letter goes behind it. Errors of
 * nats_publish. */
enum err cluster_send(struct cluster *c, struct buf *scratch, const struct wire *w, bool anyway);

/* ---- cluster_in.c ---- */

/* One message of NATS's: carried out, or turned into a letter to the cluster's thread. Any thread.
 */
void cluster_take(struct cluster *c, struct str bytes);

/* ---- cluster.c ---- */

void cluster_post(struct cluster *c, struct cluster_letter *l);

#endif
