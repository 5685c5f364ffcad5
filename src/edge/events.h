/* events.h - streams of events (text/event-stream) for those who watch: what all nodes tell of
 * themselves each second, and the messages of one channel as they pass (a live tail).
 *
 * Of one worker, on the master's side. While nobody watches it costs a look at a pointer for each
 * message. A watcher is no subscriber: it is nobody's socket, online nowhere, and what it does not
 * take in time is left out, and told. */
#ifndef EDGE_EVENTS_H
#define EDGE_EVENTS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "hub/msg.h"
#include "net/timer.h"

enum {
    EVENTS_STREAMS_MAX = 64, /* of a worker; */
    EVENTS_TAILS_MAX = 48,   /* beyond these only such that see all nodes: whoever looks after it */
    EVENTS_EVERY_MS = 1000,
    EVENTS_ALIVE_TICKS = 15,      /* of these, between two comments that keep a stream alive */
    EVENTS_MESSAGES_PER_S = 500,  /* of the tail of one stream; */
    EVENTS_QUEUE_BYTES = 1 << 20, /* and none while so much waits for its reader */
};

struct worker;
struct stream;

struct events { /* of events.c alone, but for the question whether anybody watches */
    struct worker *worker;
    struct stream *first;
    unsigned n, n_ticks;
    struct timer timer, greeting; /* each second; as soon as there is a new stream */
    bool is_asking;               /* the nodes */
    struct buf scratch;
};

struct events *events_new(struct worker *w);
void events_free(struct events *e); /* NULL is fine; after the bus's seat and the connections */

/* Answers the call of this number (of http_conn.h) by a stream, with the messages of a channel
 * unless `app` is "". ERR_FULL: there are as many as there may be; ERR_AWAY: the worker stops. */
enum err events_open(struct events *e, uint64_t call, struct str app, struct str channel,
                     bool nodes);
void events_gone(struct events *e, uint64_t call); /* its connection is; fine for any other call */
/* Ends all streams: who may watch is to be asked again, or there will be no more. */
void events_end(struct events *e);

/* A message of a channel passes by. */
void events_message(struct events *e, const struct msg *m);
/* What is listened to is sure by now, or will not become so (MAIL_SURE, MAIL_AWAY). */
void events_sure(struct events *e, bool is_away);

#endif
