/* Tickets of one process. Each is a block (ticket_block.h) with a serial number and the stamp 0,
 * sealed with a key that this process makes at start. What it stands for is kept in a ring in the
 * order of issue: all tickets live equally long, so the oldest is always the next to go. One mutex
 * guards the ring; it is taken once a handshake, never on the way of a message. */
#include "auth/ticket_block.h"
#include "auth/ticket_kind.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>

enum {
    RING_FIRST = 64, /* places in the first ring */

    /* At most so many expired tickets are released in one call: more than one, so that the
     * ring drains faster than it fills, and few enough that nobody waits at the mutex for a crowd
     * that left an hour ago. */
    PURGE_MAX = 32,
};

struct place {
    struct claims *c;
    int64_t expires_ms;
};

struct ring {
    struct tickets tickets;
    pthread_mutex_t mutex; /* guards all below */
    struct ticket_block block;
    uint64_t oldest, next;  /* serial numbers: [oldest, next) are in the ring */
    struct place *places;   /* ticket s lies at s modulo n_places */
    uint32_t n_places, max; /* n_places is a power of two */
    size_t bytes;           /* of the claims in the ring, a shared one as often as it is there */
};

static struct place *place_of(struct ring *r, uint64_t serial)
{
    return &r->places[serial & (r->n_places - 1)];
}

static struct ring *self(struct tickets *t)
{
    return container_of(t, struct ring, tickets);
}

static void ring_free(struct tickets *t)
{
    struct ring *r = self(t);
    for (; r->oldest < r->next; r->oldest++)
        claims_unref(place_of(r, r->oldest)->c);
    pthread_mutex_destroy(&r->mutex);
    ticket_block_fini(&r->block);
    mem_free(r->places);
    mem_free(r);
}

static void purge(struct ring *r, int64_t now_ms)
{
    for (unsigned i = 0; i < PURGE_MAX && r->oldest < r->next; i++) {
        struct place *p = place_of(r, r->oldest);
        if (now_ms < p->expires_ms)
            return;
        r->bytes -= p->c->bytes;
        claims_unref(p->c);
        r->oldest++;
    }
}

static void grow(struct ring *r)
{
    uint32_t n = r->n_places * 2;
    struct place *places = mem_alloc(n * sizeof *places);
    for (uint64_t s = r->oldest; s < r->next; s++)
        places[s & (n - 1)] = *place_of(r, s);
    mem_free(r->places);
    r->places = places;
    r->n_places = n;
}

static enum err ring_issue(struct tickets *t, struct str jwt, struct claims *c,
                           struct ticket_time now, struct buf *out, struct buf *note)
{
    (void)jwt, (void)note;
    struct ring *r = self(t);
    enum err e = ERR_FULL;
    pthread_mutex_lock(&r->mutex);
    purge(r, now.mono_ms);
    uint64_t n = r->next - r->oldest;
    if (n < r->max && r->bytes + c->bytes <= TICKETS_BYTES_MAX) {
        r->bytes += c->bytes;
        if (n == r->n_places)
            grow(r);
        *place_of(r, r->next) = (struct place){claims_ref(c), now.mono_ms + TICKET_LIFE_MS};
        ticket_block_write(&r->block, r->next++, 0, buf_reserve(out, TICKET_UUID_LEN));
        out->len += TICKET_UUID_LEN;
        e = ERR_OK;
    }
    pthread_mutex_unlock(&r->mutex);
    return e;
}

static enum err ring_redeem(struct tickets *t, struct str ticket, struct ticket_time now,
                            struct claims **out)
{
    struct ring *r = self(t);
    uint64_t serial;
    uint32_t stamp;
    enum err e = ERR_NOT_FOUND;
    pthread_mutex_lock(&r->mutex);
    purge(r, now.mono_ms);
    if (ticket_block_read(&r->block, ticket, &serial, &stamp) && !stamp && serial < r->next) {
        e = ERR_EXPIRED;
        if (serial >= r->oldest && now.mono_ms < place_of(r, serial)->expires_ms) {
            *out = claims_ref(place_of(r, serial)->c);
            e = ERR_OK;
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return e;
}

static uint32_t ring_held(struct tickets *t)
{
    struct ring *r = self(t);
    pthread_mutex_lock(&r->mutex);
    uint32_t n = (uint32_t)(r->next - r->oldest);
    pthread_mutex_unlock(&r->mutex);
    return n;
}

enum err tickets_new_local(struct tickets **out, uint32_t max)
{
    static const struct ticket_kind kind = {
        .free = ring_free, .issue = ring_issue, .redeem = ring_redeem, .held = ring_held};
    assert(max > 0 && max <= TICKETS_MAX);
    unsigned char key[TICKET_BLOCK_BYTES];
    bool is_random = RAND_bytes(key, sizeof key) == 1;
    ERR_clear_error(); /* of what it tried in vain, whatever came of it */
    if (!is_random)
        return ERR_SYS;
    struct ring *r = mem_zalloc(sizeof *r);
    enum err e = ticket_block_init(&r->block, key);
    OPENSSL_cleanse(key, sizeof key);
    if (e) {
        mem_free(r);
        return e;
    }
    r->tickets.kind = &kind;
    r->n_places = RING_FIRST;
    r->places = mem_alloc(r->n_places * sizeof *r->places);
    r->max = max;
    pthread_mutex_init(&r->mutex, NULL);
    *out = &r->tickets;
    return ERR_OK;
}
