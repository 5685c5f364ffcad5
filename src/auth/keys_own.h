/* keys_own.h - what the files of auth/ do with a set of keys; for them alone. */
#ifndef AUTH_KEYS_OWN_H
#define AUTH_KEYS_OWN_H
#include "auth/keys.h"
#include "auth/public_key.h"

/* Adds a key; `pkey` is taken over whatever comes of it. Errors as of public_key_init, and
 * ERR_LIMIT. */
enum err keys_add(struct keys *k, EVP_PKEY *pkey, struct str kid, enum jws_alg fixed, char *why,
                  size_t why_len);

/* Whether a key signed `text`. With a `kid` that is known only the keys of this name count.
 * Otherwise those without a name and then, if the token has no kid at all (p NULL), those with one;
 * all as far as they take the algorithm, and KEYS_TRIES_MAX at most. */
bool keys_verify(const struct keys *k, enum jws_alg alg, struct str kid, struct str text,
                 struct str signature);

#endif
