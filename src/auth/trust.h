/* trust.h - all that decides who may do what: exchanged as a whole while workers run.
 *
 * Immutable once made and counted atomically: each worker holds a reference to the one it judges
 * by, and is sent the next one. */
#ifndef AUTH_TRUST_H
#define AUTH_TRUST_H
#include <stdatomic.h>
#include "auth/keys.h"
#include "auth/master_keys.h"

struct trust {
    atomic_uint refs;
    struct keys *keys;               /* that verify JWTs */
    struct master_keys *master_keys; /* NULL: whoever reaches the master may call it */
};

/* Takes over both. */
struct trust *trust_new(struct keys *keys, struct master_keys *master_keys);
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t); /* NULL: nothing */

#endif
