/* interest.h - which workers listen to a name: a hashed table of masks, a bit a worker.
 *
 * Waking a sleeping thread costs more than a delivery, so a publisher looks here first. Names that
 * share a place cause false alarms (a letter in vain), never misses: a bit is set before the
 * subscription is acknowledged. Any thread reads; each worker writes its own bit. */
#ifndef EDGE_INTEREST_H
#define EDGE_INTEREST_H
#include <stdbool.h>
#include <stdint.h>

enum { INTEREST_PLACES = 1 << 14, INTEREST_WORKERS_MAX = 64 };

struct interest;

/* One worker's counts: how many of its names share each place. */
struct interest_counts {
    uint32_t n[INTEREST_PLACES];
};

struct interest *interest_new(void);
void interest_free(struct interest *i);

/* The worker's first (or last) listener of a name came (or went). */
void interest_change(struct interest *i, struct interest_counts *mine, unsigned worker,
                     uint64_t name_hash, bool on);

/* The workers that may listen. */
uint64_t interest_mask(const struct interest *i, uint64_t name_hash);

#endif
