/* api.h - the HTTP API of both roles: requests into bus calls, answers into replies.
 *
 * One struct api a worker. Handlers see no socket: they answer at once, or later by the number of
 * the call, or hand the connection over to become a WebSocket. */
#ifndef API_API_H
#define API_API_H
#include <stdint.h>
#include "auth/bans.h"
#include "auth/jwt.h"
#include "auth/ticket.h"
#include "auth/trust.h"
#include "bus/bus.h"
#include "http/form.h"
#include "http/parse.h"
#include "http/reply.h"
#include "http/route.h"

enum {
    API_GRANTS_MAX = 10000,            /* permissions of one reload, */
    API_GRANTS_BYTES_MAX = 512 << 10,  /* and the bytes of the parameter, also of an add */
    API_PATTERN_BYTES_MAX = 256 << 20, /* of all messages of a pattern push: its data, */
    API_PATTERN_MESSAGE_BYTES = 256,   /* and this for each channel */
};

enum api_role { /* bits: a listener may serve both */
                API_SLAVE = 1,
                API_MASTER = 2,
                API_NO_SOCKETS =
                    4, /* of a request: it is not to become a socket, as something is scarce */
};

struct api_reply {
    int status;
    const char *type;       /* NULL: none */
    struct buf body, extra; /* extra: further header lines, each ending in CRLF */
    bool close;             /* the connection is not to be used again */
};

void api_reply_fini(struct api_reply *r);

enum api_outcome {
    API_DONE,    /* the reply is in *reply */
    API_LATER,   /* answer will be called with this call's number */
    API_UPGRADE, /* a WebSocket for these claims, once its headers are in order */
    /* What is asked for may become known in a moment: the same request is to be handled again, for
     * TICKET_NOTE_MS at most. When those are over *reply, which is complete, is the answer. */
    API_AGAIN,
};

struct api_options {
    struct str slave_prefix, master_prefix; /* "" or "/gcs": no slash at the end */
    bool json_bodies;                       /* read JSON bodies as parameters */
    size_t name_max;                        /* bytes of the name of a channel, user, event or app */
    size_t payload_max;                     /* bytes of the data of one message */
    unsigned batch_max;                     /* messages of one push_batch */
    bool enforce_exp;                       /* a socket lives no longer than its claims */
};

/* What a piece of a long answer is. */
enum api_piece {
    API_FIRST, /* with status and headers, */
    API_NEXT,
    API_LAST, /* with `extra` as trailers */
};

struct api {
    struct api_options options;
    struct bus_seat *bus;
    struct trust *trust; /* a reference of the owner's, who may exchange it between two calls */
    struct tickets *tickets;
    struct bans *bans;
    /* Gives a late answer; the connection may be gone. The reply stays the caller's. */
    void (*answer)(void *ctx, uint64_t call, const struct api_reply *r);
    /* Gives a piece of it, and calls api_go_on when there is room for the next. False: the
     * connection is gone, or wants no more. */
    bool (*stream)(void *ctx, uint64_t call, const struct api_reply *r, uint64_t question,
                   enum api_piece piece);
    /* The call wants a JWT or a ticket to be looked at, which costs. 0: go on; or, when its peer
     * has made too many such calls, after how many milliseconds it may come again. */
    uint32_t (*handshake)(void *ctx, uint64_t call);
    /* Whether the call comes from this very machine, and not by a proxy that said so. */
    bool (*is_local)(void *ctx, uint64_t call);
    /* Appends what this process counts (OpenMetrics). */
    void (*metrics)(void *ctx, struct buf *out);
    /* A ban is in force in this process from now on. ERR_FULL: it is not. */
    enum err (*ban)(void *ctx, struct str note);
    void *ctx;
    /* What is scarce in this process (with `ctx`): a sentence; NULL: nothing is. May be NULL. */
    const char *(*trouble)(void *ctx);
};

/* One request at one moment. */
struct api_call {
    struct api *api;
    unsigned roles;
    const struct http_request *request;
    uint64_t number;
    double now_s;
    int64_t now_ms;
    struct str params[ROUTE_PARAMS_MAX]; /* of the path, decoded; the first one is the app */
    unsigned n_params;
    bool no_sockets;              /* API_NO_SOCKETS */
    const struct master_key *key; /* that permits it; NULL: none is needed */
    struct form form;             /* body before query */
    struct api_reply *reply;
    struct claims **claims; /* API_UPGRADE: a reference for the caller */
};

enum api_outcome api_handle(struct api *a, unsigned roles, const struct http_request *r,
                            uint64_t number, double now_s, int64_t now_ms, struct api_reply *reply,
                            struct claims **claims);

/* Whether the request is refused whatever its body is, which may not be there yet: then `reply`
 * says why. So who may not call us has none of it kept. */
bool api_refuses_head(struct api *a, unsigned roles, const struct http_request *r, uint64_t number,
                      struct api_reply *reply);

/* A long answer may go on, or (not `alive`) its connection is gone. */
void api_go_on(struct api *a, uint64_t question, bool alive);

/* ---- for the handlers ---- */

typedef enum api_outcome api_handler(struct api_call *c);

/* A route table: what struct route's handler points to. */
struct api_entry {
    api_handler *handle;
    enum master_right right; /* the key that is shown must have it; 0: none is needed */
};

void api_text(struct api_reply *r, int status, const char *body);
/* The body is JSON, begun empty: the caller writes it. */
struct buf *api_json(struct api_reply *r);
/* The one table that makes an HTTP answer of an err. */
enum api_outcome api_refuse(struct api_reply *r, enum err e);
/* 413: `what` has more than `max` bytes. */
enum api_outcome api_refuse_size(struct api_reply *r, const char *what, size_t max);
/* Whether the key that permits the call is for this app, too; if not the refusal is in the reply.
 */
bool api_has_app(struct api_call *c, struct str app);
/* A parameter, or an empty text. */
struct str api_param(const struct api_call *c, struct str name);

extern const struct route api_slave_routes[], api_master_commands[], api_master_queries[],
    api_moderation_routes[], api_health_routes[];
extern const unsigned api_n_slave_routes, api_n_master_commands, api_n_master_queries,
    api_n_moderation_routes, api_n_health_routes;

#endif
