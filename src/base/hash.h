/* hash.h - hashes of names. Names come from clients, so the seed is drawn at start and an
 * outsider cannot choose names that collide. */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stdint.h>
#include "base/str.h"

/* Draws the seed for this process from the kernel. Once, before any thread or table. */
void hash_seed(void);

uint64_t hash_bytes(struct str s);

/* The seed of this process. */
uint64_t hash_own_seed(void);

/* Wide enough that two different names never meet (2^-128 a pair): stands for the name where
 * names are only counted. Nodes that count together take the seed of the one who asks. */
struct hash128 {
    uint64_t lo, hi;
};
struct hash128 hash_wide(struct str s, uint64_t with_seed);

#endif
