/* cluster_own.h - what the files of the cluster share, for them alone. On the cluster's thread:
 * cluster.c has the connection, cluster_nodes.c who is there, cluster_interest.c what is listened
 * to. On any thread: cluster_out.c is what workers send, cluster_in.c what NATS brings. */
#ifndef BUS_CLUSTER_OWN_H
#define BUS_CLUSTER_OWN_H
#include <pthread.h>
#include "bus/cluster.h"
#include "bus/fence.h"
#include "bus/nats.h"
#include "bus/topics.h"
#include "bus/wire.h"

enum {
    CLUSTER_BASE_SUBJECTS = 6,   /* that a node listens to from its start on */
    CLUSTER_PAYLOAD_MIN = 4096,  /* bytes that a message must be able to have */
    CLUSTER_REOPEN_MIN_MS = 1000 /* after a connection is over for good; doubles */
};

enum letter_kind {
    LETTER_INTEREST,
    LETTER_CONNECTED,
    LETTER_LOST_CONNECTION,
    LETTER_OVER,
    LETTER_NOT_PERMITTED, /* something, by NATS; `text` says what */
    LETTER_NODE,          /* something of nodes among themselves: beats, fences */
    LETTER_SERVE,         /* the workers run */
    LETTER_LEAVE,         /* the end is near: this node's sockets are being closed */
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
    char text[]; /* NUL-terminated in LETTER_NOT_PERMITTED */
};

/* Who answers questions, as the workers see it. */
struct roster {
    struct roster_part {
        unsigned n_unreachable;
        struct buf sources; /* struct bus_source, one behind the other */
    } workers, nodes; /* those with sockets; the first worker of each node, whatever its role */
};

struct cluster {
    struct cluster_options o;
    struct cluster_local local;
    uint64_t incarnation;
    struct buf prefix; /* of subjects, with its dot */

    _Atomic(struct nats *) nats;
    atomic_int state; /* enum bus_state */
    atomic_size_t message_max;
    atomic_uint malformed;       /* letters, since the last beat */
    pthread_mutex_t roster_lock; /* taken for a question, never for a message */
    struct roster roster;

    /* Start waits for this: */
    pthread_mutex_t start_lock;
    pthread_cond_t started;
    bool was_up, id_is_taken;
    const char *why_not; /* NATS is there but cannot be used; NULL: not so */

    /* From here on the cluster's own thread's. */
    pthread_t thread;
    struct inbox *inbox;
    struct loop loop;
    struct io nats_io;
    struct timer beat, reopen;
    int64_t last_beat_ms, settle_began_ms, echo_ms, reopen_wait_ms;
    double clock_ahead_s; /* the wall clock, of the one that is not stepped; at the last beat */
    int64_t taken_logged_ms;
    unsigned roles;           /* MEMBER_HOLDS_SOCKETS from LETTER_SERVE to LETTER_LEAVE */
    unsigned n_not_permitted; /* since the last beat, */
    char not_permitted[256];  /* and the first of them */
    struct nats *old_nats;    /* over; workers may be in a call of it for a moment longer */
    bool connected;
    enum bus_state said; /* the state, as the thread sees it; workers see AWAY earlier */
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

/* A note that still counts: to all other nodes, or to one. */
void cluster_give_all(void *cluster, enum bus_note kind, struct str note);
struct cluster_giving { /* to one; ctx of cluster_give_one */
    struct cluster *cluster;
    uint32_t node;
};
void cluster_give_one(void *giving, enum bus_note kind, struct str note);

/* ---- cluster_in.c ---- */

/* One message of NATS's: carried out, or turned into a letter to the cluster's thread. Any thread.
 */
void cluster_take(struct cluster *c, struct str bytes);

/* ---- cluster.c ---- */

void cluster_post(struct cluster *c, struct cluster_letter *l);

/* From here on all on the cluster's thread. */

/* ---- cluster_nodes.c ---- */

void cluster_send_to_node(struct cluster *c, uint32_t node, const struct wire *w);
void cluster_tell_all(struct cluster *c, enum wire_kind kind); /* about this node */
void cluster_beat(struct cluster *c);                          /* tells all that it lives */
void cluster_on_node_letter(struct cluster *c, const struct cluster_letter *l);

/* `why`: of BUS_AWAY. */
void cluster_set_state(struct cluster *c, enum bus_state state, const char *why);
/* The connection is there: who else is will be found out. */
void cluster_settle(struct cluster *c);
void cluster_look_if_settled(struct cluster *c);
void cluster_expire(struct cluster *c, int64_t since_ms); /* nodes not heard since then */
void cluster_serve_now(struct cluster *c);                /* LETTER_SERVE */
void cluster_leave_now(struct cluster *c);                /* LETTER_LEAVE */

/* ---- cluster_interest.c ---- */

void cluster_interest_init(struct cluster *c);
void cluster_note_interest(struct cluster *c, const struct cluster_letter *l);
/* The end of a turn: tells the workers what is sure, or sends a fence to find out. */
void cluster_confirm_what_is_sure(struct cluster *c);
void cluster_fence_back(struct cluster *c, uint32_t node, uint64_t number);
void cluster_fence_review(struct cluster *c); /* nodes came or went */
void cluster_fence_beat(struct cluster *c);   /* what does not come back is sent again */
void cluster_fence_lost(struct cluster *c);   /* with the connection */

#endif
