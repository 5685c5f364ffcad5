#include "edge/held.h"
#include <assert.h>
#include "base/mem.h"

void held_queue_init(struct held_queue *q)
{
    *q = (struct held_queue){0};
}

struct held *held_new(void *conn)
{
    struct held *h = mem_zalloc(sizeof(*h));
    h->conn = conn;
    h->end = &h->first;
    return h;
}

struct held_reply *held_add(struct held_queue *q, struct held *h, uint64_t seq)
{
    struct held_reply *r = mem_zalloc(sizeof(*r));
    r->of = h;
    r->seq = seq;
    r->prev = q->last;
    *(q->last ? &q->last->next : &q->first) = r;
    q->last = r;
    *h->end = r;
    h->end = &r->next_of_conn;
    return r;
}

static void unlink_reply(struct held_queue *q, struct held_reply *r)
{
    *(r->prev ? &r->prev->next : &q->first) = r->next;
    *(r->next ? &r->next->prev : &q->last) = r->prev;
}

struct held_reply *held_take(struct held_queue *q, uint64_t sure)
{
    struct held_reply *r = q->first;
    if (!r || r->seq > sure)
        return NULL;
    unlink_reply(q, r);
    return r;
}

bool held_done(struct held_reply *r)
{
    struct held *h = r->of;
    assert(h->first == r); /* both rows have the same order */
    h->first = r->next_of_conn;
    if (!h->first)
        h->end = &h->first;
    return !h->first;
}

static size_t blob_bytes(const struct blob *b)
{
    return b ? sizeof(*b) + b->len : 0;
}

size_t held_reply_bytes(const struct held_reply *r)
{
    return sizeof(*r) + blob_bytes(r->frame) + blob_bytes(r->denied) + r->names.cap + r->added.cap;
}

void held_reply_free(struct held_reply *r, struct grants_pool *pool)
{
    if (r->frame)
        blob_unref(r->frame);
    if (r->denied)
        blob_unref(r->denied);
    if (r->grants)
        grants_unref(pool, r->grants);
    buf_fini(&r->names);
    buf_fini(&r->added);
    mem_free(r);
}

void held_drop(struct held *h, struct held_queue *q, struct grants_pool *pool)
{
    for (struct held_reply *r; (r = h->first);) {
        h->first = r->next_of_conn;
        unlink_reply(q, r);
        held_reply_free(r, pool);
    }
    mem_free(h);
}
