#include "auth/bans.h"
#include <pthread.h>
#include <string.h>
#include "base/map.h"
#include "base/mem.h"

enum {
    NOTE_VERSION = 1,
    NOTE_HEAD = 1 + 1 + 1 + 8 + 8 + 2, /* version, kind, lifted, until, set, length of the app */
    SWEEP_EVERY = 1000,                /* notes, between two looks for those that are over */
};

struct item {
    int64_t until_s, set_ms;
    bool lifted;
    uint16_t app_len;
    uint32_t key_len;
    char key[]; /* the kind, app, name */
};

struct bans {
    pthread_rwlock_t lock;
    struct map map;
    unsigned n_since_sweep;
};

static struct str item_key(const void *item)
{
    const struct item *i = item;
    return str_make(i->key, i->key_len);
}

/* The length of the app keeps "a"+"bc" and "ab"+"c" apart. */
static void write_key(struct buf *out, enum ban_kind kind, struct str app, struct str name)
{
    buf_char(out, (char)kind);
    buf_char(out, (char)(app.len >> 8));
    buf_char(out, (char)app.len);
    buf_str(out, app);
    buf_str(out, name);
}

/* ---- notes ---- */

static void write_number(struct buf *out, uint64_t n, unsigned bytes)
{
    while (bytes-- > 0)
        buf_char(out, (char)(n >> 8 * bytes));
}

static uint64_t read_number(const char *p, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | (unsigned char)p[i];
    return n;
}

void ban_write_note(struct buf *out, const struct ban *ban)
{
    buf_char(out, NOTE_VERSION);
    buf_char(out, (char)ban->kind);
    buf_char(out, ban->lifted);
    write_number(out, (uint64_t)ban->until_s, 8);
    write_number(out, (uint64_t)ban->set_ms, 8);
    write_number(out, ban->app.len, 2);
    buf_str(out, ban->app);
    buf_str(out, ban->name);
}

static enum err read_note(struct ban *ban, struct str note, int64_t now_s)
{
    if (note.len < NOTE_HEAD || note.len > NOTE_HEAD + BAN_NAME_MAX || note.p[0] != NOTE_VERSION)
        return ERR_PROTO;
    unsigned kind = (unsigned char)note.p[1], lifted = (unsigned char)note.p[2];
    uint64_t until = read_number(note.p + 3, 8), set = read_number(note.p + 11, 8);
    size_t app_len = read_number(note.p + 19, 2);
    uint64_t latest = (uint64_t)now_s + (BAN_YEARS_MAX + 1) * 366ull * 86400;
    if (kind > BAN_TOKEN || lifted > 1 || until > latest || set / 1000 > latest ||
        NOTE_HEAD + app_len >= note.len)
        return ERR_PROTO;
    *ban = (struct ban){.kind = (enum ban_kind)kind,
                        .lifted = lifted,
                        .until_s = (int64_t)until,
                        .set_ms = (int64_t)set,
                        .app = str_make(note.p + NOTE_HEAD, app_len),
                        .name =
                            str_make(note.p + NOTE_HEAD + app_len, note.len - NOTE_HEAD - app_len)};
    return ERR_OK;
}

/* ---- the table; the lock is held ---- */

static void drop(struct bans *b, struct item *i)
{
    map_remove(&b->map, i);
    mem_free(i);
}

struct over {
    int64_t now_s;
    struct buf items; /* struct item * */
};

static void note_over(void *ctx, void *item)
{
    struct over *o = ctx;
    if (((struct item *)item)->until_s <= o->now_s)
        buf_add(&o->items, &item, sizeof(item));
}

static void sweep(struct bans *b, int64_t now_s)
{
    struct over over = {.now_s = now_s};
    uint32_t cursor = 0;
    struct item *i;
    b->n_since_sweep = 0;
    do
        cursor = map_scan(&b->map, cursor, note_over, &over);
    while (cursor);
    for (size_t at = 0; at < over.items.len; at += sizeof(i)) {
        memcpy(&i, over.items.p + at, sizeof(i));
        drop(b, i);
    }
    buf_fini(&over.items);
}

