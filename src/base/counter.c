#include "base/counter.h"

const uint32_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1] = {
    50,    100,   250,    500,    1000,   2500,    5000,    10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

void histogram_add(struct histogram *h, int64_t us)
{
    unsigned i = 0;
    if (us < 0)
        us = 0;
    while (i < HISTOGRAM_BUCKETS - 1 && us > histogram_bounds_us[i])
        i++;
    counter_add(&h->buckets[i], 1);
    counter_add(&h->sum_us, (uint64_t)us);
}
