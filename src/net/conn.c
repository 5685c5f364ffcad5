#include "net/conn.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/mem.h"

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

void net_init(struct net *n, struct loop *loop, unsigned queue_messages_max, size_t queue_bytes_max)
{
    memset(n, 0, offsetof(struct net, read_buffer));
    n->loop = loop;
    n->transport = &transport_tcp;
    n->slice = NET_SLICE;
    n->queue_messages_max = queue_messages_max;
    n->queue_bytes_max = queue_bytes_max;
}

void net_fini(struct net *n)
{
    for (unsigned i = 0; i < CONN_LISTS; i++)
        assert(!n->lists[i].first);
    outq_pool_fini(&n->queues);
}

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

/* Takes over the reference. */
static void enqueue(struct conn *c, struct blob_range r)
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

static void drop_queue(struct conn *c)
{
    while (c->first)
        dequeue(c);
    c->queued_bytes = 0;
}

/* ---- writing ---- */

static void move_to(struct conn *c, enum conn_list list)
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

static void mark_dirty(struct conn *c, enum conn_list list)
{
    if (c->list == CONN_IN_NONE || (c->list == CONN_BULK && list == CONN_URGENT))
        move_to(c, list);
}

static void mark_closed(struct conn *c)
{
    if (c->closed)
        return;
    c->closed = true;
    move_to(c, CONN_CLOSED);
}

static uint32_t watched(const struct conn *c)
{
    /* What has come would only be told again and again, while TLS has to write before it reads. */
    if (c->tls && tls_wants_out(c->tls) && !c->paused)
        return EPOLLOUT;
    /* A paused reader still hears of a reset; EPOLLHUP and EPOLLERR always come. */
    return (c->paused ? 0 : EPOLLIN) | (c->stalled ? EPOLLOUT : 0);
}

static bool is_shaking(const struct conn *c)
{
    return c->tls && tls_is_shaking(c->tls);
}

/* What is sent goes through TLS before it goes to the descriptor. */
static bool is_wrapped(const struct conn *c)
{
    return c->tls && !tls_is_sent_by_kernel(c->tls);
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
        mark_closed(c);
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

static struct iovec piece_of(const struct blob_range *r)
{
    return (struct iovec){r->blob->bytes + r->from, r->to - r->from};
}

static unsigned gather(struct conn *c, struct iovec *iov, unsigned max)
{
    unsigned n = conn_queued(c);
    if (n > max)
        n = max;
    iov[0] = piece_of(&(struct blob_range){c->first, c->first_from, c->first_to});
    for (unsigned i = 1; i < n; i++)
        iov[i] = piece_of(outq_at(c->rest, i - 1));
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

/* What a write has brought: the bytes it took, or -errno. True: go on. */
static bool take_result(struct conn *c, ssize_t result)
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
        mark_closed(c);
    } else {
        note_stall(c);
    }
    return false;
}

/* Writes until all is out or the kernel takes no more. */
static void write_on(struct conn *c)
{
    ssize_t result;
    do {
        struct iovec iov[CONN_IOV];
        if (!c->first || c->closed || is_shaking(c))
            return;
        unsigned n = gather(c, iov, CONN_IOV);
        result =
            is_wrapped(c) ? tls_sendv(c->tls, iov, n) : c->net->transport->sendv(c->io.fd, iov, n);
    } while (take_result(c, result < 0 ? -errno : result));
}

static void after_writing(struct conn *c)
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
        loop_change(c->net->loop, &c->io, watched(c));
}

static void flush(struct conn *c)
{
    write_on(c);
    after_writing(c);
}

