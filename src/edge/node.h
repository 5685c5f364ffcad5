/* node.h - the workers of this process, as the bus sees them: who gets which letter.
 *
 * In a process on its own the node is the bus's backend itself (the embedded bus). */
#ifndef EDGE_NODE_H
#define EDGE_NODE_H
#include <stdatomic.h>
#include "base/buf.h"
#include "bus/seat.h"
#include "edge/interest.h"
#include "net/inbox.h"

enum {
    NODE_WORKERS_MAX = INTEREST_WORKERS_MAX,
    /* What a worker may have unread before publishes to it are refused: */
    NODE_INBOX_LETTERS = 64 * 1024,
    NODE_INBOX_BYTES = 256 << 20, /* of messages; each receiver counts a shared one in full */
};

enum mail_kind {
    MAIL_MSG,      /* carry out */
    MAIL_QUESTION, /* answer with a MAIL_PART to question->from */
    MAIL_PART,     /* a part of an answer */
    MAIL_STOP,     /* end in order */
};

struct mail { /* what workers send each other */
    struct letter letter;
    enum mail_kind kind;
    struct msg *msg;               /* MAIL_MSG: a reference */
    struct bus_question *question; /* MAIL_QUESTION: a reference */
    uint64_t number;               /* MAIL_PART: of the question */
    struct buf part;               /* MAIL_PART */
};

struct node {
    uint32_t id;
    unsigned n_workers;
    struct inbox *inboxes[NODE_WORKERS_MAX];
    atomic_size_t unread_bytes[NODE_WORKERS_MAX]; /* of messages in each inbox */
    struct interest *interest;
};

/* ERR_SYS: no descriptor left. */
enum err node_init(struct node *n, unsigned n_workers);
void node_fini(struct node *n); /* unread letters are thrown away */

/* Posts to one worker, always. */
void node_send(struct node *n, unsigned worker, struct mail *m);

/* The reader of a MAIL_MSG says that it is read (before mail_free). */
void node_msg_read(struct node *n, unsigned worker, const struct msg *m);
void mail_free(struct mail *m);

struct bus_backend node_backend(struct node *n);

#endif
