/* json_scan.h - what the two halves of the JSON reader share. For the json files of base/ alone. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H
#include <endian.h>
#include <stdint.h>
#include "base/str.h"

/* The first byte of a string that needs a look: a quote, a backslash, a control character or
 * one that is not ASCII; or `end`. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, high_bits = 0x8080808080808080u;
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w = le64toh(w);
        uint64_t quote = w ^ ones * '"';
        uint64_t backslash = w ^ ones * '\\';
        /* Each difference borrows into the high bit of a byte that is below its bound. A borrow
         * can spoil only bytes above the first hit, and the first hit is all that counts. */
        uint64_t hits = ((w - ones * 0x20) | (quote - ones) | (backslash - ones) | w) & high_bits;
        if (hits)
            return p + (__builtin_ctzll(hits) >> 3);
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* The value of four hexadecimal digits at `p`, or -1. */
static inline int json_hex4(const char *p)
{
    int value = 0;
    for (unsigned i = 0; i < 4; i++) {
        int digit = str_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

#endif
