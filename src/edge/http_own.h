/* http_own.h - what the files of an HTTP connection share: http_conn.c (requests, and its life) and
 * http_out.c (replies), alone. */
#ifndef EDGE_HTTP_OWN_H
#define EDGE_HTTP_OWN_H
#include "edge/http_conn.h"

struct http_conn {
    struct conn conn;
    struct worker *worker;
    struct timer timer;
    uint64_t number;        /* in worker->http_conns: what a late answer is found by */
    uint64_t request;       /* the number of the one that was read last; 0: none was, */
    int64_t handled_us;     /* and when it was handled first */
    int64_t began_ms;       /* when the request being read began; 0: none is */
    int64_t idle_by_ms;     /* when a connection that reads no request is closed */
    int64_t again_since_ms; /* the first try of a request that is handled again; 0: none is */
    unsigned roles;
    struct visitor visitor;
    bool is_from_here;  /* this machine */
    bool is_counted;    /* at the gate; if not: */
    uint16_t turn_away; /* the status with which it is refused */
    /* For a late answer, or to be handled again: nothing else is read meanwhile. */
    bool waiting;
    bool head_only, keep_alive, is_http_1_0; /* of the request that waits */
    bool rests;                              /* behind a handshake, until the timer */
    bool draining;                           /* the next reply is the last */
    bool is_guest;     /* the first is, and no socket becomes of it (door.h) */
    uint64_t question; /* goes on when the peer has taken what is queued; 0: none does */
    struct http_parser parser;
    struct buf stash; /* input that came after a request that waits */
};

/* ---- http_conn.c ---- */

/* One timer, set for whatever comes first: the connection's state says what that is. */
void http_rearm(struct http_conn *h);
void http_finish(struct http_conn *h);

/* Reads on: the request that waited is answered, or there is room for more answers. */
void http_go_on(struct http_conn *h);

/* ---- http_out.c ---- */

/* Another request, which gets an id. */
void http_begin_request(struct http_conn *h);
void http_write_request_id(const struct http_conn *h, char out[API_REQUEST_ID_MAX]);

void http_send_reply(struct http_conn *h, const struct api_reply *r, bool head_only,
                     bool keep_alive);
/* In the words of the API that is being asked, as far as that is known. */
struct api_reply http_reply_begin(const struct http_conn *h);
/* Whether the connection goes on behind the reply. */
bool http_stays(const struct http_conn *h, const struct api_reply *r, bool keep_alive);

/* Too many connections; `retry_s` is when there may be fewer. */
void http_turn_away(struct http_conn *h, enum problem p, const char *why, unsigned retry_s);
void http_turn_away_at_gate(struct http_conn *h); /* as h->turn_away says */

/* The request cannot be read any further: answer and end. */
void http_refuse(struct http_conn *h, int status);

#endif
