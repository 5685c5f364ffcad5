/* http_conn.h - one HTTP connection: requests in, one at a time, replies out in their order. */
#ifndef EDGE_HTTP_CONN_H
#define EDGE_HTTP_CONN_H
#include "edge/worker.h"

/* Takes over fd, which `peer` opened at the worker's listener of that place,
 * as a proxy has said if `by_proxy`. A guest (door.h) has
 * one request. */
void http_conn_open(struct worker *w, int fd, unsigned listener,
                    const struct sockaddr_storage *peer, bool by_proxy, bool is_guest);

/* The answer to plain HTTP where TLS is expected. */
struct str http_conn_not_tls(void);

/* The late answer of call `number`, if the connection still lives. */
void http_conn_answer(struct worker *w, uint64_t number, const struct api_reply *r);

/* One more handshake of whoever makes call `number`, see struct api. */
uint32_t http_conn_handshake(struct worker *w, uint64_t number);

/* Of the request that is being handled: what it said itself in X-Request-Id, or one of ours. */
void http_conn_request_id(struct worker *w, uint64_t number, char out[API_REQUEST_ID_MAX]);

bool http_conn_is_local(struct worker *w, uint64_t number);

/* A piece of a long one, see struct api. */
bool http_conn_stream(struct worker *w, uint64_t number, const struct api_reply *r,
                      uint64_t question, enum api_piece piece);

/* The connection is over as soon as its peer ends it, and not only when it is written to: for an
 * answer that has no end of its own. */
void http_conn_attend(struct worker *w, uint64_t number);

/* Bytes that wait for whoever makes the call; SIZE_MAX: it is gone. */
size_t http_conn_queued(struct worker *w, uint64_t number);

/* No further requests: idle connections close, others after the reply under way. */
void http_conns_drain(struct worker *w);
void http_conns_close(struct worker *w);

#endif
