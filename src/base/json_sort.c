#include "base/json_sort.h"
#include <stdlib.h>
#include "base/mem.h"

struct member {
    struct json key, value;
    struct str name;    /* decoded: of the text, or of `decoded` */
    struct buf decoded; /* owned */
    unsigned place;
};

static int compare(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int d = len ? memcmp(x->name.p, y->name.p, len) : 0;
    if (d == 0)
        d = (x->name.len > y->name.len) - (x->name.len < y->name.len);
    return d ? d : (x->place > y->place) - (x->place < y->place);
}

static struct member *read_members(struct json object, unsigned *n)
{
    struct member *members = NULL;
    unsigned cap = 0;
    struct json_iter it;
    struct json key, value;
    *n = 0;
    json_iter_init(&it, object);
    while (json_next(&it, &key, &value)) {
        if (*n == cap) {
            cap = cap ? 2 * cap : 8;
            members = mem_realloc(members, cap * sizeof(*members));
        }
        struct member *m = &members[*n];
        *m = (struct member){.key = key, .value = value, .place = (*n)++};
        m->name = json_text(key, &m->decoded);
    }
    return members;
}

static void write_object(struct buf *out, struct json object)
{
    unsigned n;
    struct member *members = read_members(object, &n);
    bool any = false;
    if (n)
        qsort(members, n, sizeof(*members), compare);
    buf_char(out, '{');
    for (unsigned i = 0; i < n; i++) {
        bool is_last = i + 1 == n || !str_eq(members[i].name, members[i + 1].name);
        if (!is_last)
            continue;
        if (any)
            buf_char(out, ',');
        any = true;
        buf_str(out, members[i].key.text);
        buf_char(out, ':');
        json_write_sorted(out, members[i].value);
    }
    buf_char(out, '}');
    for (unsigned i = 0; i < n; i++)
        buf_fini(&members[i].decoded);
    mem_free(members);
}

static void write_array(struct buf *out, struct json array)
{
    struct json_iter it;
    struct json value;
    bool any = false;
    buf_char(out, '[');
    json_iter_init(&it, array);
    while (json_next(&it, NULL, &value)) {
        if (any)
            buf_char(out, ',');
        any = true;
        json_write_sorted(out, value);
    }
    buf_char(out, ']');
}

/* Nested no deeper than JSON_DEPTH_MAX, as json_parse has made sure. */
void json_write_sorted(struct buf *out, struct json value)
{
    if (value.type == JSON_OBJECT)
        write_object(out, value);
    else if (value.type == JSON_ARRAY)
        write_array(out, value);
    else
        buf_str(out, value.text);
}
