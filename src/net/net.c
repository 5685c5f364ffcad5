/* net.c - what the connections of a thread do together: the end of a turn, and writes to many. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "net/conn_own.h"

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

bool net_is_short(const struct net *n)
{
    return n->memory_max && n->queues.bytes + (size_t)blob_bytes_held() > n->memory_max;
}

static struct conn *first_of(const struct net *n, enum conn_list list)
{
    return n->lists[list].first;
}

/* With many pieces the system call is a small part of the cost. */
static bool fits_batch(const struct conn *c)
{
    return c->first && conn_queued(c) <= URING_IOV && !conn_is_wrapped(c);
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
    conn_move_to(c, CONN_IN_NONE);
    conn_flush(c);
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
        conn_move_to(c, CONN_IN_NONE);
        uring_send(n->uring, c->io.fd, conn_gather(c, uring_pieces(n->uring), URING_IOV));
        batch[n_batch++] = c;
    }
    uring_submit(n->uring, results);
    for (unsigned i = 0; i < n_batch; i++) {
        if (conn_take_result(batch[i], results[i]))
            conn_write_on(batch[i]);
        conn_after_writing(batch[i]);
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
        conn_enqueue(c, w->ranges[i]);
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
    if (conn_take_result(c, result))
        conn_write_on(c);
    conn_after_writing(c);
}

static void write_directly(const struct net_write *w)
{
    struct iovec iov[URING_IOV];
    for (unsigned i = 0; i < w->n; i++)
        iov[i] = conn_piece(&w->ranges[i]);
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
            pieces[r] = conn_piece(&batch[i]->ranges[r]);
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
        if (c->first || c->stalled || w->n > URING_IOV || conn_is_wrapped(c)) {
            queue_ranges(c, w);
            conn_flush(c);
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
            conn_move_to(c, CONN_IN_NONE);
            conn_let_go(c);
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
    conn_shake_some(n);
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
