/* Tickets of all nodes with one secret. Each is a block (ticket_block.h): a random id, and as its
 * stamp the second of its issue by the wall clock. The key is HKDF-SHA256 of the secret (RFC 5869)
 * with the salt and info below: another form of ticket gets another key by another info.
 *
 * What a ticket stands for is in a table on every node: the issuer puts it there and tells all
 * others by a note:
 *
 *   version (1) | id (8) | milliseconds left (4) | payload of the JWT       (big endian)
 *
 * The id in it is not the ticket: whoever reads notes, or sends false ones, still needs the secret
 * to make a ticket of an id.
 *
 * The stamp tells a ticket whose note may be under way from one that this node will never hear of,
 * as it was issued before this node started, say: of those come many at once, when clients return
 * after a restart, and none of them should wait. */
#include "auth/ticket_block.h"
#include "auth/ticket_kind.h"
#include "base/map.h"
#include "base/mem.h"
#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>

enum {
    NOTE_VERSION = 1,
    ID_BYTES = 8,
    LEFT_BYTES = 4,
    NOTE_HEAD_BYTES = 1 + ID_BYTES + LEFT_BYTES,
    PAYLOAD_BYTES_MAX = JWT_BYTES_MAX / 4 * 3,
    HEAP_FIRST = 64, /* places in the first heap */
    PURGE_MAX = 32,  /* expired ones released in one call, as in the ring */
};

struct entry {
    uint64_t id;
    int64_t expires_ms;
    struct claims *c;
};

/* Lives differ by what the notes say, so the next to expire is found by a heap. */
struct shared {
    struct tickets tickets;
    pthread_mutex_t mutex; /* guards all below */
    struct ticket_block block;
    struct map by_id;
    struct entry **heap; /* the parent of place i is (i - 1) / 2, and expires no later; */
    uint32_t n_places;   /* by_id.n of these are used */
    size_t bytes;        /* of the claims in the table, a shared one as often as it is there */
};

static struct shared *self(struct tickets *t)
{
    return container_of(t, struct shared, tickets);
}

static struct str key_of(const void *item)
{
    const struct entry *e = item;
    return str_make((const char *)&e->id, sizeof e->id);
}

static struct entry *find(const struct shared *s, uint64_t id)
{
    return map_get(&s->by_id, str_make((const char *)&id, sizeof id));
}

/* ---- the heap ---- */

/* The place `n` is free: `e` goes there or further up. */
static void heap_put(struct entry **heap, uint32_t n, struct entry *e)
{
    while (n && heap[(n - 1) / 2]->expires_ms > e->expires_ms) {
        heap[n] = heap[(n - 1) / 2];
        n = (n - 1) / 2;
    }
    heap[n] = e;
}

/* Takes the first of `n` out. */
static void heap_drop_first(struct entry **heap, uint32_t n)
{
    struct entry *last = heap[--n];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1]->expires_ms < heap[child]->expires_ms)
            child++;
        if (heap[child]->expires_ms >= last->expires_ms)
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
}

/* ---- the table ---- */

static void purge(struct shared *s, int64_t now_ms)
{
    for (unsigned i = 0; i < PURGE_MAX && s->by_id.n; i++) {
        struct entry *e = s->heap[0];
        if (now_ms < e->expires_ms)
            return;
        heap_drop_first(s->heap, s->by_id.n);
        map_remove(&s->by_id, e);
        s->bytes -= e->c->bytes;
        claims_unref(e->c);
        mem_free(e);
    }
}

static bool has_room(const struct shared *s, const struct claims *c)
{
    return s->by_id.n < TICKETS_MAX && s->bytes + c->bytes <= TICKETS_BYTES_MAX;
}

/* Takes a reference. */
static void put(struct shared *s, uint64_t id, int64_t expires_ms, struct claims *c)
{
    struct entry *e = mem_alloc(sizeof *e);
    *e = (struct entry){id, expires_ms, claims_ref(c)};
    if (s->by_id.n == s->n_places) {
        s->n_places = s->n_places ? s->n_places * 2 : HEAP_FIRST;
        s->heap = mem_realloc(s->heap, s->n_places * sizeof *s->heap);
    }
    heap_put(s->heap, s->by_id.n, e);
    map_put(&s->by_id, e);
    s->bytes += c->bytes;
}

