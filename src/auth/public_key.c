#include "auth/public_key.h"
#include "auth/keys.h"
#include "auth/pem.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

enum {
    EC_HALF_MAX = 66,                       /* bytes of one number of an ES512 signature */
    EC_DER_MAX = 2 * (EC_HALF_MAX + 4) + 4, /* both, a sign byte and a head each, and around them */
    ED25519_SIGNATURE = 64,
    RS_ALL = 1 << JWS_RS256 | 1 << JWS_RS384 | 1 << JWS_RS512,
    PS_ALL = 1 << JWS_PS256 | 1 << JWS_PS384 | 1 << JWS_PS512,
};

static const struct {
    const char *name, *digest;
    bool is_pss, is_ec;
} algs[JWS_N_ALGS] = {
    [JWS_RS256] = {"RS256", "SHA256", false, false},
    [JWS_RS384] = {"RS384", "SHA384", false, false},
    [JWS_RS512] = {"RS512", "SHA512", false, false},
    [JWS_PS256] = {"PS256", "SHA256", true, false},
    [JWS_PS384] = {"PS384", "SHA384", true, false},
    [JWS_PS512] = {"PS512", "SHA512", true, false},
    [JWS_ES256] = {"ES256", "SHA256", false, true},
    [JWS_ES384] = {"ES384", "SHA384", false, true},
    [JWS_ES512] = {"ES512", "SHA512", false, true},
    [JWS_EDDSA] = {"EdDSA", NULL, false, false},
};

/* By OpenSSL's names for P-256, P-384 and P-521. */
static const struct {
    const char *group;
    enum jws_alg alg;
    size_t half_len;
} curves[] = {
    {"prime256v1", JWS_ES256, 32}, {"secp384r1", JWS_ES384, 48}, {"secp521r1", JWS_ES512, 66}};

enum jws_alg jws_alg_of(struct json name)
{
    unsigned alg = 0;
    while (alg < JWS_N_ALGS && !json_is(name, str_of(algs[alg].name)))
        alg++;
    return alg;
}

/* ---- what kind of key it is ---- */

static enum err check_numbers(const BIGNUM *n, const BIGNUM *e, char *why, size_t why_len)
{
    int bits = BN_num_bits(n);
    if (bits < KEYS_RSA_BITS_MIN || bits > KEYS_RSA_BITS_MAX)
        return pem_refuse(why, why_len, "The RSA key has %d bits; it must have %d to %d.", bits,
                          KEYS_RSA_BITS_MIN, KEYS_RSA_BITS_MAX);

    /* With e = 1 every text would be its own signature. OpenSSL computes with no longer exponents
     * for long keys and says so only when it verifies: 64 bits are good for every length. */
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64)
        return pem_refuse(why, why_len,
                          "The numbers in the RSA key cannot be those of a good key.");
    return ERR_OK;
}

enum err public_key_check_rsa(const EVP_PKEY *pkey, char *why, size_t why_len)
{
    BIGNUM *n = NULL, *e = NULL;
    enum err verdict;
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e)) {
        verdict = check_numbers(n, e, why, why_len);
    } else {
        pem_note_silence();
        verdict = pem_refuse(why, why_len, "The RSA key lacks some of its numbers.");
    }
    BN_free(n);
    BN_free(e);
    return verdict;
}

static bool is_on_its_curve(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool good = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!good)
        pem_note_silence();
    return good;
}

static enum err be_ec(struct public_key *k, char *why, size_t why_len)
{
    char group[32];
    if (!EVP_PKEY_get_group_name(k->pkey, group, sizeof group, NULL))
        return pem_refuse(why, why_len, "The EC key is on a curve without a name.");
    for (unsigned i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (strcmp(group, curves[i].group) != 0)
            continue;
        k->algs = 1u << curves[i].alg;
        k->signature_len = 2 * curves[i].half_len;
        return is_on_its_curve(k->pkey)
                   ? ERR_OK
                   : pem_refuse(why, why_len, "The EC key is no point of its curve.");
    }
    return pem_refuse(why, why_len, "The EC key must be on P-256, P-384 or P-521.");
}

static enum err find_kind(struct public_key *k, char *why, size_t why_len)
{
    /* RSA keys that are bound to PSS have another type, and limits of their own: not for us. */
    if (EVP_PKEY_is_a(k->pkey, "RSA")) {
        k->algs = RS_ALL | PS_ALL;
        k->signature_len = (size_t)EVP_PKEY_get_size(k->pkey);
        return public_key_check_rsa(k->pkey, why, why_len);
    }
    if (EVP_PKEY_is_a(k->pkey, "EC"))
        return be_ec(k, why, why_len);
    if (EVP_PKEY_is_a(k->pkey, "ED25519")) {
        k->algs = 1u << JWS_EDDSA;
        k->signature_len = ED25519_SIGNATURE;
        return ERR_OK;
    }
    return pem_refuse(why, why_len, "The key is none of RSA, EC and Ed25519.");
}

