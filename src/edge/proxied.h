/* proxied.h - connections from proxies that speak the PROXY protocol, until their header has said
 * whose they are. */
#ifndef EDGE_PROXIED_H
#define EDGE_PROXIED_H
#include "edge/worker.h"

struct proxied;

/* Takes over fd, which `peer` opened at the worker's listener of that place. What is not a header
 * within the time of a request ends the connection. */
void proxied_open(struct worker *w, int fd, unsigned listener, const struct sockaddr_storage *peer);

void proxied_close_all(struct worker *w);

/* Frees the memory of those that were done with. */
void proxied_end_turn(struct worker *w);

#endif