static enum err apply(struct bans *b, const struct ban *ban, int64_t now_s)
{
    struct buf key = BUF_INIT;
    if (ban->until_s <= now_s)
        return ERR_EXPIRED;
    write_key(&key, ban->kind, ban->app, ban->name);
    struct item *i = map_get(&b->map, buf_as_str(&key));
    enum err e = ERR_OK;
    if (i && i->set_ms >= ban->set_ms)
        e = ERR_EXPIRED;
    else if (!i && (b->map.n >= BANS_MAX || ++b->n_since_sweep >= SWEEP_EVERY))
        sweep(b, now_s);
    if (!e && !i && b->map.n >= BANS_MAX)
        e = ERR_FULL;
    if (!e && !i) {
        i = mem_zalloc(sizeof(*i) + key.len);
        i->app_len = (uint16_t)ban->app.len;
        i->key_len = (uint32_t)key.len;
        memcpy(i->key, key.p, key.len);
        map_put(&b->map, i);
    }
    if (!e) {
        /* Lifted it is remembered as long as any of its notes may still be on its way. */
        i->until_s = ban->lifted && i->until_s > ban->until_s ? i->until_s : ban->until_s;
        i->set_ms = ban->set_ms;
        i->lifted = ban->lifted;
    }
    buf_fini(&key);
    return e;
}

static struct ban ban_of(const struct item *i)
{
    return (struct ban){.kind = (enum ban_kind)i->key[0],
                        .app = str_make(i->key + 3, i->app_len),
                        .name = str_make(i->key + 3 + i->app_len, i->key_len - 3 - i->app_len),
                        .until_s = i->until_s,
                        .set_ms = i->set_ms,
                        .lifted = i->lifted};
}

/* ---- outside ---- */

struct bans *bans_new(void)
{
    struct bans *b = mem_zalloc(sizeof(*b));
    pthread_rwlock_init(&b->lock, NULL);
    map_init(&b->map, item_key);
    return b;
}

void bans_free(struct bans *b)
{
    if (!b)
        return;
    sweep(b, INT64_MAX);
    map_fini(&b->map);
    pthread_rwlock_destroy(&b->lock);
    mem_free(b);
}

enum err bans_take_note(struct bans *b, struct str note, int64_t now_s, struct ban *ban)
{
    enum err e = read_note(ban, note, now_s);
    if (e)
        return e;
    pthread_rwlock_wrlock(&b->lock);
    e = apply(b, ban, now_s);
    pthread_rwlock_unlock(&b->lock);
    return e;
}

static const struct item *find(const struct bans *b, struct buf *key, enum ban_kind kind,
                               struct str app, struct str name)
{
    if (!name.len || app.len + name.len > BAN_NAME_MAX)
        return NULL;
    buf_clear(key);
    write_key(key, kind, app, name);
    return map_get(&b->map, buf_as_str(key));
}

bool bans_find(struct bans *b, struct ban *ban)
{
    struct buf key = BUF_INIT;
    pthread_rwlock_rdlock(&b->lock);
    const struct item *i = find(b, &key, ban->kind, ban->app, ban->name);
    if (i) {
        ban->until_s = i->until_s;
        ban->set_ms = i->set_ms;
        ban->lifted = i->lifted;
    }
    pthread_rwlock_unlock(&b->lock);
    buf_fini(&key);
    return i;
}

static bool is_kept_out(const struct bans *b, struct buf *key, enum ban_kind kind, struct str app,
                        struct str name, int64_t now_s)
{
    const struct item *i = find(b, key, kind, app, name);
    return i && !i->lifted && i->until_s > now_s;
}

bool bans_keep_out(struct bans *b, struct str app, struct str user, struct str jti, int64_t now_s)
{
    struct buf key = BUF_INIT;
    pthread_rwlock_rdlock(&b->lock);
    bool any = b->map.n && (is_kept_out(b, &key, BAN_USER, app, user, now_s) ||
                            is_kept_out(b, &key, BAN_TOKEN, app, jti, now_s));
    pthread_rwlock_unlock(&b->lock);
    buf_fini(&key);
    return any;
}

struct visit {
    bans_found_fn *found;
    void *ctx;
    int64_t now_s;
};

static void visit(void *ctx, void *item)
{
    const struct visit *v = ctx;
    const struct item *i = item;
    const struct ban ban = ban_of(i);
    if (i->until_s > v->now_s)
        v->found(v->ctx, &ban);
}

void bans_each(struct bans *b, int64_t now_s, bans_found_fn *found, void *ctx)
{
    struct visit v = {found, ctx, now_s};
    uint32_t cursor = 0;
    pthread_rwlock_rdlock(&b->lock);
    do
        cursor = map_scan(&b->map, cursor, visit, &v);
    while (cursor);
    pthread_rwlock_unlock(&b->lock);
}
