/* counter.h - numbers that one thread changes and any thread reads: what metrics are made of.
 *
 * No locks and no shared writes: each thread has its own, the reader adds them up. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H
#include <stdatomic.h>
#include <stdint.h>

struct counter { /* zeroed is 0 */
    _Atomic uint64_t n;
};

static inline uint64_t counter_read(const struct counter *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

static inline void counter_set(struct counter *c, uint64_t n)
{
    atomic_store_explicit(&c->n, n, memory_order_relaxed);
}

static inline void counter_add(struct counter *c, uint64_t n)
{
    counter_set(c, counter_read(c) + n);
}

/* How often something took how long. A bucket's bound belongs to it. */
enum { HISTOGRAM_BUCKETS = 17 }; /* the last one is without a bound */

struct histogram { /* zeroed is empty */
    struct counter buckets[HISTOGRAM_BUCKETS];
    struct counter sum_us;
};

extern const uint32_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1];

void histogram_add(struct histogram *h, int64_t us); /* below 0: 0 */

#endif
