/* bus.h - one node to many, in two verbs: publish to all who listen, ask all who know.
 *
 * A seat is one worker's place at the bus; whoever sits there calls it on its own thread and gets
 * its answers there. Handlers see only this header: whether the bus is this process or a cluster
 * is wiring. */
#ifndef BUS_BUS_H
#define BUS_BUS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "hub/hub.h"
#include "hub/msg.h"
#include "hub/pattern.h"

enum {
    BUS_ASK_MS = 2000,     /* how long an answer may take; then it is given as far as it is known */
    BUS_ASKS_MAX = 4096,   /* questions of one seat under way at once, */
    BUS_PATTERNS_MAX = 32, /* and of these, with a pattern: they hold a copy of all names */
};

struct bus_seat;

/* Publishes to every node that listens (the bus takes its own reference). When it returns ERR_OK
 * the message is on its way ahead of all that is published later. ERR_FULL: a receiver is so far
 * behind that nothing was sent to anyone. */
enum err bus_publish(struct bus_seat *seat, struct msg *m);

/* Publishes one more message of a push that has begun: not refused because receivers are behind,
 * so that a push is sent whole or not at all. The caller bounds how many there are. */
enum err bus_publish_more(struct bus_seat *seat, struct msg *m);

/* What is asked: a hub question, answered by names or only by their number. */
struct bus_ask {
    enum hub_question_kind kind;
    struct str app, channel; /* copied */
    struct pattern *pattern; /* HUB_CHANNELS that match alone; taken over; NULL: all */
    bool count_only;
};

struct bus_answer {
    struct str names; /* each once (names.h); empty when count_only. Valid during the call */
    uint64_t count;
    unsigned n_missing; /* parts that did not come in time: the answer may be incomplete */
};

/* Called once for each ask that was accepted, on the asker's thread, never from within bus_ask. */
typedef void bus_answer_fn(void *ctx, uint64_t call, const struct bus_answer *a);

/* Asks all live nodes; `call` is the asker's own number for it. ERR_FULL: too many questions, or
 * a receiver is far behind; answer_fn will not be called (the pattern is released anyway). */
enum err bus_ask(struct bus_seat *seat, const struct bus_ask *ask, bus_answer_fn *answered,
                 void *ctx, uint64_t call);

#endif
