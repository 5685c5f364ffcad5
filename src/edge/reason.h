/* reason.h - why a WebSocket ended: one word each, the same in log, metrics and close frame. */
#ifndef EDGE_REASON_H
#define EDGE_REASON_H
#include "base/log.h"

enum reason {
    REASON_CLIENT,      /* the client said so */
    REASON_GONE,        /* the connection broke, or ended without a word */
    REASON_NO_PONG,     /* the client does not answer pings */
    REASON_IDLE,        /* no subscription at its ping (--idle-rule) */
    REASON_SLOW,        /* more waits for it than may */
    REASON_STUCK,       /* it takes nothing (--write-timeout): without a close frame */
    REASON_BAD_FRAME,   /* RFC 6455 was broken */
    REASON_BAD_TEXT,    /* no UTF-8, or not compressed as agreed */
    REASON_TOO_BIG,     /* a message over its limit */
    REASON_BAD_COMMAND, /* text that is no command */
    REASON_TOO_MANY,    /* commands over their rate */
    REASON_EXPIRED,     /* the token is over (--enforce-exp) */
    REASON_KICKED,      /* a backend said so */
    REASON_BANNED,      /* the user or the token is kept out */
    REASON_LOST,        /* messages were lost: subscribe again */
    REASON_SHUTDOWN,    /* the server ends */
    REASONS
};

struct reason_entry {
    const char *word;
    unsigned code;        /* of the close frame, unless told otherwise; 0: there is none */
    enum log_level level; /* of its line in the log */
};

extern const struct reason_entry reasons[REASONS];

#endif
