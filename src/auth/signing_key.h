/* signing_key.h - the private RSA key that `gusher token` signs with, and new pairs. */
#ifndef AUTH_SIGNING_KEY_H
#define AUTH_SIGNING_KEY_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct signing_key; /* for one thread */

/* Reads a private RSA key (PKCS#8 or PKCS#1; not encrypted) of KEYS_RSA_BITS_MIN to
 * KEYS_RSA_BITS_MAX bits from PEM text, in *out (release: signing_key_free). The first such block
 * counts. ERR_PROTO: `why` gets one sentence. */
enum err signing_key_from_pem(struct signing_key **out, struct str pem, char *why, size_t why_len);
void signing_key_free(struct signing_key *k);

/* Makes a new RSA key pair of KEYS_RSA_BITS_MIN bits and appends both halves as PEM
 * (PKCS#8, SubjectPublicKeyInfo). ERR_SYS: OpenSSL could not. */
enum err signing_key_generate(struct buf *private_pem, struct buf *public_pem);

/* Appends the public half (SubjectPublicKeyInfo) of a private key that signing_key_from_pem
 * takes. ERR_PROTO with a sentence in `why` as there; ERR_SYS: memory was out. */
enum err signing_key_public_half(struct buf *public_pem, struct str private_pem, char *why,
                                 size_t why_len);

/* Appends the RS256 signature of `text` in base64url. ERR_SYS: OpenSSL could not. */
enum err signing_key_sign(struct buf *out, const struct signing_key *k, struct str text);

#endif
