#include "auth/keys_own.h"
#include "auth/pem.h"
#include "base/mem.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

struct keys {
    struct public_key *list;
    unsigned n, cap;
};

static const struct str no_kid = {NULL, 0};

struct keys *keys_new(void)
{
    return mem_zalloc(sizeof(struct keys));
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    for (unsigned i = 0; i < k->n; i++)
        public_key_fini(&k->list[i]);
    mem_free(k->list);
    mem_free(k);
}

unsigned keys_count(const struct keys *k)
{
    return k->n;
}

bool keys_equal(const struct keys *a, const struct keys *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++) {
        if (EVP_PKEY_eq(a->list[i].pkey, b->list[i].pkey) != 1)
            return false;
    }
    return true;
}

enum err keys_add(struct keys *k, EVP_PKEY *pkey, struct str kid, enum jws_alg fixed, char *why,
                  size_t why_len)
{
    if (k->n == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 2;
        k->list = mem_realloc(k->list, k->cap * sizeof *k->list);
    }
    enum err e = ERR_LIMIT;
    if (k->n == KEYS_MAX)
        snprintf(why, why_len, "There are over %d keys.", KEYS_MAX);
    else
        e = public_key_init(&k->list[k->n], pkey, kid, fixed, why, why_len);
    if (e)
        EVP_PKEY_free(pkey);
    else
        k->n++;
    return e;
}

/* ---- PEM ---- */

/* A certificate's key, and whether it is one that signs others. NULL also where that cannot be
 * told, or an authority's key would be taken for one that signs JWTs. */
static EVP_PKEY *key_of_certificate(const unsigned char **p, long len, bool *is_authority)
{
    X509 *certificate = d2i_X509(NULL, p, len);
    bool is_read = certificate && X509_check_purpose(certificate, -1, -1) == 1;
    EVP_PKEY *key = is_read ? X509_get_pubkey(certificate) : NULL;
    *is_authority = is_read && X509_check_ca(certificate) == 1;
    X509_free(certificate);
    return key;
}

/* The key of a block in *out, NULL if its DER is broken; false: no block for a public key. */
static bool key_of_block(const struct pem_block *b, EVP_PKEY **out, bool *is_authority)
{
    const unsigned char *p = b->der;
    *is_authority = false;
    if (pem_name_is(b, PEM_STRING_PUBLIC))
        *out = d2i_PUBKEY(NULL, &p, b->len);
    else if (pem_name_is(b, PEM_STRING_RSA_PUBLIC))
        *out = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, b->len);
    else if (pem_name_is(b, PEM_STRING_X509))
        *out = key_of_certificate(&p, b->len, is_authority);
    else
        return false;
    if (*out && p != b->der + b->len) {
        EVP_PKEY_free(*out);
        *out = NULL;
    }
    return true;
}

/* Adds what the block has, and counts it in *n. */
static enum err add_block(struct keys *k, const struct pem_block *b, struct str kid, unsigned *n,
                          char *why, size_t why_len)
{
    EVP_PKEY *key;
    bool is_authority;
    if (!key_of_block(b, &key, &is_authority))
        return ERR_OK;
    if (!key)
        return pem_refuse(why, why_len, "The public key in it is broken.");
    if (is_authority && *n) {
        EVP_PKEY_free(key);
        return ERR_OK;
    }
    ++*n;
    return keys_add(k, key, kid, JWS_N_ALGS, why, why_len);
}

static enum err refuse_without_key(bool has_private, char *why, size_t why_len)
{
    return pem_refuse(why, why_len,
                      has_private ? "This is a private key where the public one is wanted."
                                  : "There is no public key in PEM form in it.");
}

enum err keys_add_pem(struct keys *k, struct str pem, struct str kid, char *why, size_t why_len)
{
    BIO *bio;
    struct pem_block b;
    unsigned n = 0;
    bool has_private = false;
    enum err e = pem_open(&bio, pem, why, why_len);
    if (e)
        return e;
    while (!e && pem_next(bio, &b)) {
        e = add_block(k, &b, kid, &n, why, why_len);
        has_private |= pem_name_ends(&b, PEM_STRING_PKCS8INF);
        pem_block_fini(&b);
        if (pem_lacks_memory())
            e = pem_refuse_for_memory(why, why_len);
    }
    /* The text must not seem to end with the first block that cannot be read. */
    if (!e && pem_lacks_memory())
        e = pem_refuse_for_memory(why, why_len);
    if (!e && !n)
        e = refuse_without_key(has_private, why, why_len);
    BIO_free(bio);
    return e;
}

enum err keys_from_pem(struct keys **out, struct str pem, char *why, size_t why_len)
{
    struct keys *k = keys_new();
    enum err e = keys_add_pem(k, pem, no_kid, why, why_len);
    if (e)
        keys_free(k);
    else
        *out = k;
    return e;
}

/* ---- verifying ---- */

enum which { NAMED_SO, NAMED, NAMELESS };

static bool belongs(const struct public_key *k, enum which which, struct str kid)
{
    switch (which) {
    case NAMED_SO:
        return k->kid.p && str_eq(k->kid, kid);
    case NAMED:
        return k->kid.p;
    case NAMELESS:
        return !k->kid.p;
    }
    return false;
}

static bool is_known(const struct keys *k, struct str kid)
{
    unsigned i = 0;
    while (i < k->n && !belongs(&k->list[i], NAMED_SO, kid))
        i++;
    return i < k->n;
}

/* One token and one kind of keys; *left counts the verifications that are still permitted. */
static bool some_key_verifies(const struct keys *k, enum which which, enum jws_alg alg,
                              struct str kid, struct str text, struct str signature, unsigned *left)
{
    for (unsigned i = 0; i < k->n && *left; i++) {
        const struct public_key *key = &k->list[i];
        if (!belongs(key, which, kid) || !public_key_takes(key, alg))
            continue;
        --*left;
        if (public_key_verify(key, alg, text, signature))
            return true;
    }
    return false;
}

bool keys_verify(const struct keys *k, enum jws_alg alg, struct str kid, struct str text,
                 struct str signature)
{
    unsigned left = KEYS_TRIES_MAX;
    if (kid.p && is_known(k, kid))
        return some_key_verifies(k, NAMED_SO, alg, kid, text, signature, &left);
    return some_key_verifies(k, NAMELESS, alg, kid, text, signature, &left) ||
           (!kid.p && some_key_verifies(k, NAMED, alg, kid, text, signature, &left));
}
