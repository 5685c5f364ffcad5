#include "cli/bench_hist.h"
#include <math.h>
#include <string.h>

void bench_hist_clear(struct bench_hist *h)
{
    memset(h, 0, sizeof(*h));
}

uint64_t bench_hist_value(unsigned place)
{
    if (place < BENCH_HIST_STEPS)
        return place;
    if (place >= BENCH_HIST_PLACES - 1)
        return UINT64_MAX;
    unsigned shift = (place >> BENCH_HIST_BITS) - 1;
    uint64_t step = BENCH_HIST_STEPS + (place & (BENCH_HIST_STEPS - 1));
    return ((step + 1) << shift) - 1;
}

uint64_t bench_hist_at(const struct bench_hist *h, double q)
{
    if (!h->n || q <= 0)
        return h->min;
    /* 0.9 of ten values is nine of them, although 0.9 * 10 may come out a little above 9. */
    double wanted = ceil(q * (double)h->n - 1e-6);
    uint64_t rank = wanted > (double)h->n ? h->n : (uint64_t)wanted;
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_HIST_PLACES; i++) {
        seen += h->places[i];
        if (seen >= rank) {
            uint64_t value = bench_hist_value(i);
            return value < h->max ? value : h->max;
        }
    }
    return h->max;
}

double bench_hist_mean(const struct bench_hist *h)
{
    return h->n ? (double)h->sum / (double)h->n : 0;
}
