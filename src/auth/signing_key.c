#include "auth/signing_key.h"
#include "auth/base64url.h"
#include "auth/keys.h"
#include "auth/pem.h"
#include "auth/public_key.h"
#include "base/mem.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

struct signing_key {
    EVP_PKEY *pkey;
};

/* The key of a block in *out; false: the block is not for us. */
static bool key_of_block(const struct pem_block *b, EVP_PKEY **out)
{
    if (!pem_name_ends(b, PEM_STRING_PKCS8INF))
        return false;
    const unsigned char *p = b->der;
    *out = d2i_AutoPrivateKey(NULL, &p, b->len);
    return true;
}

static bool is_encrypted(const struct pem_block *b)
{
    return pem_name_is(b, PEM_STRING_PKCS8) || strstr(b->header, "ENCRYPTED");
}

/* Reads the first fitting block. */
static enum err read_pem(EVP_PKEY **out, struct str pem, char *why, size_t why_len)
{
    BIO *bio;
    enum err e = pem_open(&bio, pem, why, why_len);
    if (e)
        return e;
    e = pem_refuse(why, why_len, "There is no private key in PEM form in it.");
    struct pem_block b;
    bool found = false;
    while (!found && pem_next(bio, &b)) {
        EVP_PKEY *key = NULL;
        if (is_encrypted(&b)) {
            found = true;
            e = pem_refuse(why, why_len,
                           "The private key is encrypted; it has to be without a passphrase.");
        } else if (key_of_block(&b, &key)) {
            found = true;
            *out = key;
            e = key ? ERR_OK : pem_refuse(why, why_len, "The private key in it is broken.");
        } else if (pem_name_ends(&b, PEM_STRING_PUBLIC)) {
            e = pem_refuse(why, why_len, "This is a public key where the private one is wanted.");
        }
        pem_block_fini(&b);
    }
    BIO_free(bio);
    return e;
}

/* Whether the private numbers belong to the public ones. */
static enum err check_pair(EVP_PKEY *key, char *why, size_t why_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx && EVP_PKEY_pairwise_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good ? ERR_OK : pem_refuse(why, why_len, "The private key in it is broken.");
}

/* In *out a key of the caller's (EVP_PKEY_free), also after a failure; may be NULL. */
static enum err read_private(EVP_PKEY **out, struct str pem, char *why, size_t why_len)
{
    *out = NULL;
    enum err e = read_pem(out, pem, why, why_len);
    if (!e && !EVP_PKEY_is_a(*out, "RSA"))
        e = pem_refuse(why, why_len, "The key is no RSA key.");
    if (!e)
        e = public_key_check_rsa(*out, why, why_len);
    if (!e)
        e = check_pair(*out, why, why_len);
    return e;
}

enum err signing_key_from_pem(struct signing_key **out, struct str pem, char *why, size_t why_len)
{
    EVP_PKEY *key;
    enum err e = read_private(&key, pem, why, why_len);
    if (e) {
        EVP_PKEY_free(key);
    } else {
        *out = mem_alloc(sizeof **out);
        (*out)->pkey = key;
    }
    ERR_clear_error();
    return e;
}

void signing_key_free(struct signing_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    mem_free(k);
}

static void add_bio(struct buf *out, BIO *bio)
{
    char *p;
    long len = BIO_get_mem_data(bio, &p);
    buf_add(out, p, (size_t)len);
}

enum err signing_key_public_half(struct buf *public_pem, struct str private_pem, char *why,
                                 size_t why_len)
{
    EVP_PKEY *key;
    enum err e = read_private(&key, private_pem, why, why_len);
    if (!e) {
        BIO *bio = BIO_new(BIO_s_mem());
        if (bio && PEM_write_bio_PUBKEY(bio, key) == 1)
            add_bio(public_pem, bio);
        else
            e = pem_refuse_for_memory(why, why_len);
        BIO_free(bio);
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return e;
}

enum err signing_key_generate(struct buf *private_pem, struct buf *public_pem)
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

enum err signing_key_sign(struct buf *out, const struct signing_key *k, struct str text)
{
    unsigned char signature[KEYS_RSA_BITS_MAX / 8];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = ctx && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, k->pkey, NULL) == 1 &&
                EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text.p, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (done)
        base64url_encode(out, signature, len);
    else
        ERR_clear_error();
    return done ? ERR_OK : ERR_SYS;
}
