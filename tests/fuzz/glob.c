/* glob.c - glob_match against a table filled in by the definition. The input is a pattern, a
 * zero byte and a name. */
#include "hub/glob.h"
#include "base/utf8.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CHARS_MAX = 64 };

/* Cuts `s` into characters; false if there are too many. */
static bool split(struct str s, struct str chars[CHARS_MAX], size_t *n)
{
    for (*n = 0; s.len; ++*n) {
        if (*n == CHARS_MAX)
            return false;
        size_t len = utf8_char_len(s);
        chars[*n] = str_make(s.p, len ? len : 1);
        s.p += chars[*n].len;
        s.len -= chars[*n].len;
    }
    return true;
}

static bool by_definition(const struct str *pattern, size_t n_pattern, const struct str *name,
                          size_t n_name)
{
    /* fits[i][k]: the first i characters of the pattern match the first k of the name. */
    static bool fits[CHARS_MAX + 1][CHARS_MAX + 1];
    for (size_t i = 0; i <= n_pattern; i++) {
        for (size_t k = 0; k <= n_name; k++) {
            if (!i || !k)
                fits[i][k] = !i && !k;
            else if (str_eq(pattern[i - 1], STR("*")))
                /* The last character is the star's first, or one more of it. */
                fits[i][k] =
                    !str_eq(name[k - 1], STR("\n")) && (fits[i - 1][k - 1] || fits[i][k - 1]);
            else
                fits[i][k] = str_eq(pattern[i - 1], name[k - 1]) && fits[i - 1][k - 1];
        }
    }
    return fits[n_pattern][n_name];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str name = {len ? (const char *)data : "", len};
    struct str pattern = str_cut(&name, '\0');
    bool matches = glob_match(pattern, name);

    struct str pattern_chars[CHARS_MAX], name_chars[CHARS_MAX];
    size_t n_pattern, n_name;
    if (split(pattern, pattern_chars, &n_pattern) && split(name, name_chars, &n_name) &&
        matches != by_definition(pattern_chars, n_pattern, name_chars, n_name))
        abort();
    return 0;
}
