/* conn_tls.c - the handshakes of TLS, of which a turn does its share: they cost as much as hundreds
 * of deliveries, and live connections are served in between. */
#include <sys/epoll.h>
#include "net/conn_own.h"

void conn_drop_tls(struct conn *c)
{
    if (c->list == CONN_SHAKING)
        conn_move_to(c, CONN_IN_NONE);
    tls_free(c->tls);
    c->tls = NULL;
}

/* Without TLS there is nobody to say anything to, but an alert may be on its way, and the peer may
 * speak something else: our side is ended in order. The owner's deadline still stands. */
static void give_up_tls(struct conn *c, bool is_http)
{
    conn_drop_queue(c);
    conn_drop_tls(c);
    if (is_http)
        conn_finish_with(c, c->net->not_tls);
    else
        conn_finish(c);
    loop_change(c->net->loop, &c->io, conn_watched(c));
}

static bool may_shake(const struct net *n)
{
    return n->handshakes < NET_HANDSHAKES && n->handshakes_us < NET_HANDSHAKES_US;
}

static enum err take_step(struct conn *c)
{
    int64_t began_us = loop_clock_us();
    enum err e = tls_handshake(c->tls);
    c->net->handshakes++;
    c->net->handshakes_us += loop_clock_us() - began_us;
    return e;
}

static void shake(struct conn *c)
{
    switch (take_step(c)) {
    case ERR_OK:
        if (c->first)
            conn_mark_dirty(c, CONN_URGENT);
        /* fall through */
    case ERR_AGAIN:
        loop_change(c->net->loop, &c->io, conn_watched(c));
        break;
    case ERR_SYS:
        c->peer_done = true;
        conn_mark_closed(c);
        break;
    case ERR_DENIED:
        give_up_tls(c, true);
        break;
    default:
        give_up_tls(c, false);
    }
}

/* Who comes when the turn has done its share waits in a list, in the order of their coming, and
 * epoll is silent about them. */
void conn_on_shaking(struct conn *c, uint32_t events)
{
    struct net *n = c->net;
    if (events & (EPOLLERR | EPOLLHUP)) {
        c->peer_done = true;
        conn_mark_closed(c);
    } else if (may_shake(n) && !n->lists[CONN_SHAKING].first) {
        shake(c);
    } else if (c->list != CONN_SHAKING) {
        /* What the owner has queued meanwhile is written when the handshake is over. */
        conn_move_to(c, CONN_SHAKING);
        loop_change(n->loop, &c->io, 0);
    }
}

/* What is left of the turn's share goes to those who wait from turns before. */
void conn_shake_some(struct net *n)
{
    struct conn *c;
    while (may_shake(n) && (c = n->lists[CONN_SHAKING].first)) {
        conn_move_to(c, CONN_IN_NONE);
        shake(c);
    }
    n->handshakes = 0;
    n->handshakes_us = 0;
}
