/* trace.h - what has happened to each WebSocket of a worker lately: when it came, what it asked and
 * was answered, what it may hear from when on, why it ended.
 *
 * One ring of bytes for all of them, within a budget: the oldest goes first, whosever it is. So a
 * note costs a copy and no allocation, and what is known outlives the socket. Messages are not
 * noted, and no payload. What a socket causes as often as it likes is noted at a rate, or one of
 * them would soon be all that is known. One thread's. */
#ifndef EDGE_TRACE_H
#define EDGE_TRACE_H
#include "base/buf.h"
#include "base/str.h"

enum {
    TRACE_BYTES = 1 << 20,       /* of a worker, reached in steps */
    TRACE_BYTES_BEGIN = 1 << 14, /* the first step */
    TRACE_KEEP_MS = 15 * 60 * 1000,
    TRACE_WORD_MAX = 48,  /* bytes that are kept of what happened, */
    TRACE_TEXT_MAX = 128, /* and of more about it */
    TRACE_TOLD_MAX = 500, /* events of one socket that are told: the last ones */
    TRACE_BURST = 128,    /* answers to a socket that are noted at once, */
    TRACE_EACH_MS = 250,  /* and then one in so long */
    TRACE_SHARES = 256,
};

/* Of all sockets of as many slots: what they have noted lately, and which one more than that. */
struct trace_share {
    int64_t calm_ms; /* by then, with nothing more, it is as if nothing had been noted */
    uint64_t number;
    uint32_t n_left_out;
};

struct trace { /* zeroed is empty */
    char *bytes;
    uint32_t cap, head, used; /* from the oldest on, around the end */
    uint32_t n_noted;         /* so far */
    struct trace_share shares[TRACE_SHARES];
};

/* Which socket it is: of an app, in the hub's slots, with its salt (hub.h). */
struct trace_socket {
    uint64_t number;
    uint16_t salt;
    struct str app;
};

void trace_fini(struct trace *t);

/* Notes it at `now_ms` (unix time), cut where it is long. */
void trace_note(struct trace *t, const struct trace_socket *s, int64_t now_ms, struct str word,
                struct str text);

/* The same of what the socket itself has asked for, unless that was too much lately: then it is
 * counted, and the number is noted ("left_out") before the next one that is noted. */
void trace_note_answer(struct trace *t, const struct trace_socket *s, int64_t now_ms,
                       struct str word, struct str text);

/* Appends what is known of the socket, from the oldest to the newest: a list (names.h) of JSON
 * objects {"n","time","event","detail"}; n rises. */
void trace_tell(const struct trace *t, const struct trace_socket *s, int64_t now_ms,
                struct buf *out);

#endif
