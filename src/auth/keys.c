#include "auth/keys.h"
#include "base/mem.h"
#include <assert.h>
#include <cjose/jwk.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>

struct keys {
    cjose_jwk_t *jwk;
    BIGNUM *n, *e;
};

struct signing_key {
    cjose_jwk_t *jwk;
};

/* The numbers of an RSA key, in the order of PKCS#1; the first two are the public key. */
enum {
    RSA_N,
    RSA_E,
    RSA_N_PUBLIC,
    RSA_D = RSA_N_PUBLIC,
    RSA_P,
    RSA_Q,
    RSA_DP,
    RSA_DQ,
    RSA_QI,
    RSA_N_ALL
};
static const char *const number_names[RSA_N_ALL] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

__attribute__((format(printf, 3, 4))) static enum err refuse(char *why, size_t why_len,
                                                             const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, why_len, format, ap);
    va_end(ap);
    return ERR_PROTO;
}

struct block {
    char *name, *header;
    unsigned char *der;
    long len;
};

static void block_fini(struct block *b)
{
    OPENSSL_free(b->name);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->der, (size_t)b->len);
    *b = (struct block){0};
}

/* PEM_read_bio only takes the armour off: whatever the text says, it never asks for a
 * passphrase, as the readers for whole keys do on the terminal. */
static bool next_block(BIO *bio, struct block *b)
{
    *b = (struct block){0};
    return PEM_read_bio(bio, &b->name, &b->header, &b->der, &b->len) == 1;
}

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), end_len = strlen(end);
    return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

/* The key of a block in *out, NULL if its DER is broken; false: no block for a public key. */
static bool public_of_block(const struct block *b, EVP_PKEY **out)
{
    const unsigned char *p = b->der;
    if (strcmp(b->name, PEM_STRING_PUBLIC) == 0) {
        *out = d2i_PUBKEY(NULL, &p, b->len);
    } else if (strcmp(b->name, PEM_STRING_RSA_PUBLIC) == 0) {
        *out = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, b->len);
    } else if (strcmp(b->name, PEM_STRING_X509) == 0) {
        X509 *certificate = d2i_X509(NULL, &p, b->len);
        *out = certificate ? X509_get_pubkey(certificate) : NULL;
        X509_free(certificate);
    } else {
        return false;
    }
    if (*out && p != b->der + b->len) {
        EVP_PKEY_free(*out);
        *out = NULL;
    }
    return true;
}

static bool private_of_block(const struct block *b, EVP_PKEY **out)
{
    if (!ends_with(b->name, PEM_STRING_PKCS8INF))
        return false;
    const unsigned char *p = b->der;
    *out = d2i_AutoPrivateKey(NULL, &p, b->len);
    return true;
}

/* Reads the first fitting block. */
static enum err read_pem(EVP_PKEY **out, struct str pem, bool private, char *why, size_t why_len)
{
    BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    if (!bio)
        return refuse(why, why_len, "The PEM text is too long.");

    const char *wanted = private ? "private" : "public";
    enum err e = refuse(why, why_len, "There is no %s key in PEM form in it.", wanted);
    struct block b;
    bool found = false;
    while (!found && next_block(bio, &b)) {
        EVP_PKEY *key = NULL;
        bool encrypted = strcmp(b.name, PEM_STRING_PKCS8) == 0 || strstr(b.header, "ENCRYPTED");
        if (private && encrypted) {
            found = true;
            e = refuse(why, why_len,
                       "The private key is encrypted; it has to be without a passphrase.");
        } else if (private ? private_of_block(&b, &key) : public_of_block(&b, &key)) {
            found = true;
            if (key) {
                *out = key;
                e = ERR_OK;
            } else {
                e = refuse(why, why_len, "The %s key in it is broken.", wanted);
            }
        } else if (!private && ends_with(b.name, PEM_STRING_PKCS8INF)) {
            e = refuse(why, why_len, "This is a private key where the public one is wanted.");
        } else if (private && ends_with(b.name, PEM_STRING_PUBLIC)) {
            e = refuse(why, why_len, "This is a public key where the private one is wanted.");
        }
        block_fini(&b);
    }
    BIO_free(bio);
    return e;
}

static void numbers_free(BIGNUM **numbers)
{
    for (unsigned i = 0; i < RSA_N_ALL; i++)
        BN_clear_free(numbers[i]);
}

static enum err check_public_numbers(const BIGNUM *n, const BIGNUM *e, char *why, size_t why_len)
{
    int bits = BN_num_bits(n);
    if (bits < KEYS_RSA_BITS_MIN || bits > KEYS_RSA_BITS_MAX)
        return refuse(why, why_len, "The RSA key has %d bits; %d to %d are accepted.", bits,
                      KEYS_RSA_BITS_MIN, KEYS_RSA_BITS_MAX);

    /* With 1 as the exponent anybody can make signatures. OpenSSL wants short exponents for
     * long keys and says so only when it verifies: 64 bits are good for every length. */
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64)
        return refuse(why, why_len, "The numbers in the RSA key cannot be those of a good key.");
    return ERR_OK;
}

/* The numbers of `key` (released by numbers_free, also after a failure). */
static enum err read_numbers(BIGNUM **numbers, EVP_PKEY *key, bool private, char *why,
                             size_t why_len)
{
    /* RSA keys that are bound to PSS have another type: they may not verify RS256. */
    if (!EVP_PKEY_is_a(key, "RSA"))
        return refuse(why, why_len, "The key is no RSA key.");
    for (unsigned i = 0; i < (private ? RSA_N_ALL : RSA_N_PUBLIC); i++)
        if (!EVP_PKEY_get_bn_param(key, number_names[i], &numbers[i]))
            return refuse(why, why_len, "The RSA key lacks some of its numbers.");
    return check_public_numbers(numbers[RSA_N], numbers[RSA_E], why, why_len);
}

