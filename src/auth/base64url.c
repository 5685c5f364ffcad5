#include "auth/base64url.h"
#include <stdint.h>

/* A character's value plus one; 0: it has none. */
#define FOUR(c, value)                                                                             \
    [(c)] = (value) + 1, [(c) + 1] = (value) + 2, [(c) + 2] = (value) + 3, [(c) + 3] = (value) + 4
static const signed char values[256] = {FOUR('A', 0),  FOUR('E', 4),  FOUR('I', 8),  FOUR('M', 12),
                                        FOUR('Q', 16), FOUR('U', 20), ['Y'] = 25,    ['Z'] = 26,
                                        FOUR('a', 26), FOUR('e', 30), FOUR('i', 34), FOUR('m', 38),
                                        FOUR('q', 42), FOUR('u', 46), ['y'] = 51,    ['z'] = 52,
                                        FOUR('0', 52), FOUR('4', 56), ['8'] = 61,    ['9'] = 62,
                                        ['-'] = 63,    ['_'] = 64};

static int value_of(char c)
{
    return values[(unsigned char)c] - 1;
}

bool base64url_is(struct str text)
{
    int last = 0;
    for (size_t i = 0; i < text.len; i++)
        if ((last = value_of(text.p[i])) < 0)
            return false;
    switch (text.len % 4) {
    case 0:
        return true;
    case 2:
        return (last & 0xf) == 0;
    case 3:
        return (last & 0x3) == 0;
    default:
        return false;
    }
}

void base64url_encode(struct buf *out, const void *p, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *bytes = p;
    size_t text_len = len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0);
    if (!len)
        return; /* an empty buf has no place to write to */
    char *text = buf_reserve(out, text_len);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            *text++ = alphabet[bits >> (n_bits - 6) & 0x3f];
    }
    if (n_bits)
        *text = alphabet[bits << (6 - n_bits) & 0x3f];
    out->len += text_len;
}

bool base64url_decode(struct buf *out, struct str text)
{
    if (!base64url_is(text))
        return false;
    if (!text.len)
        return true;
    size_t len = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    char *bytes = buf_reserve(out, len);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        bits = bits << 6 | (uint32_t)value_of(text.p[i]);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *bytes++ = (char)(bits >> n_bits & 0xff);
        }
    }
    out->len += len;
    return true;
}
