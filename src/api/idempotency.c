#include "api/idempotency.h"
#include <openssl/evp.h>
#include <pthread.h>
#include "base/map.h"
#include "base/mem.h"

struct entry {
    struct entry *newer, *older; /* or NULL */
    struct once once;
    bool is_answered;
    struct str answer; /* owned */
    int64_t until_ms;
};

struct idempotency {
    pthread_mutex_t lock;
    struct map entries; /* by their id */
    struct entry *oldest, *newest;
    size_t bytes;
};

static struct str id_of(const void *item)
{
    const struct entry *e = item;
    return str_make((const char *)e->once.id, sizeof(e->once.id));
}

struct idempotency *idempotency_new(void)
{
    struct idempotency *t = mem_zalloc(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    map_init(&t->entries, id_of);
    return t;
}

static void drop(struct idempotency *t, struct entry *e)
{
    *(e->older ? &e->older->newer : &t->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &t->newest) = e->older;
    map_remove(&t->entries, e);
    t->bytes -= sizeof(*e) + e->answer.len;
    mem_free((char *)e->answer.p);
    mem_free(e);
}

void idempotency_free(struct idempotency *t)
{
    if (!t)
        return;
    while (t->oldest)
        drop(t, t->oldest);
    map_fini(&t->entries);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

bool idempotency_key_is_valid(struct str key)
{
    size_t i = 0;
    while (i < key.len && key.p[i] > ' ' && key.p[i] < 127)
        i++;
    return i == key.len && key.len >= 1 && key.len <= IDEMPOTENCY_KEY_MAX;
}

static bool add_text(EVP_MD_CTX *ctx, struct str text)
{
    uint64_t len = text.len; /* so that no two lists of texts run together to the same */
    return EVP_DigestUpdate(ctx, &len, sizeof(len)) && EVP_DigestUpdate(ctx, text.p, text.len);
}

enum err once_make(struct once *out, struct str who, struct str path, struct str key,
                   struct str body)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && add_text(ctx, who) &&
              add_text(ctx, path) && add_text(ctx, key) && EVP_DigestFinal_ex(ctx, out->id, NULL) &&
              EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(ctx, body.p, body.len) && EVP_DigestFinal_ex(ctx, out->body, NULL);
    EVP_MD_CTX_free(ctx);
    out->has_key = ok;
    return ok ? ERR_OK : ERR_SYS;
}

static struct entry *find(struct idempotency *t, const struct once *o)
{
    return map_get(&t->entries, str_make((const char *)o->id, sizeof(o->id)));
}

/* What is over goes, and what is too much. */
static void make_room(struct idempotency *t, int64_t now_ms)
{
    while (t->oldest && (t->oldest->until_ms <= now_ms || t->bytes > IDEMPOTENCY_BYTES_MAX ||
                         t->entries.n > IDEMPOTENCY_ENTRIES_MAX))
        drop(t, t->oldest);
}

static struct entry *add(struct idempotency *t, const struct once *o, int64_t now_ms)
{
    struct entry *e = mem_zalloc(sizeof(*e));
    e->once = *o;
    e->until_ms = now_ms + IDEMPOTENCY_KEEP_MS;
    map_put(&t->entries, e);
    t->bytes += sizeof(*e);
    e->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = e;
    t->newest = e;
    make_room(t, now_ms);
    return e;
}

enum once_verdict idempotency_begin(struct idempotency *t, const struct once *o, int64_t now_ms,
                                    struct buf *answer)
{
    enum once_verdict verdict = ONCE_FIRST;
    pthread_mutex_lock(&t->lock);
    make_room(t, now_ms);
    const struct entry *e = find(t, o);
    if (!e) {
        add(t, o, now_ms);
    } else if (memcmp(e->once.body, o->body, sizeof(o->body)) != 0) {
        verdict = ONCE_OTHER;
    } else if (!e->is_answered) {
        verdict = ONCE_UNDER_WAY;
    } else {
        verdict = ONCE_ANSWERED;
        buf_str(answer, e->answer);
    }
    pthread_mutex_unlock(&t->lock);
    return verdict;
}

/* What is larger than all there is room for is forgotten, too. */
static void keep_answer(struct idempotency *t, struct entry *e, struct str answer, int64_t now_ms)
{
    char *copy = mem_alloc(answer.len + 1);
    memcpy(copy, answer.p, answer.len);
    e->answer = str_make(copy, answer.len);
    e->is_answered = true;
    t->bytes += answer.len;
    make_room(t, now_ms);
}

void idempotency_done(struct idempotency *t, const struct once *o, struct str answer)
{
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, o);
    if (e && !e->is_answered && memcmp(e->once.body, o->body, sizeof(o->body)) == 0)
        keep_answer(t, e, answer, INT64_MIN);
    pthread_mutex_unlock(&t->lock);
}

void idempotency_forget(struct idempotency *t, const struct once *o)
{
    pthread_mutex_lock(&t->lock);
    struct entry *e = find(t, o);
    if (e && !e->is_answered && memcmp(e->once.body, o->body, sizeof(o->body)) == 0)
        drop(t, e);
    pthread_mutex_unlock(&t->lock);
}

/* ---- notes ---- */

enum { NOTE_HEAD_BYTES = 2 * IDEMPOTENCY_HASH_BYTES };

void idempotency_write_note(struct buf *out, const struct once *o, struct str answer)
{
    buf_add(out, o->id, sizeof(o->id));
    buf_add(out, o->body, sizeof(o->body));
    buf_str(out, answer);
}

enum err idempotency_take_note(struct idempotency *t, struct str note, int64_t now_ms)
{
    struct once o = {.has_key = true};
    if (note.len < NOTE_HEAD_BYTES)
        return ERR_PROTO;
    memcpy(o.id, note.p, sizeof(o.id));
    memcpy(o.body, note.p + sizeof(o.id), sizeof(o.body));
    pthread_mutex_lock(&t->lock);
    make_room(t, now_ms);
    /* It stands before one that is under way here: that one may still fail. */
    struct entry *e = find(t, &o);
    if (!e)
        e = add(t, &o, now_ms);
    if (!e->is_answered) {
        e->once = o;
        keep_answer(t, e, str_make(note.p + NOTE_HEAD_BYTES, note.len - NOTE_HEAD_BYTES), now_ms);
    }
    pthread_mutex_unlock(&t->lock);
    return ERR_OK;
}
