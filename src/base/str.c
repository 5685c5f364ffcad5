#include "base/str.h"
#include <strings.h>

bool str_contains(struct str s, struct str part)
{
    return !part.len || memmem(s.p, s.len, part.p, part.len);
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len && is_blank(s.p[0]))
        s.p++, s.len--;
    while (s.len && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    const char *at = rest->len ? memchr(rest->p, sep, rest->len) : NULL;
    struct str head = *rest;
    if (!at) {
        rest->p += rest->len;
        rest->len = 0;
        return head;
    }
    head.len = (size_t)(at - rest->p);
    rest->p = at + 1;
    rest->len -= head.len + 1;
    return head;
}

bool str_has_token(struct str list, struct str token)
{
    while (list.len) {
        if (str_eq_nocase(str_trim(str_cut(&list, ',')), token))
            return true;
    }
    return false;
}

bool str_number(struct str digits, uint64_t max, uint64_t *out)
{
    uint64_t n = 0, rest = max;
    for (size_t i = 0; i < digits.len; i++, rest /= 10) {
        char c = digits.p[i];
        if (c < '0' || c > '9' || (i && !rest))
            return false;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(c - '0'), &n))
            return false;
    }
    if (!digits.len || n > max)
        return false;
    *out = n;
    return true;
}

int str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}
