/* tally.h - adds up a census (hub/census.h): of each app its sockets, and its users once each. */
#ifndef BUS_TALLY_H
#define BUS_TALLY_H
#include "base/hash_set.h"
#include "base/map.h"
#include "bus/bus.h"

struct tally { /* zeroed is empty */
    struct map apps;
    struct hash_set users; /* of all apps */
    struct bus_tally *list;
    size_t bytes; /* of what `apps` points to */
};

/* Adds records, which are valid. */
void tally_add(struct tally *t, struct str records);

/* The sums, sorted by app; valid until t changes. */
const struct bus_tally *tally_list(struct tally *t, size_t *n);

size_t tally_bytes(const struct tally *t); /* of memory, about */
void tally_fini(struct tally *t);

#endif
