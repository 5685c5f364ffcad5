/* hub.h - who listens to what, and the fan-out: one worker's part of the subscription table.
 *
 * Apps hold channels and users; channels hold sockets; sockets hold grants. Everything here
 * belongs to one thread. The hub sees no wire: it calls its host for that. */
#ifndef HUB_HUB_H
#define HUB_HUB_H
#include <stdbool.h>
#include <stdint.h>
#include "base/blob.h"
#include "base/buf.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/slots.h"
#include "hub/grants.h"
#include "hub/msg.h"

enum {
    HUB_ENCODERS_MAX = 8,
    HUB_BULK_MIN = 32,      /* a good hub_options.bulk_min */
    HUB_WORKERS_MAX = 1024, /* what a socket id has room for */
    HUB_SOCKET_ID_LEN = 36, /* text form of a UUID */
};

struct hub;
struct hub_app;
struct hub_user;
struct hub_sub;

struct hub_socket { /* part of whatever is connected */
    struct hub_app *app;
    struct hub_user *user; /* NULL: anonymous */
    struct hub_socket *next_of_user, *prev_of_user;
    struct grants *grants;
    struct hub_sub *subs; /* its subscriptions */
    uint32_t n_subs, cap_subs;
    uint64_t number;  /* in the hub's slots */
    uint16_t salt;    /* random; with number, worker and node: the socket id */
    uint8_t encoder;  /* which encoding it takes */
    bool stalled;     /* hub_set_stalled */
    uint32_t since_s; /* unix time at which it came; the host's to set */
};

/* What one can listen to: a channel or a user of an app. */
struct hub_name {
    bool is_user;
    struct str app, name;
};

/* What the hub asks of its host. */
struct hub_host {
    void *ctx;
    /* Queues `b` (take a reference) for the socket, one of many when `bulk`. Must not change the
     * hub, but for hub_set_stalled of this socket: one that cannot take it is marked and closed
     * after the turn. */
    void (*deliver)(void *ctx, struct hub_socket *s, struct blob *b, bool bulk);
    /* The same for some frames at once, always one of many. */
    void (*deliver_range)(void *ctx, struct hub_socket *s, const struct blob_range *r);
    /* Encodes `m` as sockets of this encoder read it; one reference for the hub. */
    struct blob *(*encode)(void *ctx, unsigned encoder, const struct msg *m);
    /* The first listener came to (or the last one left) a name. Called before a subscription is
     * reported as made. */
    void (*interest)(void *ctx, const struct hub_name *name, bool on);
};

struct hub_options {
    uint32_t node;              /* which process of the cluster, */
    uint16_t worker;            /* and which worker of it: in every socket id */
    uint32_t subscriptions_max; /* of one socket */
    uint64_t subscriptions_all; /* of all sockets; 0: no limit */
    uint32_t name_max;          /* bytes of a channel's name */
    uint32_t bulk_min;          /* subscribers from which on a push goes to many */
};

struct hub_stats {
    struct counter sockets, subscriptions; /* at present */
    struct counter delivered;              /* messages, once for each socket they were for */
    struct counter too_many, long_names;   /* subscriptions refused for that */
};

/* While memory is scarce no subscription is taken. */
void hub_set_full(struct hub *h, bool is_full);

/* For any thread. */
const struct hub_stats *hub_stats(const struct hub *h);

struct hub *hub_new(const struct hub_host *host, const struct hub_options *o);
void hub_free(struct hub *h); /* every socket has left */

/* A socket comes: it is online from now on. `grants` (one reference) is taken over. */
void hub_join(struct hub *h, struct hub_socket *s, struct str app, struct str user,
              struct grants *grants, unsigned encoder);
void hub_leave(struct hub *h, struct hub_socket *s);

/* Walks all sockets: *place starts at 0; NULL at the end. Sockets may leave meanwhile. */
struct hub_socket *hub_each(const struct hub *h, uint32_t *place);

/* The socket of this number (struct hub_socket), NULL when it has left. */
struct hub_socket *hub_find(const struct hub *h, uint64_t number);

/* The socket of the app whose id this is (any text), NULL: there is none. */
struct hub_socket *hub_find_id(const struct hub *h, struct str app, struct str id);

/* The first socket of a user, the others by next_of_user; NULL: there is none. */
struct hub_socket *hub_sockets_of(const struct hub *h, struct str app, struct str user);

/* Whose socket it is; "" when anonymous. Valid while it is there. */
struct str hub_app_of(const struct hub_socket *s);
struct str hub_user_of(const struct hub_socket *s);

/* The channel of its `i`th subscription, below s->n_subs; in no order. Valid while it lasts. */
struct str hub_subscription(const struct hub_socket *s, uint32_t i);

struct grants_pool *hub_grants_pool(struct hub *h);

bool hub_is_subscribed(const struct hub_socket *s, struct str channel);

/* Ends a subscription, permitted or not, if there is one. */
void hub_drop(struct hub *h, struct hub_socket *s, struct str channel);

/* Subscribes to one name, or to all names of a list (names.h) or none. Subscribing again is fine.
 * ERR_DENIED: a name is not permitted; ERR_LIMIT: the hub is full (hub_set_full), or
 * subscriptions_max or name_max would be passed. On ERR_OK every later message reaches the socket.
 */
