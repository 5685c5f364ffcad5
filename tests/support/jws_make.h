/* jws_make.h - keys of every family, their JSON Web Keys, and tokens signed with them: by OpenSSL
 * alone, in straightforward ways. */
#ifndef TESTS_JWS_MAKE_H
#define TESTS_JWS_MAKE_H
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/buf.h"
#include "base64_text.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* A new key for an algorithm. */
static inline EVP_PKEY *jws_key(const char *alg)
{
    EVP_PKEY *key = alg[0] == 'R' || alg[0] == 'P' ? EVP_RSA_gen(2048)
                    : strcmp(alg, "ES256") == 0    ? EVP_EC_gen("P-256")
                    : strcmp(alg, "ES384") == 0    ? EVP_EC_gen("P-384")
                    : strcmp(alg, "ES512") == 0    ? EVP_EC_gen("P-521")
                                                   : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    MUST(key);
    return key;
}

static inline const EVP_MD *jws_digest(const char *alg)
{
    if (strcmp(alg, "EdDSA") == 0)
        return NULL;
    return alg[2] == '2' ? EVP_sha256() : alg[2] == '3' ? EVP_sha384() : EVP_sha512();
}

/* Appends r and s of a signature in DER, each of `half` bytes. */
static inline void add_ec_numbers(struct buf *out, const unsigned char *der, size_t len, int half)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    MUST(sig);
    unsigned char *to = (unsigned char *)buf_reserve(out, (size_t)half * 2);
    MUST(BN_bn2binpad(ECDSA_SIG_get0_r(sig), to, half) == half);
    MUST(BN_bn2binpad(ECDSA_SIG_get0_s(sig), to + half, half) == half);
    out->len += (size_t)half * 2;
    ECDSA_SIG_free(sig);
}

/* Appends the bare signature of `text`; `salt_len` for PS* (RSA_PSS_SALTLEN_DIGEST). */
static inline void add_jws_signature(struct buf *out, EVP_PKEY *key, const char *alg,
                                     struct str text, int salt_len)
{
    unsigned char signature[2048];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how;
    MUST(EVP_DigestSignInit(ctx, &how, jws_digest(alg), NULL, key) == 1);
    if (alg[0] == 'P')
        MUST(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(how, salt_len) == 1);
    MUST(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text.p, text.len) == 1);
    EVP_MD_CTX_free(ctx);
    if (strncmp(alg, "ES", 2) == 0)
        add_ec_numbers(out, signature, len, (EVP_PKEY_get_bits(key) + 7) / 8);
    else
        buf_add(out, signature, len);
}

/* The two parts of a token before its signature. */
static inline struct buf jws_unsigned(struct str header, struct str payload)
{
    struct buf token = BUF_INIT;
    add_base64url(&token, header.p, header.len);
    buf_char(&token, '.');
    add_base64url(&token, payload.p, payload.len);
    return token;
}

/* A token signed as `alg`, whatever its header says. */
static inline struct buf jws_token(EVP_PKEY *key, const char *alg, struct str header,
                                   struct str payload)
{
    struct buf token = jws_unsigned(header, payload), signature = BUF_INIT;
    add_jws_signature(&signature, key, alg, buf_as_str(&token), RSA_PSS_SALTLEN_DIGEST);
    buf_char(&token, '.');
    add_base64url(&token, signature.p, signature.len);
    buf_fini(&signature);
    return token;
}

/* The same with {"alg":"..."} and, unless `kid` is NULL, a kid. */
static inline struct buf jws_named_token(EVP_PKEY *key, const char *alg, const char *kid,
                                         struct str payload)
{
    struct buf header = BUF_INIT;
    buf_printf(&header, "{\"alg\":\"%s\"", alg);
    if (kid)
        buf_printf(&header, ",\"kid\":\"%s\"", kid);
    buf_char(&header, '}');
    struct buf token = jws_token(key, alg, buf_as_str(&header), payload);
    buf_fini(&header);
    return token;
}

static inline void add_jwk_number(struct buf *out, const char *name, const BIGNUM *n, int len)
{
    unsigned char bytes[2048];
    if (!len)
        len = BN_num_bytes(n);
    MUST(BN_bn2binpad(n, bytes, len) == len);
    buf_printf(out, ",\"%s\":\"", name);
    add_base64url(out, bytes, (size_t)len);
    buf_char(out, '"');
}

static inline void add_key_number(struct buf *out, EVP_PKEY *key, const char *param,
                                  const char *name, int len)
{
    BIGNUM *n = NULL;
    MUST(EVP_PKEY_get_bn_param(key, param, &n) == 1);
    add_jwk_number(out, name, n, len);
    BN_free(n);
}

/* Appends the JSON Web Key of the public half; `more`: further members, each behind a comma. */
static inline void add_jwk(struct buf *out, EVP_PKEY *key, const char *more)
{
    if (EVP_PKEY_is_a(key, "RSA")) {
        buf_str(out, STR("{\"kty\":\"RSA\""));
        add_key_number(out, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
        add_key_number(out, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        int bits = EVP_PKEY_get_bits(key), len = (bits + 7) / 8;
        buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"P-%d\"", bits);
        add_key_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, "x", len);
        add_key_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", len);
    } else {
        unsigned char x[32];
        size_t len = sizeof(x);
        MUST(EVP_PKEY_get_raw_public_key(key, x, &len) == 1);
        buf_str(out, STR("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""));
        add_base64url(out, x, len);
        buf_char(out, '"');
    }
    buf_str(out, str_of(more));
    buf_char(out, '}');
}

/* The public half in PEM. */
static inline struct buf jws_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    struct buf text = BUF_INIT;
    MUST(PEM_write_bio_PUBKEY(bio, key) == 1);
    long len = BIO_get_mem_data(bio, &p);
    buf_add(&text, p, (size_t)len);
    BIO_free(bio);
    return text;
}

/* A certificate of the key in PEM, signed by itself; an authority's says that it may sign others.
 */
static inline struct buf jws_certificate(EVP_PKEY *key, bool is_authority)
{
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                                             is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    X509_add_ext(x, ca, -1);
    X509_EXTENSION_free(ca);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    bool is_ed = EVP_PKEY_is_a(key, "ED25519");
    MUST(X509_sign(x, key, is_ed ? NULL : EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    struct buf text = BUF_INIT;
    MUST(PEM_write_bio_X509(bio, x) == 1);
    long len = BIO_get_mem_data(bio, &p);
    buf_add(&text, p, (size_t)len);
    BIO_free(bio);
    X509_free(x);
    return text;
}

#endif
