#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/conn_own.h"

static ssize_t tcp_recv(int fd, void *p, size_t len)
{
    return recv(fd, p, len, 0);
}

static ssize_t tcp_sendv(int fd, const struct iovec *iov, unsigned n)
{
    if (n == 1)
        return send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

const struct transport transport_tcp = {tcp_recv, tcp_sendv};

/* ---- the queue ---- */

unsigned conn_queued(const struct conn *c)
{
    return (c->first ? 1 : 0) + (c->rest ? c->rest->n : 0);
}

static void set_first(struct conn *c, struct blob_range r)
{
    c->first = r.blob;
    c->first_from = r.from;
    c->first_to = r.to;
    c->first_begun = false;
}

void conn_enqueue(struct conn *c, struct blob_range r)
{
    c->queued_bytes += r.to - r.from;
    if (!c->first) {
        set_first(c, r);
        return;
    }
    outq_push(&c->net->queues, &c->rest, r);
}

/* Lets go of the oldest range. */
static void dequeue(struct conn *c)
{
    blob_unref(c->first);
    set_first(c, (struct blob_range){NULL, 0, 0});
    if (c->rest)
        set_first(c, outq_take_first(&c->net->queues, &c->rest));
}

void conn_drop_unsent(struct conn *c)
{
    size_t begun = c->tls ? tls_begun(c->tls) : 0;
    while (c->rest) {
        const struct blob_range *last = outq_at(c->rest, c->rest->n - 1);
        if (c->queued_bytes - (last->to - last->from) < begun)
            return;
        c->queued_bytes -= last->to - last->from;
        blob_unref(outq_take_last(&c->net->queues, &c->rest).blob);
    }
    if (c->first && !c->first_begun && !begun) {
        dequeue(c);
        c->queued_bytes = 0;
    }
}

void conn_drop_queue(struct conn *c)
{
    while (c->first)
        dequeue(c);
    c->queued_bytes = 0;
}

/* ---- writing ---- */

void conn_move_to(struct conn *c, enum conn_list list)
{
    struct net *n = c->net;
    if (c->list != CONN_IN_NONE) {
        *(c->prev ? &c->prev->next : &n->lists[c->list].first) = c->next;
        *(c->next ? &c->next->prev : &n->lists[c->list].last) = c->prev;
    }
    c->list = (uint8_t)list;
    if (list == CONN_IN_NONE)
        return;
    c->next = NULL;
    c->prev = n->lists[list].last;
    *(c->prev ? &c->prev->next : &n->lists[list].first) = c;
    n->lists[list].last = c;
}

void conn_mark_dirty(struct conn *c, enum conn_list list)
{
    if (c->list == CONN_IN_NONE || (c->list == CONN_BULK && list == CONN_URGENT))
        conn_move_to(c, list);
}

void conn_mark_closed(struct conn *c)
{
    if (c->closed)
        return;
    c->closed = true;
    conn_move_to(c, CONN_CLOSED);
}

uint32_t conn_watched(const struct conn *c)
{
    /* What has come would only be told again and again, while TLS has to write before it reads. */
    if (c->tls && tls_wants_out(c->tls) && !c->paused)
        return EPOLLOUT;
    /* A paused reader still hears of a reset; EPOLLHUP and EPOLLERR always come. */
    return (c->paused ? 0 : EPOLLIN) | (c->stalled ? EPOLLOUT : 0);
}

static void end_our_side(struct conn *c)
{
    if (c->shut)
        return;
    if (c->tls && tls_end(c->tls) == ERR_AGAIN) {
        c->stalled = true; /* and again when there is room for it */
        return;
    }
    c->shut = true;
    if (c->peer_done || shutdown(c->io.fd, SHUT_WR) < 0)
        conn_mark_closed(c);
}

static void sent(struct conn *c, size_t len)
{
    counter_add(&c->net->stats.sent, len);
    c->queued_bytes -= (uint32_t)len;
    while (c->first && len >= c->first_to - c->first_from) {
        len -= c->first_to - c->first_from;
        dequeue(c);
    }
    c->first_from += (uint32_t)len;
    c->first_begun |= len > 0;
}

unsigned conn_gather(struct conn *c, struct iovec *iov, unsigned max)
{
    unsigned n = conn_queued(c);
    if (n > max)
        n = max;
    iov[0] = conn_piece(&(struct blob_range){c->first, c->first_from, c->first_to});
    for (unsigned i = 1; i < n; i++)
        iov[i] = conn_piece(outq_at(c->rest, i - 1));
    return n;
}

static void note_stall(struct conn *c)
{
    /* A record counts as sent when all of it is, but who takes some of one is not stuck. */
    bool has_moved = c->tls && tls_has_moved(c->tls);
    if (!c->stalled || has_moved)
        c->stalled_since = (uint32_t)c->net->loop->now_ms;
    if (c->stalled)
        return;
    c->stalled = true;
    if (!c->finishing)
        c->ops->on_stall(c);
}

bool conn_take_result(struct conn *c, ssize_t result)
{
    if (result > 0) {
        sent(c, (size_t)result);
        c->stalled = false;
        return true;
    }
    if (result == -EINTR)
        return true;
    if (result != -EAGAIN && result != -EWOULDBLOCK && result != -ENOBUFS) {
        c->peer_done = true;
        conn_mark_closed(c);
    } else {
        note_stall(c);
    }
    return false;
}

void conn_write_on(struct conn *c)
{
    ssize_t result;
    do {
        struct iovec iov[CONN_IOV];
        if (!c->first || c->closed || conn_is_shaking(c))
            return;
        unsigned n = conn_gather(c, iov, CONN_IOV);
        result = conn_is_wrapped(c) ? tls_sendv(c->tls, iov, n)
                                    : c->net->transport->sendv(c->io.fd, iov, n);
    } while (conn_take_result(c, result < 0 ? -errno : result));
}

void conn_after_writing(struct conn *c)
{
    if (c->closed)
        return;
    if (!c->first)
        c->stalled = false; /* what it stalled on may have been dropped */
    if (!c->first && c->finishing)
        end_our_side(c);
    else if (!c->first && c->ops->on_drained)
        c->ops->on_drained(c);
    if (!c->closed)
        loop_change(c->net->loop, &c->io, conn_watched(c));
}

void conn_flush(struct conn *c)
{
    conn_write_on(c);
    conn_after_writing(c);
}

static bool over_limit(const struct conn *c, const struct blob_range *r)
{
    if (c->ops->bounds_itself || !c->first)
        return false; /* a single message over the byte limit may pass when nothing else waits */
    size_t bytes = c->queued_bytes + (size_t)(r->to - r->from);
    return conn_queued(c) >= c->net->queue_messages_max || bytes > c->net->queue_bytes_max ||
           (bytes > NET_SHORT_BYTES && net_is_short(c->net));
}

static enum err send_by(struct conn *c, const struct blob_range *r, enum conn_list list)
{
    if (conn_is_ending(c) || r->to == r->from)
        return ERR_OK;
    if (over_limit(c, r)) {
        /* A burst within one turn is no slow reader, nor one that has read since it stalled:
         * write before judging. */
        conn_flush(c);
        if (c->closed)
            return ERR_OK;
        if (over_limit(c, r))
            return ERR_FULL;
    }
    blob_ref(r->blob);
    conn_enqueue(c, *r);
    if (!c->stalled)
        conn_mark_dirty(c, list);
    return ERR_OK;
}

static struct blob_range whole(struct blob *b)
{
    return (struct blob_range){b, 0, b->len};
}

enum err conn_send(struct conn *c, struct blob *b)
{
    const struct blob_range r = whole(b);
    return send_by(c, &r, CONN_URGENT);
}

enum err conn_send_bulk(struct conn *c, struct blob *b)
{
    const struct blob_range r = whole(b);
    return send_by(c, &r, CONN_BULK);
}

enum err conn_send_range(struct conn *c, const struct blob_range *r)
{
    return send_by(c, r, CONN_BULK);
}

enum err conn_send_bytes(struct conn *c, struct str bytes)
{
    struct blob *b = blob_of(bytes);
    enum err e = conn_send(c, b);
    blob_unref(b);
    return e;
}

/* ---- reading ---- */

/* What is only thrown away need not be opened. */
static ssize_t receive(struct conn *c)
{
    struct net *n = c->net;
    size_t max = c->ops->read_max ? c->ops->read_max : sizeof(n->read_buffer);
    if (c->tls && !c->finishing)
        return tls_recv(c->tls, n->read_buffer, max);
    return n->transport->recv(c->io.fd, n->read_buffer, max);
}

static void read_some(struct conn *c)
{
    struct net *n = c->net;
    ssize_t len = receive(c);
    if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        loop_change(n->loop, &c->io, conn_watched(c));
        return;
    }
    if (len <= 0) {
        c->peer_done = true;
        if (len == 0 && c->first && !c->shut && c->ops->half_close) {
            c->finishing = true;
            c->paused = true;
            loop_change(n->loop, &c->io, conn_watched(c));
            return;
        }
        conn_mark_closed(c);
        return;
    }
    counter_add(&n->stats.received, (uint64_t)len);
    if (!c->finishing) {
        c->ops->on_input(c, n->read_buffer, (size_t)len);
        return;
    }
    c->lingered_bytes += (uint32_t)len;
    if (c->lingered_bytes > CONN_LINGER_BYTES)
        conn_mark_closed(c);
}

