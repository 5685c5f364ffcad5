#include "base/names.h"
#include <assert.h>

void names_add(struct buf *list, struct str name)
{
    uint32_t len = (uint32_t)name.len;
    assert(len == name.len);
    buf_add(list, &len, sizeof(len));
    buf_str(list, name);
}

bool names_next(struct str *rest, struct str *name)
{
    uint32_t len;
    if (!rest->len)
        return false;
    assert(rest->len >= sizeof(len));
    memcpy(&len, rest->p, sizeof(len));
    assert(rest->len - sizeof(len) >= len);
    *name = str_make(rest->p + sizeof(len), len);
    rest->p += sizeof(len) + len;
    rest->len -= sizeof(len) + len;
    return true;
}

uint32_t names_count(struct str list)
{
    uint32_t n = 0;
    for (struct str name; names_next(&list, &name);)
        n++;
    return n;
}
