/* load.h - what the serving commands read at the start and again while they run: keys and the
 * other files, into a struct trust, and certificates. For the files of src/ alone; one thread. */
#ifndef LOAD_H
#define LOAD_H
#include "auth/trust.h"
#include "base/buf.h"
#include "config.h"
#include "net/tls.h"

struct load {
    const struct config *config;
    struct buf jwks;        /* what --jwks-url said last; empty: nothing yet */
    struct buf private_pem; /* the key of --dev */
};

void load_fini(struct load *l);

/* Whether the options can be meant. False: `why` says which cannot. */
bool load_check(const struct config *c, char *why, size_t why_len);

/* Reads all files. NULL: `why` says what is wrong. */
struct trust *load_trust(struct load *l, char *why, size_t why_len);

/* Reads the certificates; *out is NULL if there are none to be. Sessions of `before` (or NULL) go
 * on. False: `why` says what is wrong. */
bool load_tls(const struct load *l, const struct tls_context *before, struct tls_context **out,
              char *why, size_t why_len);

/* Asks --jwks-url until it has said something, for some seconds; only once if there are other keys
 * as well. `stops` ends it early. False: it said nothing, and without it there is no key. */
bool load_first_jwks(struct load *l, bool (*stops)(void), char *why, size_t why_len);

/* Asks --jwks-url anew. *out is the trust that is to take the place of the one before, or NULL:
 * nothing has changed. False: it is not to be had, or no good: all stays as it was (logged). */
bool load_refresh_jwks(struct load *l, bool (*stops)(void), struct trust **out);

#endif
