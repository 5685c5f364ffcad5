#include "hub/census.h"
#include <assert.h>
#include <endian.h>
#include "base/names.h"

/* A record is its connections and its number of users (4 bytes each, little endian), their hashes,
 * and the app. */
enum { HEAD_BYTES = 8 };

void census_add(struct buf *list, const struct census_record *r)
{
    uint32_t head[] = {
        htole32((uint32_t)(HEAD_BYTES + r->users.len + r->app.len)), /* as names_add writes it */
        htole32(r->connections), htole32(r->n_users)};
    assert(r->users.len == r->n_users * sizeof(struct hash128));
    buf_add(list, head, sizeof(head));
    buf_str(list, r->users);
    buf_str(list, r->app);
}

static bool read_record(struct str name, struct census_record *out)
{
    uint32_t head[2];
    if (name.len < HEAD_BYTES)
        return false;
    memcpy(head, name.p, sizeof(head));
    *out = (struct census_record){.connections = le32toh(head[0]), .n_users = le32toh(head[1])};
    size_t bytes = (size_t)out->n_users * sizeof(struct hash128);
    if (bytes > name.len - HEAD_BYTES)
        return false;
    out->users = str_make(name.p + HEAD_BYTES, bytes);
    out->app = str_make(out->users.p + bytes, name.len - HEAD_BYTES - bytes);
    return true;
}

bool census_next(struct str *rest, struct census_record *out)
{
    struct str name;
    if (!names_next(rest, &name))
        return false;
    bool is_record = read_record(name, out);
    assert(is_record);
    return true;
}

bool census_valid(struct str list)
{
    struct census_record r;
    if (!names_valid(list))
        return false;
    for (struct str name; names_next(&list, &name);) {
        if (!read_record(name, &r))
            return false;
    }
    return true;
}

uint64_t census_seed(struct str app, uint64_t seed)
{
    return hash_wide(app, seed).lo;
}
