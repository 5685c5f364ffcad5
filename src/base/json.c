#include "base/json.h"
#include "base/utf8.h"
#include <assert.h>
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ONES      0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The first byte of a string that needs a look: a quote, a backslash, a control character or
 * one that is not ASCII; or `end`. */
static inline const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        w = le64toh(w);
        uint64_t quote = w ^ ONES * '"';
        uint64_t backslash = w ^ ONES * '\\';
        /* Each difference borrows into the high bit of a byte that is below its bound. A borrow
         * can spoil only bytes above the first hit, and the first hit is all that counts. */
        uint64_t hits = ((w - ONES * 0x20) | (quote - ONES) | (backslash - ONES) | w) & HIGH_BITS;
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
static int hex4(const char *p)
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

/* These take one thing of the grammar at `p` and return what follows it, or NULL if it is not
 * there. */

static const char *take_string(const char *p, const char *end)
{
    if (p == end || *p != '"')
        return NULL;
    p++;
    for (;;) {
        p = skip_plain(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            if (end - p < 2)
                return NULL;
            switch (p[1]) {
            case '"':
            case '\\':
            case '/':
            case 'b':
            case 'f':
            case 'n':
            case 'r':
            case 't':
                p += 2;
                break;
            case 'u':
                if (end - p < 6 || hex4(p + 2) < 0)
                    return NULL;
                p += 6;
                break;
            default:
                return NULL;
            }
            continue;
        }
        if ((unsigned char)*p < 0x20)
            return NULL;
        do {
            unsigned len = utf8_char_len(str_make(p, (size_t)(end - p)));
            if (!len)
                return NULL;
            p += len;
        } while (p < end && (unsigned char)*p >= 0x80);
    }
}

static const char *take_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    const char *digits = p;
    if (p < end && *p == '0')
        p++;
    else
        p = skip_digits(p, end);
    if (p == digits)
        return NULL;
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

static const char *take_word(const char *p, const char *end, struct str word)
{
    if ((size_t)(end - p) < word.len || memcmp(p, word.p, word.len) != 0)
        return NULL;
    return p + word.len;
}

static const char *take_key(const char *p, const char *end)
{
    p = take_string(skip_space(p, end), end);
    if (!p)
        return NULL;
    p = skip_space(p, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

static enum json_type type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

enum err json_parse(struct json *out, struct str text)
{
    const char *end = text.p + text.len;
    const char *start = skip_space(text.p, end);
    const char *p = start;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d is an object */
    unsigned depth = 0;
    bool in_object = false;

value:
    p = skip_space(p, end);
    if (p == end)
        return ERR_PROTO;
    switch (*p) {
    case '{':
    case '[': {
        if (depth == JSON_DEPTH_MAX)
            return ERR_LIMIT;
        in_object = *p == '{';
        uint64_t bit = (uint64_t)1 << depth % 64;
        if (in_object)
            objects[depth / 64] |= bit;
        else
            objects[depth / 64] &= ~bit;
        depth++;
        p = skip_space(p + 1, end);
        if (p < end && *p == (in_object ? '}' : ']'))
            goto close;
        if (in_object)
            goto key;
        goto value;
    }
    case '"':
        p = take_string(p, end);
        break;
    case 't':
        p = take_word(p, end, STR("true"));
        break;
    case 'f':
        p = take_word(p, end, STR("false"));
        break;
    case 'n':
        p = take_word(p, end, STR("null"));
        break;
    default:
        p = take_number(p, end);
    }
    if (!p)
        return ERR_PROTO;

after_value:
    if (!depth) {
        if (skip_space(p, end) != end)
            return ERR_PROTO;
        *out = (struct json){type_of(*start), str_make(start, (size_t)(p - start))};
        return ERR_OK;
    }
    p = skip_space(p, end);
    if (p == end)
        return ERR_PROTO;
    if (*p == ',') {
        p++;
        if (in_object)
            goto key;
        goto value;
    }
    if (*p != (in_object ? '}' : ']'))
        return ERR_PROTO;

close:
    p++;
    depth--;
    in_object = depth && objects[(depth - 1) / 64] >> (depth - 1) % 64 & 1;
    goto after_value;

key:
    p = take_key(p, end);
    if (!p)
        return ERR_PROTO;
    goto value;
}

/* From here on the text has been accepted: what is looked for is there. The ends are looked at
 * all the same, so that text that was never parsed costs a wrong answer and no memory fault. */

static const char *string_end(const char *p, const char *end)
{
    p++;
    while (p < end && *p != '"') {
        p = skip_plain(p, end);
        if (p < end && *p == '\\')
            p += end - p >= 2 ? 2 : 1;
        else
            while (p < end && ((unsigned char)*p >= 0x80 || (unsigned char)*p < 0x20))
                p++;
    }
    return p < end ? p + 1 : end;
}

static const char *container_end(const char *p, const char *end)
{
    unsigned depth = 0;
    while (p < end) {
        switch (*p) {
        case '"':
            p = string_end(p, end);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0)
                return p + 1;
            break;
        default:
            break;
        }
        p++;
    }
    return end;
}

static const char *value_end(const char *p, const char *end)
{
    if (*p == '"')
        return string_end(p, end);
    if (*p == '{' || *p == '[')
        return container_end(p, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && !is_space(*p))
        p++;
    return p;
}

static struct json value_at(const char *p, const char *end)
{
    return (struct json){type_of(*p), str_make(p, (size_t)(value_end(p, end) - p))};
}

void json_iter_init(struct json_iter *it, struct json container)
{
    assert(container.type == JSON_ARRAY || container.type == JSON_OBJECT);
    /* Without its brackets a container is a list that ends where the text does. */
    it->end = container.text.p + container.text.len - 1;
    it->p = skip_space(container.text.p + 1, it->end);
    it->in_object = container.type == JSON_OBJECT;
}

bool json_next(struct json_iter *it, struct json *key, struct json *value)
{
    const char *p = it->p;
    if (p >= it->end)
        return false;
    if (it->in_object) {
        struct json name = value_at(p, it->end);
        if (key)
            *key = name;
        p = skip_space(name.text.p + name.text.len, it->end);
        if (p < it->end && *p == ':')
            p = skip_space(p + 1, it->end);
        if (p >= it->end)
            return false;
    }
    *value = value_at(p, it->end);
    p = skip_space(value->text.p + value->text.len, it->end);
    if (p < it->end)
        p = skip_space(p + 1, it->end);
    it->p = p;
    return true;
}

bool json_get(struct json object, struct str name, struct json *out)
{
    if (object.type != JSON_OBJECT)
        return false;
    struct json_iter it;
    json_iter_init(&it, object);
    struct json key, value;
    while (json_next(&it, &key, &value)) {
        if (json_is(key, name)) {
            *out = value;
            return true;
        }
    }
    return false;
}

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
    return s.len >= 6 && s.p[0] == '\\' && s.p[1] == 'u' ? hex4(s.p + 2) : -1;
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
    while ((p = skip_plain(p, end)) < end) {
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
