#include "hub/lag.h"
#include <assert.h>
#include "base/mem.h"

static uint32_t end_of(const struct hub_channel *c)
{
    return c->lag ? c->lag->tail.end : c->end;
}

static struct hub_sub *sub_of(const struct hub_subscriber *r)
{
    return &r->socket->subs[r->place];
}

/* ---- the list of channels that lag ---- */

static void unlink_lag(struct hub *h, struct hub_lag *l)
{
    *(l->prev ? &l->prev->next : &h->first_lag) = l->next;
    *(l->next ? &l->next->prev : &h->last_lag) = l->prev;
}

static void put_last(struct hub *h, struct hub_lag *l)
{
    l->next = NULL;
    l->prev = h->last_lag;
    *(h->last_lag ? &h->last_lag->next : &h->first_lag) = l;
    h->last_lag = l;
}

static struct hub_lag *make(struct hub *h, struct hub_channel *c)
{
    struct hub_lag *l = mem_zalloc(sizeof(*l));
    l->channel = c;
    l->tail.end = l->pass_end = c->end;
    put_last(h, l);
    c->lag = l;
    return l;
}

void lag_drop(struct hub *h, struct hub_channel *c)
{
    struct hub_lag *l = c->lag;
    if (!l)
        return;
    c->end = l->tail.end;
    c->lag = NULL;
    unlink_lag(h, l);
    tail_fini(&l->tail);
    mem_free(l);
}

/* ---- eager and lazy ---- */

static void make_eager(struct hub_channel *c, uint32_t place)
{
    struct hub_subscriber *r = &c->subscribers[place];
    if (c->n_eager == c->cap_eager) {
        c->cap_eager = c->cap_eager ? c->cap_eager + c->cap_eager / 2 + 1 : 1;
        c->eager = mem_realloc(c->eager, c->cap_eager * sizeof(*c->eager));
    }
    sub_of(r)->eager = c->n_eager;
    c->eager[c->n_eager++] = place;
    r->lacks = LAG_EAGER;
}

static void end_eager(struct hub_channel *c, uint32_t place)
{
    uint32_t i = sub_of(&c->subscribers[place])->eager, last = c->eager[--c->n_eager];
    c->eager[i] = last;
    sub_of(&c->subscribers[last])->eager = i;
    if (c->n_eager == 0) {
        mem_free(c->eager);
        c->eager = NULL;
        c->cap_eager = 0;
    } else if (c->cap_eager > 16 && c->n_eager < c->cap_eager / 4) {
        c->cap_eager /= 2;
        c->eager = mem_realloc(c->eager, c->cap_eager * sizeof(*c->eager));
    }
}

/* Delivering may find that the socket stalls, or does not any more, and so come back to lag_review:
 * it counts as caught up from the beginning. */
static void catch_up(struct hub *h, struct hub_channel *c, struct hub_subscriber *r)
{
    if (!c->lag || r->lacks == LAG_EAGER || r->lacks == c->lag->tail.end)
        return;
    uint32_t from = r->lacks, end = c->lag->tail.end;
    r->lacks = end;
    c->lag->n_lagging--;
    while (from != end) {
        const struct blob_range *ranges;
        unsigned n = tail_ranges(&c->lag->tail, from, &ranges, &from);
        for (unsigned i = 0; i < n; i++)
            h->host.deliver_range(h->host.ctx, r->socket, &ranges[i]);
    }
}

static bool may_be_lazy(const struct hub_channel *c, const struct hub_socket *s, uint32_t n_lazy)
{
    return s->n_subs == 1 && !s->stalled && (!n_lazy || c->encoder == s->encoder);
}

/* Those who are lazy have one encoding, that of the first: when many more are eager for having
 * another one, it is theirs from now on. Looked at each time the number of the eager has doubled.
 */
static void favour_encoding(struct hub *h, struct hub_channel *c, unsigned encoder)
{
    if (c->n_eager & (c->n_eager - 1) || c->n_eager < h->options.bulk_min ||
        lag_n_lazy(c) > c->n_eager / 2)
        return;
    for (uint32_t i = 0; i < c->n; i++) {
        struct hub_subscriber *r = &c->subscribers[i];
        catch_up(h, c, r);
        if (r->lacks != LAG_EAGER)
            make_eager(c, i);
    }
    c->encoder = (uint8_t)encoder;
    for (uint32_t i = 0; i < c->n; i++) {
        if (may_be_lazy(c, c->subscribers[i].socket, 1)) {
            end_eager(c, i);
            c->subscribers[i].lacks = end_of(c);
        }
    }
}

void lag_came(struct hub *h, struct hub_channel *c, uint32_t place)
{
    struct hub_subscriber *r = &c->subscribers[place];
    uint32_t n_others = lag_n_lazy(c) - 1;
    if (!may_be_lazy(c, r->socket, n_others)) {
        make_eager(c, place);
        if (c->encoder != r->socket->encoder)
            favour_encoding(h, c, r->socket->encoder);
        return;
    }
    c->encoder = r->socket->encoder;
    r->lacks = end_of(c);
}

