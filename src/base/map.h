/* map.h - finds things by their names: open addressing over pointers.
 *
 * The map owns neither things nor names; a thing's name must stay the same while it is in.
 * Not to be changed while map_each walks it, except for removing nothing. */
#ifndef BASE_MAP_H
#define BASE_MAP_H
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

/* The name of a thing. */
typedef struct str map_key_fn(const void *item);

struct map {
    void **items;     /* NULL: free place */
    uint32_t *hashes; /* the upper half of each item's hash */
    uint32_t places;  /* a power of two, or 0 */
    uint32_t shift;   /* from a hash to its home: 32 - log2(places) */
    uint32_t n;       /* things in the map */
    map_key_fn *key;
};

void map_init(struct map *m, map_key_fn *key);
void map_fini(struct map *m);

/* The thing of this name, or NULL. */
void *map_get(const struct map *m, struct str key);

/* Adds a thing whose name is not in the map yet. */
void map_put(struct map *m, void *item);

/* Removes a thing that is in the map. */
void map_remove(struct map *m, const void *item);

/* Walks the things a little at a time, also while others come and go: calls found(ctx, thing) for
 * the few things of some places and returns the cursor for the next call; it starts at 0 and is 0
 * at the end. Whatever is in the map from the first call to the last is found at least once (twice,
 * when the map changed its size in between). */
typedef void map_found_fn(void *ctx, void *item);
uint32_t map_scan(const struct map *m, uint32_t cursor, map_found_fn *found, void *ctx);

/* Walks all things, in no order: *place starts at 0; NULL at the end. */
void *map_each(const struct map *m, uint32_t *place);

#endif
