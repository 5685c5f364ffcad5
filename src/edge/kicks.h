/* kicks.h - sockets that a backend wants closed, some a turn.
 *
 * A user may have many sockets and an app all there are: so a worker closes KICKS_CLOSED of them a
 * turn, and serves the others in between. */
#ifndef EDGE_KICKS_H
#define EDGE_KICKS_H
#include "hub/hub.h"

enum {
    KICKS_CLOSED = 64,    /* sockets closed in one turn, */
    KICKS_LOOKED = 4096,  /* and looked at */
    KICKS_WAITING = 1024, /* kicks that wait; one more, and the first is carried out at once */
};

struct kicks; /* one worker's */

/* Closes the socket (which leaves the hub) with a close frame of this payload: two bytes of code, a
 * reason. False: it is ending already, and leaves at the turn's end. */
typedef bool kick_fn(void *ctx, struct hub_socket *s, struct str payload);

/* Whether the socket was opened by this token. */
typedef bool kick_token_fn(void *ctx, const struct hub_socket *s, struct str jti);

struct kicks *kicks_new(struct hub *hub, kick_fn *kick, kick_token_fn *is_of_token, void *ctx);
void kicks_free(struct kicks *k);

/* Takes a kick (a reference), to be carried out by kicks_run. */
void kicks_add(struct kicks *k, struct msg *m);

/* One turn's work. False: nothing is left to do. */
bool kicks_run(struct kicks *k);

#endif
