#include "auth/ticket.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

enum {
    BLOCK_BYTES = 16,
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

struct tickets {
    pthread_mutex_t mutex; /* guards all below */
    EVP_CIPHER_CTX *seal, *open;
    uint64_t oldest, next;  /* serial numbers: [oldest, next) are in the ring */
    struct place *ring;     /* ticket s lies at s modulo n_places */
    uint32_t n_places, max; /* n_places is a power of two */
    size_t bytes;           /* of the claims in the ring, a shared one as often as it is there */
};

/* One block at a time in ECB mode is just the cipher, and every block is another one: the serial
 * number never comes twice. */
static EVP_CIPHER_CTX *cipher_new(const unsigned char *key, bool encrypts)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx && EVP_CipherInit_ex2(ctx, EVP_aes_128_ecb(), key, NULL, encrypts, NULL) == 1 &&
        EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

enum err tickets_new(struct tickets **out, uint32_t max)
{
    assert(max > 0 && max <= TICKETS_MAX);
    unsigned char key[BLOCK_BYTES];
    if (RAND_bytes(key, sizeof key) != 1)
        return ERR_SYS;
    struct tickets *t = mem_zalloc(sizeof *t);
    t->seal = cipher_new(key, true);
    t->open = cipher_new(key, false);
    OPENSSL_cleanse(key, sizeof key);
    if (!t->seal || !t->open)
        goto fail;
    t->n_places = RING_FIRST;
    t->ring = mem_alloc(t->n_places * sizeof *t->ring);
    t->max = max;
    pthread_mutex_init(&t->mutex, NULL);
    *out = t;
    return ERR_OK;

fail:
    EVP_CIPHER_CTX_free(t->seal);
    EVP_CIPHER_CTX_free(t->open);
    mem_free(t);
    return ERR_SYS;
}

static struct place *place_of(struct tickets *t, uint64_t serial)
{
    return &t->ring[serial & (t->n_places - 1)];
}

void tickets_free(struct tickets *t)
{
    if (!t)
        return;
    for (; t->oldest < t->next; t->oldest++)
        claims_unref(place_of(t, t->oldest)->c);
    pthread_mutex_destroy(&t->mutex);
    EVP_CIPHER_CTX_free(t->seal);
    EVP_CIPHER_CTX_free(t->open);
    mem_free(t->ring);
    mem_free(t);
}

static void purge(struct tickets *t, int64_t now_ms)
{
    for (unsigned i = 0; i < PURGE_MAX && t->oldest < t->next; i++) {
        struct place *p = place_of(t, t->oldest);
        if (now_ms < p->expires_ms)
            return;
        t->bytes -= p->c->bytes;
        claims_unref(p->c);
        t->oldest++;
    }
}

static void grow(struct tickets *t)
{
    uint32_t n = t->n_places * 2;
    struct place *ring = mem_alloc(n * sizeof *ring);
    for (uint64_t s = t->oldest; s < t->next; s++)
        ring[s & (n - 1)] = *place_of(t, s);
    mem_free(t->ring);
    t->ring = ring;
    t->n_places = n;
}

static void apply(EVP_CIPHER_CTX *cipher, unsigned char block[BLOCK_BYTES])
{
    unsigned char result[BLOCK_BYTES];
    int len = 0;
    int done = EVP_CipherUpdate(cipher, result, &len, block, BLOCK_BYTES);
    assert(done == 1 && len == BLOCK_BYTES);
    memcpy(block, result, sizeof result);
}

/* The block before sealing: the serial number, then eight bytes that are 0. A block somebody made
 * up opens to any of 2^128 texts, so it passes once in 2^64 tries. */
static void seal(struct tickets *t, uint64_t serial, unsigned char block[BLOCK_BYTES])
{
    memset(block, 0, BLOCK_BYTES);
    memcpy(block, &serial, sizeof serial);
    apply(t->seal, block);
}

static bool unseal(struct tickets *t, unsigned char block[BLOCK_BYTES], uint64_t *serial)
{
    static const unsigned char check[BLOCK_BYTES - sizeof *serial];
    apply(t->open, block);
    memcpy(serial, block, sizeof *serial);
    return memcmp(block + sizeof *serial, check, sizeof check) == 0;
}

static bool is_hyphen_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static void write_text(char out[TICKET_LEN], const unsigned char block[BLOCK_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned nibble = 0;
    for (size_t i = 0; i < TICKET_LEN; i++) {
        if (is_hyphen_at(i)) {
            out[i] = '-';
            continue;
        }
        unsigned char byte = block[nibble / 2];
        out[i] = digits[nibble++ % 2 ? byte & 0xf : byte >> 4];
    }
}

/* Only the text that write_text makes: upper case would be a second name for one ticket. */
static bool read_text(unsigned char block[BLOCK_BYTES], struct str text)
{
    if (text.len != TICKET_LEN)
        return false;
    unsigned nibble = 0;
    memset(block, 0, BLOCK_BYTES);
    for (size_t i = 0; i < TICKET_LEN; i++) {
        char c = text.p[i];
        if (is_hyphen_at(i)) {
            if (c != '-')
                return false;
            continue;
        }
        int digit = c >= 'A' && c <= 'F' ? -1 : str_hex_digit(c);
        if (digit < 0)
            return false;
        block[nibble / 2] |= (unsigned char)(nibble % 2 ? digit : digit << 4);
        nibble++;
    }
    return true;
}

enum err ticket_issue(struct tickets *t, struct claims *c, int64_t now_ms, char out[TICKET_LEN])
{
    unsigned char block[BLOCK_BYTES];
    enum err e = ERR_FULL;
    pthread_mutex_lock(&t->mutex);
    purge(t, now_ms);
    uint64_t n = t->next - t->oldest;
    if (n < t->max && t->bytes + c->bytes <= TICKETS_BYTES_MAX) {
        t->bytes += c->bytes;
        if (n == t->n_places)
            grow(t);
        *place_of(t, t->next) = (struct place){claims_ref(c), now_ms + TICKET_LIFE_MS};
        seal(t, t->next++, block);
        e = ERR_OK;
    }
    pthread_mutex_unlock(&t->mutex);
    if (!e)
        write_text(out, block);
    return e;
}

enum err ticket_redeem(struct tickets *t, struct str ticket, int64_t now_ms, struct claims **out)
{
    unsigned char block[BLOCK_BYTES];
    if (!read_text(block, ticket))
        return ERR_NOT_FOUND;

    uint64_t serial;
    enum err e = ERR_NOT_FOUND;
    pthread_mutex_lock(&t->mutex);
    purge(t, now_ms);
    if (unseal(t, block, &serial) && serial < t->next) {
        e = ERR_EXPIRED;
        if (serial >= t->oldest && now_ms < place_of(t, serial)->expires_ms) {
            *out = claims_ref(place_of(t, serial)->c);
            e = ERR_OK;
        }
    }
    pthread_mutex_unlock(&t->mutex);
    return e;
}

uint32_t tickets_held(struct tickets *t)
{
    pthread_mutex_lock(&t->mutex);
    uint32_t n = (uint32_t)(t->next - t->oldest);
    pthread_mutex_unlock(&t->mutex);
    return n;
}
