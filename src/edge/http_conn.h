/* http_conn.h - one HTTP connection: requests in, one at a time, replies out in their order. */
#ifndef EDGE_HTTP_CONN_H
#define EDGE_HTTP_CONN_H
#include "edge/worker.h"

/* Takes over fd, for the routes of `roles`. A guest (door.h) has one request. */
void http_conn_open(struct worker *w, int fd, unsigned roles, bool is_guest);

/* The late answer of call `number`, if the connection still lives. */
void http_conn_answer(struct worker *w, uint64_t number, const struct api_reply *r);

/* A piece of a long one, see struct api. */
bool http_conn_stream(struct worker *w, uint64_t number, const struct api_reply *r,
                      uint64_t question, enum api_piece piece);

/* No further requests: idle connections close, others after the reply under way. */
void http_conns_drain(struct worker *w);
void http_conns_close(struct worker *w);

#endif
