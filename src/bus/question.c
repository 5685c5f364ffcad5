#include "base/mem.h"
#include "bus/seat.h"

struct bus_question *bus_question_new(const struct bus_ask *ask, uint32_t node, unsigned from,
                                      uint64_t number, uint64_t seed, size_t page_bytes)
{
    size_t text = ask->app.len + ask->channel.len + ask->expression.len;
    struct bus_question *q = mem_zalloc(sizeof(*q) + text);
    char *at = (char *)(q + 1);
    atomic_init(&q->refs, 1);
    q->node = node;
    q->from = from;
    q->number = number;
    q->page_bytes = page_bytes;
    q->count_only = ask->count_only;
    q->pattern = ask->pattern;
    q->q = (struct hub_question){.kind = ask->kind, .seed = seed};
    q->q.app = str_put(&at, ask->app);
    q->q.channel = str_put(&at, ask->channel);
    q->expression = str_put(&at, ask->expression);
    return q;
}

struct bus_question *bus_question_ref(struct bus_question *q)
{
    atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
    return q;
}

void bus_question_unref(struct bus_question *q)
{
    if (atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) != 1)
        return;
    pattern_free(q->pattern);
    mem_free(q);
}
