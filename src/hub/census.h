/* census.h - what a worker knows of each app, in bytes: how many sockets, and who, by hashes.
 *
 * A part of a census is a list (names.h) of records. Their numbers add up and their hashes are put
 * together: an app may have many records, from one worker and from many. Pure. */
#ifndef HUB_CENSUS_H
#define HUB_CENSUS_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/hash.h"

enum { CENSUS_USERS_MAX = 64 }; /* hashes of one record */

struct census_record {
    struct str app;
    uint32_t connections;
    uint32_t n_users; /* anonymous ones are not among them */
    struct str users; /* n_users times struct hash128 */
};

/* Appends a record. */
void census_add(struct buf *list, const struct census_record *r);

/* Takes the next record off the front of a list that is valid; false at the end. */
bool census_next(struct str *rest, struct census_record *out);

/* Whether bytes of unknown origin are such a list. */
bool census_valid(struct str list);

/* Stands for a user of an app where users of many apps are counted together. */
uint64_t census_seed(struct str app, uint64_t seed);
static inline struct hash128 census_user(struct str user, uint64_t seed_of_app)
{
    return hash_wide(user, seed_of_app);
}

#endif
