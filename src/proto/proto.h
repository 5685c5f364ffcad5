/* proto.h - a client dialect: text of a client into hub calls, messages into text for clients.
 *
 * A dialect sees no socket and no frame; what it writes is the payload of one text message. */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H
#include <stdint.h>
#include "base/buf.h"
#include "hub/hub.h"

/* Codes a dialect closes with (RFC 6455 section 7.4.1). */
enum {
    PROTO_CLOSE_INVALID = 1007, /* text that is not JSON */
    PROTO_CLOSE_POLICY = 1008,  /* JSON that is no command */
};

/* What came of one command. */
struct proto_outcome {
    uint16_t close_code;      /* 0: the socket stays */
    const char *close_reason; /* static, under 124 bytes */
    /* The reply says that a subscription is in force. Where that is not sure yet, it waits. */
    bool subscribed;
    /* The reply says nothing of subscriptions, so it may overtake replies that wait. */
    bool unordered;
};

/* What is noted of a command that subscribes, for the case that its reply has to wait: what it
 * named, what of that was not subscribed before (both names.h), and what would be said if it were
 * not permitted any more by then. Appended. */
struct proto_notes {
    struct buf names, added, denied;
};

/* What a dialect asks of its host. */
struct proto_host {
    void *ctx;
    /* Hands a permitted remote command (API section 11) to where such commands go. ERR_OK: how it
     * went is told later, by `remote_reply` (of success only when it `wants_reply`); else it was
     * not taken. */
    enum err (*remote)(void *ctx, struct hub_socket *s, struct str remote, struct str uid,
                       struct str payload, bool wants_reply);
    /* Puts what a new JWT says in the place of what the socket may do, and tells it of each
     * subscription that has ended by that. NULL: done; else a few words why not, and nothing has
     * changed. Static. */
    const char *(*refresh)(void *ctx, struct hub_socket *s, struct str token);
    struct proto_notes *notes; /* NULL: nobody asks */
};

struct proto {
    const char *name;
    /* Carries out one text message of socket `s` at unix time `now_s` and appends the reply, if
     * there is one, to `reply` (empty at the call). */
    struct proto_outcome (*command)(const struct proto_host *host, struct hub *h,
                                    struct hub_socket *s, struct str text, int64_t now_s,
                                    struct buf *reply);
    /* Appends the late reply to the remote command of this name. */
    void (*remote_reply)(struct hub *h, struct hub_socket *s, struct str remote, bool succeeded,
                         struct buf *reply);
    /* Appends the word that the socket's token is over in so many seconds. */
    void (*token_expires)(struct hub *h, struct hub_socket *s, int64_t left_s, struct buf *out);
    /* Appends the word that the subscription to `channel` has ended. */
    void (*revoked)(struct hub *h, struct hub_socket *s, struct str channel, struct buf *out);
    /* Appends what a client reads of message `m`. */
    void (*encode)(const struct msg *m, struct buf *out);
};

extern const struct proto proto_gusher;

#endif
