/* JSON Web Key Sets (RFC 7517, 7518 section 6, 8037 section 2) into keys. */
#include "auth/base64url.h"
#include "auth/keys_own.h"
#include "auth/pem.h"
#include "base/json.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>

enum { ED25519_KEY = 32 };

/* The members that we know, as they stand in the text. A missing one is all zero: JSON_NULL. */
struct jwk {
    struct json kty, use, key_ops, alg, kid, n, e, crv, x, y, d;
};

#define MEMBER(name)                                                                               \
    {                                                                                              \
#name, offsetof(struct jwk, name)                                                          \
    }
static const struct {
    const char *name;
    size_t offset;
} members[] = {
    MEMBER(kty), MEMBER(use), MEMBER(key_ops), MEMBER(alg), MEMBER(kid), MEMBER(n),
    MEMBER(e),   MEMBER(crv), MEMBER(x),       MEMBER(y),   MEMBER(d),
};

/* False: a member stands in it twice (RFC 7517 section 4), and readers might take different ones.
 */
static bool read_members(struct jwk *out, struct json object)
{
    struct json name, value;
    struct json_iter it;
    *out = (struct jwk){0};
    json_iter_init(&it, object);
    while (json_next(&it, &name, &value)) {
        for (unsigned i = 0; i < sizeof members / sizeof *members; i++) {
            struct json *to = (struct json *)((char *)out + members[i].offset);
            if (!json_is(name, str_of(members[i].name)))
                continue;
            if (to->text.p)
                return false;
            *to = value;
        }
    }
    return true;
}

static bool is_there(struct json member)
{
    return member.text.p;
}

static bool lists_verify(struct json list)
{
    struct json element;
    struct json_iter it;
    if (list.type != JSON_ARRAY)
        return false;
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &element)) {
        if (json_is(element, STR("verify")))
            return true;
    }
    return false;
}

/* Why the key is not for us, whatever its numbers; NULL: it may be. */
static const char *purpose_is_wrong(const struct jwk *j)
{
    if (is_there(j->d) || json_is(j->kty, STR("oct")))
        return "The key is a secret one.";
    if (is_there(j->use) && !json_is(j->use, STR("sig")))
        return "The use of the key is not \"sig\".";
    if (is_there(j->key_ops) && !lists_verify(j->key_ops))
        return "The key_ops of the key do not hold \"verify\".";
    if (is_there(j->alg) && jws_alg_of(j->alg) == JWS_N_ALGS)
        return "The algorithm of the key is none of ours.";
    if (is_there(j->kid) && j->kid.type != JSON_STRING)
        return "The kid of the key is no string.";
    return NULL;
}

/* ---- the numbers ---- */

/* Appends the bytes behind a member in base64url. */
static bool bytes_of(struct buf *out, struct json member)
{
    struct buf scratch = BUF_INIT;
    bool ok = member.type == JSON_STRING && base64url_decode(out, json_text(member, &scratch));
    buf_fini(&scratch);
    return ok && out->len;
}

static EVP_PKEY *from_params(const char *kind, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_of(const struct jwk *j)
{
    struct buf n = BUF_INIT, e = BUF_INIT;
    EVP_PKEY *key = NULL;
    if (bytes_of(&n, j->n) && bytes_of(&e, j->e) && n.len <= KEYS_RSA_BITS_MAX / 8 + 1 &&
        e.len <= n.len) {
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        BIGNUM *modulus = BN_bin2bn((unsigned char *)n.p, (int)n.len, NULL);
        BIGNUM *exponent = BN_bin2bn((unsigned char *)e.p, (int)e.len, NULL);
        if (build && modulus && exponent &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
            key = from_params("RSA", build);
        if (!key)
            pem_note_silence();
        OSSL_PARAM_BLD_free(build);
        BN_free(modulus);
        BN_free(exponent);
    }
    buf_fini(&n);
    buf_fini(&e);
    return key;
}

/* The bytes of a coordinate: none is left out (RFC 7518 section 6.2.1.2); 0: another curve. */
static size_t coordinate_len(struct json crv)
{
    static const struct {
        struct str name;
        size_t len;
    } curves[] = {{{"P-256", 5}, 32}, {{"P-384", 5}, 48}, {{"P-521", 5}, 66}};
    for (unsigned i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (json_is(crv, curves[i].name))
            return curves[i].len;
    }
    return 0;
}

static EVP_PKEY *ec_of(const struct jwk *j)
{
    struct buf point = BUF_INIT, group = BUF_INIT;
    size_t len = coordinate_len(j->crv);
    EVP_PKEY *key = NULL;
    buf_char(&point, 4); /* uncompressed */
    if (len && bytes_of(&point, j->x) && point.len == 1 + len && bytes_of(&point, j->y) &&
        point.len == 1 + 2 * len) {
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        json_decode(&group, j->crv);
        if (build &&
            OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group.p,
                                            group.len) &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.len))
            key = from_params("EC", build);
        if (!key)
            pem_note_silence();
        OSSL_PARAM_BLD_free(build);
    }
    buf_fini(&point);
    buf_fini(&group);
    return key;
}