static void on_io(struct io *io, uint32_t events)
{
    struct conn *c = container_of(io, struct conn, io);
    if (c->closed)
        return;
    if (conn_is_shaking(c)) {
        conn_on_shaking(c, events);
        return;
    }
    if (events & EPOLLOUT) {
        conn_flush(c);
        if (c->closed)
            return;
        if (c->tls && tls_wants_out(c->tls))
            events |= EPOLLIN;
    }
    if (events & EPOLLIN && !c->paused) {
        read_some(c);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        c->peer_done = true;
        conn_mark_closed(c);
    }
}

/* ---- life ---- */

enum err conn_open(struct conn *c, struct net *n, int fd, const struct conn_ops *ops)
{
    *c = (struct conn){.io = {.fn = on_io, .fd = fd}, .net = n, .ops = ops};
    return loop_add(n->loop, &c->io, EPOLLIN);
}

enum err conn_secure(struct conn *c, struct tls_context *context)
{
    c->tls = tls_new(context, c->io.fd);
    return c->tls ? ERR_OK : ERR_LIMIT;
}

void conn_pause(struct conn *c)
{
    if (conn_is_ending(c))
        return;
    c->paused = true;
    loop_change(c->net->loop, &c->io, conn_watched(c));
}

void conn_resume(struct conn *c)
{
    if (conn_is_ending(c))
        return;
    c->paused = false;
    loop_change(c->net->loop, &c->io, conn_watched(c));
}

