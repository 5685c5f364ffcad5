#include "hub/glob.h"
#include "base/utf8.h"

/* The length of the character at the start of `s`, which is not empty. */
static inline size_t char_len(struct str s)
{
    if ((unsigned char)s.p[0] < 0x80)
        return 1;
    unsigned len = utf8_char_len(s);
    return len ? len : 1;
}

static inline struct str skip(struct str s, size_t len)
{
    return str_make(s.p + len, s.len - len);
}

bool glob_match(struct str pattern, struct str name)
{
    /* Where the latest star ends: what the pattern has after it, and what the name has after
     * the characters that the star took so far. */
    struct str after_star = {NULL, 0}, untaken = {NULL, 0};

    /* Only the latest star ever takes more. If an earlier one could take more and all would fit,
     * then the later one could take the difference instead: the text between two stars is found
     * where it first occurs. A line feed is no exception, as what a star may step over has none,
     * and a text with a line feed in it occurs in only one place that a star can reach. */
    while (name.len) {
        if (pattern.len && pattern.p[0] == '*' && name.p[0] != '\n') {
            pattern = after_star = skip(pattern, 1);
            name = untaken = skip(name, char_len(name));
            continue;
        }
        if (pattern.len && pattern.p[0] != '*') {
            size_t len = char_len(pattern);
            if (len == char_len(name) && memcmp(pattern.p, name.p, len) == 0) {
                pattern = skip(pattern, len);
                name = skip(name, len);
                continue;
            }
        }
        if (!after_star.p || !untaken.len || untaken.p[0] == '\n')
            return false;
        name = untaken = skip(untaken, char_len(untaken));
        pattern = after_star;
    }
    return !pattern.len;
}
