#include "edge/limits.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

typedef _Atomic uint32_t count_cells[2][LIMITS_CELLS];
typedef _Atomic int64_t time_cells[2][LIMITS_CELLS];

struct limits {
    struct limits_options o;
    _Atomic uint32_t n_all;
    _Atomic uint64_t refused_counts[LIMIT_COUNTS], refused_rates[LIMIT_RATES];
    count_cells *counts[LIMIT_COUNTS]; /* NULL: no limit */
    time_cells *times[LIMIT_RATES];    /* when the next one would be due, in microseconds */
};

struct limits *limits_new(const struct limits_options *o)
{
    struct limits *l = mem_zalloc(sizeof(*l));
    l->o = *o;
    for (unsigned i = LIMIT_OF_ADDRESS; i < LIMIT_COUNTS; i++) {
        if (o->most[i])
            l->counts[i] = mem_zalloc(sizeof(*l->counts[i]));
    }
    for (unsigned i = 0; i < LIMIT_RATES; i++) {
        if (o->per_s[i])
            l->times[i] = mem_zalloc(sizeof(*l->times[i]));
    }
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < LIMIT_COUNTS; i++)
        mem_free(l->counts[i]);
    for (unsigned i = 0; i < LIMIT_RATES; i++)
        mem_free(l->times[i]);
    mem_free(l);
}

/* ---- keys: 15 bits for each table, and one that is always set ---- */

static uint32_t key_of(struct str text, uint64_t seed)
{
    return (uint32_t)hash_wide(text, seed ^ hash_own_seed()).lo | 1u << 31;
}

uint32_t limits_key_of_address(const struct limits *l, const struct sockaddr_storage *a)
{
    (void)l;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        return key_of(str_make((const char *)&v4->sin_addr, sizeof(v4->sin_addr)), 4);
    }
    const struct in6_addr *ip = &((const struct sockaddr_in6 *)a)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(ip))
        return key_of(str_make((const char *)ip->s6_addr + 12, 4), 4);
    return key_of(str_make((const char *)ip->s6_addr, 8), 6);
}

uint32_t limits_key_of_app(const struct limits *l, struct str app)
{
    (void)l;
    return key_of(app, 0);
}

uint32_t limits_key_of_user(const struct limits *l, struct str app, struct str user)
{
    return key_of(user, limits_key_of_app(l, app));
}

static uint32_t cell(uint32_t key, unsigned table)
{
    return (table ? key >> 15 : key) % LIMITS_CELLS;
}

/* ---- counts ---- */

static bool refuse(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return false;
}

static bool enter_all(struct limits *l)
{
    uint32_t most = l->o.most[LIMIT_CONNECTIONS];
    if (atomic_fetch_add_explicit(&l->n_all, 1, memory_order_relaxed) < most || !most)
        return true;
    atomic_fetch_sub_explicit(&l->n_all, 1, memory_order_relaxed);
    return refuse(&l->refused_counts[LIMIT_CONNECTIONS]);
}

static void leave(count_cells *cells, uint32_t key)
{
    for (unsigned t = 0; t < 2; t++)
        atomic_fetch_sub_explicit(&(*cells)[t][cell(key, t)], 1, memory_order_relaxed);
}

bool limits_enter(struct limits *l, enum limit_count kind, uint32_t key)
{
    count_cells *cells = l->counts[kind];
    uint32_t least = UINT32_MAX;
    if (kind == LIMIT_CONNECTIONS)
        return enter_all(l);
    if (!cells || !key)
        return true;
    for (unsigned t = 0; t < 2; t++) {
        uint32_t before =
            atomic_fetch_add_explicit(&(*cells)[t][cell(key, t)], 1, memory_order_relaxed);
        least = before < least ? before : least;
    }
    if (least < l->o.most[kind])
        return true;
    leave(cells, key);
    return refuse(&l->refused_counts[kind]);
}

void limits_leave(struct limits *l, enum limit_count kind, uint32_t key)
{
    if (kind == LIMIT_CONNECTIONS)
        atomic_fetch_sub_explicit(&l->n_all, 1, memory_order_relaxed);
    else if (l->counts[kind] && key)
        leave(l->counts[kind], key);
}

/* ---- rates: a cell holds the moment at which a steady sender's next one would be due ---- */

static void raise_to(_Atomic int64_t *cell, int64_t to)
{
    int64_t now = atomic_load_explicit(cell, memory_order_relaxed);
    while (now < to && !atomic_compare_exchange_weak_explicit(cell, &now, to, memory_order_relaxed,
                                                              memory_order_relaxed))
        ;
}

uint32_t limits_take(struct limits *l, enum limit_rate kind, uint32_t key, int64_t now_us)
{
    time_cells *cells = l->times[kind];
    int64_t due = INT64_MAX;
    if (!cells || !key)
        return 0;
    const int64_t apart = 1000000 / l->o.per_s[kind], ahead = apart * (l->o.burst[kind] - 1);
    for (unsigned t = 0; t < 2; t++) {
        int64_t d = atomic_load_explicit(&(*cells)[t][cell(key, t)], memory_order_relaxed);
        due = d < due ? d : due;
    }
    if (due - now_us > ahead) {
        refuse(&l->refused_rates[kind]);
        return (uint32_t)((due - now_us - ahead + 999) / 1000);
    }
    int64_t next = (due > now_us ? due : now_us) + apart;
    for (unsigned t = 0; t < 2; t++)
        raise_to(&(*cells)[t][cell(key, t)], next);
    return 0;
}

uint64_t limits_refused_count(const struct limits *l, enum limit_count kind)
{
    return atomic_load_explicit(&l->refused_counts[kind], memory_order_relaxed);
}

uint64_t limits_refused_rate(const struct limits *l, enum limit_rate kind)
{
    return atomic_load_explicit(&l->refused_rates[kind], memory_order_relaxed);
}
