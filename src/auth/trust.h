/* trust.h - all that decides who may do what: exchanged as a whole while workers run.
 *
 * Immutable once made and counted atomically: each worker holds a reference to the one it judges
 * by, and is sent the next one. */
#ifndef AUTH_TRUST_H
#define AUTH_TRUST_H
#include <stdatomic.h>
#include "auth/jwt.h"
#include "auth/keys.h"
#include "auth/master_keys.h"
#include "auth/origins.h"

struct trust { /* owns what it points to */
    atomic_uint refs;
    struct keys *keys;               /* that verify JWTs */
    struct claims_rules rules;       /* for what those say */
    struct origins *origins;         /* pages that may open sockets; NULL: all */
    struct master_keys *master_keys; /* NULL: whoever reaches the master may call it */
};

/* Empty: the maker fills it before anybody else sees it. */
struct trust *trust_new(void);
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t); /* NULL: nothing */

/* jwt_verify by this trust. */
enum err trust_verify(struct claims **out, const struct trust *t, struct str jwt, double now_s);

#endif
