/* keys.h - RSA keys: the public ones that verify, the private one that `gusher token` signs with.
 */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct keys;        /* immutable: any thread may verify with it at the same time */
struct signing_key; /* for one thread */

enum {
    KEYS_RSA_BITS_MIN = 2048,
    KEYS_RSA_BITS_MAX = 16384, /* OpenSSL computes with no longer ones */
};

/* Reads a public key from PEM text: SubjectPublicKeyInfo, PKCS#1 or an X.509 certificate, in
 * *out (release: keys_free). The first of these blocks counts. ERR_PROTO: none of these, or not
 * RSA, or not of KEYS_RSA_BITS_MIN to KEYS_RSA_BITS_MAX bits: `why` gets one sentence. */
enum err keys_from_pem(struct keys **out, struct str pem, char *why, size_t why_len);
void keys_free(struct keys *k);

/* The same for a private key (PKCS#8 or PKCS#1; not encrypted). */
enum err signing_key_from_pem(struct signing_key **out, struct str pem, char *why, size_t why_len);
void signing_key_free(struct signing_key *k);

/* Makes a new RSA key pair of KEYS_RSA_BITS_MIN bits and appends both halves as PEM
 * (PKCS#8, SubjectPublicKeyInfo). ERR_SYS: OpenSSL could not. */
enum err keys_generate(struct buf *private_pem, struct buf *public_pem);

/* Appends the public half (SubjectPublicKeyInfo) of a private key that signing_key_from_pem
 * takes. ERR_PROTO with a sentence in `why` as there. */
enum err keys_public_half(struct buf *public_pem, struct str private_pem, char *why,
                          size_t why_len);

/* Whether both are the same key. */
bool keys_equal(const struct keys *a, const struct keys *b);

/* For the JWT module alone: the parsed key, a cjose_jwk_t. */
const void *keys_jwk(const struct keys *k);
const void *signing_key_jwk(const struct signing_key *k);

#endif
