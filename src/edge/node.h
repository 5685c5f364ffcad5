/* node.h - the workers of this process, as the bus sees them: who gets which letter.
 *
 * In a process on its own the node is the bus's backend itself (the embedded bus); in a cluster it
 * is what the cluster hands messages and questions to. */
#ifndef EDGE_NODE_H
#define EDGE_NODE_H
#include <stdatomic.h>
#include "api/idempotency.h"
#include "auth/bans.h"
#include "auth/ticket.h"
#include "auth/trust.h"
#include "base/buf.h"
#include "bus/cluster.h"
#include "edge/ban_file.h"
#include "edge/gate.h"
#include "edge/interest.h"
#include "net/inbox.h"
#include "net/tls.h"
#include "remote/remote.h"

enum {
    NODE_WORKERS_MAX = INTEREST_WORKERS_MAX,
    /* What a worker may have unread before publishes to it are refused: */
    NODE_INBOX_LETTERS = 64 * 1024,
    NODE_INBOX_BYTES = 256 << 20, /* of messages; each receiver counts a shared one in full */
    NODE_CLOSE_BANNED = 4003,     /* the code of a close frame: the user or the token is banned */
};

enum mail_kind {
    MAIL_MSG,      /* carry out */
    MAIL_QUESTION, /* answer with a MAIL_PART to question->from */
    MAIL_PART,     /* a part of an answer */
    MAIL_SURE,     /* interest is known to all who publish */
    MAIL_AWAY,     /* nothing becomes sure until NATS is back */
    MAIL_GONE,     /* a node is gone: nobody need wait for it */
    MAIL_LOST,     /* messages for this worker were lost */
    MAIL_REMOTE,   /* what came of a remote command */
    MAIL_FILES,    /* go by these from now on */
    MAIL_SHED,     /* memory is about to end: close who takes least */
    MAIL_STOP,     /* close all connections, and go on answering questions */
    MAIL_END,      /* all workers have: end */
};

struct mail { /* what workers send each other */
    struct letter letter;
    enum mail_kind kind;
    struct msg *msg;               /* MAIL_MSG: a reference */
    struct bus_question *question; /* MAIL_QUESTION: a reference; */
    uint32_t cursor;               /* and the page it asks for */
    struct bus_part part;          /* MAIL_PART: without bytes, */
    struct buf bytes;              /* which are here */
    uint64_t seq;                  /* MAIL_SURE: up to this one */
    uint32_t node;                 /* MAIL_GONE, */
    bool left;                     /* and in order */
    struct remote_job *job;        /* MAIL_REMOTE: owned, */
    enum err outcome;              /* and what came of it */
    struct trust *trust;           /* MAIL_FILES: references; */
    struct tls_context *tls;       /* NULL: no listener has TLS */
};

struct node_stores {           /* what all workers share; borrowed */
    struct tickets *tickets;   /* NULL: nobody here redeems any */
    struct bans *bans;         /* NULL: nobody is banned */
    struct ban_file *ban_file; /* keeps them; NULL: nothing does */
    struct gate *gate;
    struct idempotency *idempotency; /* of publishes; NULL: nobody publishes here */
};

struct node {
    uint32_t id;
    unsigned n_workers;
    unsigned roles;  /* enum api_role bits: of all its listeners */
    int64_t began_s; /* unix time */
    struct inbox *inboxes[NODE_WORKERS_MAX];
    struct worker *workers[NODE_WORKERS_MAX];     /* borrowed; NULL before they are made */
    atomic_size_t unread_bytes[NODE_WORKERS_MAX]; /* of messages in each inbox */
    atomic_bool lost[NODE_WORKERS_MAX];           /* a MAIL_LOST is on its way */
    atomic_uint n_serving;                        /* workers that have connections, or may have */
    struct interest *interest;
    struct cluster *cluster;    /* borrowed; NULL: this process is alone */
    struct remote_sink *remote; /* borrowed; NULL: remote commands go nowhere */
    struct node_stores stores;
    struct scarcity *scarcity; /* borrowed; NULL: nobody looks */
};

/* ERR_SYS: no descriptor left. */
enum err node_init(struct node *n, unsigned n_workers);
void node_fini(struct node *n); /* unread letters are thrown away */

/* Posts to one worker, always. */
void node_send(struct node *n, unsigned worker, struct mail *m);

/* A worker that was told to stop has no connection any more. The last one's word ends all, so that
 * each answers the questions of the others until then. */
void node_served(struct node *n);

/* The reader of a MAIL_MSG says that it is read (before mail_free). */
void node_msg_read(struct node *n, unsigned worker, const struct msg *m);
void mail_free(struct mail *m);

/* The embedded bus; with a cluster, the cluster's. */
struct bus_backend node_backend(struct node *n);
struct cluster_local node_local(struct node *n);

/* A ban (auth/bans.h's note) is in force from now on, and closes whom it keeps out. Any thread.
 * ERR_PROTO, ERR_FULL: it is not. */
enum err node_take_ban(struct node *n, struct str note);

/* What is to be logged from now on (api/log_levels.c's note). Any thread. ERR_PROTO: it is
 * malformed. */
enum err node_take_log(struct node *n, struct str note);

/* What the sink calls (remote_done_fn): the worker hears of it. */
void node_remote_done(void *node, struct remote_job *job, enum err e);

#endif
