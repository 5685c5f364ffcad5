#include "bus/tally.h"
#include <stdlib.h>
#include "base/mem.h"
#include "hub/census.h"

struct app {
    uint64_t connections, users;
    size_t key_len;
    char key[];
};

enum { PLACE_BYTES = 24 }; /* of an app, in the map */

static struct str app_key(const void *item)
{
    const struct app *a = item;
    return str_make(a->key, a->key_len);
}

static struct app *find_app(struct tally *t, struct str key)
{
    if (!t->apps.key)
        map_init(&t->apps, app_key);
    struct app *a = map_get(&t->apps, key);
    if (a)
        return a;
    a = mem_zalloc(sizeof(*a) + key.len);
    a->key_len = key.len;
    memcpy(a->key, key.p, key.len);
    map_put(&t->apps, a);
    t->bytes += sizeof(*a) + key.len + PLACE_BYTES;
    return a;
}

void tally_add(struct tally *t, struct str records)
{
    struct census_record r;
    while (census_next(&records, &r)) {
        struct app *a = find_app(t, r.app);
        struct hash128 user;
        a->connections += r.connections;
        for (size_t at = 0; at < r.users.len; at += sizeof(user)) {
            memcpy(&user, r.users.p + at, sizeof(user));
            a->users += hash_set_add(&t->users, user);
        }
    }
}

static int compare_apps(const void *x, const void *y)
{
    struct str a = ((const struct bus_tally *)x)->app, b = ((const struct bus_tally *)y)->app;
    int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

const struct bus_tally *tally_list(struct tally *t, size_t *n)
{
    uint32_t place = 0;
    size_t i = 0;
    mem_free(t->list);
    t->list = mem_zalloc((t->apps.n + 1) * sizeof(*t->list));
    for (struct app *a; t->apps.key && (a = map_each(&t->apps, &place));)
        t->list[i++] = (struct bus_tally){app_key(a), a->connections, a->users};
    qsort(t->list, i, sizeof(*t->list), compare_apps);
    *n = i;
    return t->list;
}

size_t tally_bytes(const struct tally *t)
{
    return t->bytes + hash_set_bytes(&t->users);
}

void tally_fini(struct tally *t)
{
    uint32_t place = 0;
    for (struct app *a; t->apps.key && (a = map_each(&t->apps, &place));)
        mem_free(a);
    if (t->apps.key)
        map_fini(&t->apps);
    hash_set_fini(&t->users);
    mem_free(t->list);
    *t = (struct tally){0};
}