void lag_goes(struct hub *h, struct hub_channel *c, uint32_t place)
{
    catch_up(h, c, &c->subscribers[place]);
    if (c->subscribers[place].lacks == LAG_EAGER)
        end_eager(c, place);
}

/* One that the walk has not reached may stand behind it now, so it does not wait for that. */
void lag_moved(struct hub *h, struct hub_channel *c, uint32_t place)
{
    struct hub_subscriber *r = &c->subscribers[place];
    if (r->lacks == LAG_EAGER)
        c->eager[sub_of(r)->eager] = place;
    else
        catch_up(h, c, r);
}

void lag_review(struct hub *h, struct hub_socket *s)
{
    if (!s->n_subs)
        return;
    /* With more than one subscription only the first may still be lazy. */
    struct hub_channel *c = s->subs[0].channel;
    uint32_t place = s->subs[0].place;
    struct hub_subscriber *r = &c->subscribers[place];
    bool is_lazy = r->lacks != LAG_EAGER;
    if (is_lazy == may_be_lazy(c, s, lag_n_lazy(c) - is_lazy))
        return;
    if (is_lazy) {
        catch_up(h, c, r);
        if (r->lacks != LAG_EAGER)
            make_eager(c, place);
    } else {
        end_eager(c, place);
        c->encoder = s->encoder;
        r->lacks = end_of(c);
    }
}

void lag_catch_up(struct hub *h, struct hub_socket *s)
{
    if (s->n_subs == 1 && s->subs[0].channel->lag)
        catch_up(h, s->subs[0].channel, &s->subs[0].channel->subscribers[s->subs[0].place]);
}

uint32_t lag_catch_up_all(struct hub *h, struct hub_channel *c)
{
    uint32_t n = c->lag ? c->lag->n_lagging : 0;
    for (uint32_t i = 0; c->lag && c->lag->n_lagging && i < c->n; i++)
        catch_up(h, c, &c->subscribers[i]);
    return n;
}

/* ---- frames ---- */

uint32_t lag_append(struct hub *h, struct hub_channel *c, struct blob *frame)
{
    struct hub_lag *l = c->lag ? c->lag : make(h, c);
    uint32_t n_caught_up = 0;
    if (tail_is_full(&l->tail)) {
        n_caught_up = lag_catch_up_all(h, c);
        tail_trim(&l->tail, l->tail.end);
    }
    tail_append(&l->tail, frame);
    l->n_lagging = lag_n_lazy(c);
    return n_caught_up;
}

/* The walk is through: whatever it began with has been given to all. */
static void begin_pass(struct hub_lag *l)
{
    tail_trim(&l->tail, l->pass_end);
    l->pass_end = l->tail.end;
    l->walk = 0;
}

/* Returns its bytes. */
static size_t give(struct hub_lag *l, struct hub_subscriber *r, struct hub_due *due)
{
    size_t bytes = 0;
    const struct blob_range *ranges;
    due->socket = r->socket;
    due->n = tail_ranges(&l->tail, r->lacks, &ranges, &r->lacks);
    memcpy(due->ranges, ranges, due->n * sizeof(*ranges));
    l->n_lagging -= r->lacks == l->tail.end;
    for (unsigned i = 0; i < due->n; i++)
        bytes += ranges[i].to - ranges[i].from;
    return bytes;
}

/* What was given must stay until it is written, so a batch ends with its pass. */
static unsigned walk_on(struct hub_lag *l, struct hub_due *due, unsigned max, size_t max_bytes)
{
    struct hub_channel *c = l->channel;
    unsigned n = 0;
    if (l->walk >= c->n)
        begin_pass(l);
    for (size_t bytes = 0; n < max && bytes < max_bytes && l->n_lagging && l->walk < c->n;
         l->walk++) {
        struct hub_subscriber *r = &c->subscribers[l->walk];
        if (r->lacks == LAG_EAGER || r->lacks == l->tail.end)
            continue;
        bytes += give(l, r, &due[n++]);
        if (r->lacks != l->tail.end)
            break; /* it lacks more than goes out at once: it is first in the next batch */
    }
    return n;
}

unsigned hub_due(struct hub *h, struct hub_due *due, unsigned max, size_t max_bytes)
{
    for (struct hub_lag *l; (l = h->first_lag);) {
        if (!l->n_lagging) {
            lag_drop(h, l->channel);
            continue;
        }
        unlink_lag(h, l);
        put_last(h, l);
        unsigned n = walk_on(l, due, max, max_bytes);
        if (n)
            return n;
    }
    return 0;
}

void hub_catch_up(struct hub *h, struct hub_socket *s)
{
    lag_catch_up(h, s);
}

void hub_set_stalled(struct hub *h, struct hub_socket *s, bool stalled)
{
    if (s->stalled == stalled)
        return;
    s->stalled = stalled;
    lag_review(h, s);
}
