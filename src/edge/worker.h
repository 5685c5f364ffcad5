/* worker.h - one thread: its loop, its listeners, its connections, its part of the hub. */
#ifndef EDGE_WORKER_H
#define EDGE_WORKER_H
#include <pthread.h>
#include "api/api.h"
#include "base/slots.h"
#include "edge/addresses.h"
#include "edge/events.h"
#include "edge/held.h"
#include "edge/kicks.h"
#include "edge/matching.h"
#include "edge/node.h"
#include "edge/reason.h"
#include "edge/recorder.h"
#include "edge/trace.h"
#include "net/conn.h"
#include "net/listener.h"
#include "proto/proto.h"

enum {
    WORKER_LISTENERS_MAX = 2,
    WORKER_STATUSES = 600,    /* of HTTP, below this */
    WORKER_WRITES_NOTED = 64, /* messages whose way is measured at a time */
    WORKER_LINGER_MS = 2000,  /* for a peer to take our last word and close its side */
    WORKER_STOP_MS = 4500,    /* after this a stop does not wait any longer */
};

struct worker_options {
    struct api_options api;
    size_t message_max;          /* bytes of one message from a client */
    unsigned queue_messages_max; /* of one connection */
    size_t queue_bytes_max;
    size_t queues_memory_max; /* of all of them in this worker */
    size_t body_max[4];       /* of a request, by the listener's roles */
    int64_t request_ms[4];    /* for a whole request to come in, by the listener's roles */
    int64_t ping_ms, pong_ms; /* a ping every ping_ms; without a pong for pong_ms it is over */
    int64_t write_ms;         /* for a peer to take anything of what waits */
    size_t deflate_min;       /* messages from this length on are compressed; 0: never */
    bool io_uring;            /* use it where the kernel permits it */
    unsigned exp_warning_s;   /* before its token is over a socket is told; 0: it is not */
    bool idle_rule;           /* a socket without a subscription is closed at its ping */
    unsigned subscriptions_max;
    uint64_t subscriptions_all; /* of all sockets of this worker */
    size_t headers_max;         /* bytes of all headers of a request */
};

struct worker_stats {
    struct counter accepted;                 /* connections */
    struct counter conns;                    /* at present */
    struct counter closes[REASONS];          /* WebSockets that ended */
    struct counter replies[WORKER_STATUSES]; /* of HTTP */
    struct histogram publish_to_write;
};

struct worker {
    const struct worker_options *options; /* shared, constant */
    struct node *node;
    unsigned index;
    pthread_t thread;
    struct loop loop;
    struct net net;
    struct uring *uring; /* NULL: not wanted, or the kernel does not permit it */
    struct hub *hub;
    struct bus_seat *seat;
    struct api api;
    struct listener listeners[WORKER_LISTENERS_MAX];
    unsigned listener_roles[WORKER_LISTENERS_MAX];
    bool listener_has_tls[WORKER_LISTENERS_MAX];
    struct tls_context *tls; /* a reference: for connections to come; NULL: no listener has TLS */
    struct slots http_conns; /* by the number an answer comes back with */
    struct proxied *proxied; /* connections whose proxy has not said yet whose they are, */
    struct proxied *proxied_gone; /* and those that are done with */
    unsigned n_turned_away;       /* connections that only hear why not */
    struct matching *matching;    /* questions with a pattern */
    struct kicks *kicks;          /* sockets that are to be closed */
    struct recorder *recorder;    /* those that have ended, */
    struct trace trace;           /* and what has happened to each */
    struct addresses addresses;   /* of those that came by a proxy */
    struct events *events;        /* who watches */
    struct buf too_slow;          /* the numbers of sockets that could not take a message */
    /* In a cluster: the number of the last interest that was told, and up to which one it is sure.
     */
    uint64_t told, sure;
    struct held_queue held; /* replies that wait for that */
    struct blob *ping;      /* the one ping frame */
    struct ws_deflate *deflate;
    struct buf inflated; /* the message that was unpacked last; kept small */
    struct interest_counts *interest;
    struct buf scratch; /* for whatever is being written; kept small */
    unsigned n_conns;
    uint64_t n_requests;                  /* so far: each has a number */
    struct worker_stats stats;            /* for any thread */
    int64_t came_us[WORKER_WRITES_NOTED]; /* of messages that are not written to all yet */
    unsigned n_came;
    unsigned n_guests;     /* of these (door.h) */
    bool stopping, served; /* served: has told the node that it has no connection any more */
    struct timer stop_deadline;
};

/* What a process goes by that may be exchanged while it runs. */
struct worker_files {
    struct trust *trust;
    struct tls_context *tls; /* NULL: no listener has TLS */
};

/* Makes worker `index` of `node`, with listeners on the addresses that have a role (enum
 * api_role bits; a->sa port 0 is filled in). References to what is in `files` are taken. ERR_SYS:
 * errno, and nothing is left behind. */
struct worker_listen {
    struct address address;
    unsigned roles;
    bool tls;
};
enum err worker_new(struct worker **out, struct node *node, unsigned index,
                    const struct worker_options *options, struct worker_listen *listens,
                    unsigned n_listens, const struct worker_files *files);

/* Starts the thread; it runs until a MAIL_STOP has ended all workers. */
enum err worker_start(struct worker *w);
void worker_join(struct worker *w);
void worker_free(struct worker *w);

/* Every connection tells of its coming and its end. */
void worker_conn_came(struct worker *w);
void worker_conn_gone(struct worker *w);

/* Something of this worker, beside its hub, begins to listen to a channel, or no longer does. */
void worker_listen(struct worker *w, struct str app, struct str channel, bool on);

/* Something has happened to a socket of this worker (trace.h). */
void worker_note(struct worker *w, const struct hub_socket *s, struct str word, struct str text);
/* The same of what it was answered, which may be much. */
void worker_note_answer(struct worker *w, const struct hub_socket *s, struct str word,
                        struct str text);

/* The scratch buffer, empty. */
struct buf *worker_scratch(struct worker *w);

#endif
