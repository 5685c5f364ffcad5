#include "base/map.h"
#include <assert.h>
#include "base/hash.h"
#include "base/mem.h"

enum { MAP_PLACES_MIN = 8 };

/* Linear probing with backward-shift deletion: no tombstones, so a table that names come to
 * and leave all day never degrades. */

static uint32_t tag_of(struct str key)
{
    return (uint32_t)(hash_bytes(key) >> 32);
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
    uint32_t mask = m->places - 1, i = tag & mask;
    while (m->items[i])
        i = (i + 1) & mask;
    m->items[i] = item;
    m->hashes[i] = tag;
}

static void resize(struct map *m, uint32_t places)
{
    struct map old = *m;
    m->places = places;
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
    for (uint32_t i = tag & mask; m->items[i]; i = (i + 1) & mask) {
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
    uint32_t mask = m->places - 1, i = tag_of(m->key(item)) & mask;
    while (m->items[i] != item) {
        assert(m->items[i]);
        i = (i + 1) & mask;
    }
    for (uint32_t next = (i + 1) & mask; m->items[next]; next = (next + 1) & mask) {
        uint32_t home = m->hashes[next] & mask;
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

static uint32_t reversed(uint32_t v)
{
    v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
    v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
    v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(v);
}

uint32_t map_scan(const struct map *m, uint32_t cursor, map_found_fn *found, void *ctx)
{
    if (!m->n)
        return 0;
    uint32_t mask = m->places - 1, home = cursor & mask;
    for (uint32_t i = home; m->items[i]; i = (i + 1) & mask) {
        if ((m->hashes[i] & mask) == home)
            found(ctx, m->items[i]);
    }
    /* Counting from the highest bit down: when the map grows or shrinks, the homes behind the
     * cursor split into, or join to, homes behind the cursor. */
    return reversed(reversed(cursor | ~mask) + 1);
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