bool net_is_short(const struct net *n)
{
    return n->memory_max && n->queues.bytes + (size_t)blob_bytes_held() > n->memory_max;
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
        flush(c);
        if (c->closed)
            return ERR_OK;
        if (over_limit(c, r))
            return ERR_FULL;
    }
    blob_ref(r->blob);
    enqueue(c, *r);
    if (!c->stalled)
        mark_dirty(c, list);
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
        loop_change(n->loop, &c->io, watched(c));
        return;
    }
    if (len <= 0) {
        c->peer_done = true;
        if (len == 0 && c->first && !c->shut && c->ops->half_close) {
            c->finishing = true;
            c->paused = true;
            loop_change(n->loop, &c->io, watched(c));
            return;
        }
        mark_closed(c);
        return;
    }
    counter_add(&n->stats.received, (uint64_t)len);
    if (!c->finishing) {
        c->ops->on_input(c, n->read_buffer, (size_t)len);
        return;
    }
    c->lingered_bytes += (uint32_t)len;
    if (c->lingered_bytes > CONN_LINGER_BYTES)
        mark_closed(c);
}

/* ---- handshakes ---- */

static void drop_tls(struct conn *c)
{
    if (c->list == CONN_SHAKING)
        move_to(c, CONN_IN_NONE);
    tls_free(c->tls);
    c->tls = NULL;
}

/* Without TLS there is nobody to say anything to, but an alert may be on its way, and the peer may
 * speak something else: our side is ended in order. The owner's deadline still stands. */
