/* conn_own.h - what the files of connections share: conn.c (one of them), conn_tls.c (its
 * handshake) and net.c (all of a thread), alone. */
#ifndef NET_CONN_OWN_H
#define NET_CONN_OWN_H
#include "net/conn.h"

/* ---- conn.c ---- */

void conn_move_to(struct conn *c, enum conn_list list);
/* Into this list, unless it is in one that comes before. */
void conn_mark_dirty(struct conn *c, enum conn_list list);
void conn_mark_closed(struct conn *c);       /* on_gone comes at the turn's end */
uint32_t conn_watched(const struct conn *c); /* what epoll is to tell of it */

/* Takes over the reference. */
void conn_enqueue(struct conn *c, struct blob_range r);
void conn_drop_queue(struct conn *c);

/* The pieces of the queue, at most `max` of them; returns how many. */
unsigned conn_gather(struct conn *c, struct iovec *iov, unsigned max);
/* What a write has brought: the bytes it took, or -errno. True: go on. */
bool conn_take_result(struct conn *c, ssize_t result);
/* Writes until all is out or the kernel takes no more. */
void conn_write_on(struct conn *c);
void conn_after_writing(struct conn *c);
void conn_flush(struct conn *c); /* both */

/* The end: the owner frees it. */
void conn_let_go(struct conn *c);

static inline struct iovec conn_piece(const struct blob_range *r)
{
    return (struct iovec){r->blob->bytes + r->from, r->to - r->from};
}

static inline bool conn_is_shaking(const struct conn *c)
{
    return c->tls && tls_is_shaking(c->tls);
}

/* What is sent goes through TLS before it goes to the descriptor. */
static inline bool conn_is_wrapped(const struct conn *c)
{
    return c->tls && !tls_is_sent_by_kernel(c->tls);
}

/* ---- conn_tls.c ---- */

void conn_drop_tls(struct conn *c); /* what comes and goes from now on is plain */
void conn_on_shaking(struct conn *c, uint32_t events);
/* The end of a turn: its share begins anew. */
void conn_shake_some(struct net *n);

#endif
