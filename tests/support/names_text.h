/* names_text.h - lists of names (base/names.h) from text and to text, for tests: "a;b;" has two
 * names, "" none, ";" one that is empty. */
#ifndef TESTS_NAMES_TEXT_H
#define TESTS_NAMES_TEXT_H
#include "base/names.h"
#include <stdlib.h>

/* The list that `text` describes; release: buf_fini. */
static inline struct buf names_of(const char *text)
{
    struct buf list = BUF_INIT;
    for (struct str rest = str_of(text); rest.len;)
        names_add(&list, str_cut(&rest, ';'));
    return list;
}

static inline int names_compare(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int d = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    return d ? d : (x->len > y->len) - (x->len < y->len);
}

/* The names sorted, as NUL-terminated text; release: free. */
static inline char *names_sorted(struct str list)
{
    uint32_t n = names_count(list), i = 0;
    struct str *names = malloc((n + 1) * sizeof *names), name;
    char *text = malloc(list.len + 1), *end = text; /* ';' takes less than a length */
    while (names_next(&list, &name))
        names[i++] = name;
    qsort(names, n, sizeof *names, names_compare);
    for (i = 0; i < n; i++) {
        if (names[i].len)
            memcpy(end, names[i].p, names[i].len);
        end += names[i].len;
        *end++ = ';';
    }
    *end = 0;
    free(names);
    return text;
}

#endif
