/* wire.h - what nodes say to each other, in bytes: the body of a NATS message. Pure.
 *
 * A letter is 'G', a version, a kind, and fields: tag (1 byte), length (4 bytes, big endian),
 * bytes; numbers are 8 bytes, big endian. How two versions live side by side:
 *  - a field that a reader does not know is passed over, unless its tag is WIRE_NEEDED (128) or
 * more: then the letter as a whole is not for this reader (ERR_LIMIT), and neither is an unknown
 * kind;
 *  - a field that is missing reads as 0 or empty, unless its kind needs it;
 *  - a new release may add fields and kinds, and may use what the last release could read already;
 *    only when a letter cannot be said that way does WIRE_VERSION grow, and other versions are then
 *    not for this reader either.
 * So each release runs beside the one before it and the one after it. */
#ifndef BUS_WIRE_H
#define BUS_WIRE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum { WIRE_VERSION = 1, WIRE_NEEDED = 128 };

enum wire_kind {
    WIRE_MSG = 1,   /* to sockets: msg_kind, app, target, event, data */
    WIRE_QUESTION,  /* to every node that holds sockets: give your first page */
    WIRE_MORE,      /* to one worker: the question again, with the cursor of the page */
    WIRE_PART,      /* to the asker: a page, or a piece of one */
    WIRE_BEAT,      /* to all, every BEAT: I live */
    WIRE_HELLO,     /* the same, and: tell me that you know me */
    WIRE_WELCOME,   /* the answer to a hello, to that node */
    WIRE_BYE,       /* to all: I leave */
    WIRE_FENCE,     /* to one node: send it back (see cluster.c) */
    WIRE_FENCE_ACK, /* the fence on its way back */
    WIRE_TICKET,    /* to every node that holds sockets: what a ticket stands for, in data */
    WIRE_BAN,       /* to every node, or to one that comes: who is kept out, in data */
    WIRE_DONE,      /* to every node that publishes: what a publish was answered, in data */
    WIRE_LOG,       /* to every node: what is to be logged, in data */
    WIRE_KINDS
};

/* All fields of all kinds; texts are borrowed. */
struct wire {
    enum wire_kind kind;
    uint32_t node;   /* the sender; of a question: the asker */
    uint32_t worker; /* QUESTION, MORE, PART: of the asker */
    uint64_t number; /* of the question or fence there */
    /* MSG */
    uint32_t msg_kind;
    struct str app, target, event, data; /* QUESTION, MORE: app; PART and notes: data */
    /* QUESTION, MORE */
    uint32_t question_kind, page_bytes;
    bool count_only;
    uint64_t seed;
    struct str channel, pattern;
    /* MORE: whom it is for; PART: who answers */
    uint32_t from_worker;
    uint32_t cursor; /* MORE: of the page; PART: of the next page */
    bool follows;    /* PART: the rest of this page comes by itself */
    /* BEAT, HELLO, WELCOME */
    uint64_t incarnation; /* drawn at the start of the process */
    uint32_t roles, n_workers;
    struct str server; /* the id of the NATS server the node is connected to */
};

void wire_write(struct buf *out, const struct wire *w);

/* Reads a letter; *out borrows from `bytes`. ERR_PROTO: malformed; ERR_LIMIT: of another version,
 * as told above. */
enum err wire_read(struct wire *out, struct str bytes);

#endif
