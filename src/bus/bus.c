#include "bus/bus.h"
#include <assert.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/slots.h"
#include "bus/seat.h"

struct bus_seat {
    struct bus_backend backend;
    struct loop *loop;
    unsigned worker;
    struct slots gathers;
    unsigned n_gathers, n_patterns;
};

/* One question while its answers come in. */
struct gather {
    struct bus_seat *seat;
    struct timer deadline;
    uint64_t number;
    unsigned n_parts, n_arrived;
    bool count_only, has_pattern;
    struct buf parts; /* one part after the other */
    bus_answer_fn *answered;
    void *ctx;
    uint64_t call;
};

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

struct bus_seat *bus_seat_new(const struct bus_backend *b, struct loop *loop, unsigned worker)
{
    struct bus_seat *s = mem_zalloc(sizeof(*s));
    s->backend = *b;
    s->loop = loop;
    s->worker = worker;
    slots_init(&s->gathers);
    return s;
}

static void gather_free(struct gather *g)
{
    timer_stop(&g->seat->loop->timers, &g->deadline);
    slots_remove(&g->seat->gathers, g->number);
    g->seat->n_gathers--;
    g->seat->n_patterns -= g->has_pattern;
    buf_fini(&g->parts);
    mem_free(g);
}

enum err bus_publish(struct bus_seat *s, struct msg *m)
{
    return s->backend.publish(s->backend.ctx, m, false);
}

enum err bus_publish_more(struct bus_seat *s, struct msg *m)
{
    return s->backend.publish(s->backend.ctx, m, true);
}

/* ---- merging: a name that several parts know counts once ---- */

/* A set of wide hashes: open addressing, at most half full. */
struct hash_set {
    struct hash128 *places;
    bool *used;
    size_t mask;
};

static void set_init(struct hash_set *s, size_t n)
{
    size_t places = 16;
    while (places < 2 * n)
        places *= 2;
    s->places = mem_alloc(places * sizeof(*s->places));
    s->used = mem_zalloc(places);
    s->mask = places - 1;
}

static void set_fini(struct hash_set *s)
{
    mem_free(s->places);
    mem_free(s->used);
}

/* False: it was there already. */
static bool set_add(struct hash_set *s, struct hash128 h)
{
    size_t i = h.lo & s->mask;
    for (; s->used[i]; i = (i + 1) & s->mask) {
        if (s->places[i].lo == h.lo && s->places[i].hi == h.hi)
            return false;
    }
    s->used[i] = true;
    s->places[i] = h;
    return true;
}

static uint64_t count_hashes(struct str parts)
{
    size_t n = parts.len / sizeof(struct hash128);
    uint64_t count = 0;
    struct hash_set seen;
    set_init(&seen, n);
    for (size_t i = 0; i < n; i++) {
        struct hash128 h;
        memcpy(&h, parts.p + i * sizeof(h), sizeof(h));
        count += set_add(&seen, h);
    }
    set_fini(&seen);
    return count;
}

static uint64_t merge_names(struct str parts, struct buf *once)
{
    uint64_t count = 0;
    struct hash_set seen;
    set_init(&seen, names_count(parts));
    for (struct str name; names_next(&parts, &name);) {
        if (set_add(&seen, hash_wide(name))) {
            names_add(once, name);
            count++;
        }
    }
    set_fini(&seen);
    return count;
}

static void finish(struct gather *g)
{
    struct bus_answer a = {.n_missing = g->n_parts - g->n_arrived};
    struct str parts = buf_as_str(&g->parts);
    struct buf once = BUF_INIT;
    if (g->count_only) {
        a.count = g->n_parts == 1 ? parts.len / sizeof(struct hash128) : count_hashes(parts);
    } else if (g->n_parts == 1) {
        a.names = parts;
        a.count = names_count(parts);
    } else {
        a.count = merge_names(parts, &once);
        a.names = buf_as_str(&once);
    }
    g->answered(g->ctx, g->call, &a);
    buf_fini(&once);
    gather_free(g);
}

void bus_seat_free(struct bus_seat *s)
{
    if (!s)
        return;
    uint32_t place = 0;
    for (struct gather *g; (g = slots_each(&s->gathers, &place));) {
        buf_clear(&g->parts);
        g->n_arrived = 0;
        finish(g);
    }
    slots_fini(&s->gathers);
    mem_free(s);
}

static void on_deadline(struct timer *t)
{
    finish(container_of(t, struct gather, deadline));
}

/* ---- asking ---- */

static struct bus_question *question_new(const struct bus_seat *s, const struct bus_ask *ask,
                                         uint64_t number)
{
    struct bus_question *q = mem_zalloc(sizeof(*q) + ask->app.len + ask->channel.len);
    char *at = (char *)(q + 1);
    atomic_init(&q->refs, 1);
    q->from = s->worker;
    q->number = number;
    q->count_only = ask->count_only;
    q->pattern = ask->pattern;
    memcpy(at, ask->app.p, ask->app.len);
    q->q = (struct hub_question){.kind = ask->kind,
                                 .app = str_make(at, ask->app.len),
                                 .channel = str_make(at + ask->app.len, ask->channel.len)};
    if (ask->channel.len)
        memcpy(at + ask->app.len, ask->channel.p, ask->channel.len);
    return q;
}

enum err bus_ask(struct bus_seat *s, const struct bus_ask *ask, bus_answer_fn *answered, void *ctx,
                 uint64_t call)
{
    if (s->n_gathers == BUS_ASKS_MAX || (ask->pattern && s->n_patterns == BUS_PATTERNS_MAX)) {
        pattern_free(ask->pattern);
        return ERR_FULL;
    }
    struct gather *g = mem_zalloc(sizeof(*g));
    g->seat = s;
    g->deadline.fn = on_deadline;
    g->count_only = ask->count_only;
    g->answered = answered;
    g->ctx = ctx;
    g->call = call;
    g->number = slots_add(&s->gathers, g);
    g->has_pattern = ask->pattern != NULL;
    s->n_gathers++;
    s->n_patterns += g->has_pattern;

    struct bus_question *q = question_new(s, ask, g->number);
    enum err e = s->backend.ask(s->backend.ctx, q, &g->n_parts);
    bus_question_unref(q);
    if (e) {
        gather_free(g);
        return e;
    }
    timer_set(&s->loop->timers, &g->deadline, s->loop->now_ms + BUS_ASK_MS);
    return ERR_OK;
}

void bus_part_arrived(struct bus_seat *s, uint64_t number, struct str part)
{
    struct gather *g = slots_get(&s->gathers, number);
    if (!g)
        return;
    buf_str(&g->parts, part);
    if (++g->n_arrived == g->n_parts)
        finish(g);
}
