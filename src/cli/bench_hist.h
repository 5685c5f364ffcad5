/* bench_hist.h - a histogram of durations, of bounded size whatever comes.
 *
 * Log-linear: each power of two is cut into BENCH_HIST_STEPS equal steps, so a value read back is
 * at most 1/128 (0.8 %) above the one that was put in. Values below BENCH_HIST_STEPS are exact. */
#ifndef CLI_BENCH_HIST_H
#define CLI_BENCH_HIST_H
#include <stdint.h>

enum {
    BENCH_HIST_BITS = 7,
    BENCH_HIST_STEPS = 1 << BENCH_HIST_BITS,
    BENCH_HIST_TOP = 42, /* values of 2^42 (73 minutes in nanoseconds) and more share one place */
    BENCH_HIST_PLACES = (BENCH_HIST_TOP - BENCH_HIST_BITS + 1) * BENCH_HIST_STEPS + 1,
};

struct bench_hist {
    uint64_t n, sum, min, max;          /* exact; min and max are 0 while n is */
    uint64_t places[BENCH_HIST_PLACES]; /* how many values fell into each */
};

void bench_hist_clear(struct bench_hist *h);

/* The place of a value, and the greatest value of a place. */
static inline unsigned bench_hist_place(uint64_t value)
{
    if (value < BENCH_HIST_STEPS)
        return (unsigned)value;
    unsigned top = 63 - (unsigned)__builtin_clzll(value);
    if (top >= BENCH_HIST_TOP)
        return BENCH_HIST_PLACES - 1;
    unsigned shift = top - BENCH_HIST_BITS;
    return ((shift + 1) << BENCH_HIST_BITS) + (unsigned)((value >> shift) & (BENCH_HIST_STEPS - 1));
}
uint64_t bench_hist_value(unsigned place);

static inline void bench_hist_add(struct bench_hist *h, uint64_t value)
{
    h->places[bench_hist_place(value)]++;
    h->min = h->n && h->min < value ? h->min : value;
    h->max = h->max > value ? h->max : value;
    h->sum += value;
    h->n++;
}

/* The value that the share `q` (0 to 1) of all values does not exceed: that of the place, but never
 * more than the greatest value that was put in; for 0 the least. 0 when there are none. */
uint64_t bench_hist_at(const struct bench_hist *h, double q);

double bench_hist_mean(const struct bench_hist *h);

#endif
