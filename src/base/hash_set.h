/* hash_set.h - a set of wide hashes: what has been counted already. It grows in steps: no single
 * add takes long. */
#ifndef BASE_HASH_SET_H
#define BASE_HASH_SET_H
#include <stdbool.h>
#include <stddef.h>
#include "base/hash.h"

struct hash_set {           /* zeroed is empty */
    struct hash128 *places; /* all bits 0: free */
    size_t n_places, n;
    struct hash128 *old; /* what it had before it grew, until all of that is in `places` */
    size_t n_old, n_moved;
    bool has_zero;
};

/* False: it was there already. */
bool hash_set_add(struct hash_set *s, struct hash128 h);
size_t hash_set_bytes(const struct hash_set *s); /* of memory */
void hash_set_fini(struct hash_set *s);

#endif
