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
};

struct proto {
    const char *name;
    /* Carries out one text message of socket `s` at unix time `now_s` and appends the reply, if
     * there is one, to `reply` (empty at the call). */
    struct proto_outcome (*command)(struct hub *h, struct hub_socket *s, struct str text,
                                    int64_t now_s, struct buf *reply);
    /* Appends what a client reads of message `m`. */
    void (*encode)(const struct msg *m, struct buf *out);
};

extern const struct proto proto_gusher;

#endif
