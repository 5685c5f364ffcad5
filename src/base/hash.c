#include "base/hash.h"
#include <stdlib.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t seed;

void hash_seed(void)
{
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        abort();
}

uint64_t hash_bytes(struct str s)
{
    return XXH3_64bits_withSeed(s.p, s.len, seed);
}

uint64_t hash_own_seed(void)
{
    return seed;
}

struct hash128 hash_wide(struct str s, uint64_t with_seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(s.p, s.len, with_seed);
    return (struct hash128){h.low64, h.high64};
}
