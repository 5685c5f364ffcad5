/* str.h - bytes from the wire: a pointer and a length, never NUL-terminated. */
#ifndef BASE_STR_H
#define BASE_STR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_EMPTY    ((struct str){"", 0})

static inline struct str str_make(const char *p, size_t len)
{
    return (struct str){p, len};
}

static inline struct str str_of(const char *c_string)
{
    return (struct str){c_string, strlen(c_string)};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_make(s.p, prefix.len), prefix);
}

/* Copies `s` to *at, which goes behind it; returns the copy. */
static inline struct str str_put(char **at, struct str s)
{
    struct str copy = {*at, s.len};
    if (s.len)
        memcpy(*at, s.p, s.len);
    *at += s.len;
    return copy;
}

/* The order of their bytes: below 0, 0, above 0. */
static inline int str_compare(struct str a, struct str b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int order = both ? memcmp(a.p, b.p, both) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Every text contains the empty one. */
bool str_contains(struct str s, struct str part);

/* Without regard to the case of A-Z. */
bool str_eq_nocase(struct str a, struct str b);

/* Without blanks and tabs (and CR, LF) at both ends. */
struct str str_trim(struct str s);

/* Cuts the text before the first `sep` off *rest and returns it; without a `sep` all of
 * *rest, which is empty then. */
struct str str_cut(struct str *rest, char sep);

/* Whether the comma-separated list of tokens (RFC 9110 section 5.6.1) holds `token`,
 * without regard to case. */
bool str_has_token(struct str list, struct str token);

/* A decimal number of at most as many digits as `max` has; false, and *out stays, for anything else
 * or more than `max`. */
bool str_number(struct str digits, uint64_t max, uint64_t *out);

/* The value of a hexadecimal digit, or -1. */
int str_hex_digit(char c);

#endif
