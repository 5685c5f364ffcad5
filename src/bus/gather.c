#include "bus/gather.h"
#include <assert.h>
#include <stdlib.h>
#include "base/hash_set.h"
#include "base/mem.h"
#include "base/names.h"
#include "bus/tally.h"
#include "hub/census.h"

enum source_state {
    SOURCE_ASKED,
    SOURCE_HAS_MORE,
    SOURCE_DONE,
    SOURCE_MISSING, /* given up */
};

struct source {
    struct bus_source who;
    enum source_state state;
    uint32_t cursor; /* SOURCE_HAS_MORE: of its next page */
};

struct gather {
    struct bus_seat *seat;
    struct bus_question *question;
    struct timer deadline;
    uint64_t number;
    struct source *sources;      /* sorted */
    unsigned n_sources, n_asked; /* n_asked: of this round, not here yet */
    unsigned n_unreachable;      /* nodes that could not be asked */
    bool in_round, is_later_round;
    struct buf parts; /* of this round, one behind the other */
    struct hash_set seen;
    struct tally tally; /* hub_is_census */
    uint64_t count;
    size_t bytes; /* counted in seat->bytes */
    bus_page_fn *came;
    void *ctx;
};

static void gather_free(struct gather *g)
{
    struct bus_seat *s = g->seat;
    timer_stop(&s->loop->timers, &g->deadline);
    slots_remove(&s->gathers, g->number);
    s->n_gathers--;
    s->n_patterns -= g->question->pattern != NULL;
    s->bytes -= g->bytes;
    bus_question_unref(g->question);
    buf_fini(&g->parts);
    hash_set_fini(&g->seen);
    tally_fini(&g->tally);
    mem_free(g->sources);
    mem_free(g);
}

static bool is_census(const struct gather *g)
{
    return hub_is_census(g->question->q.kind);
}

static void account(struct gather *g)
{
    size_t bytes = g->parts.cap + hash_set_bytes(&g->seen) + tally_bytes(&g->tally);
    g->seat->bytes += bytes - g->bytes;
    g->bytes = bytes;
}

/* ---- a round's end: what is new goes to the asker ---- */

static unsigned count_missing(const struct gather *g)
{
    unsigned n = g->n_unreachable;
    const struct source *last = NULL;
    for (const struct source *s = g->sources; s < g->sources + g->n_sources; s++) {
        /* A node counts once: its workers stand together. */
        if (s->state != SOURCE_MISSING || (last && last->who.node == s->who.node))
            continue;
        last = s;
        n++;
    }
    return n;
}

static bool has_more(const struct gather *g)
{
    for (unsigned i = 0; i < g->n_sources; i++) {
        if (g->sources[i].state == SOURCE_HAS_MORE)
            return true;
    }
    return false;
}

static void count_hashes(struct gather *g)
{
    struct str parts = buf_as_str(&g->parts);
    struct hash128 h;
    for (size_t at = 0; at + sizeof(h) <= parts.len; at += sizeof(h)) {
        memcpy(&h, parts.p + at, sizeof(h));
        g->count += hash_set_add(&g->seen, h);
    }
}

static void merge_names(struct gather *g, struct buf *once)
{
    struct str rest = buf_as_str(&g->parts);
    for (struct str name; names_next(&rest, &name);) {
        if (hash_set_add(&g->seen, hash_wide(name, g->question->q.seed))) {
            names_add(once, name);
            g->count++;
        }
    }
}

static void begin_round(struct gather *g);

static void end_round(struct gather *g)
{
    struct bus_page p = {.n_missing = count_missing(g), .last = !has_more(g)};
    /* All of one source in one page cannot have a name twice, unless it was gathered in slices. */
    bool is_whole = g->n_sources == 1 && p.last && !g->is_later_round && !g->question->pattern;
    struct buf once = BUF_INIT;
    g->in_round = false;
    timer_stop(&g->seat->loop->timers, &g->deadline);
    if (is_census(g)) {
        tally_add(&g->tally, buf_as_str(&g->parts));
        if (g->tally.limit)
            g->count = tally_names(&g->tally);
        if (p.last)
            p.tallies = tally_list(&g->tally, &p.n_tallies);
    } else if (g->question->count_only) {
        if (is_whole)
            g->count = g->parts.len / sizeof(struct hash128);
        else
            count_hashes(g);
    } else if (is_whole) {
        p.names = buf_as_str(&g->parts);
        g->count = names_count(p.names);
    } else {
        merge_names(g, &once);
        p.names = buf_as_str(&once);
    }
    p.count = g->count;
    if (p.last) {
        g->came(g->ctx, g->number, &p);
        gather_free(g);
    } else {
        g->is_later_round = true;
        buf_clear(&g->parts);
        account(g);
        if (g->question->count_only || is_census(g))
            begin_round(g); /* nobody reads: there is no pace to keep */
        else
            g->came(g->ctx, g->number, &p); /* may end g */
    }
    buf_fini(&once);
}

/* What has not come will not come. */
static void give_up(struct gather *g)
{
    for (unsigned i = 0; i < g->n_sources; i++) {
        if (g->sources[i].state == SOURCE_ASKED)
            g->sources[i].state = SOURCE_MISSING;
    }
    g->n_asked = 0;
    end_round(g);
}

static void on_deadline(struct timer *t)
{
    give_up(container_of(t, struct gather, deadline));
}