static void shared_free(struct tickets *t)
{
    struct shared *s = self(t);
    for (uint32_t i = 0; i < s->by_id.n; i++) {
        claims_unref(s->heap[i]->c);
        mem_free(s->heap[i]);
    }
    map_fini(&s->by_id);
    mem_free(s->heap);
    ticket_block_fini(&s->block);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

/* ---- notes ---- */

static void write_head(char *p, uint64_t id, uint32_t left_ms)
{
    id = htobe64(id);
    left_ms = htobe32(left_ms);
    p[0] = NOTE_VERSION;
    memcpy(p + 1, &id, ID_BYTES);
    memcpy(p + 1 + ID_BYTES, &left_ms, LEFT_BYTES);
}

static bool read_head(const char *p, uint64_t *id, uint32_t *left_ms)
{
    memcpy(id, p + 1, ID_BYTES);
    memcpy(left_ms, p + 1 + ID_BYTES, LEFT_BYTES);
    *id = be64toh(*id);
    *left_ms = be32toh(*left_ms);
    return p[0] == NOTE_VERSION && *left_ms > 0;
}

static enum err shared_take_note(struct tickets *t, struct str note, int64_t mono_ms)
{
    struct shared *s = self(t);
    struct claims *c;
    uint64_t id;
    uint32_t left_ms;
    if (note.len < NOTE_HEAD_BYTES || !read_head(note.p, &id, &left_ms))
        return ERR_PROTO;
    if (note.len > NOTE_HEAD_BYTES + PAYLOAD_BYTES_MAX)
        return ERR_LIMIT;
    enum err e =
        claims_from_judged_json(&c, str_make(note.p + NOTE_HEAD_BYTES, note.len - NOTE_HEAD_BYTES));
    if (e)
        return e;
    if (left_ms > TICKET_LIFE_MS)
        left_ms = TICKET_LIFE_MS;
    pthread_mutex_lock(&s->mutex);
    purge(s, mono_ms);
    if (!find(s, id)) {
        if (has_room(s, c))
            put(s, id, mono_ms + left_ms, c);
        else
            e = ERR_FULL;
    }
    pthread_mutex_unlock(&s->mutex);
    claims_unref(c);
    return e;
}

/* ---- tickets ---- */

static uint32_t stamp_of(struct ticket_time now)
{
    return (uint32_t)(int64_t)now.wall_s;
}

/* A fresh id, with the claims behind it. */
static enum err keep(struct shared *s, struct claims *c, int64_t now_ms, uint64_t *id)
{
    purge(s, now_ms);
    if (!has_room(s, c))
        return ERR_FULL;
    do {
        bool is_random = RAND_bytes((unsigned char *)id, sizeof *id) == 1;
        ERR_clear_error(); /* of what it tried in vain, whatever came of it */
        if (!is_random)
            return ERR_SYS;
    } while (find(s, *id));
    put(s, *id, now_ms + TICKET_LIFE_MS, c);
    return ERR_OK;
}

static enum err shared_issue(struct tickets *t, struct str jwt, struct claims *c,
                             struct ticket_time now, struct buf *out, struct buf *note)
{
    struct shared *s = self(t);
    size_t begin = note->len;
    uint64_t id;
    if (jwt.len > JWT_BYTES_MAX)
        return ERR_LIMIT;
    buf_reserve(note, NOTE_HEAD_BYTES);
    note->len += NOTE_HEAD_BYTES;
    enum err e = jwt_payload(note, jwt);
    if (!e) {
        pthread_mutex_lock(&s->mutex);
        e = keep(s, c, now.mono_ms, &id);
        if (!e) {
            ticket_block_write(&s->block, id, stamp_of(now), buf_reserve(out, TICKET_UUID_LEN));
            out->len += TICKET_UUID_LEN;
        }
        pthread_mutex_unlock(&s->mutex);
    }
    if (e)
        note->len = begin;
    else
        write_head(note->p + begin, id, TICKET_LIFE_MS);
    return e;
}

/* Of a ticket that is ours and not in the table. */
static enum err judge_missing(uint32_t stamp, struct ticket_time now)
{
    int64_t age_ms = (int64_t)(int32_t)(stamp_of(now) - stamp) * 1000;
    if (age_ms >= -TICKET_SKEW_MS && age_ms <= TICKET_SKEW_MS + TICKET_NOTE_MS)
        return ERR_AGAIN;
    return age_ms >= TICKET_LIFE_MS ? ERR_EXPIRED : ERR_NOT_FOUND;
}

static enum err shared_redeem(struct tickets *t, struct str ticket, struct ticket_time now,
                              struct claims **out)
{
    struct shared *s = self(t);
    uint64_t id;
    uint32_t stamp;
    enum err e = ERR_NOT_FOUND;
    pthread_mutex_lock(&s->mutex);
    purge(s, now.mono_ms);
    if (ticket_block_read(&s->block, ticket, &id, &stamp)) {
        const struct entry *found = find(s, id);
        if (!found) {
            e = judge_missing(stamp, now);
        } else if (now.mono_ms >= found->expires_ms) {
            e = ERR_EXPIRED;
        } else {
            *out = claims_ref(found->c);
            e = ERR_OK;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return e;
}

static uint32_t shared_held(struct tickets *t)
{
    struct shared *s = self(t);
    pthread_mutex_lock(&s->mutex);
    uint32_t n = s->by_id.n;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

/* ---- the key ---- */

static bool derive(unsigned char key[TICKET_BLOCK_BYTES], struct str secret)
{
    static const char digest[] = "SHA256", salt[] = "gusher", info[] = "ticket 2";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret.p, secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, sizeof salt - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, sizeof info - 1),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool done = ctx && EVP_KDF_derive(ctx, key, TICKET_BLOCK_BYTES, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return done;
}

enum err tickets_new_shared(struct tickets **out, struct str secret)
{
    static const struct ticket_kind kind = {.free = shared_free,
                                            .issue = shared_issue,
                                            .take_note = shared_take_note,
                                            .redeem = shared_redeem,
                                            .held = shared_held};
    if (secret.len < TICKET_SECRET_MIN)
        return ERR_LIMIT;
    unsigned char key[TICKET_BLOCK_BYTES];
    struct shared *s = mem_zalloc(sizeof *s);
    enum err e = derive(key, secret) ? ticket_block_init(&s->block, key) : ERR_SYS;
    OPENSSL_cleanse(key, sizeof key);
    if (e) {
        ERR_clear_error();
        mem_free(s);
        return e;
    }
    s->tickets.kind = &kind;
    map_init(&s->by_id, key_of);
    pthread_mutex_init(&s->mutex, NULL);
    *out = &s->tickets;
    return ERR_OK;
}
