/* nats_hand.h - the hand of a NATS sink: a thread that does what may block in cnats (connecting,
 * asking about JetStream, publishing, flushing), one order at a time.
 *
 * Results, and what cnats's own threads tell, come as news into the sink's inbox. Nothing of cnats
 * is seen outside. */
#ifndef REMOTE_NATS_HAND_H
#define REMOTE_NATS_HAND_H
#include "base/buf.h"
#include "remote/backend.h"

#define NATS_STREAM  "GUSHER_REMOTE"
#define NATS_SUBJECT "gusher.remote" /* .<app>.<remote> */

enum {
    NATS_CALL_MS = 2000, /* the longest that one call of cnats may take */
    NATS_SERVERS_MAX = 64,
};

enum nats_event {
    NATS_EVENT_OPENED, /* order over; `ok`: there is a connection, or cnats goes on trying */
    NATS_EVENT_SHUT,   /* cnats gave up (`why`): it must be opened anew */
    NATS_EVENT_UP,
    NATS_EVENT_DOWN,
    NATS_EVENT_LOOKED, /* order over: `found`, and `why` it is not sure */
    NATS_EVENT_SENT,   /* order over: `batch`; all refusals came before */
    NATS_EVENT_REPLY,  /* `slot`, `reply` */
};

enum nats_found { NATS_FOUND_UNSURE, NATS_FOUND_PLAIN, NATS_FOUND_STREAM };

enum nats_reply {
    NATS_REPLY_OTHER,  /* of a worker, say */
    NATS_REPLY_NOBODY, /* no responders */
    NATS_REPLY_ACK,    /* a stream has it */
    NATS_REPLY_ERROR,  /* a stream does not want it */
};

enum nats_fate { NATS_UNSENT, NATS_SENT, NATS_TOO_LARGE, NATS_BROKEN };

struct nats_item {
    uint64_t slot;
    size_t subject_at, body_at, body_len; /* in the batch's text; the subject ends with a NUL */
    enum nats_fate fate;
};

enum { NATS_BATCH_MAX = 256, NATS_BATCH_BYTES = 1 << 20 };

struct nats_batch {
    struct buf text;
    unsigned n;
    bool to_stream; /* acks are waited for, elsewhere: no flush */
    bool flushed;   /* the server has read all that was sent */
    struct nats_item items[NATS_BATCH_MAX];
};

struct nats_batch *nats_batch_new(bool to_stream);
void nats_batch_free(struct nats_batch *b);

struct nats_news {
    struct remote_note note;
    enum nats_event event;
    bool ok;
    enum nats_found found;
    enum nats_reply reply;
    const char *why; /* with what failed; static */
    int code;        /* of JetStream, or 0 */
    uint64_t slot;
    struct nats_batch *batch;
};

struct nats_hand;

/* `servers`: as in the URL, checked. Starts the thread. */
enum err nats_hand_new(struct nats_hand **out, struct inbox *news, const char *servers,
                       const char *creds, const char *ca);

/* Orders; one at a time, from the sink's thread. */
void nats_hand_open(struct nats_hand *h);
void nats_hand_look(struct nats_hand *h);
void nats_hand_send(struct nats_hand *h, struct nats_batch *batch); /* takes it over */

/* Ends the thread and the connection; no news comes afterwards. */
void nats_hand_free(struct nats_hand *h);

#endif
