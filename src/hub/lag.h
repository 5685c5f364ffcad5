/* lag.h - subscribers who are given their frames later, all from their channel's tail. For the
 * files of hub/ alone.
 *
 * A subscriber is lazy while nothing but this one channel is sent to its socket and the socket
 * takes what it gets: then a push to a large channel is only appended to the tail, and each
 * subscriber has the number of the frame that it lacks next. Whoever is to be sent something else
 * is caught up first, so each socket gets all in one order. The others are eager: they are given
 * each frame at once, in a queue of their own. */
#ifndef HUB_LAG_H
#define HUB_LAG_H
#include "hub/table.h"
#include "hub/tail.h"

enum { LAG_EAGER = TAIL_NUMBERS + 1 }; /* in place of a number */

struct hub_lag { /* of a channel, while somebody lacks something */
    struct hub_lag *next, *prev;
    struct hub_channel *channel;
    struct tail tail;
    uint32_t n_lagging;
    uint32_t walk;     /* whose turn it is: a place in channel->subscribers */
    uint32_t pass_end; /* what came before the walk began: all have it when it is through */
};

/* Subscriber `place` of `c` came; is about to go; was moved there from the last place. */
void lag_came(struct hub *h, struct hub_channel *c, uint32_t place);
void lag_goes(struct hub *h, struct hub_channel *c, uint32_t place);
void lag_moved(struct hub *h, struct hub_channel *c, uint32_t place);

/* The socket has got or lost a subscription, stalls or does not stall any more. */
void lag_review(struct hub *h, struct hub_socket *s);

/* Queues for the socket what it lacks; for all, and how many lacked something. */
void lag_catch_up(struct hub *h, struct hub_socket *s);
uint32_t lag_catch_up_all(struct hub *h, struct hub_channel *c);

/* How many are lazy: those all get `frame`, in their encoding c->encoder. */
static inline uint32_t lag_n_lazy(const struct hub_channel *c)
{
    return c->n - c->n_eager;
}
/* Returns how many had to be caught up first, as the tail was full. */
uint32_t lag_append(struct hub *h, struct hub_channel *c, struct blob *frame);

/* The channel ends. */
void lag_drop(struct hub *h, struct hub_channel *c);

#endif
