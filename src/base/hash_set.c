#include "base/hash_set.h"
#include <assert.h>
#include "base/mem.h"

enum {
    PLACES_MIN = 16,
    MOVES = 8, /* old places looked at with each add: done long before the next growth */
};

static bool is_free(struct hash128 h)
{
    return !h.lo && !h.hi;
}

/* Open addressing, at most half full. Hashes are uniform already: the low bits are the place. Gives
 * the place of `h`, or the free one where it belongs. */
static struct hash128 *find(struct hash128 *places, size_t n_places, struct hash128 h)
{
    size_t mask = n_places - 1, i = h.lo & mask;
    while (!is_free(places[i]) && (places[i].lo != h.lo || places[i].hi != h.hi))
        i = (i + 1) & mask;
    return &places[i];
}

static void move_some(struct hash_set *s)
{
    for (unsigned i = 0; i < MOVES && s->n_moved < s->n_old; i++) {
        struct hash128 h = s->old[s->n_moved++];
        if (!is_free(h))
            *find(s->places, s->n_places, h) = h;
    }
    if (s->n_moved < s->n_old)
        return;
    mem_free(s->old);
    s->old = NULL;
    s->n_old = s->n_moved = 0;
}

static void grow(struct hash_set *s)
{
    assert(!s->old);
    s->old = s->places;
    s->n_old = s->n_places;
    s->n_places = s->n_places ? 2 * s->n_places : PLACES_MIN;
    s->places = mem_zalloc(s->n_places * sizeof(*s->places));
}

bool hash_set_add(struct hash_set *s, struct hash128 h)
{
    if (is_free(h)) {
        bool is_new = !s->has_zero;
        s->has_zero = true;
        return is_new;
    }
    if (2 * (s->n + 1) > s->n_places)
        grow(s);
    if (s->old && !is_free(*find(s->old, s->n_old, h)))
        return false;
    if (s->old)
        move_some(s);
    struct hash128 *place = find(s->places, s->n_places, h);
    if (!is_free(*place))
        return false;
    *place = h;
    s->n++;
    return true;
}

size_t hash_set_bytes(const struct hash_set *s)
{
    return (s->n_places + s->n_old) * sizeof(*s->places);
}

void hash_set_fini(struct hash_set *s)
{
    mem_free(s->places);
    mem_free(s->old);
    *s = (struct hash_set){0};
}
