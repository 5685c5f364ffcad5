/* api.h - the HTTP API of both roles: requests into bus calls, answers into replies. There are two
 * of them, on the same handlers where they do the same: the seed's, below prefixes, with forms and
 * texts; and the modern one, below /v1, with typed JSON and problems.
 *
 * One struct api a worker. Handlers see no socket: they answer at once, or later by the number of
 * the call, or hand the connection over to become a WebSocket. */
#ifndef API_API_H
#define API_API_H
#include <stdint.h>
#include "api/idempotency.h"
#include "api/problem.h"
#include "api/reply.h"
#include "auth/bans.h"
#include "auth/jwt.h"
#include "auth/ticket.h"
#include "auth/trust.h"
#include "bus/bus.h"
#include "http/form.h"
#include "http/parse.h"
#include "http/route.h"

enum {
    API_GRANTS_MAX = 10000,            /* permissions of one reload, */
    API_GRANTS_BYTES_MAX = 512 << 10,  /* and the bytes of the parameter, also of an add */
    API_PATTERN_BYTES_MAX = 256 << 20, /* of all messages of a pattern push: its data, */
    API_PATTERN_MESSAGE_BYTES = 256,   /* and this for each channel */
    API_REQUEST_ID_MAX = 129,          /* bytes, with its NUL */
};

enum api_role { /* bits: a listener may serve both */
                API_SLAVE = 1,
                API_MASTER = 2,
                API_NO_SOCKETS =
                    4, /* of a request: it is not to become a socket, as something is scarce */
};

/* What a token of --dev is to say. */
struct api_token {
    struct str app, user;
    struct str channels; /* names.h */
};

/* Appends such a token, good for a day; on the thread of whichever worker asks. ERR_PROTO,
 * ERR_LIMIT, ERR_SYS: `why` gets a sentence. */
typedef enum err api_make_token(void *ctx, const struct api_token *t, double now_s, struct buf *out,
                                char *why, size_t why_len);

struct api_options {
    struct str slave_prefix, master_prefix; /* "" or "/gcs": no slash at the end */
    bool json_bodies;                       /* read JSON bodies as parameters */
    size_t name_max;                        /* bytes of the name of a channel, user, event or app */
    size_t payload_max;                     /* bytes of the data of one message */
    unsigned batch_max;                     /* messages of one push_batch */
    bool enforce_exp;                       /* a socket lives no longer than its claims */
    bool is_open;                           /* a master without keys is for whoever reaches it */
    api_make_token *make_token;             /* with --dev; otherwise NULL */
    void *make_token_ctx;
    unsigned slave_port; /* where this process takes sockets; 0: it does not */
    bool slave_has_tls;
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
    struct idempotency *idempotency; /* NULL: keys are not remembered */
    /* Gives a late answer; the connection may be gone. The reply stays the caller's. */
    void (*answer)(void *ctx, uint64_t call, const struct api_reply *r);
    /* Gives a piece of it, and calls api_go_on when there is room for the next. False: the
     * connection is gone, or wants no more. */
    bool (*stream)(void *ctx, uint64_t call, const struct api_reply *r, uint64_t question,
                   enum api_piece piece);
    /* The call wants a JWT or a ticket to be looked at, which costs. 0: go on; or, when its peer
     * has made too many such calls, after how many milliseconds it may come again. */
    uint32_t (*handshake)(void *ctx, uint64_t call);
    /* Answers the call with a stream of events: the messages of a channel, unless `app` is "", and
     * what all nodes tell of themselves. ERR_FULL: there are too many. */
    enum err (*watch)(void *ctx, uint64_t call, struct str app, struct str channel, bool nodes);
    /* Whether the call comes from this very machine, and not by a proxy that said so. */
    bool (*is_local)(void *ctx, uint64_t call);
    /* Appends what this process counts (OpenMetrics). */
    void (*metrics)(void *ctx, struct buf *out);
    /* The id of the request that is being handled, for the log. */
    void (*request_id)(void *ctx, uint64_t call, char out[API_REQUEST_ID_MAX]);
    /* What is to be logged in this process (log_levels.c's note). ERR_PROTO: it is malformed. */
    enum err (*log)(void *ctx, struct str note);
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
    struct once once;             /* its Idempotency-Key, if it is to be carried out once */
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

/* Whether the key that permits the call is for this app, too; if not the refusal is in the reply.
 */
bool api_has_app(struct api_call *c, struct str app);
/* The same of all apps there are. */
bool api_has_all_apps(struct api_call *c);
/* Whether a master without keys may answer: no browser calls it for a page of somebody else's. When
 * one does, that is refused. */
bool api_is_no_strange_page(struct api_call *c);
/* 200 with the claims of a JWT, unless the key is for another app, or the JWT no good. */
enum api_outcome api_decode(struct api_call *c, struct str jwt, bool with_line_feed);
/* Carries out a publish that may have an Idempotency-Key: once. Who answers late keeps c->once and
 * says how it ended. */
enum api_outcome api_once(struct api_call *c, const struct api_entry *entry);
void api_once_end(struct api *a, const struct once *o, const struct api_reply *r);
/* An answer that may be incomplete says so. */
void api_add_missing(struct api_reply *r, unsigned n_missing);
/* A parameter, or an empty text. */
struct str api_param(const struct api_call *c, struct str name);

/* src/api/openapi.json, as it was when this was built. */
extern const unsigned char api_openapi[];
extern const size_t api_openapi_len;

/* Whether whoever gets in may try everything out: --dev, and no keys. POST /v1/dev/token is there
 * then alone. */
bool api_is_dev(const struct api_call *c);
api_handler api_dev_token;

/* Whether the console is part of this build (console.c). */
extern const bool api_has_console;

/* Of both APIs (moderation.c). */
api_handler api_kick_socket, api_kick_user, api_kick_app, api_ban_user, api_ban_token,
    api_unban_user, api_unban_token, api_bans;

api_handler api_put_log; /* log_levels.c */

/* What the console asks for beside the rest (watch.c). */
api_handler api_watch, api_nodes, api_find_channels, api_find_users, api_socket, api_trace,
    api_sockets, api_sockets_of_user, api_sockets_of_channel;

extern const struct route api_slave_routes[], api_master_commands[], api_master_queries[],
    api_moderation_routes[], api_health_routes[], api_console_routes[], api_v1_slave_routes[],
    api_v1_master_routes[], api_v1_routes[];
extern const unsigned api_n_slave_routes, api_n_master_commands, api_n_master_queries,
    api_n_moderation_routes, api_n_health_routes, api_n_console_routes, api_n_v1_slave_routes,
    api_n_v1_master_routes, api_n_v1_routes;

#endif
