/* tally.h - adds up records (hub/census.h): of each app its sockets, and its users once each; or of
 * each name that was found its number, the first names in order alone. */
#ifndef BUS_TALLY_H
#define BUS_TALLY_H
#include "base/hash_set.h"
#include "base/map.h"
#include "bus/bus.h"

struct tally { /* zeroed is empty, and takes all */
    struct map entries;
    struct hash_set users; /* of all apps; or all names, when there is a limit */
    struct bus_tally *list;
    size_t bytes; /* of what `entries` points to */
    /* With a limit: that many names behind `after`, and no name above `bar` is among them. */
    size_t limit;
    struct buf after, bar;
    bool has_bar;
};

/* Only the first `limit` names (at least 1) behind `after`, in the order of their bytes, are
 * listed. To be called before anything is added. */
void tally_limit(struct tally *t, size_t limit, struct str after);

/* Adds records, which are valid. */
void tally_add(struct tally *t, struct str records);

/* The sums, sorted by name; valid until t changes. */
const struct bus_tally *tally_list(struct tally *t, size_t *n);

/* How many names came, listed or not; when there is a limit. */
size_t tally_names(const struct tally *t);

size_t tally_bytes(const struct tally *t); /* of memory, about */
void tally_fini(struct tally *t);

#endif
