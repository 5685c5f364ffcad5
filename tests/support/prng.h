/* prng.h - random numbers that are the same in every run: splitmix64. */
#ifndef TESTS_PRNG_H
#define TESTS_PRNG_H
#include <stdint.h>

struct prng {
    uint64_t state; /* any seed */
};

static inline uint64_t prng_next(struct prng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* From 0 to `n` - 1. */
static inline uint32_t prng_below(struct prng *r, uint32_t n)
{
    return (uint32_t)(prng_next(r) >> 32) % n;
}

#endif
