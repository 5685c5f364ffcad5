/* bus.h - one node to many, in two verbs: publish to all who listen, ask all who know. And what
 * nodes know together is shared: tickets, bans, what was answered.
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
    BUS_ASK_MS = 2000,              /* how long a page may take; then the answer is what is known */
    BUS_ASKS_MAX = 4096,            /* questions of one seat under way at once, */
    BUS_PATTERNS_MAX = 32,          /* and of these, with a pattern; */
    BUS_ASKS_BYTES_MAX = 256 << 20, /* memory they may hold together before more are refused */
    BUS_ROUND_BYTES = 4 << 20,      /* of all pages that are asked for at once, about */
    BUS_PAGE_BYTES_MAX = 128 << 10, /* of one page, */
    BUS_PAGE_BYTES_MIN = 4 << 10,   /* however many there are */
};

struct bus_seat;

enum bus_state {
    BUS_AWAY,     /* the other nodes cannot be reached */
    BUS_SETTLING, /* they can; who is there is being found out */
    BUS_UP
};

/* Whether messages reach the other nodes now. */
enum bus_state bus_state(const struct bus_seat *seat);

/* Publishes to every node that listens (the bus takes its own reference). When it returns ERR_OK
 * the message is on its way ahead of all that is published later. ERR_FULL: a receiver is so far
 * behind that nothing was sent to anyone; ERR_AWAY: the bus cannot be reached; ERR_LIMIT: larger
 * than bus_message_max. */
enum err bus_publish(struct bus_seat *seat, struct msg *m);

/* Publishes one more message of a push that has begun: not refused because receivers are behind,
 * so that a push is sent whole or not at all. The caller bounds how many there are. */
enum err bus_publish_more(struct bus_seat *seat, struct msg *m);

enum bus_note {
    BUS_NOTE_TICKET, /* what a ticket of this node stands for, to all others that hold sockets */
    BUS_NOTE_BAN,    /* who is kept out, to all others */
    BUS_NOTE_DONE,   /* what a publish with a key was answered, to all others that publish */
    BUS_NOTE_LOG,    /* what is to be logged, to all others */
};

/* Tells the other nodes by a note (auth/ticket.h, auth/bans.h, api/idempotency.h; copied). Like a
 * message it is on its way ahead of answers of this turn. ERR_FULL, ERR_AWAY, ERR_LIMIT: nobody was
 * told. */
enum err bus_share(struct bus_seat *seat, enum bus_note kind, struct str note);

/* The longest message, all its text together (msg_text_bytes); SIZE_MAX: any. */
size_t bus_message_max(const struct bus_seat *seat);

/* What is asked: a hub question, answered by names or only by their number. */
struct bus_ask {
    enum hub_question_kind kind;
    struct str app, channel; /* copied */
    struct pattern *pattern; /* HUB_CHANNELS that match alone; taken over; NULL: all */
    struct str expression;   /* of the pattern; copied */
    bool count_only;
    bool whole; /* one page with all names, as the asker needs them together */
    /* HUB_FIND_*: only the first `limit` names behind `after` are told, in the order of their
     * bytes; however many there are, no more than some of them are kept. */
    size_t limit;
    struct str after; /* copied */
};

/* What all who were asked have of one app: of a census; or of one name that was found: then its
 * subscriptions or sockets stand in `connections`. */
struct bus_tally {
    struct str app;
    uint64_t connections, users; /* a user with sockets on several nodes is one */
};

/* A page of the answer: what has come in from all who were asked, put together. */
struct bus_page {
    struct str names;   /* names.h; each comes once in all pages; none when count_only */
    uint64_t count;     /* of all pages so far; HUB_FIND_*: of all that were found */
    unsigned n_missing; /* nodes that did not answer in time: names may be missing */
    bool last;
    const struct bus_tally *tallies; /* hub_is_census, by app; which has one page and no names */
    size_t n_tallies;
};

/* Called on the asker's thread, never from within bus_ask; names and tallies are valid during the
 * call. Unless it was the last page, the next one comes after bus_more. */
typedef void bus_page_fn(void *ctx, uint64_t question, const struct bus_page *p);

/* Asks all live nodes. ERR_FULL: too many questions, or a receiver is far behind; `came` will not
 * be called (the pattern is released anyway). On ERR_OK *question is its number, not used again. */
enum err bus_ask(struct bus_seat *seat, const struct bus_ask *ask, bus_page_fn *came, void *ctx,
                 uint64_t *question);

/* The asker has room for the next page (fine to call from within `came`). */
void bus_more(struct bus_seat *seat, uint64_t question);

/* Ends a question that waits for bus_more; returns its ctx, NULL when it is over. */
void *bus_cancel(struct bus_seat *seat, uint64_t question);

#endif
