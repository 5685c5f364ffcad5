#include "bus/tally.h"
#include <stdlib.h>
#include "base/mem.h"
#include "hub/census.h"

struct entry {
    uint64_t connections, users;
    size_t key_len;
    char key[];
};

enum { PLACE_BYTES = 24 }; /* of an entry, in the map */

static struct str entry_key(const void *item)
{
    const struct entry *e = item;
    return str_make(e->key, e->key_len);
}

void tally_limit(struct tally *t, size_t limit, struct str after)
{
    t->limit = limit;
    buf_str(&t->after, after);
}

static struct entry *find_entry(struct tally *t, struct str key)
{
    if (!t->entries.key)
        map_init(&t->entries, entry_key);
    struct entry *e = map_get(&t->entries, key);
    if (e)
        return e;
    e = mem_zalloc(sizeof(*e) + key.len);
    e->key_len = key.len;
    memcpy(e->key, key.p, key.len);
    map_put(&t->entries, e);
    t->bytes += sizeof(*e) + key.len + PLACE_BYTES;
    return e;
}

/* ---- the first names alone ---- */

static int compare_entries(const void *x, const void *y)
{
    return str_compare(entry_key(*(struct entry *const *)x), entry_key(*(struct entry *const *)y));
}

/* Twice as many as are wanted: the upper half goes, and will not come again. */
static void prune(struct tally *t)
{
    size_t n = t->entries.n, i = 0;
    uint32_t place = 0;
    struct entry **all = mem_alloc(n * sizeof(*all));
    for (struct entry *e; (e = map_each(&t->entries, &place));)
        all[i++] = e;
    qsort(all, n, sizeof(*all), compare_entries);
    for (i = t->limit; i < n; i++) {
        map_remove(&t->entries, all[i]);
        t->bytes -= sizeof(*all[i]) + all[i]->key_len + PLACE_BYTES;
        mem_free(all[i]);
    }
    buf_clear(&t->bar);
    buf_str(&t->bar, entry_key(all[t->limit - 1]));
    t->has_bar = true;
    mem_free(all);
}

static bool is_wanted(struct tally *t, struct str name)
{
    if (!t->limit)
        return true;
    hash_set_add(&t->users, hash_wide(name, hash_own_seed()));
    return (!t->after.len || str_compare(name, buf_as_str(&t->after)) > 0) &&
           (!t->has_bar || str_compare(name, buf_as_str(&t->bar)) <= 0);
}

void tally_add(struct tally *t, struct str records)
{
    struct census_record r;
    while (census_next(&records, &r)) {
        if (!is_wanted(t, r.app))
            continue;
        struct entry *e = find_entry(t, r.app);
        struct hash128 user;
        e->connections += r.connections;
        for (size_t at = 0; !t->limit && at < r.users.len; at += sizeof(user)) {
            memcpy(&user, r.users.p + at, sizeof(user));
            e->users += hash_set_add(&t->users, user);
        }
        if (t->limit && t->entries.n >= 2 * t->limit)
            prune(t);
    }
}

/* ---- what came of it ---- */

static int compare_tallies(const void *x, const void *y)
{
    return str_compare(((const struct bus_tally *)x)->app, ((const struct bus_tally *)y)->app);
}

const struct bus_tally *tally_list(struct tally *t, size_t *n)
{
    uint32_t place = 0;
    size_t i = 0;
    mem_free(t->list);
    t->list = mem_zalloc((t->entries.n + 1) * sizeof(*t->list));
    for (struct entry *e; t->entries.key && (e = map_each(&t->entries, &place));)
        t->list[i++] = (struct bus_tally){entry_key(e), e->connections, e->users};
    qsort(t->list, i, sizeof(*t->list), compare_tallies);
    *n = t->limit && i > t->limit ? t->limit : i;
    return t->list;
}

size_t tally_names(const struct tally *t)
{
    return t->users.n;
}

size_t tally_bytes(const struct tally *t)
{
    return t->bytes + hash_set_bytes(&t->users);
}

void tally_fini(struct tally *t)
{
    uint32_t place = 0;
    for (struct entry *e; t->entries.key && (e = map_each(&t->entries, &place));)
        mem_free(e);
    if (t->entries.key)
        map_fini(&t->entries);
    hash_set_fini(&t->users);
    buf_fini(&t->after);
    buf_fini(&t->bar);
    mem_free(t->list);
    *t = (struct tally){0};
}
