#include "base/names.h"
#include <assert.h>
#include <endian.h>

void names_add(struct buf *list, struct str name)
{
    uint32_t len = htole32((uint32_t)name.len);
    assert(name.len <= UINT32_MAX);
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
    len = le32toh(len);
    assert(rest->len - sizeof(len) >= len);
    *name = str_make(rest->p + sizeof(len), len);
    rest->p += sizeof(len) + len;
    rest->len -= sizeof(len) + len;
    return true;
}

bool names_valid(struct str list)
{
    uint32_t len;
    while (list.len >= sizeof(len)) {
        memcpy(&len, list.p, sizeof(len));
        len = le32toh(len);
        list.p += sizeof(len);
        list.len -= sizeof(len);
        if (len > list.len)
            return false;
        list.p += len;
        list.len -= len;
    }
    return list.len == 0;
}

uint32_t names_count(struct str list)
{
    uint32_t n = 0;
    for (struct str name; names_next(&list, &name);)
        n++;
    return n;
}