enum err hub_subscribe(struct hub *h, struct hub_socket *s, struct str channel);
enum err hub_subscribe_all(struct hub *h, struct hub_socket *s, struct str channels);

/* ERR_DENIED: not permitted. A name that is permitted but not subscribed is ERR_OK. */
enum err hub_unsubscribe(struct hub *h, struct hub_socket *s, struct str channel);

/* Other grants (one reference is taken over): subscriptions that they do not permit end, and their
 * names are appended to `revoked` (names.h; NULL: nobody asks). */
void hub_set_grants(struct hub *h, struct hub_socket *s, struct grants *g, struct buf *revoked);

/* Carries out one message: delivers a push, changes grants (and tells the sockets after it). Kicks
 * are the host's to carry out.
 * Returns how much work it was: the deliveries that were not put off, or were made up for. */
uint32_t hub_dispatch(struct hub *h, const struct msg *m);

/* ---- a push to a large channel is given to its subscribers later, in slices ---- */

enum { HUB_RANGES = 8 };

struct hub_due { /* what one socket is to be given */
    struct hub_socket *socket;
    unsigned n;
    struct blob_range ranges[HUB_RANGES]; /* valid until the hub is called with a message again */
};

/* The next sockets that are due, and what, at most `max` of them and about `max_bytes`; they count
 * as having it. 0: nobody is. */
unsigned hub_due(struct hub *h, struct hub_due *due, unsigned max, size_t max_bytes);

/* Delivers what the socket lacks: to be called before anything of the host's own is sent to it. */
void hub_catch_up(struct hub *h, struct hub_socket *s);

/* A socket that takes no more (or does again) has a queue of its own meanwhile. */
void hub_set_stalled(struct hub *h, struct hub_socket *s, bool stalled);

/* The socket's id: a UUID that says in which slot of which worker of which node the socket is. */
void hub_socket_id(const struct hub *h, const struct hub_socket *s, char out[HUB_SOCKET_ID_LEN]);

/* Reads a socket id of any node. ERR_PROTO: not of our making. */
struct hub_address {
    uint32_t node;
    uint16_t worker;
    uint64_t number;
    uint16_t salt;
};
enum err hub_address_parse(struct hub_address *out, struct str id);

/* Hashes under which interest in a channel and in a user is announced. */
uint64_t hub_channel_hash(struct str app, struct str channel);
uint64_t hub_user_hash(struct str app, struct str user);
uint64_t hub_name_hash(const struct hub_name *n);

/* ---- questions: presence (API section 9), this worker's part of the answer ---- */

enum hub_question_kind {
    HUB_CHANNELS,         /* live channels, but never the one named "" */
    HUB_USERS,            /* users online */
    HUB_USERS_OF_CHANNEL, /* users subscribed to `channel` */
    HUB_CENSUS,           /* of all apps: their sockets and users, as records (census.h) */
    HUB_ENDED,            /* not the hub's to answer: what its host remembers of sockets that have
                           * ended, JSON objects; of the user `channel` alone unless that is "" */
    HUB_FIND_CHANNELS,    /* those that contain the text `channel`, as records (census.h): of each
                           * the number of its subscriptions */
    HUB_FIND_USERS,       /* the same of users, and their sockets */
    /* Again the host's, JSON objects: the sockets of the app, those of the user `channel`, those
     * that are subscribed to it, the one with that id; */
    HUB_SOCKETS,
    HUB_SOCKETS_OF_USER,
    HUB_SOCKETS_OF_CHANNEL,
    HUB_SOCKET,
    HUB_TRACE, /* what has happened to the one with that id, there or not; */
    HUB_NODES, /* and what each process, whatever its role, tells of itself: one object */
    HUB_QUESTIONS
};

/* Whether the answer is JSON objects, which the host makes. */
static inline bool hub_is_of_host(enum hub_question_kind kind)
{
    return kind == HUB_ENDED || kind >= HUB_SOCKETS;
}
/* Whether it is records of names and numbers, to be added up. */
static inline bool hub_is_census(enum hub_question_kind kind)
{
    return kind == HUB_CENSUS || kind == HUB_FIND_CHANNELS || kind == HUB_FIND_USERS;
}

struct hub_question {
    enum hub_question_kind kind;
    struct str app, channel;
    uint64_t seed; /* of the hashes, when only they are asked for, and of a census */
};

enum { HUB_CURSOR_BEGIN = 0, HUB_CURSOR_END = UINT32_MAX };

/* Appends one page of the answer: names (names.h), or their wide hashes when `hashes`, until `out`
 * has `page_bytes` or more. Returns the cursor for the next page, HUB_CURSOR_END after the last.
 * Nothing is kept in between: names may come and go. One that is there all the time (of a channel's
 * users: by one socket) is in some page, and may be in two. Anonymous users are left out. A socket
 * that is there all the time is in one page of a census, and a page never has more than some
 * thousand. page_bytes is not 0. A page of HUB_FIND_* looks at some thousand names. */
uint32_t hub_answer(struct hub *h, const struct hub_question *q, bool hashes, uint32_t cursor,
                    size_t page_bytes, struct buf *out);

#endif
