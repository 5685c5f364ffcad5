#include "base/map.h"
#include <assert.h>
#include "base/hash.h"
#include "base/mem.h"

enum {
    MAP_PLACES_MIN = 8,
    MAP_SCAN_HOMES = 16, /* a call of map_scan looks at */
};

/* Linear probing with backward-shift deletion: no tombstones, so a table that names come to
 * and leave all day never degrades. A thing's home is the upper bits of its tag, so that homes are
 * in the order of tags however large the table is. */

static uint32_t tag_of(struct str key)
{
    return (uint32_t)(hash_bytes(key) >> 32);
}

static uint32_t home_of(const struct map *m, uint32_t tag)
{
    return tag >> m->shift;
}

void map_init(struct map *m, map_key_fn *key)
{
    *m = (struct map){.key = key};
}

void map_fini(struct map *m)
{
    mem_free(m->items);
    mem_free(m->hashes);
    map_init(m, m->key);
}

static void place(struct map *m, void *item, uint32_t tag)
{
    uint32_t mask = m->places - 1, i = home_of(m, tag);
    while (m->items[i])
        i = (i + 1) & mask;
    m->items[i] = item;
    m->hashes[i] = tag;
}

static void resize(struct map *m, uint32_t places)
{
    struct map old = *m;
    m->places = places;
    m->shift = 32 - (unsigned)__builtin_ctz(places);
    m->items = mem_zalloc(places * sizeof(*m->items));
    m->hashes = mem_alloc(places * sizeof(*m->hashes));
    for (uint32_t i = 0; i < old.places; i++) {
        if (old.items[i])
            place(m, old.items[i], old.hashes[i]);
    }
    mem_free(old.items);
    mem_free(old.hashes);
}

void *map_get(const struct map *m, struct str key)
{
    if (!m->n)
        return NULL;
    uint32_t tag = tag_of(key), mask = m->places - 1;
    for (uint32_t i = home_of(m, tag); m->items[i]; i = (i + 1) & mask) {
        if (m->hashes[i] == tag && str_eq(m->key(m->items[i]), key))
            return m->items[i];
    }
    return NULL;
}

void map_put(struct map *m, void *item)
{
    /* At most three quarters full, so that a search for a name that is not there stays short. */
    if (!m->places)
        resize(m, MAP_PLACES_MIN);
    else if (m->n + 1 > m->places / 4 * 3)
        resize(m, m->places * 2);
    place(m, item, tag_of(m->key(item)));
    m->n++;
}

void map_remove(struct map *m, const void *item)
{
    uint32_t mask = m->places - 1, i = home_of(m, tag_of(m->key(item)));
    while (m->items[i] != item) {
        assert(m->items[i]);
        i = (i + 1) & mask;
    }
    for (uint32_t next = (i + 1) & mask; m->items[next]; next = (next + 1) & mask) {
        uint32_t home = home_of(m, m->hashes[next]);
        if (((next - home) & mask) >= ((next - i) & mask)) {
            m->items[i] = m->items[next];
            m->hashes[i] = m->hashes[next];
            i = next;
        }
    }
    m->items[i] = NULL;
    m->n--;
    if (!m->n)
        map_fini(m);
    else if (m->places >= 4 * MAP_PLACES_MIN && m->n < m->places / 8)
        resize(m, m->places / 4);
}

/* The cursor is the least tag that has not been looked at. Those before it have homes before its
 * home: so it goes on in order when the map has changed its size. */
uint32_t map_scan(const struct map *m, uint32_t cursor, map_found_fn *found, void *ctx)
{
    if (!m->n)
        return 0;
    uint32_t mask = m->places - 1, from = home_of(m, cursor);
    uint32_t homes = m->places - from < MAP_SCAN_HOMES ? m->places - from : MAP_SCAN_HOMES;
    /* The next call's: things lie anywhere in memory. */
    for (uint32_t i = 0; i < MAP_SCAN_HOMES; i++) {
        const char *item = m->items[(from + homes + i) & mask];
        if (item) {
            __builtin_prefetch(item);
            __builtin_prefetch(item + 64);
        }
    }
    for (uint32_t i = 0; i < m->places && (i < homes || m->items[(from + i) & mask]); i++) {
        uint32_t at = (from + i) & mask;
        if (m->items[at] && home_of(m, m->hashes[at]) - from < homes)
            found(ctx, m->items[at]);
    }
    return from + homes == m->places ? 0 : (from + homes) << m->shift;
}

void *map_each(const struct map *m, uint32_t *place_no)
{
    while (*place_no < m->places) {
        void *item = m->items[(*place_no)++];
        if (item)
            return item;
    }
    return NULL;
}
