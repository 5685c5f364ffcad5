#include "hub/grants.h"
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/names.h"
#include "hub/glob.h"

struct grants {
    uint32_t refs;
    uint32_t n_literals;
    uint32_t *literals; /* where each name without a star begins in `bytes`, sorted by name */
    bool all;           /* "*" is among the channels */
    bool has_globs;
    /* From here on it is the key: two lists in a row, and where the first one ends. */
    uint32_t channels_len, remotes_len;
    char bytes[];
};

static struct str key_of(const void *item)
{
    const struct grants *g = item;
    size_t head = offsetof(struct grants, bytes) - offsetof(struct grants, channels_len);
    return str_make((const char *)&g->channels_len, head + g->channels_len + g->remotes_len);
}

void grants_pool_init(struct grants_pool *p)
{
    map_init(&p->known, key_of);
}

void grants_pool_fini(struct grants_pool *p)
{
    assert(p->known.n == 0);
    map_fini(&p->known);
}

static struct str list_of_channels(const struct grants *g)
{
    return str_make(g->bytes, g->channels_len);
}

struct str grants_remotes(const struct grants *g)
{
    return str_make(g->bytes + g->channels_len, g->remotes_len);
}

static struct str name_at(const char *bytes, uint32_t at)
{
    uint32_t len;
    memcpy(&len, bytes + at, sizeof(len));
    return str_make(bytes + at + sizeof(len), le32toh(len));
}

static int compare_places(const void *a, const void *b, void *bytes)
{
    return str_compare(name_at(bytes, *(const uint32_t *)a), name_at(bytes, *(const uint32_t *)b));
}

static bool is_glob(struct str name)
{
    return name.len && memchr(name.p, '*', name.len);
}

static void index_channels(struct grants *g)
{
    struct str list = list_of_channels(g), rest = list, name;
    uint32_t n = names_count(list);
    g->literals = mem_alloc(n * sizeof(*g->literals));
    while (names_next(&rest, &name)) {
        if (str_eq(name, STR("*")))
            g->all = true;
        if (is_glob(name))
            g->has_globs = true;
        else
            g->literals[g->n_literals++] = (uint32_t)(name.p - g->bytes - sizeof(uint32_t));
    }
    qsort_r(g->literals, g->n_literals, sizeof(*g->literals), compare_places, g->bytes);
}

struct grants *grants_get(struct grants_pool *p, struct str channels, struct str remotes)
{
    struct grants *g = mem_zalloc(sizeof(*g) + channels.len + remotes.len);
    g->channels_len = (uint32_t)channels.len;
    g->remotes_len = (uint32_t)remotes.len;
    if (channels.len)
        memcpy(g->bytes, channels.p, channels.len);
    if (remotes.len)
        memcpy(g->bytes + channels.len, remotes.p, remotes.len);

    struct grants *known = map_get(&p->known, key_of(g));
    if (known) {
        mem_free(g);
        return grants_ref(known);
    }
    g->refs = 1;
    index_channels(g);
    map_put(&p->known, g);
    return g;
}

struct grants *grants_ref(struct grants *g)
{
    g->refs++;
    return g;
}

void grants_unref(struct grants_pool *p, struct grants *g)
{
    assert(g->refs);
    if (--g->refs)
        return;
    map_remove(&p->known, g);
    mem_free(g->literals);
    mem_free(g);
}

static bool allows_literally(const struct grants *g, struct str channel)
{
    uint32_t low = 0, high = g->n_literals;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int d = str_compare(channel, name_at(g->bytes, g->literals[middle]));
        if (d == 0)
            return true;
        if (d < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

bool grants_allow(const struct grants *g, struct str channel)
{
    if (g->all || allows_literally(g, channel))
        return true;
    if (!g->has_globs)
        return false;
    struct str rest = list_of_channels(g), name;
    while (names_next(&rest, &name)) {
        if (is_glob(name) && glob_match(name, channel))
            return true;
    }
    return false;
}

static bool holds(struct str list, struct str wanted)
{
    for (struct str name; names_next(&list, &name);) {
        if (str_eq(name, wanted))
            return true;
    }
    return false;
}

bool grants_allow_remote(const struct grants *g, struct str remote)
{
    return holds(grants_remotes(g), remote);
}

struct str grants_channels(const struct grants *g)
{
    return list_of_channels(g);
}

struct grants *grants_with(struct grants_pool *p, const struct grants *g, struct str channel)
{
    struct buf list = BUF_INIT;
    buf_str(&list, list_of_channels(g));
    if (!holds(list_of_channels(g), channel) && list.len + channel.len < GRANTS_BYTES_MAX)
        names_add(&list, channel);
    struct grants *with = grants_get(p, buf_as_str(&list), grants_remotes(g));
    buf_fini(&list);
    return with;
}

struct grants *grants_reloaded(struct grants_pool *p, const struct grants *g, struct str channels)
{
    return grants_get(p, channels, grants_remotes(g));
}
