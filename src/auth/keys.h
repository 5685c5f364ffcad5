/* keys.h - the public keys that verify JWTs: any number, with names (kid) and without. */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/str.h"

enum {
    KEYS_RSA_BITS_MIN = 2048,
    KEYS_RSA_BITS_MAX = 16384, /* OpenSSL computes with no longer ones */
    KEYS_MAX = 1000,           /* of one set */
    /* Verifications that one token may cost: those who know no key could otherwise ask for
     * KEYS_MAX of them by one request. */
    KEYS_TRIES_MAX = 8,
    JWKS_BYTES_MAX = 1 << 20,
};

/* Empty at first, then filled by one thread; after that immutable: any thread may verify. */
struct keys;

struct keys *keys_new(void);
void keys_free(struct keys *k); /* NULL is fine */
unsigned keys_count(const struct keys *k);

/* Adds every public key of a PEM text (SubjectPublicKeyInfo, PKCS#1 or an X.509 certificate), all
 * with this `kid` (p NULL: none). Private keys are passed over, and so are the certificates behind
 * the first block that sign other certificates: they vouch for the one before them. ERR_PROTO:
 * there is no public key in it, or one that is broken or not good; ERR_LIMIT: over KEYS_MAX;
 * ERR_SYS: memory was out. `why` gets one sentence; some keys may have been added. */
enum err keys_add_pem(struct keys *k, struct str pem, struct str kid, char *why, size_t why_len);

/* What came of a JSON Web Key Set. */
struct jwks_report {
    unsigned n_taken, n_passed_over;
    char reason[160]; /* for which the first one was passed over: a sentence */
};

/* Adds the keys of a JSON Web Key Set (RFC 7517). Passed over are keys of other kinds, with another
 * use than "sig", without "verify" in key_ops, with an algorithm that is not ours or not theirs,
 * private ones and broken ones. ERR_PROTO: it is no such set, or none of its keys is usable;
 * ERR_LIMIT: over KEYS_MAX or JWKS_BYTES_MAX; ERR_SYS: memory was out, which is no reason to pass a
 * key over. `why` gets one sentence. */
enum err keys_add_jwks(struct keys *k, struct str json, struct jwks_report *report, char *why,
                       size_t why_len);

/* A set of its own from a PEM text, in *out: keys without a kid. */
enum err keys_from_pem(struct keys **out, struct str pem, char *why, size_t why_len);

/* Whether both are the same keys in the same order, whatever they are called. */
bool keys_equal(const struct keys *a, const struct keys *b);

#endif
