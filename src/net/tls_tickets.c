#include "net/tls_tickets.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "base/mem.h"
#include "net/loop.h"

/* The mutex is taken once a handshake, never for a message. */
struct tls_tickets {
    atomic_uint refs;
    pthread_mutex_t mutex;
    struct tls_ticket_key keys[TLS_TICKET_KEYS]; /* the newest first */
    int64_t born_s[TLS_TICKET_KEYS];
    unsigned n;
};

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *t = mem_zalloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->mutex, NULL);
    return t;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_tickets_unref(struct tls_tickets *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&t->mutex);
    OPENSSL_cleanse(t->keys, sizeof(t->keys));
    mem_free(t);
}

/* Forgets what is too old, so that a ticket cannot be opened for ever by who takes the process. */
static void expire(struct tls_tickets *t, int64_t now_s)
{
    while (t->n && now_s - t->born_s[t->n - 1] >= (int64_t)TLS_TICKET_KEY_S * TLS_TICKET_KEYS)
        OPENSSL_cleanse(&t->keys[--t->n], sizeof(t->keys[0]));
}

static bool add_key(struct tls_tickets *t, int64_t now_s)
{
    struct tls_ticket_key fresh;
    if (RAND_bytes(fresh.name, sizeof(fresh.name)) != 1 ||
        RAND_priv_bytes(fresh.aes, sizeof(fresh.aes)) != 1 ||
        RAND_priv_bytes(fresh.hmac, sizeof(fresh.hmac)) != 1)
        return false;
    for (unsigned i = TLS_TICKET_KEYS - 1; i > 0; i--) {
        t->keys[i] = t->keys[i - 1];
        t->born_s[i] = t->born_s[i - 1];
    }
    t->keys[0] = fresh;
    t->born_s[0] = now_s;
    if (t->n < TLS_TICKET_KEYS)
        t->n++;
    OPENSSL_cleanse(&fresh, sizeof(fresh));
    return true;
}

bool tls_tickets_seal_with(struct tls_tickets *t, int64_t now_s, struct tls_ticket_key *out)
{
    pthread_mutex_lock(&t->mutex);
    expire(t, now_s);
    bool ok = (t->n && now_s - t->born_s[0] < TLS_TICKET_KEY_S) || add_key(t, now_s);
    if (ok)
        *out = t->keys[0];
    pthread_mutex_unlock(&t->mutex);
    return ok;
}

enum err tls_tickets_open_with(struct tls_tickets *t, int64_t now_s, const unsigned char name[16],
                               struct tls_ticket_key *out, bool *renew)
{
    enum err e = ERR_NOT_FOUND;
    pthread_mutex_lock(&t->mutex);
    expire(t, now_s);
    for (unsigned i = 0; e && i < t->n; i++) {
        if (memcmp(t->keys[i].name, name, sizeof(t->keys[i].name)) != 0)
            continue;
        *out = t->keys[i];
        *renew = now_s - t->born_s[i] >= TLS_TICKET_KEY_S;
        e = ERR_OK;
    }
    pthread_mutex_unlock(&t->mutex);
    return e;
}

/* ---- what OpenSSL calls ---- */

static int place; /* of the tickets among the extra data of a context */
static pthread_once_t place_once = PTHREAD_ONCE_INIT;

static void ask_for_place(void)
{
    place = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3) says what comes in, and what the results mean. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *hmac, int seals)
{
    struct tls_tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), place);
    int64_t now_s = loop_clock_ms() / 1000;
    struct tls_ticket_key key;
    bool renew = false;
    if (seals && !tls_tickets_seal_with(t, now_s, &key))
        return -1;
    if (!seals && tls_tickets_open_with(t, now_s, name, &key, &renew))
        return 0; /* a whole handshake then */
    if (seals)
        memcpy(name, key.name, sizeof(key.name));
    const EVP_CIPHER *aes = EVP_aes_256_cbc();
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.hmac, sizeof(key.hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    bool ok = (!seals || RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1) &&
              EVP_MAC_CTX_set_params(hmac, params) == 1 &&
              EVP_CipherInit_ex(cipher, aes, NULL, key.aes, iv, seals) == 1;
    OPENSSL_cleanse(&key, sizeof(key));
    return !ok ? -1 : renew ? 2 : 1;
}

void tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx)
{
    pthread_once(&place_once, ask_for_place);
    SSL_CTX_set_ex_data(ctx, place, t);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