void conn_finish(struct conn *c)
{
    if (conn_is_ending(c))
        return;
    if (conn_is_shaking(c)) {
        conn_drop_queue(c); /* it could only go out in the clear */
        conn_drop_tls(c);
    }
    c->finishing = true;
    c->paused = false;
    if (!c->stalled)
        conn_mark_dirty(c, CONN_URGENT);
}

void conn_finish_with(struct conn *c, struct str last_word)
{
    if (conn_is_ending(c))
        return;
    conn_enqueue(c, whole(blob_of(last_word)));
    conn_finish(c);
}

void conn_close(struct conn *c)
{
    conn_mark_closed(c);
}

void conn_move(struct conn *to, struct conn *from, const struct conn_ops *ops)
{
    assert(!conn_is_ending(from) && !conn_is_shaking(from));
    conn_move_to(from, CONN_IN_NONE);
    *to = *from;
    to->ops = ops;
    from->tls = NULL;
    from->first = NULL;
    from->rest = NULL;
    from->queued_bytes = 0;
    loop_move(from->net->loop, &to->io, &from->io);
    from->io.fd = -1;
    conn_mark_closed(from);
    if (to->first && !to->stalled)
        conn_mark_dirty(to, CONN_URGENT);
}

uint32_t conn_stalled_ms(const struct conn *c)
{
    return c->stalled && c->first ? (uint32_t)c->net->loop->now_ms - c->stalled_since : 0;
}

int64_t conn_farewell_ms(const struct conn *c, int64_t write_ms)
{
    if (c->closed || !c->first)
        return 0;
    int64_t left = write_ms - conn_stalled_ms(c);
    return left > CONN_FAREWELL_STEP_MS ? CONN_FAREWELL_STEP_MS : left;
}

void conn_let_go(struct conn *c)
{
    if (c->tls && !c->first)
        tls_end(c->tls);
    tls_free(c->tls);
    c->tls = NULL;
    conn_drop_queue(c);
    if (c->io.fd >= 0) {
        loop_remove(c->net->loop, &c->io);
        close(c->io.fd);
    }
    c->ops->on_gone(c);
}
