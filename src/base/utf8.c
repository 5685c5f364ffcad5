#include "base/utf8.h"

#define HIGH_BITS 0x8080808080808080u

/* Inside a character the state says what may follow: how many bytes are missing, and between
 * which bounds the next of them lies. Only the second byte has bounds of its own; they rule out
 * overlong forms, surrogates and what lies past U+10FFFF (RFC 3629 section 4). */
static uint32_t expecting(unsigned missing, unsigned low, unsigned high)
{
    return missing | low << 8 | high << 16;
}

/* The state after the first byte of a character that is not ASCII; UTF8_WHOLE if there is no
 * such character. */
static uint32_t after_lead(unsigned char c)
{
    if (c < 0xc2)
        return UTF8_WHOLE;
    if (c < 0xe0)
        return expecting(1, 0x80, 0xbf);
    if (c < 0xf0)
        return expecting(2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
    if (c < 0xf5)
        return expecting(3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
    return UTF8_WHOLE;
}

static const unsigned char *skip_ascii(const unsigned char *p, const unsigned char *end)
{
    while (end - p >= 8) {
        uint64_t eight;
        memcpy(&eight, p, 8);
        if (eight & HIGH_BITS)
            break;
        p += 8;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The length of the valid character at `p`, 0 if there is none or it is cut by `end`. */
static inline unsigned char_len(const unsigned char *p, const unsigned char *end)
{
    size_t room = (size_t)(end - p);
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2)
        return 0;
    if (p[0] < 0xe0)
        return room >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] < 0xf0) {
        if (room < 3 || !is_tail(p[1]) || !is_tail(p[2]))
            return 0;
        unsigned top = (unsigned)(p[0] << 8 | p[1]);
        bool overlong = top < 0xe0a0;
        bool surrogate = top >= 0xeda0 && top <= 0xedbf;
        return overlong || surrogate ? 0 : 3;
    }
    if (room < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
        return 0;
    unsigned top = (unsigned)(p[0] << 8 | p[1]);
    return top >= 0xf090 && top <= 0xf48f ? 4 : 0;
}

bool utf8_feed(uint32_t *state, struct str piece)
{
    const unsigned char *p = (const unsigned char *)piece.p;
    const unsigned char *end = p + piece.len;
    uint32_t s = *state;
    while (p < end) {
        if (s == UTF8_WHOLE) {
            p = skip_ascii(p, end);
            unsigned len;
            while (p < end && *p >= 0x80 && (len = char_len(p, end)))
                p += len;
            if (p == end)
                break;
            if (*p < 0x80)
                continue;
            /* Broken or cut: byte by byte it shows which. */
            s = after_lead(*p++);
            if (s == UTF8_WHOLE)
                return false;
            continue;
        }
        unsigned char c = *p++;
        if (c < (s >> 8 & 0xff) || c > (s >> 16 & 0xff))
            return false;
        unsigned missing = (s & 0xff) - 1;
        s = missing ? expecting(missing, 0x80, 0xbf) : UTF8_WHOLE;
    }
    *state = s;
    return true;
}

bool utf8_valid(struct str s)
{
    uint32_t state = UTF8_WHOLE;
    return utf8_feed(&state, s) && state == UTF8_WHOLE;
}

unsigned utf8_char_len(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    return s.len ? char_len(p, p + s.len) : 0;
}
