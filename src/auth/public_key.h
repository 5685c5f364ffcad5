/* public_key.h - one public key, the algorithms it verifies (RFC 7518, RFC 8037), and a signature
 * judged by it; for the files of auth/ alone.
 *
 * The key says which algorithms are good for it, never the token: an RSA key takes RS* and PS*, or
 * the one that is fixed for it; an EC key the ES* of its curve; an Ed25519 key EdDSA. */
#ifndef AUTH_PUBLIC_KEY_H
#define AUTH_PUBLIC_KEY_H
#include <openssl/evp.h>
#include <stdbool.h>
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

enum jws_alg {
    JWS_RS256,
    JWS_RS384,
    JWS_RS512,
    JWS_PS256,
    JWS_PS384,
    JWS_PS512,
    JWS_ES256,
    JWS_ES384,
    JWS_ES512,
    JWS_EDDSA,
    JWS_N_ALGS /* none of them */
};

/* The algorithm whose name this is, letter by letter. */
enum jws_alg jws_alg_of(struct json name);

struct public_key { /* immutable once made: any thread may verify with it at the same time */
    EVP_PKEY *pkey;
    struct str kid;       /* its own memory; p is NULL without one */
    unsigned algs;        /* bits: 1 << enum jws_alg */
    size_t signature_len; /* of every signature by it */
    /* For each algorithm all that can be done once: a context that is ready, to be copied, and the
     * digest. NULL where the key does not take it, and for EdDSA, which hashes by itself. */
    EVP_PKEY_CTX *ready[JWS_N_ALGS];
    EVP_MD *digests[JWS_N_ALGS];
};

/* Makes *k of `pkey`, which is taken over on ERR_OK (release: public_key_fini). `kid` is copied;
 * `fixed` is the one algorithm the key is for, or JWS_N_ALGS. ERR_PROTO: a key of another kind, not
 * a good one, or not for `fixed`; `why` gets one sentence. */
enum err public_key_init(struct public_key *k, EVP_PKEY *pkey, struct str kid, enum jws_alg fixed,
                         char *why, size_t why_len);
void public_key_fini(struct public_key *k);

/* Whether the numbers of an RSA key can be those of a good one. */
enum err public_key_check_rsa(const EVP_PKEY *pkey, char *why, size_t why_len);

static inline bool public_key_takes(const struct public_key *k, enum jws_alg alg)
{
    return k->algs >> alg & 1;
}

/* `alg` is one that the key takes. */
bool public_key_verify(const struct public_key *k, enum jws_alg alg, struct str text,
                       struct str signature);

#endif
