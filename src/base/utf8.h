/* utf8.h - is it UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing past U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include <stdint.h>
#include "base/str.h"

bool utf8_valid(struct str s);

/* The same over pieces: `state` is 0 at the start; returns false as soon as the text cannot
 * become valid any more. At the end the text is whole if `*state` is UTF8_WHOLE. */
#define UTF8_WHOLE 0u
bool utf8_feed(uint32_t *state, struct str piece);

/* How many bytes the first character of `s` takes (1 to 4), or 0 if `s` is empty or does not
 * start with a valid character. */
unsigned utf8_char_len(struct str s);

#endif