static EVP_PKEY *okp_of(const struct jwk *j)
{
    struct buf x = BUF_INIT;
    EVP_PKEY *key = NULL;
    if (json_is(j->crv, STR("Ed25519")) && bytes_of(&x, j->x) && x.len == ED25519_KEY) {
        key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, (unsigned char *)x.p, x.len);
        if (!key)
            pem_note_silence();
    }
    buf_fini(&x);
    return key;
}

/* ---- a key, and all of them ---- */

static enum err add_jwk(struct keys *k, struct json object, char *why, size_t why_len)
{
    struct jwk j;
    EVP_PKEY *key = NULL;
    if (object.type != JSON_OBJECT || !read_members(&j, object))
        return pem_refuse(why, why_len, "The key is no object with each member once.");
    const char *wrong = purpose_is_wrong(&j);
    if (wrong)
        return pem_refuse(why, why_len, "%s", wrong);
    if (json_is(j.kty, STR("RSA")))
        key = rsa_of(&j);
    else if (json_is(j.kty, STR("EC")))
        key = ec_of(&j);
    else if (json_is(j.kty, STR("OKP")))
        key = okp_of(&j);
    else
        return pem_refuse(why, why_len, "The key is none of RSA, EC and Ed25519.");
    if (!key)
        return pem_refuse(why, why_len,
                          "The numbers of the key are missing or make no key of ours.");

    struct buf scratch = BUF_INIT;
    struct str kid = {NULL, 0};
    if (is_there(j.kid))
        kid = json_text(j.kid, &scratch);
    enum err e =
        keys_add(k, key, kid, is_there(j.alg) ? jws_alg_of(j.alg) : JWS_N_ALGS, why, why_len);
    buf_fini(&scratch);
    return e;
}

static enum err add_all(struct keys *k, struct json list, struct jwks_report *r, char *why,
                        size_t why_len)
{
    struct json key;
    struct json_iter it;
    char detail[sizeof r->reason];
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &key)) {
        ERR_clear_error();
        enum err e = add_jwk(k, key, detail, sizeof detail);
        /* Nor may a key be passed over where memory was out for a moment and OpenSSL gave another
         * reason, as it does now and then: what is no good is no good twice. */
        bool lacks_memory = e && pem_lacks_memory();
        if (e == ERR_PROTO && !lacks_memory) {
            e = add_jwk(k, key, detail, sizeof detail);
            lacks_memory = e && pem_lacks_memory();
        }
        ERR_clear_error();
        if (lacks_memory)
            return pem_refuse_for_memory(why, why_len);
        if (e == ERR_LIMIT) {
            snprintf(why, why_len, "%s", detail);
            return e;
        }
        if (e && !r->n_passed_over++)
            snprintf(r->reason, sizeof r->reason, "%s", detail);
        r->n_taken += !e;
    }
    if (r->n_taken)
        return ERR_OK;
    return pem_refuse(why, why_len, "There is no key in the set that can be used.%s%s",
                      r->reason[0] ? " " : "", r->reason);
}

enum err keys_add_jwks(struct keys *k, struct str json, struct jwks_report *report, char *why,
                       size_t why_len)
{
    struct json root, list;
    *report = (struct jwks_report){0};
    if (json.len > JWKS_BYTES_MAX) {
        snprintf(why, why_len, "The key set has over %d bytes.", JWKS_BYTES_MAX);
        return ERR_LIMIT;
    }
    if (json_parse(&root, json) || !json_get(root, STR("keys"), &list) || list.type != JSON_ARRAY)
        return pem_refuse(why, why_len, "This is no JSON Web Key Set.");
    return add_all(k, list, report, why, why_len);
}