static enum err make_jwk(cjose_jwk_t **out, BIGNUM *const *numbers, char *why, size_t why_len)
{
    cjose_jwk_rsa_keyspec spec = {0};
    struct {
        uint8_t **p;
        size_t *len;
    } fields[RSA_N_ALL] = {
        {&spec.n, &spec.nlen},   {&spec.e, &spec.elen},   {&spec.d, &spec.dlen},
        {&spec.p, &spec.plen},   {&spec.q, &spec.qlen},   {&spec.dp, &spec.dplen},
        {&spec.dq, &spec.dqlen}, {&spec.qi, &spec.qilen},
    };
    for (unsigned i = 0; i < RSA_N_ALL; i++) {
        if (!numbers[i])
            continue;
        *fields[i].len = (size_t)BN_num_bytes(numbers[i]);
        *fields[i].p = mem_alloc(*fields[i].len + 1);
        BN_bn2bin(numbers[i], *fields[i].p);
    }
    cjose_err failure;
    cjose_jwk_t *jwk = cjose_jwk_create_RSA_spec(&spec, &failure);
    for (unsigned i = 0; i < RSA_N_ALL; i++) {
        OPENSSL_cleanse(*fields[i].p, *fields[i].len);
        mem_free(*fields[i].p);
    }
    if (!jwk)
        return refuse(why, why_len, "The RSA key is not accepted: %s.", failure.message);
    *out = jwk;
    return ERR_OK;
}

enum err keys_from_pem(struct keys **out, struct str pem, char *why, size_t why_len)
{
    EVP_PKEY *key = NULL;
    BIGNUM *numbers[RSA_N_ALL] = {NULL};
    cjose_jwk_t *jwk = NULL;

    enum err e = read_pem(&key, pem, false, why, why_len);
    if (!e)
        e = read_numbers(numbers, key, false, why, why_len);
    if (!e)
        e = make_jwk(&jwk, numbers, why, why_len);
    if (!e) {
        struct keys *k = mem_alloc(sizeof *k);
        *k = (struct keys){.jwk = jwk, .n = numbers[RSA_N], .e = numbers[RSA_E]};
        numbers[RSA_N] = numbers[RSA_E] = NULL;
        *out = k;
    }
    numbers_free(numbers);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    cjose_jwk_release(k->jwk);
    BN_free(k->n);
    BN_free(k->e);
    mem_free(k);
}

bool keys_equal(const struct keys *a, const struct keys *b)
{
    return BN_cmp(a->n, b->n) == 0 && BN_cmp(a->e, b->e) == 0;
}

/* Whether the private numbers belong to the public ones. */
static enum err check_pair(EVP_PKEY *key, char *why, size_t why_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx && EVP_PKEY_pairwise_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good ? ERR_OK : refuse(why, why_len, "The private key in it is broken.");
}

/* What signing_key_from_pem and keys_public_half accept. */
static enum err read_private(EVP_PKEY **key, BIGNUM **numbers, struct str pem, char *why,
                             size_t why_len)
{
    enum err e = read_pem(key, pem, true, why, why_len);
    if (!e)
        e = read_numbers(numbers, *key, true, why, why_len);
    if (!e)
        e = check_pair(*key, why, why_len);
    return e;
}

enum err signing_key_from_pem(struct signing_key **out, struct str pem, char *why, size_t why_len)
{
    EVP_PKEY *key = NULL;
    BIGNUM *numbers[RSA_N_ALL] = {NULL};
    cjose_jwk_t *jwk = NULL;

    enum err e = read_private(&key, numbers, pem, why, why_len);
    if (!e)
        e = make_jwk(&jwk, numbers, why, why_len);
    if (!e) {
        struct signing_key *k = mem_alloc(sizeof *k);
        k->jwk = jwk;
        *out = k;
    }
    numbers_free(numbers);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

void signing_key_free(struct signing_key *k)
{
    if (!k)
        return;
    cjose_jwk_release(k->jwk);
    mem_free(k);
}

static void add_bio(struct buf *out, BIO *bio)
{
    char *p;
    long len = BIO_get_mem_data(bio, &p);
    buf_add(out, p, (size_t)len);
}

enum err keys_public_half(struct buf *public_pem, struct str private_pem, char *why, size_t why_len)
{
    EVP_PKEY *key = NULL;
    BIGNUM *numbers[RSA_N_ALL] = {NULL};
    enum err e = read_private(&key, numbers, private_pem, why, why_len);
    if (!e) {
        BIO *bio = BIO_new(BIO_s_mem());
        int written = PEM_write_bio_PUBKEY(bio, key);
        assert(written == 1);
        add_bio(public_pem, bio);
        BIO_free(bio);
    }
    numbers_free(numbers);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

enum err keys_generate(struct buf *private_pem, struct buf *public_pem)
{
    EVP_PKEY *key = EVP_RSA_gen(KEYS_RSA_BITS_MIN);
    BIO *private = BIO_new(BIO_s_secmem());
    BIO *public = BIO_new(BIO_s_mem());
    bool made = key && private && public &&
                PEM_write_bio_PKCS8PrivateKey(private, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                PEM_write_bio_PUBKEY(public, key) == 1;
    if (made) {
        add_bio(private_pem, private);
        add_bio(public_pem, public);
    }
    BIO_free(private);
    BIO_free(public);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return made ? ERR_OK : ERR_SYS;
}

const void *keys_jwk(const struct keys *k)
{
    return k->jwk;
}

const void *signing_key_jwk(const struct signing_key *k)
{
    return k->jwk;
}
