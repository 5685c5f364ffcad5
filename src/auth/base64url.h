/* base64url.h - bytes as text for URLs (RFC 4648 section 5), without padding, as JWS has it. */
#ifndef AUTH_BASE64URL_H
#define AUTH_BASE64URL_H
#include "base/buf.h"
#include "base/str.h"

/* Whether `text` is what base64url_encode makes of some bytes: its alphabet, no padding, nothing
 * else (RFC 7515 section 2). The unused bits of the last character must be 0 (RFC 4648 section
 * 3.5): otherwise there would be several texts for one token, and who remembers a refused token by
 * its text would be fooled. */
bool base64url_is(struct str text);

void base64url_encode(struct buf *out, const void *p, size_t len);

/* Appends the bytes behind `text`; false, and nothing is appended, unless base64url_is. */
bool base64url_decode(struct buf *out, struct str text);

#endif
