#include "net/outq.h"
#include "base/mem.h"

enum { CAP_MIN = 16, SPARE_MAX = 4096 };

void outq_pool_fini(struct outq_pool *p)
{
    for (struct outq *next; p->spare; p->spare = next) {
        next = p->spare->next_spare;
        mem_free(p->spare);
    }
}

static size_t size_of(uint32_t cap)
{
    return sizeof(struct outq) + cap * sizeof(struct blob_range);
}

static struct outq *make(struct outq_pool *p)
{
    struct outq *q = p->spare;
    if (q) {
        p->spare = q->next_spare;
        p->n_spare--;
    } else {
        q = mem_alloc(size_of(CAP_MIN));
        q->cap = CAP_MIN;
    }
    p->bytes += size_of(CAP_MIN);
    q->head = q->n = 0;
    return q;
}

static void give_back(struct outq_pool *p, struct outq *q)
{
    p->bytes -= size_of(q->cap);
    if (q->cap == CAP_MIN && p->n_spare < SPARE_MAX) {
        q->next_spare = p->spare;
        p->spare = q;
        p->n_spare++;
    } else {
        mem_free(q);
    }
}

static void grow(struct outq_pool *p, struct outq **q)
{
    struct outq *old = *q;
    struct outq *bigger = mem_alloc(size_of(2 * old->cap));
    p->bytes += size_of(2 * old->cap) - size_of(old->cap);
    bigger->cap = 2 * old->cap;
    bigger->head = 0;
    bigger->n = old->n;
    for (uint32_t i = 0; i < old->n; i++)
        bigger->ranges[i] = *outq_at(old, i);
    mem_free(old);
    *q = bigger;
}

void outq_push(struct outq_pool *p, struct outq **q, struct blob_range r)
{
    if (!*q)
        *q = make(p);
    else if ((*q)->n == (*q)->cap)
        grow(p, q);
    *outq_at(*q, (*q)->n++) = r;
}

static void drop_if_empty(struct outq_pool *p, struct outq **q)
{
    if ((*q)->n)
        return;
    give_back(p, *q);
    *q = NULL;
}

struct blob_range outq_take_first(struct outq_pool *p, struct outq **q)
{
    struct blob_range r = *outq_at(*q, 0);
    (*q)->head = ((*q)->head + 1) & ((*q)->cap - 1);
    (*q)->n--;
    drop_if_empty(p, q);
    return r;
}

struct blob_range outq_take_last(struct outq_pool *p, struct outq **q)
{
    struct blob_range r = *outq_at(*q, --(*q)->n);
    drop_if_empty(p, q);
    return r;
}
