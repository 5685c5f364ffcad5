/* held.h - replies that wait until a worker's interest is sure, each connection's in their order.
 *
 * A command is carried out when it comes, and what it subscribes is in force; only its reply waits
 * until every later push, wherever it is made, is certain to reach the socket. Replies behind it
 * wait with it. */
#ifndef EDGE_HELD_H
#define EDGE_HELD_H
#include "base/blob.h"
#include "base/buf.h"
#include "hub/grants.h"
#include "ws/handshake.h"

struct held_reply {
    struct held_reply *next, *prev; /* in the queue of the worker, */
    struct held_reply *next_of_conn;
    struct held *of;
    uint64_t seq;       /* of interest; sure, it goes out */
    struct blob *frame; /* NULL: the answer to the handshake, in `of` */
    /* Of a subscription: should the grants change meanwhile and not permit all of `names` any more,
     * then `added` is taken back and `denied` goes out instead. */
    struct grants *grants; /* at the time; a reference; NULL: no subscription */
    struct buf names, added;
    struct blob *denied;
};

struct held { /* of a connection, while something of it waits */
    void *conn;
    struct held_reply *first, **end;
    size_t bytes;   /* of all of them (held_reply_bytes) */
    bool paused;    /* for all that waits: its connection is not read */
    bool handshake; /* is still to be answered, before anything else goes out */
    char accept[WS_ACCEPT_LEN];
    struct str extensions; /* static */
};

struct held_queue { /* of a worker: in the order of seq */
    struct held_reply *first, *last;
};

void held_queue_init(struct held_queue *q);

struct held *held_new(void *conn);
/* Appends an empty reply to both; seq does not decrease from call to call. */
struct held_reply *held_add(struct held_queue *q, struct held *h, uint64_t seq);
/* The connection is gone, and its replies with it. */
void held_drop(struct held *h, struct held_queue *q, struct grants_pool *pool);

/* Takes the next reply that is sure; NULL: none is. Releasing is the caller's: held_reply_free. */
struct held_reply *held_take(struct held_queue *q, uint64_t sure);
/* Takes it out of its connection's row, too; true: nothing else of that waits. */
bool held_done(struct held_reply *r);
void held_reply_free(struct held_reply *r, struct grants_pool *pool);
size_t held_reply_bytes(const struct held_reply *r); /* of memory, about */

#endif
