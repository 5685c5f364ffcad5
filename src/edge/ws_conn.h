/* ws_conn.h - one WebSocket: frames in and out, its place in the hub, its pings, its end. */
#ifndef EDGE_WS_CONN_H
#define EDGE_WS_CONN_H
#include "edge/worker.h"

/* The connection behind `from` becomes a WebSocket for `claims` (a reference is taken over), which
 * leaves the gate for `visitor` and the claims' user when it ends; `request` is the id of the
 * handshake, for the log; `key` is what the client sent as
 * Sec-WebSocket-Key, `offers` as Sec-WebSocket-Extensions, `rest` what it sent after the handshake.
 */
void ws_conn_open(struct worker *w, struct conn *from, struct visitor visitor, struct str request,
                  struct claims *claims, struct str key, struct str offers, char *rest,
                  size_t rest_len);

/* The hub's host functions. */
void ws_conn_deliver(void *worker, struct hub_socket *s, struct blob *b, bool bulk);
void ws_conn_deliver_range(void *worker, struct hub_socket *s, const struct blob_range *r);
struct blob *ws_conn_encode(void *worker, unsigned encoder, const struct msg *m);

/* Writes to the next sockets that a fan-out is due to; false: there are none. */
bool ws_conns_write_due(void *worker);

/* Closes those that could not take a message: called after each fan-out. */
void ws_conns_close_slow(struct worker *w);

/* Closes those that have most waiting for them and take none of it. */
void ws_conns_shed(struct worker *w);

/* Interest is sure up to w->sure: replies that wait for that go out. */
void ws_conns_go_on(struct worker *w);
/* The bus is away: handshakes need not wait for its return. */
void ws_conns_wait_for_nothing(struct worker *w);

/* For kicks.h: closes a socket of this worker, and says whether a token has opened it. */
bool ws_conn_kick(void *worker, struct hub_socket *s, struct str payload);
bool ws_conn_is_of_token(void *worker, const struct hub_socket *s, struct str jti);

/* A remote command of a socket of this worker is over. */
void ws_conn_remote_done(struct worker *w, const struct remote_job *job, enum err e);

/* Messages were lost: closes all with 1013, so that clients come again and know. */
void ws_conns_close_lost(struct worker *w);

/* Closes all with 1001. */
void ws_conns_go_away(struct worker *w);

struct blob *ws_ping_frame(void);

#endif
