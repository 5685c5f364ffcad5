#include "base/subject.h"
#include "base/hash.h"

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void add_hash(struct buf *out, struct str name)
{
    struct hash128 h = hash_wide(name, 0);
    buf_printf(out, "=~%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

void subject_token(struct buf *out, struct str name)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t begin = out->len;
    if (!name.len)
        buf_char(out, '=');
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (is_plain(name.p[i])) {
            buf_char(out, name.p[i]);
        } else {
            char escaped[3] = {'=', digits[c >> 4], digits[c & 15]};
            buf_add(out, escaped, sizeof(escaped));
        }
        if (out->len - begin > SUBJECT_TOKEN_MAX) {
            out->len = begin;
            add_hash(out, name);
            return;
        }
    }
}
