#include "auth/bans.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "auth/base64url.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    NOTE_VERSION = 1,
    NOTE_HEAD = 1 + 1 + 1 + 8 + 8 + 2, /* version, kind, lifted, until, set, length of the app */
    FILE_MAX = 256 << 20,
    SWEEP_EVERY = 1000, /* notes, between two looks for those that are over */
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
    pthread_mutex_t file_lock; /* a lock of its own: nobody who looks up waits for a disk */
    int file;                  /* -1: none */
    char *path;
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

/* ---- the file: a note a line, as base64url ---- */

static void append_line(struct buf *out, const struct ban *ban)
{
    struct buf note = BUF_INIT;
    ban_write_note(&note, ban);
    base64url_encode(out, note.p, note.len);
    buf_char(out, '\n');
    buf_fini(&note);
}

static bool write_all(int fd, struct str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.p, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text.p += n;
        text.len -= (size_t)n;
    }
    return true;
}

/* It is in force all the same: what cannot be kept is told. */
static void keep(struct bans *b, const struct ban *ban)
{
    struct buf line = BUF_INIT;
    if (b->file < 0)
        return;
    append_line(&line, ban);
    pthread_mutex_lock(&b->file_lock);
    if (!write_all(b->file, buf_as_str(&line)))
        LOG(LOG_ERROR, "ban_not_kept", LOG_CSTR("file", b->path),
            LOG_CSTR("reason", strerror(errno)));
    pthread_mutex_unlock(&b->file_lock);
    buf_fini(&line);
}

static enum err read_line(struct bans *b, struct str line, int64_t now_s)
{
    struct buf note = BUF_INIT;
    struct ban ban;
    enum err e =
        base64url_decode(&note, line) ? read_note(&ban, buf_as_str(&note), now_s) : ERR_PROTO;
    if (!e)
        e = apply(b, &ban, now_s);
    buf_fini(&note);
    return e == ERR_EXPIRED ? ERR_OK : e;
}

/* A line without its end was being written when the process died. */
static enum err read_text(struct bans *b, struct str text, int64_t now_s, char *why, size_t why_len)
{
    for (unsigned number = 1; text.len && memchr(text.p, '\n', text.len); number++) {
        enum err e = read_line(b, str_cut(&text, '\n'), now_s);
        if (e) {
            snprintf(why, why_len, "%s, line %u: %s", b->path, number,
                     e == ERR_FULL ? "there are too many bans" : "this is no ban");
            return e;
        }
    }
    return ERR_OK;
}

static enum err read_file(struct bans *b, int64_t now_s, char *why, size_t why_len)
{
    struct buf text = BUF_INIT;
    ssize_t n = 1;
    int fd = open(b->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return ERR_OK;
    while (fd >= 0 && n > 0 && text.len < FILE_MAX) {
        n = read(fd, buf_reserve(&text, 1 << 16), 1 << 16);
        text.len += n > 0 ? (size_t)n : 0;
    }
    enum err e = ERR_SYS;
    if (fd < 0 || n != 0)
        snprintf(why, why_len, "cannot read %s: %s", b->path,
                 fd >= 0 && n > 0 ? "it is too large" : strerror(errno));
    else
        e = read_text(b, buf_as_str(&text), now_s, why, why_len);
    if (fd >= 0)
        close(fd);
    buf_fini(&text);
    return e;
}

static void add_line(void *out, const struct ban *ban)
{
    append_line(out, ban);
}

/* Without those that are over, and each once. */
static enum err rewrite_file(struct bans *b, int64_t now_s, char *why, size_t why_len)
{
    struct buf text = BUF_INIT, path = BUF_INIT;
    bans_each(b, now_s, add_line, &text);
    buf_printf(&path, "%s.new", b->path);
    buf_char(&path, 0);
    b->file = open(path.p, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    bool ok = b->file >= 0 && write_all(b->file, buf_as_str(&text)) && fsync(b->file) == 0 &&
              rename(path.p, b->path) == 0;
    if (!ok)
        snprintf(why, why_len, "cannot write %s: %s", path.p, strerror(errno));
    buf_fini(&text);
    buf_fini(&path);
    return ok ? ERR_OK : ERR_SYS;
}

/* ---- outside ---- */

enum err bans_open(struct bans **out, const char *path, int64_t now_s, char *why, size_t why_len)
{
    struct bans *b = mem_zalloc(sizeof(*b));
    enum err e = ERR_OK;
    pthread_rwlock_init(&b->lock, NULL);
    pthread_mutex_init(&b->file_lock, NULL);
    map_init(&b->map, item_key);
    b->file = -1;
    if (path) {
        b->path = mem_alloc(strlen(path) + 1);
        strcpy(b->path, path);
        e = read_file(b, now_s, why, why_len);
        if (!e)
            e = rewrite_file(b, now_s, why, why_len);
    }
    if (e)
        bans_free(b);
    else
        *out = b;
    return e;
}

void bans_free(struct bans *b)
{
    if (!b)
        return;
    sweep(b, INT64_MAX);
    map_fini(&b->map);
    if (b->file >= 0)
        close(b->file);
    pthread_rwlock_destroy(&b->lock);
    pthread_mutex_destroy(&b->file_lock);
    mem_free(b->path);
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
    if (!e)
        keep(b, ban);
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