static void give_up_tls(struct conn *c, bool is_http)
{
    drop_queue(c);
    drop_tls(c);
    if (is_http)
        conn_finish_with(c, c->net->not_tls);
    else
        conn_finish(c);
    loop_change(c->net->loop, &c->io, watched(c));
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
            mark_dirty(c, CONN_URGENT);
        /* fall through */
    case ERR_AGAIN:
        loop_change(c->net->loop, &c->io, watched(c));
        break;
    case ERR_SYS:
        c->peer_done = true;
        mark_closed(c);
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
static void on_shaking(struct conn *c, uint32_t events)
{
    struct net *n = c->net;
    if (events & (EPOLLERR | EPOLLHUP)) {
        c->peer_done = true;
        mark_closed(c);
    } else if (may_shake(n) && !n->lists[CONN_SHAKING].first) {
        shake(c);
    } else if (c->list != CONN_SHAKING) {
        /* What the owner has queued meanwhile is written when the handshake is over. */
        move_to(c, CONN_SHAKING);
        loop_change(n->loop, &c->io, 0);
    }
}

/* What is left of the turn's share goes to those who wait from turns before. */
static void shake_some(struct net *n)
{
    struct conn *c;
    while (may_shake(n) && (c = n->lists[CONN_SHAKING].first)) {
        move_to(c, CONN_IN_NONE);
        shake(c);
    }
    n->handshakes = 0;
    n->handshakes_us = 0;
}

static void on_io(struct io *io, uint32_t events)
{
    struct conn *c = container_of(io, struct conn, io);
    if (c->closed)
        return;
    if (is_shaking(c)) {
        on_shaking(c, events);
        return;
    }
    if (events & EPOLLOUT) {
        flush(c);
        if (c->closed)
            return;
        if (c->tls && tls_wants_out(c->tls))
            events |= EPOLLIN;
    }
    if (events & EPOLLIN && !c->paused) {
        read_some(c);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        c->peer_done = true;
        mark_closed(c);
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
    loop_change(c->net->loop, &c->io, watched(c));
}

void conn_resume(struct conn *c)
{
    if (conn_is_ending(c))
        return;
    c->paused = false;
    loop_change(c->net->loop, &c->io, watched(c));
}

void conn_finish(struct conn *c)
{
    if (conn_is_ending(c))
        return;
    if (is_shaking(c)) {
        drop_queue(c); /* it could only go out in the clear */
        drop_tls(c);
    }
    c->finishing = true;
    c->paused = false;
    if (!c->stalled)
        mark_dirty(c, CONN_URGENT);
}

void conn_finish_with(struct conn *c, struct str last_word)
{
    if (conn_is_ending(c))
        return;
    enqueue(c, whole(blob_of(last_word)));
    conn_finish(c);
}

void conn_close(struct conn *c)
{
    mark_closed(c);
}

void conn_move(struct conn *to, struct conn *from, const struct conn_ops *ops)
{
    assert(!conn_is_ending(from) && !is_shaking(from));
    move_to(from, CONN_IN_NONE);
    *to = *from;
    to->ops = ops;
    from->tls = NULL;
    from->first = NULL;
    from->rest = NULL;
    from->queued_bytes = 0;
    loop_move(from->net->loop, &to->io, &from->io);
    from->io.fd = -1;
    mark_closed(from);
    if (to->first && !to->stalled)
        mark_dirty(to, CONN_URGENT);
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

static void let_go(struct conn *c)
{
    if (c->tls && !c->first)
        tls_end(c->tls);
    tls_free(c->tls);
    c->tls = NULL;
    drop_queue(c);
    if (c->io.fd >= 0) {
        loop_remove(c->net->loop, &c->io);
        close(c->io.fd);
    }
    c->ops->on_gone(c);
}

static struct conn *first_of(const struct net *n, enum conn_list list)
{
    return n->lists[list].first;
}

/* With many pieces the system call is a small part of the cost. */
static bool fits_batch(const struct conn *c)
{
    return c->first && conn_queued(c) <= URING_IOV && !is_wrapped(c);
}

/* What is left of a slice: connections and bytes. */
struct slice {
    unsigned conns;
    size_t bytes;
};

static bool is_over(const struct slice *s)
{
    return !s->conns || !s->bytes;
}

static void take_from(struct slice *s, size_t bytes)
{
    s->conns--;
    s->bytes -= bytes < s->bytes ? bytes : s->bytes;
}

/* Writes the first of a list by itself. */
static void write_one(struct net *n, enum conn_list list, struct slice *s)
{
    struct conn *c = first_of(n, list);
    take_from(s, c->queued_bytes);
    move_to(c, CONN_IN_NONE);
    flush(c);
}

/* Writes the first of a list with one system call. */
static void write_batch(struct net *n, enum conn_list list, struct slice *s)
{
    struct conn *batch[URING_BATCH], *c;
    ssize_t results[URING_BATCH];
    unsigned n_batch = 0;
    /* Nothing but gathering in here: what is gathered must stay as it is. */
    while (n_batch < URING_BATCH && !is_over(s) && (c = first_of(n, list)) && fits_batch(c)) {
        take_from(s, c->queued_bytes);
        move_to(c, CONN_IN_NONE);
        uring_send(n->uring, c->io.fd, gather(c, uring_pieces(n->uring), URING_IOV));
        batch[n_batch++] = c;
    }
    uring_submit(n->uring, results);
    for (unsigned i = 0; i < n_batch; i++) {
        if (take_result(batch[i], results[i]))
            write_on(batch[i]);
        after_writing(batch[i]);
    }
}

static void write_some(struct net *n, enum conn_list list, struct slice *s)
{
    struct conn *c = first_of(n, list);
    if (n->uring && c->next && fits_batch(c) && fits_batch(c->next))
        write_batch(n, list, s);
    else
        write_one(n, list, s);
}

/* ---- writing to many ---- */

static void queue_ranges(struct conn *c, const struct net_write *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        blob_ref(w->ranges[i].blob);
        enqueue(c, w->ranges[i]);
    }
}

/* What a write past the queue has brought; mostly all. */
static void take_direct_result(const struct net_write *w, ssize_t result)
{
    struct conn *c = w->conn;
    size_t all = 0;
    for (unsigned i = 0; i < w->n; i++)
        all += w->ranges[i].to - w->ranges[i].from;
    if (result == (ssize_t)all) {
        counter_add(&c->net->stats.sent, all);
        return;
    }
    queue_ranges(c, w);
    if (take_result(c, result))
        write_on(c);
    after_writing(c);
}

static void write_directly(const struct net_write *w)
{
    struct iovec iov[URING_IOV];
    for (unsigned i = 0; i < w->n; i++)
        iov[i] = piece_of(&w->ranges[i]);
    ssize_t result = w->conn->net->transport->sendv(w->conn->io.fd, iov, w->n);
    take_direct_result(w, result < 0 ? -errno : result);
}

/* Past the queue, which is empty, in one call. */
static void write_batch_directly(struct net *n, const struct net_write *const batch[],
                                 unsigned n_batch)
{
    ssize_t results[URING_BATCH];
    for (unsigned i = 0; i < n_batch; i++) {
        struct iovec *pieces = uring_pieces(n->uring);
        for (unsigned r = 0; r < batch[i]->n; r++)
            pieces[r] = piece_of(&batch[i]->ranges[r]);
        uring_send(n->uring, batch[i]->conn->io.fd, batch[i]->n);
    }
    uring_submit(n->uring, results);
    for (unsigned i = 0; i < n_batch; i++)
        take_direct_result(batch[i], results[i]);
}

void net_write_many(struct net *n, const struct net_write *writes, unsigned n_writes)
{
    const struct net_write *batch[URING_BATCH];
    unsigned n_batch = 0;
    for (const struct net_write *w = writes; w < writes + n_writes; w++) {
        struct conn *c = w->conn;
        if (conn_is_ending(c))
            continue;
        if (c->first || c->stalled || w->n > URING_IOV || is_wrapped(c)) {
            queue_ranges(c, w);
            flush(c);
        } else if (!n->uring) {
            write_directly(w);
        } else {
            batch[n_batch++] = w;
        }
        if (n_batch == URING_BATCH) {
            write_batch_directly(n, batch, n_batch);
            n_batch = 0;
        }
    }
    if (n_batch)
        write_batch_directly(n, batch, n_batch);
}

/* ---- the turn's end ---- */

/* Letting go may have others send (a user left), writing may close: until both lists are empty.
 * They only grow by what these calls add, which is bounded by the connections. */
static void end_urgent(struct net *n)
{
    while (first_of(n, CONN_URGENT) || first_of(n, CONN_CLOSED)) {
        struct slice all = {UINT_MAX, SIZE_MAX};
        while (first_of(n, CONN_URGENT))
            write_some(n, CONN_URGENT, &all);
        for (struct conn *c; (c = first_of(n, CONN_CLOSED));) {
            move_to(c, CONN_IN_NONE);
            let_go(c);
        }
    }
}

/* A fan-out that nothing interrupts may go out in larger slices. */
static void adapt_slice(struct net *n, bool more)
{
    if (n->more && n->loop->had_input) {
        n->interrupted = true;
        if (n->slice > NET_SLICE)
            n->slice /= 2;
    }
    if (!more) {
        if (n->more && !n->interrupted && n->slice < NET_SLICE_MAX)
            n->slice *= 2;
        n->interrupted = false;
    }
    n->more = more;
}

/* Of what goes to many. True: more is left. */
static bool write_slice(struct net *n)
{
    struct slice slice = {n->slice, NET_SLICE_BYTES};
    bool more = false;
    while (!is_over(&slice) && first_of(n, CONN_BULK))
        write_some(n, CONN_BULK, &slice);
    if (n->write_more)
        more = n->write_more(n->ctx);
    end_urgent(n);
    return more || first_of(n, CONN_BULK);
}

bool net_end_turn(struct net *n)
{
    end_urgent(n);
    int64_t now_us = n->loop->had_input ? loop_clock_us() : 0;
    int64_t took_us = n->loop->had_input ? (now_us - n->loop->now_us) / 2 : 0;
    int64_t until_us = now_us + (took_us < NET_SHARE_MAX_US ? took_us : NET_SHARE_MAX_US);
    bool more = write_slice(n);
    while (more && took_us >= NET_SHARE_MIN_US / 2 && loop_clock_us() < until_us)
        more = write_slice(n);
    shake_some(n);
    end_urgent(n);
    adapt_slice(n, more);
    counter_set(&n->stats.queues, n->queues.bytes + (uint64_t)blob_bytes_held());
    return more || first_of(n, CONN_SHAKING);
}

void net_end_turns(struct net *n)
{
    while (net_end_turn(n))
        ;
}
