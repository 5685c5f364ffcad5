/* door.h - who is let in when memory or descriptors are scarce.
 *
 * Newcomers at a slave's port become **guests**: a few at a time, each with one request. They are
 * told how things are (GET /readyz) and that no socket is opened (503), which is sooner known, by
 * clients and balancers, than a connection that is never accepted. Behind those few the kernel
 * keeps who comes. A port of the master alone goes on longer: backends are not many, and their
 * pushes are what live sockets wait for. */
#ifndef EDGE_DOOR_H
#define EDGE_DOOR_H
#include "edge/worker.h"

enum {
    DOOR_GUESTS = 16,          /* at a time and worker, when memory is scarce; */
    DOOR_GUESTS_OF_RESERVE = 2 /* when descriptors are: they are taken from the reserve */
};

/* How many descriptors a process with so many workers keeps for what is no connection, and for
 * guests, of `limit`. A master's port leaves half of them. */
unsigned door_reserve(unsigned limit, unsigned n_workers);

/* Why nobody is let in at a listener of these roles now; NULL: somebody may be. */
const char *door_why_not(struct worker *w, unsigned roles);

/* Takes over a descriptor that was accepted from `peer` at the worker's listener of that place. */
void door_take(struct worker *w, int fd, unsigned listener, const struct sockaddr_storage *peer);

/* The same where it is known whose connection it is: a proxy has said it, or there is none. */
void door_enter(struct worker *w, int fd, unsigned listener, const struct sockaddr_storage *client,
                bool by_proxy);

/* Whether a connection of before is not to become a socket. */
bool door_refuses_sockets(const struct worker *w);

#endif
