#include "base/hash_set.h"
#include "base/mem.h"

enum { PLACES_MIN = 16 };

/* Open addressing, at most half full. Hashes are uniform already: the low bits are the place. */
static bool place(struct hash_set *s, struct hash128 h)
{
    size_t mask = s->n_places - 1, i = h.lo & mask;
    for (; s->places[i].lo || s->places[i].hi; i = (i + 1) & mask) {
        if (s->places[i].lo == h.lo && s->places[i].hi == h.hi)
            return false;
    }
    s->places[i] = h;
    s->n++;
    return true;
}

static void grow(struct hash_set *s)
{
    struct hash_set old = *s;
    s->n_places = old.n_places ? 2 * old.n_places : PLACES_MIN;
    s->places = mem_zalloc(s->n_places * sizeof(*s->places));
    s->n = 0;
    for (size_t i = 0; i < old.n_places; i++) {
        if (old.places[i].lo || old.places[i].hi)
            place(s, old.places[i]);
    }
    mem_free(old.places);
}

bool hash_set_add(struct hash_set *s, struct hash128 h)
{
    if (!h.lo && !h.hi) {
        bool is_new = !s->has_zero;
        s->has_zero = true;
        return is_new;
    }
    if (2 * (s->n + 1) > s->n_places)
        grow(s);
    return place(s, h);
}

size_t hash_set_bytes(const struct hash_set *s)
{
    return s->n_places * sizeof(*s->places);
}

void hash_set_fini(struct hash_set *s)
{
    mem_free(s->places);
    *s = (struct hash_set){0};
}
