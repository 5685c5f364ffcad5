/* reply.h - what a handler answers. */
#ifndef API_REPLY_H
#define API_REPLY_H
#include <stdbool.h>
#include "base/buf.h"
#include "http/reply.h"

struct api_reply {
    int status;
    const char *type;       /* NULL: none */
    struct buf body, extra; /* extra: further header lines, each ending in CRLF */
    bool close;             /* the connection is not to be used again */
    bool has_problems;      /* refusals are problems (problem.h), not texts */
};

enum api_outcome {
    API_DONE,    /* the reply is in *reply */
    API_LATER,   /* answer will be called with this call's number */
    API_UPGRADE, /* a WebSocket for these claims, once its headers are in order */
    /* What is asked for may become known in a moment: the same request is to be handled again, for
     * TICKET_NOTE_MS at most. When those are over *reply, which is complete, is the answer. */
    API_AGAIN,
};

void api_reply_fini(struct api_reply *r);

void api_text(struct api_reply *r, int status, const char *body);
/* The body is JSON, begun empty: the caller writes it. */
struct buf *api_json(struct api_reply *r);

#endif