/* PSS with a salt as long as the digest, no other (RFC 7518 section 3.5). */
static bool set_up(EVP_PKEY_CTX *ctx, enum jws_alg alg, const EVP_MD *digest)
{
    if (EVP_PKEY_verify_init(ctx) != 1 || EVP_PKEY_CTX_set_signature_md(ctx, digest) != 1)
        return false;
    return !algs[alg].is_pss ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static bool get_ready(struct public_key *k)
{
    for (unsigned alg = 0; alg < JWS_N_ALGS; alg++) {
        if (!public_key_takes(k, alg) || !algs[alg].digest)
            continue;
        k->digests[alg] = EVP_MD_fetch(NULL, algs[alg].digest, NULL);
        k->ready[alg] = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
        if (!k->digests[alg] || !k->ready[alg] || !set_up(k->ready[alg], alg, k->digests[alg]))
            return false;
    }
    return true;
}

static void drop_ready(struct public_key *k)
{
    for (unsigned alg = 0; alg < JWS_N_ALGS; alg++) {
        EVP_PKEY_CTX_free(k->ready[alg]);
        EVP_MD_free(k->digests[alg]);
    }
}

static struct str kept(struct str text)
{
    if (!text.p)
        return text;
    char *p = mem_alloc(text.len ? text.len : 1);
    memcpy(p, text.p, text.len);
    return str_make(p, text.len);
}

enum err public_key_init(struct public_key *k, EVP_PKEY *pkey, struct str kid, enum jws_alg fixed,
                         char *why, size_t why_len)
{
    struct public_key made = {.pkey = pkey};
    enum err e = find_kind(&made, why, why_len);
    if (!e && fixed != JWS_N_ALGS) {
        made.algs &= 1u << fixed;
        if (!made.algs)
            e = pem_refuse(why, why_len, "The key is of another kind than its algorithm.");
    }
    if (!e && !get_ready(&made)) {
        pem_note_silence();
        e = pem_refuse(why, why_len, "OpenSSL cannot verify with the key.");
    }
    if (e) {
        drop_ready(&made);
        return e;
    }
    made.kid = kept(kid);
    *k = made;
    return ERR_OK;
}

void public_key_fini(struct public_key *k)
{
    drop_ready(k);
    EVP_PKEY_free(k->pkey);
    mem_free((char *)k->kid.p);
    *k = (struct public_key){0};
}

/* ---- verifying ---- */

static unsigned char *write_number(unsigned char *out, const unsigned char *p, size_t len)
{
    while (len > 1 && !*p)
        p++, len--;
    bool has_sign_bit = *p & 0x80; /* DER would read a negative number */
    *out++ = 0x02;
    *out++ = (unsigned char)(len + has_sign_bit);
    if (has_sign_bit)
        *out++ = 0;
    memcpy(out, p, len);
    return out + len;
}

/* RFC 7518 section 3.4 has two numbers of fixed length in a row, OpenSSL wants them in DER:
 * SEQUENCE { INTEGER, INTEGER }. Returns the length. */
static size_t ec_signature_der(unsigned char der[EC_DER_MAX], struct str signature)
{
    unsigned char numbers[EC_DER_MAX], *p = der;
    size_t half = signature.len / 2;
    const unsigned char *r = (const unsigned char *)signature.p;
    assert(half <= EC_HALF_MAX);
    size_t len = (size_t)(write_number(write_number(numbers, r, half), r + half, half) - numbers);
    *p++ = 0x30;
    if (len > 0x7f)
        *p++ = 0x81;
    *p++ = (unsigned char)len;
    memcpy(p, numbers, len);
    return (size_t)(p - der) + len;
}

static bool verify_eddsa(const struct public_key *k, struct str text, struct str signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, k->pkey, NULL) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.len,
                                 (const unsigned char *)text.p, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

/* Of a digest. A context is made once for each key, as looking up all that it needs costs 4 us. */
static bool verify_digest(const struct public_key *k, enum jws_alg alg, struct str text,
                          const unsigned char *signature, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(k->ready[alg]);
    bool good = ctx &&
                EVP_Digest(text.p, text.len, digest, &digest_len, k->digests[alg], NULL) == 1 &&
                EVP_PKEY_verify(ctx, signature, len, digest, digest_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

/* Threads share a key without a lock of ours. To copy a context is to read it and to count
 * references by atomics; what OpenSSL computes at a key's first use (the Montgomery form of the
 * modulus) it keeps under the key's own lock. All else belongs to the copy. */
bool public_key_verify(const struct public_key *k, enum jws_alg alg, struct str text,
                       struct str signature)
{
    unsigned char der[EC_DER_MAX];
    assert(public_key_takes(k, alg));
    if (signature.len != k->signature_len)
        return false;
    if (alg == JWS_EDDSA)
        return verify_eddsa(k, text, signature);
    if (algs[alg].is_ec)
        return verify_digest(k, alg, text, der, ec_signature_der(der, signature));
    return verify_digest(k, alg, text, (const unsigned char *)signature.p, signature.len);
}