static void begin_round(struct gather *g)
{
    struct bus_seat *s = g->seat;
    g->in_round = true;
    for (unsigned i = 0; i < g->n_sources; i++) {
        struct source *source = &g->sources[i];
        if (source->state != SOURCE_HAS_MORE)
            continue;
        source->state = SOURCE_ASKED;
        g->n_asked++;
        s->backend.more(s->backend.ctx, g->question, source->who, source->cursor, &s->scratch);
    }
    s->published = true;
    /* Those who had more may have gone meanwhile: then there is nothing to wait for, but the end is
     * never told from in here. */
    timer_set(&s->loop->timers, &g->deadline, s->loop->now_ms + (g->n_asked ? BUS_ASK_MS : 0));
}

void gathers_end(struct bus_seat *s)
{
    uint32_t place = 0;
    for (struct gather *g; (g = slots_each(&s->gathers, &place));) {
        for (unsigned i = 0; i < g->n_sources; i++) {
            if (g->sources[i].state != SOURCE_DONE)
                g->sources[i].state = SOURCE_MISSING;
        }
        buf_clear(&g->parts);
        end_round(g);
    }
}

/* ---- asking ---- */

static int compare_sources(const void *a, const void *b)
{
    const struct bus_source *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return (x->worker > y->worker) - (x->worker < y->worker);
}

static void find_sources(struct gather *g, enum hub_question_kind kind)
{
    struct bus_seat *s = g->seat;
    struct buf list = BUF_INIT;
    s->backend.sources(s->backend.ctx, kind, &list, &g->n_unreachable);
    const struct bus_source *all = (const void *)list.p;
    g->n_sources = g->n_asked = (unsigned)(list.len / sizeof(*all));
    g->sources = mem_zalloc(g->n_sources * sizeof(*g->sources));
    for (unsigned i = 0; i < g->n_sources; i++)
        g->sources[i].who = all[i];
    qsort(g->sources, g->n_sources, sizeof(*g->sources), compare_sources);
    buf_fini(&list);
}

static size_t page_bytes(const struct gather *g, bool whole)
{
    size_t bytes = BUS_ROUND_BYTES / (g->n_sources + 1);
    if (whole)
        return SIZE_MAX;
    return bytes > BUS_PAGE_BYTES_MAX   ? BUS_PAGE_BYTES_MAX
           : bytes < BUS_PAGE_BYTES_MIN ? BUS_PAGE_BYTES_MIN
                                        : bytes;
}

enum err bus_ask(struct bus_seat *s, const struct bus_ask *ask, bus_page_fn *came, void *ctx,
                 uint64_t *question)
{
    if (s->n_gathers == BUS_ASKS_MAX || s->bytes > BUS_ASKS_BYTES_MAX ||
        (ask->pattern && s->n_patterns == BUS_PATTERNS_MAX)) {
        pattern_free(ask->pattern);
        return ERR_FULL;
    }
    struct gather *g = mem_zalloc(sizeof(*g));
    g->seat = s;
    g->deadline.fn = on_deadline;
    g->came = came;
    g->ctx = ctx;
    g->number = slots_add(&s->gathers, g);
    g->in_round = true;
    find_sources(g, ask->kind);
    if (ask->limit)
        tally_limit(&g->tally, ask->limit, ask->after);
    g->question = bus_question_new(ask, s->backend.node, s->worker, g->number, hash_own_seed(),
                                   page_bytes(g, ask->whole));
    s->n_gathers++;
    s->n_patterns += ask->pattern != NULL;

    enum err e = s->backend.ask(s->backend.ctx, g->question, &s->scratch);
    if (e) {
        gather_free(g);
        return e;
    }
    s->published = true;
    *question = g->number;
    /* With nobody to ask the answer is known, but is never given from in here. */
    timer_set(&s->loop->timers, &g->deadline, s->loop->now_ms + (g->n_sources ? BUS_ASK_MS : 0));
    return ERR_OK;
}

void bus_more(struct bus_seat *s, uint64_t question)
{
    struct gather *g = slots_get(&s->gathers, question);
    if (g && !g->in_round)
        begin_round(g);
}

void *bus_cancel(struct bus_seat *s, uint64_t question)
{
    struct gather *g = slots_get(&s->gathers, question);
    if (!g)
        return NULL;
    void *ctx = g->ctx;
    gather_free(g);
    return ctx;
}

/* ---- answers ---- */

/* Other nodes are no strangers, but whoever reaches NATS can speak for them. */
static bool is_answer(const struct gather *g, struct str bytes)
{
    if (is_census(g))
        return census_valid(bytes);
    return g->question->count_only ? bytes.len % sizeof(struct hash128) == 0 : names_valid(bytes);
}

void bus_part_arrived(struct bus_seat *s, const struct bus_part *p)
{
    struct gather *g = slots_get(&s->gathers, p->number);
    if (!g || !is_answer(g, p->bytes))
        return;
    struct source *source =
        bsearch(&p->from, g->sources, g->n_sources, sizeof(*g->sources), compare_sources);
    if (!source || source->state != SOURCE_ASKED)
        return;
    buf_str(&g->parts, p->bytes);
    account(g);
    if (p->follows)
        return;
    source->state = p->cursor == HUB_CURSOR_END ? SOURCE_DONE : SOURCE_HAS_MORE;
    source->cursor = p->cursor;
    if (--g->n_asked == 0)
        end_round(g);
}

void bus_node_gone(struct bus_seat *s, uint32_t node, bool left)
{
    uint32_t place = 0;
    for (struct gather *g; (g = slots_each(&s->gathers, &place));) {
        unsigned n_asked = g->n_asked;
        for (unsigned i = 0; i < g->n_sources; i++) {
            struct source *source = &g->sources[i];
            if (source->who.node != node || source->state == SOURCE_DONE)
                continue;
            g->n_asked -= source->state == SOURCE_ASKED;
            source->state = left ? SOURCE_DONE : SOURCE_MISSING;
        }
        if (g->n_asked != n_asked && !g->n_asked)
            end_round(g);
    }
}
