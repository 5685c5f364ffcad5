/* json_text.c - JSON strings and numbers, decoded and written. */
#include "base/json.h"
#include "base/json_scan.h"
#include "base/utf8.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What stands between the quotes. */
static struct str inside(struct json string)
{
    assert(string.type == JSON_STRING && string.text.len >= 2);
    return str_make(string.text.p + 1, string.text.len - 2);
}

static bool has_escape(struct str s)
{
    return s.len && memchr(s.p, '\\', s.len);
}

static unsigned encode_utf8(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* The code unit of a \u escape at the start of `s`, or -1 if there is none. */
static int escaped_unit(struct str s)
{
    return s.len >= 6 && s.p[0] == '\\' && s.p[1] == 'u' ? json_hex4(s.p + 2) : -1;
}

/* Cuts the escape off the front of *s and writes its character to `out`; returns its length. */
static unsigned unescape(struct str *s, char out[4])
{
    int unit = escaped_unit(*s);
    if (unit < 0) {
        char c = s->len > 1 ? s->p[1] : '\\';
        size_t taken = s->len > 1 ? 2 : 1;
        s->p += taken;
        s->len -= taken;
        switch (c) {
        case 'b':
            c = '\b';
            break;
        case 'f':
            c = '\f';
            break;
        case 'n':
            c = '\n';
            break;
        case 'r':
            c = '\r';
            break;
        case 't':
            c = '\t';
            break;
        default:
            break;
        }
        out[0] = c;
        return 1;
    }
    s->p += 6;
    s->len -= 6;
    uint32_t c = (uint32_t)unit;
    if (is_high_surrogate(unit)) {
        int low = escaped_unit(*s);
        if (is_low_surrogate(low)) {
            c = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
            s->p += 6;
            s->len -= 6;
        } else {
            c = 0xfffd;
        }
    } else if (is_low_surrogate(unit)) {
        c = 0xfffd;
    }
    return encode_utf8(out, c);
}

bool json_is(struct json string, struct str text)
{
    if (string.type != JSON_STRING)
        return false;
    struct str s = inside(string);
    /* The start that needs no decoding tells most strings apart. */
    while (has_escape(s)) {
        struct str rest = s;
        struct str plain = str_cut(&rest, '\\');
        if (!str_starts(text, plain))
            return false;
        s.p += plain.len;
        s.len -= plain.len;
        text.p += plain.len;
        text.len -= plain.len;

        char c[4];
        unsigned len = unescape(&s, c);
        if (!str_starts(text, str_make(c, len)))
            return false;
        text.p += len;
        text.len -= len;
    }
    return str_eq(s, text);
}

void json_decode(struct buf *out, struct json string)
{
    struct str s = inside(string);
    if (!s.len)
        return;
    /* No escape is shorter than what it stands for. */
    char *to = buf_reserve(out, s.len);
    while (s.len) {
        struct str rest = s;
        struct str plain = str_cut(&rest, '\\');
        memcpy(to, plain.p, plain.len);
        to += plain.len;
        s.p += plain.len;
        s.len -= plain.len;
        if (s.len) {
            char c[4];
            unsigned len = unescape(&s, c);
            memcpy(to, c, len);
            to += len;
        }
    }
    out->len = (size_t)(to - out->p);
}

struct str json_text(struct json string, struct buf *scratch)
{
    struct str s = inside(string);
    if (!has_escape(s))
        return s;
    size_t at = scratch->len;
    json_decode(scratch, string);
    return str_make(scratch->p + at, scratch->len - at);
}

/* A double, and the middle between two of them, has at most 768 digits. Of what a number has
 * beyond these it only matters whether it is more than nothing. */
enum { DIGITS_MAX = 770, EXPONENT_MAX = 100000000 };

bool json_number(struct json number, double *out)
{
    if (number.type != JSON_NUMBER)
        return false;
    const char *p = number.text.p;
    const char *end = p + number.text.len;

    /* The number is printed again as digits and an exponent, because strtod wants a NUL and
     * reads the decimal point of the locale. */
    char copy[1 + DIGITS_MAX + 1 + 16];
    unsigned len = 0, digits = 0;
    if (p < end && *p == '-')
        copy[len++] = *p++;
    bool point = false, more = false;
    long long scale = 0;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (point)
            scale--;
        if (*p == '0' && !digits)
            continue;
        if (digits < DIGITS_MAX) {
            copy[len++] = *p;
            digits++;
        } else {
            more |= *p != '0';
            scale++;
        }
    }
    if (!digits)
        copy[len++] = '0';
    if (more) {
        copy[len++] = '1';
        scale--;
    }
    if (p < end) {
        p++;
        bool negative = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+'))
            p++;
        long long exponent = 0;
        for (; p < end; p++) {
            /* An exponent past any length of text would only make the sum overflow. */
            if (exponent < (long long)1 << 56)
                exponent = exponent * 10 + (*p - '0');
        }
        scale += negative ? -exponent : exponent;
    }
    if (scale > EXPONENT_MAX)
        scale = EXPONENT_MAX;
    if (scale < -EXPONENT_MAX)
        scale = -EXPONENT_MAX;
    snprintf(copy + len, sizeof copy - len, "e%lld", scale);

    double value = strtod(copy, NULL);
    if (isinf(value))
        return false;
    *out = value;
    return true;
}

/* The length of what is no UTF-8 at the start of `s`: all of a character that breaks off, as
 * Unicode recommends (section 3.9), so that one broken character gives one mark. */
static size_t broken_len(struct str s)
{
    uint32_t state = UTF8_WHOLE;
    size_t len = 0;
    while (len < s.len && utf8_feed(&state, str_make(s.p + len, 1)))
        len++;
    return len ? len : 1;
}

static void quote_control(struct buf *out, unsigned char c)
{
    switch (c) {
    case '\b':
        buf_str(out, STR("\\b"));
        break;
    case '\f':
        buf_str(out, STR("\\f"));
        break;
    case '\n':
        buf_str(out, STR("\\n"));
        break;
    case '\r':
        buf_str(out, STR("\\r"));
        break;
    case '\t':
        buf_str(out, STR("\\t"));
        break;
    default:
        buf_str(out, STR("\\u00"));
        buf_char(out, "0123456789abcdef"[c >> 4]);
        buf_char(out, "0123456789abcdef"[c & 15]);
    }
}

void json_quote(struct buf *out, struct str text)
{
    buf_reserve(out, text.len + 2);
    buf_char(out, '"');
    const char *p = text.p, *end = p + text.len;
    const char *raw = p; /* from here on nothing has been written yet */
    while ((p = json_skip_plain(p, end)) < end) {
        unsigned char c = (unsigned char)*p;
        unsigned len = c < 0x80 ? 0 : utf8_char_len(str_make(p, (size_t)(end - p)));
        if (len) {
            p += len;
            continue;
        }
        buf_add(out, raw, (size_t)(p - raw));
        if (c >= 0x80) {
            buf_str(out, STR("\xef\xbf\xbd"));
            p += broken_len(str_make(p, (size_t)(end - p)));
        } else {
            if (c < 0x20) {
                quote_control(out, c);
            } else {
                buf_char(out, '\\');
                buf_char(out, (char)c);
            }
            p++;
        }
        raw = p;
    }
    buf_add(out, raw, (size_t)(p - raw));
    buf_char(out, '"');
}
