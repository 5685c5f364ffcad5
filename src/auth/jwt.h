/* jwt.h - who somebody is: a signed JSON Web Token (RFC 7519) becomes claims.
 *
 * Compact serialisation; RS*, PS*, ES* and EdDSA, each only by a key that is for it. No I/O, no
 * clock. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H
#include "auth/claims.h"
#include "auth/keys.h"
#include "auth/signing_key.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { JWT_BYTES_MAX = 64 * 1024 }; /* a longer token is refused unread */

/* Verifies `jwt` with `keys`, from any thread, at unix time `now_s` (seconds) and gives its claims
 * in *out (release: claims_unref). ERR_PROTO: not a compact JWT; ERR_DENIED: algorithm not
 * accepted or signature wrong; ERR_LIMIT: over JWT_BYTES_MAX. The claims are judged as by
 * claims_from_json, with its errors. */
enum err jwt_verify(struct claims **out, const struct keys *keys, struct str jwt,
                    const struct claims_rules *rules, double now_s);

/* The first half of jwt_verify: appends the payload, whatever it is, of a token whose form,
 * algorithm and signature are good (ERR_PROTO, ERR_DENIED, ERR_LIMIT). The other half is
 * claims_from_json. */
enum err jwt_check_signature(struct buf *payload, const struct keys *keys, struct str jwt);

/* Appends the payload of a token that jwt_verify took before: nothing is checked again but the form
 * (ERR_PROTO). */
enum err jwt_payload(struct buf *payload, struct str jwt);

/* Signs `claims_json` (an object) as RS256 with the private key and appends the compact JWT.
 * ERR_SYS: the key cannot sign, and nothing is appended. */
enum err jwt_sign(struct buf *out, const struct signing_key *key, struct str claims_json);

#endif
