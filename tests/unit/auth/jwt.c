#include "auth/jwt.h"
#include "base/json.h"
#include "file_text.h"
#include <cjose/base64.h>
#include <cjose/util.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW 1700000000.0

static struct buf private_pem, public_pem;
static struct keys *keys;
static struct signing_key *signing_key;
static EVP_PKEY *pkey;

static int make_keys(void **unused)
{
    (void)unused;
    char why[160];
    if (keys_generate(&private_pem, &public_pem) ||
        keys_from_pem(&keys, buf_as_str(&public_pem), why, sizeof why) ||
        signing_key_from_pem(&signing_key, buf_as_str(&private_pem), why, sizeof why))
        return -1;
    BIO *bio = BIO_new_mem_buf(private_pem.p, (int)private_pem.len);
    pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return pkey ? 0 : -1;
}

static int free_keys(void **unused)
{
    (void)unused;
    keys_free(keys);
    signing_key_free(signing_key);
    EVP_PKEY_free(pkey);
    buf_fini(&private_pem);
    buf_fini(&public_pem);
    return 0;
}

static void add_base64url(struct buf *out, const void *p, size_t len)
{
    char *text;
    size_t text_len;
    cjose_err e;
    assert_true(cjose_base64url_encode(p, len, &text, &text_len, &e));
    buf_add(out, text, text_len);
    cjose_get_dealloc()(text);
}

/* Appends a signature as RSASSA-PKCS1-v1_5 or, with `pss`, as RSASSA-PSS. */
static void add_signature(struct buf *token, const EVP_MD *md, bool pss)
{
    unsigned char signature[512];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how;
    assert_int_equal(EVP_DigestSignInit(ctx, &how, md, NULL, pkey), 1);
    if (pss)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, (unsigned char *)token->p, token->len),
                     1);
    EVP_MD_CTX_free(ctx);
    buf_char(token, '.');
    add_base64url(token, signature, len);
}

static struct buf unsigned_token(struct str header, struct str payload)
{
    struct buf token = BUF_INIT;
    add_base64url(&token, header.p, header.len);
    buf_char(&token, '.');
    add_base64url(&token, payload.p, payload.len);
    return token;
}

/* A token whose signature is good for RS256, whatever the header says. */
static struct buf token_of(struct str header, struct str payload)
{
    struct buf token = unsigned_token(header, payload);
    add_signature(&token, EVP_sha256(), false);
    return token;
}

static struct buf good_token(struct str payload)
{
    return token_of(STR("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), payload);
}

/* Verifies a copy that ends where the memory does, so that a sanitizer sees a step too far. */
static enum err verify(struct str token, struct claims **out)
{
    char *copy = malloc(token.len ? token.len : 1);
    memcpy(copy, token.p, token.len);
    enum err e = jwt_verify(out, keys, str_make(copy, token.len), NOW);
    free(copy);
    assert_int_equal(ERR_peek_error(), 0); /* the TLS code of the same thread looks there */
    return e;
}

static void expect_verdict(struct str token, enum err expected)
{
    struct claims *c = NULL;
    enum err e = verify(token, &c);
    if (e != expected)
        fail_msg("'%.*s' gives '%s'", (int)token.len, token.p, err_text(e));
    assert_true((c != NULL) == (expected == ERR_OK));
    claims_unref(c);
}

static void accepts_the_three_algorithms(void **unused)
{
    (void)unused;
    struct buf a = unsigned_token(STR("{\"alg\":\"RS256\"}"), STR("{}"));
    struct buf b = unsigned_token(STR("{\"alg\":\"RS384\"}"), STR("{}"));
    struct buf c = unsigned_token(STR("{\"alg\":\"RS512\"}"), STR("{}"));
    add_signature(&a, EVP_sha256(), false);
    add_signature(&b, EVP_sha384(), false);
    add_signature(&c, EVP_sha512(), false);
    expect_verdict(buf_as_str(&a), ERR_OK);
    expect_verdict(buf_as_str(&b), ERR_OK);
    expect_verdict(buf_as_str(&c), ERR_OK);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
}

static void judges_headers(void **unused)
{
    (void)unused;
    static const struct {
        struct str header;
        enum err e;
    } cases[] = {
        {STR("{\"alg\":\"RS256\"}"), ERR_OK},
        {STR(" { \"alg\" : \"RS256\" }\n"), ERR_OK},
        {STR("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"any\"}"), ERR_OK},
        {STR("{\"typ\":7,\"kid\":null,\"x\":{\"alg\":\"none\"},\"alg\":\"RS256\"}"), ERR_OK},
        {STR("{\"\\u0061lg\":\"R\\u0053256\"}"), ERR_OK},
        /* The hash and the header must agree. */
        {STR("{\"alg\":\"RS384\"}"), ERR_DENIED},
        {STR("{\"alg\":\"RS512\"}"), ERR_DENIED},
        {STR("{\"alg\":\"PS256\"}"), ERR_DENIED},
        {STR("{\"alg\":\"HS256\"}"), ERR_DENIED},
        {STR("{\"alg\":\"ES256\"}"), ERR_DENIED},
        {STR("{\"alg\":\"EdDSA\"}"), ERR_DENIED},
        {STR("{\"alg\":\"none\"}"), ERR_DENIED},
        {STR("{\"alg\":\"None\"}"), ERR_DENIED},
        {STR("{\"alg\":\"rs256\"}"), ERR_DENIED},
        {STR("{\"alg\":\"RS256 \"}"), ERR_DENIED},
        {STR("{\"alg\":\"RS256\\u0000\"}"), ERR_DENIED},
        {STR("{\"alg\":\"RS2560\"}"), ERR_DENIED},
        {STR("{\"alg\":\"RS25\"}"), ERR_DENIED},
        {STR("{\"alg\":\"\"}"), ERR_DENIED},
        {STR("{\"alg\":null}"), ERR_DENIED},
        {STR("{\"alg\":256}"), ERR_DENIED},
        {STR("{\"alg\":[\"RS256\"]}"), ERR_DENIED},
        {STR("{\"Alg\":\"RS256\"}"), ERR_DENIED},
        {STR("{\"typ\":\"JWT\"}"), ERR_DENIED},
        {STR("{}"), ERR_DENIED},
        /* What else the header says is ignored. */
        {STR("{\"alg\":\"RS256\",\"crit\":[\"exp\"],\"exp\":1}"), ERR_OK},
        {STR("{\"alg\":\"RS256\",\"typ\":5,\"kid\":[\"x\"],\"cty\":null}"), ERR_OK},
        /* Two parsers might take different ones. */
        {STR("{\"alg\":\"RS256\",\"alg\":\"none\"}"), ERR_PROTO},
        {STR("{\"alg\":\"none\",\"alg\":\"RS256\"}"), ERR_PROTO},
        {STR("{\"alg\":\"RS256\",\"\\u0061lg\":\"RS256\"}"), ERR_PROTO},
        {STR(""), ERR_PROTO},
        {STR("{"), ERR_PROTO},
        {STR("[]"), ERR_PROTO},
        {STR("\"RS256\""), ERR_PROTO},
        {STR("{\"alg\":\"RS256\"}{}"), ERR_PROTO},
        {STR("{\"alg\":\"RS256\",}"), ERR_PROTO},
        {STR("{'alg':'RS256'}"), ERR_PROTO},
        {STR("{\"alg\":\"RS256\",\"x\":\"\xff\"}"), ERR_PROTO},
        {STR("\xef\xbb\xbf{\"alg\":\"RS256\"}"), ERR_PROTO},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf token = token_of(cases[i].header, STR("{}"));
        struct claims *c = NULL;
        enum err e = verify(buf_as_str(&token), &c);
        if (e != cases[i].e)
            fail_msg("'%s' gives '%s'", cases[i].header.p, err_text(e));
        claims_unref(c);
        buf_fini(&token);
    }
}

/* The classic: the public key, which everybody has, as the secret of an HMAC. */
static void refuses_the_public_key_as_a_secret(void **unused)
{
    (void)unused;
    struct buf token = unsigned_token(STR("{\"alg\":\"HS256\"}"), STR("{}"));
    unsigned char mac[32];
    unsigned len = sizeof mac;
    HMAC(EVP_sha256(), public_pem.p, (int)public_pem.len, (unsigned char *)token.p, token.len, mac,
         &len);
    buf_char(&token, '.');
    add_base64url(&token, mac, len);
    expect_verdict(buf_as_str(&token), ERR_DENIED);
    buf_fini(&token);
}

static void refuses_pss_under_a_good_name(void **unused)
{
    (void)unused;
    struct buf token = unsigned_token(STR("{\"alg\":\"RS256\"}"), STR("{}"));
    add_signature(&token, EVP_sha256(), true);
    expect_verdict(buf_as_str(&token), ERR_DENIED);
    buf_fini(&token);
}

static void judges_structure(void **unused)
{
    (void)unused;
    static const struct {
        struct str text;
        enum err e;
    } cases[] = {
        {STR(""), ERR_PROTO},
        {STR("abc"), ERR_PROTO},
        {STR("."), ERR_PROTO},
        {STR(".."), ERR_PROTO},
        {STR("..."), ERR_PROTO},
        {STR("a.b.c"), ERR_PROTO},
        {STR("e30.e30.e30"), ERR_DENIED},
        {STR("eyJhbGciOiJub25lIn0.e30."), ERR_DENIED},
        {STR("eyJhbGciOiJSUzI1NiJ9.e30."), ERR_DENIED},
        {STR("eyJhbGciOiJSUzI1NiJ9..AAAA"), ERR_DENIED},
        {STR("eyJhbGciOiJSUzI1NiJ9.e30.AAAA.AAAA"), ERR_PROTO},
        {STR("eyJhbGciOiJSUzI1NiJ9.e30"), ERR_PROTO},
        {STR("{\"payload\":\"e30\",\"signature\":\"\"}"), ERR_PROTO},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_verdict(cases[i].text, cases[i].e);
}

static void refuses_what_stands_around(void **unused)
{
    (void)unused;
    static const struct str before[] = {STR(" "), STR("Bearer "), STR("."), STR("\n")};
    static const struct str behind[] = {STR(" "), STR("\n"),   STR("="),
                                        STR("."), STR(".e30"), STR("\0")};
    struct buf good = good_token(STR("{}"));
    expect_verdict(buf_as_str(&good), ERR_OK);
    for (unsigned i = 0; i < sizeof before / sizeof *before; i++) {
        struct buf b = BUF_INIT;
        buf_str(&b, before[i]);
        buf_str(&b, buf_as_str(&good));
        expect_verdict(buf_as_str(&b), ERR_PROTO);
        buf_fini(&b);
    }
    for (unsigned i = 0; i < sizeof behind / sizeof *behind; i++) {
        struct buf b = BUF_INIT;
        buf_str(&b, buf_as_str(&good));
        buf_str(&b, behind[i]);
        expect_verdict(buf_as_str(&b), ERR_PROTO);
        buf_fini(&b);
    }
    buf_fini(&good);
}

/* Signed over the very text, so only the check of the text can refuse them. */
static void wants_canonical_base64url(void **unused)
{
    (void)unused;
    static const struct {
        struct str payload;
        enum err e;
    } cases[] = {
        {STR("e30"), ERR_OK},    /* {} */
        {STR("e31"), ERR_PROTO}, /* the same with one unused bit set */
        {STR("e32"), ERR_PROTO},
        {STR("e30="), ERR_PROTO},
        {STR("e3 0"), ERR_PROTO},
        {STR("e3\n0"), ERR_PROTO},
        {STR("e"), ERR_PROTO},
        {STR("e300e"), ERR_PROTO},
        {STR("+/8"), ERR_PROTO},
        {STR("e3?0"), ERR_PROTO},
        {STR("\xc3\xa9"), ERR_PROTO},
        {STR("eyAgfQ"), ERR_OK}, /* {  } */
        {STR("eyAgfR"), ERR_PROTO},
        {STR("eyAgfX"), ERR_PROTO},
        {STR("eyJhIjoi_79-In0"), ERR_PROTO}, /* good base64url, but the JSON is no UTF-8 */
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf token = BUF_INIT;
        add_base64url(&token, "{\"alg\":\"RS256\"}", 15);
        buf_char(&token, '.');
        buf_str(&token, cases[i].payload);
        add_signature(&token, EVP_sha256(), false);
        expect_verdict(buf_as_str(&token), cases[i].e);
        buf_fini(&token);
    }
}

static void refuses_every_cut_and_every_change(void **unused)
{
    (void)unused;
    struct buf good = good_token(STR("{\"gusher\":{\"user_id\":\"u\"}}"));
    for (size_t len = 0; len < good.len; len++) {
        struct claims *c = NULL;
        assert_int_not_equal(verify(str_make(good.p, len), &c), ERR_OK);
    }
    for (size_t i = 0; i < good.len; i++) {
        struct claims *c = NULL;
        char was = good.p[i];
        good.p[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(verify(buf_as_str(&good), &c), ERR_OK);
        good.p[i] = was;
    }
    expect_verdict(buf_as_str(&good), ERR_OK);
    buf_fini(&good);
}

static void refuses_another_key(void **unused)
{
    (void)unused;
    struct buf other_private = BUF_INIT, other_public = BUF_INIT, token = BUF_INIT;
    struct signing_key *other;
    char why[160];
    assert_int_equal(keys_generate(&other_private, &other_public), ERR_OK);
    assert_int_equal(signing_key_from_pem(&other, buf_as_str(&other_private), why, sizeof why),
                     ERR_OK);
    assert_int_equal(jwt_sign(&token, other, STR("{}")), ERR_OK);
    expect_verdict(buf_as_str(&token), ERR_DENIED);
    signing_key_free(other);
    buf_fini(&token);
    buf_fini(&other_private);
    buf_fini(&other_public);
}

static void signs_what_it_verifies(void **unused)
{
    (void)unused;
    struct buf token = BUF_INIT, payload = BUF_INIT;
    struct str claims = STR("{\"gusher\":{\"user_id\":\"u\\u00e9\",\"app_key\":\"A\"}}");
    assert_int_equal(jwt_sign(&token, signing_key, claims), ERR_OK);
    expect_verdict(buf_as_str(&token), ERR_OK);
    assert_int_equal(jwt_check_signature(&payload, keys, buf_as_str(&token)), ERR_OK);
    assert_true(str_eq(buf_as_str(&payload), claims));
    buf_fini(&token);
    buf_fini(&payload);
}

static void limits_the_length(void **unused)
{
    (void)unused;
    /* As long as it may be, and one byte more. */
    struct buf payload = BUF_INIT;
    buf_str(&payload, STR("{}"));
    struct buf token = good_token(buf_as_str(&payload));
    size_t rest = JWT_BYTES_MAX - token.len;
    buf_fini(&token);
    for (size_t i = 0; i < rest / 4 * 3; i++)
        buf_char(&payload, ' ');
    token = good_token(buf_as_str(&payload));
    while (token.len < JWT_BYTES_MAX) {
        buf_fini(&token);
        buf_char(&payload, ' ');
        token = good_token(buf_as_str(&payload));
    }
    assert_int_equal(token.len, JWT_BYTES_MAX);
    expect_verdict(buf_as_str(&token), ERR_OK);
    buf_fini(&token);
    buf_str(&payload, STR("  "));
    token = good_token(buf_as_str(&payload));
    assert_true(token.len > JWT_BYTES_MAX);
    expect_verdict(buf_as_str(&token), ERR_LIMIT);
    buf_fini(&token);
    buf_fini(&payload);
}

/* The claims of a text that has to be good. */
static struct claims *claims_of(struct str json)
{
    struct claims *c = NULL;
    enum err e = claims_from_json(&c, json, NOW);
    if (e)
        fail_msg("'%.*s' gives '%s'", (int)json.len, json.p, err_text(e));
    return c;
}

static void reads_an_identity(void **unused)
{
    (void)unused;
    struct claims *c =
        claims_of(STR("{\"gusher\":{\"user_id\":\"u\\u00e9\\ud83d\\ude00\",\"channels\":"
                      "[\"AA\",\"app*\",\"\",\"a\\u0000b\"],\"app_key\":\"TEST\","
                      "\"remotes\":{\"z\":true,\"a\":false,\"\":true}},"
                      "\"exp\":1700000000}"));
    assert_true(str_eq(c->user_id, STR("u\xc3\xa9\xf0\x9f\x98\x80")));
    assert_true(str_eq(c->app_key, STR("TEST")));
    assert_true(c->has_channels && c->has_remotes);
    assert_int_equal(c->n_channels, 4);
    assert_true(str_eq(c->channels[0], STR("AA")));
    assert_true(str_eq(c->channels[1], STR("app*")));
    assert_true(str_eq(c->channels[2], STR("")));
    assert_true(str_eq(c->channels[3], STR("a\0b")));
    assert_int_equal(c->n_remotes, 3);
    assert_true(str_eq(c->remotes[0].name, STR("")) && c->remotes[0].allowed);
    assert_true(str_eq(c->remotes[1].name, STR("a")) && !c->remotes[1].allowed);
    assert_true(str_eq(c->remotes[2].name, STR("z")) && c->remotes[2].allowed);
    assert_true(c->exp_s == 1700000000);
    assert_true(str_eq(c->exp, STR("1700000000")));
    claims_unref(c);
}

static void reads_missing_members_as_empty(void **unused)
{
    (void)unused;
    static const struct str texts[] = {
        STR("{}"),
        STR("{\"gusher\":null}"),
        STR("{\"gusher\":{}}"),
        STR("{\"gusher\":{\"user_id\":null,\"channels\":null,\"app_key\":null,\"remotes\":null},"
            "\"exp\":null,\"nbf\":null,\"iat\":null,\"aud\":null,\"iss\":null,\"sub\":null,"
            "\"jti\":null}"),
        STR("{\"Gusher\":{\"user_id\":\"u\"},\"gusher\":{\"User_id\":\"u\",\"extra\":[1]}}"),
    };
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct claims *c = claims_of(texts[i]);
        assert_int_equal(c->user_id.len + c->app_key.len + c->n_channels + c->n_remotes, 0);
        assert_false(c->has_channels || c->has_remotes);
        assert_int_equal(c->aud.len + c->exp.len + c->jti.len + c->iat.len + c->iss.len +
                             c->nbf.len + c->sub.len,
                         0);
        assert_true(c->exp_s == 0);
        claims_unref(c);
    }
    struct claims *c = claims_of(STR("{\"gusher\":{\"channels\":[],\"remotes\":{}}}"));
    assert_true(c->has_channels && c->has_remotes);
    assert_int_equal(c->n_channels + c->n_remotes, 0);
    claims_unref(c);
}

static void takes_the_last_of_equal_names(void **unused)
{
    (void)unused;
    struct claims *c = claims_of(
        STR("{\"gusher\":{\"user_id\":\"a\"},\"gusher\":{\"user_id\":\"b\",\"user_i\\u0064\":\"c\","
            "\"remotes\":{\"x\":true,\"y\":true,\"\\u0078\":false,\"y\":false,\"y\":true,"
            "\"\":false,\"\":true}},\"exp\":5,\"exp\":0}"));
    assert_true(str_eq(c->user_id, STR("c")));
    assert_int_equal(c->n_remotes, 3);
    assert_true(c->remotes[0].name.len == 0 && c->remotes[0].allowed);
    assert_true(str_eq(c->remotes[1].name, STR("x")) && !c->remotes[1].allowed);
    assert_true(str_eq(c->remotes[2].name, STR("y")) && c->remotes[2].allowed);
    claims_unref(c);
}

static void judges_claims(void **unused)
{
    (void)unused;
    static const struct {
        const char *json;
        enum err e;
    } cases[] = {
        {"", ERR_PROTO},
        {"xx", ERR_PROTO},
        {"[]", ERR_PROTO},
        {"null", ERR_PROTO},
        {"\"x\"", ERR_PROTO},
        {"{}x", ERR_PROTO},
        {"{} {}", ERR_PROTO},
        {" {} ", ERR_OK},
        {"{\"gusher\":\"x\"}", ERR_PROTO},
        {"{\"gusher\":[]}", ERR_PROTO},
        {"{\"gusher\":{\"user_id\":5}}", ERR_PROTO},
        {"{\"gusher\":{\"user_id\":[\"u\"]}}", ERR_PROTO},
        {"{\"gusher\":{\"app_key\":1}}", ERR_PROTO},
        {"{\"gusher\":{\"app_key\":true}}", ERR_PROTO},
        {"{\"gusher\":{\"channels\":\"AA\"}}", ERR_PROTO},
        {"{\"gusher\":{\"channels\":{}}}", ERR_PROTO},
        {"{\"gusher\":{\"channels\":[1]}}", ERR_PROTO},
        {"{\"gusher\":{\"channels\":[\"a\",null]}}", ERR_PROTO},
        {"{\"gusher\":{\"channels\":[[\"a\"]]}}", ERR_PROTO},
        {"{\"gusher\":{\"remotes\":[]}}", ERR_PROTO},
        {"{\"gusher\":{\"remotes\":{\"a\":\"true\"}}}", ERR_PROTO},
        {"{\"gusher\":{\"remotes\":{\"a\":null}}}", ERR_PROTO},
        {"{\"gusher\":{\"remotes\":{\"a\":1}}}", ERR_PROTO},
        {"{\"exp\":\"soon\"}", ERR_PROTO},
        {"{\"exp\":true}", ERR_PROTO},
        {"{\"nbf\":\"1\"}", ERR_PROTO},
        {"{\"iat\":{}}", ERR_PROTO},
        {"{\"exp\":1e999}", ERR_PROTO},
        {"{\"aud\":5}", ERR_PROTO},
        {"{\"aud\":[\"a\",5]}", ERR_PROTO},
        {"{\"aud\":{}}", ERR_PROTO},
        {"{\"aud\":\"a\"}", ERR_OK},
        {"{\"aud\":[]}", ERR_OK},
        {"{\"aud\":[\"a\",\"b\"]}", ERR_OK},
        {"{\"iss\":1}", ERR_PROTO},
        {"{\"sub\":1}", ERR_PROTO},
        {"{\"jti\":1}", ERR_PROTO},
        {"{\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\",\"other\":[1,{}]}", ERR_OK},

        {"{\"exp\":0}", ERR_OK},
        {"{\"exp\":0.0}", ERR_OK},
        {"{\"exp\":-1}", ERR_EXPIRED},
        {"{\"exp\":1699999999}", ERR_EXPIRED},
        {"{\"exp\":1699999999.999}", ERR_EXPIRED},
        {"{\"exp\":1700000000}", ERR_OK},
        {"{\"exp\":1700000000.5}", ERR_OK},
        {"{\"exp\":1.7000000005e9}", ERR_OK},
        {"{\"exp\":1e300}", ERR_OK},
        {"{\"nbf\":1700000000}", ERR_OK},
        {"{\"nbf\":1700000000.5}", ERR_EXPIRED},
        {"{\"nbf\":1700000001}", ERR_EXPIRED},
        {"{\"nbf\":-5}", ERR_OK},
        {"{\"iat\":1700000000}", ERR_OK},
        {"{\"iat\":17000000010e-1}", ERR_EXPIRED},
        {"{\"iat\":0}", ERR_OK},
        /* A wrong type is said before a wrong time. */
        {"{\"exp\":1,\"iss\":1}", ERR_PROTO},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claims *c = NULL;
        enum err e = claims_from_json(&c, str_of(cases[i].json), NOW);
        if (e != cases[i].e)
            fail_msg("'%s' gives '%s'", cases[i].json, err_text(e));
        claims_unref(c);
    }
}

static enum err verdict_of_many(const char *start, const char *item, unsigned n, const char *end)
{
    struct buf json = BUF_INIT;
    buf_str(&json, str_of(start));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&json, "%s%s", i ? "," : "", item);
    buf_str(&json, str_of(end));
    struct claims *c = NULL;
    enum err e = claims_from_json(&c, buf_as_str(&json), NOW);
    claims_unref(c);
    buf_fini(&json);
    return e;
}

static void limits_the_lists(void **unused)
{
    (void)unused;
    const char *channels = "{\"gusher\":{\"channels\":[", *remotes = "{\"gusher\":{\"remotes\":{";
    assert_int_equal(verdict_of_many(channels, "\"\"", JWT_CHANNELS_MAX, "]}}"), ERR_OK);
    assert_int_equal(verdict_of_many(channels, "\"\"", JWT_CHANNELS_MAX + 1, "]}}"), ERR_LIMIT);
    assert_int_equal(verdict_of_many(remotes, "\"a\":true", JWT_REMOTES_MAX, "}}}"), ERR_OK);
    assert_int_equal(verdict_of_many(remotes, "\"a\":true", JWT_REMOTES_MAX + 1, "}}}"), ERR_LIMIT);
}

static void expect_decoded(const char *json, const char *expected)
{
    struct claims *c = claims_of(str_of(json));
    struct buf out = BUF_INIT;
    claims_write_json(&out, c);
    buf_char(&out, 0);
    assert_string_equal(out.p, expected);
    buf_fini(&out);
    claims_unref(c);
}

static void writes_the_answer_of_decode(void **unused)
{
    (void)unused;
    expect_decoded("{}", "{\"gusher\":{\"channels\":null,\"user_id\":\"\",\"app_key\":\"\","
                         "\"remotes\":null}}");
    expect_decoded("{\"gusher\":{\"channels\":[],\"remotes\":{}}}",
                   "{\"gusher\":{\"channels\":[],\"user_id\":\"\",\"app_key\":\"\","
                   "\"remotes\":{}}}");
    expect_decoded(
        "{\"sub\":\"s\",\"iss\":\"i\",\"extra\":{\"a\":1},\"gusher\":{\"user_id\":\"u\\\"\","
        "\"channels\":[\"AA\",\"b\\u000a\"],\"app_key\":\"T\",\"remotes\":{\"z\":true,"
        "\"a\":false}},\"nbf\":1.5e3,\"iat\":3,\"jti\":\"\\u006a\",\"aud\":[\"a\", "
        "\"b\"],\"exp\":1800000000}",
        "{\"gusher\":{\"channels\":[\"AA\",\"b\\n\"],\"user_id\":\"u\\\"\","
        "\"app_key\":\"T\",\"remotes\":{\"a\":false,\"z\":true}},\"aud\":[\"a\", "
        "\"b\"],\"exp\":1800000000,\"jti\":\"\\u006a\",\"iat\":3,\"iss\":\"i\","
        "\"nbf\":1.5e3,\"sub\":\"s\"}");
}

static void counts_references(void **unused)
{
    (void)unused;
    struct claims *c = claims_of(STR("{\"gusher\":{\"user_id\":\"u\"}}"));
    assert_ptr_equal(claims_ref(c), c);
    claims_unref(c);
    assert_true(str_eq(c->user_id, STR("u")));
    claims_unref(c);
    claims_unref(NULL);
}

enum { THREADS = 4, ROUNDS = 200 };

struct load {
    struct str token;
    struct claims *shared;
    unsigned n_good;
};

static void *verify_often(void *arg)
{
    struct load *l = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct claims *c = NULL;
        if (jwt_verify(&c, keys, l->token, NOW) == ERR_OK && str_eq(c->user_id, STR("u")))
            l->n_good++;
        claims_unref(c);
        claims_unref(claims_ref(l->shared));
    }
    claims_unref(l->shared);
    return NULL;
}

static void verifies_in_many_threads_with_one_key(void **unused)
{
    (void)unused;
    /* A key nobody used before: what OpenSSL computes at the first use is raced for, too. */
    char why[160];
    keys_free(keys);
    assert_int_equal(keys_from_pem(&keys, buf_as_str(&public_pem), why, sizeof why), ERR_OK);
    struct buf token = good_token(STR("{\"gusher\":{\"user_id\":\"u\",\"channels\":[\"a\"]}}"));
    struct claims *shared = claims_of(STR("{\"gusher\":{\"user_id\":\"u\"}}"));
    pthread_t threads[THREADS];
    struct load loads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        loads[i] = (struct load){buf_as_str(&token), claims_ref(shared), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &loads[i]), 0);
    }
    claims_unref(shared);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(loads[i].n_good, ROUNDS);
    buf_fini(&token);
}

static BIGNUM *number_of(struct json key, const char *name)
{
    struct json value;
    assert_true(json_get(key, str_of(name), &value));
    struct buf scratch = BUF_INIT;
    struct str base64 = json_text(value, &scratch);
    uint8_t *bytes;
    size_t len;
    cjose_err e;
    assert_true(cjose_base64url_decode(base64.p, base64.len, &bytes, &len, &e));
    BIGNUM *n = BN_bin2bn(bytes, (int)len, NULL);
    cjose_get_dealloc()(bytes);
    buf_fini(&scratch);
    return n;
}

/* The RSA key of a JSON Web Key, by way of PEM. */
static struct keys *keys_of_jwk(struct json jwk)
{
    BIGNUM *n = number_of(jwk, "n"), *e = number_of(jwk, "e");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    char *pem, why[160];
    long len = BIO_get_mem_data(bio, &pem);
    struct keys *k = NULL;
    if (keys_from_pem(&k, str_make(pem, (size_t)len), why, sizeof why))
        fail_msg("%s", why);
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return k;
}

static bool member_is(struct json object, const char *name, const char *text)
{
    struct json value;
    return json_get(object, str_of(name), &value) && json_is(value, str_of(text));
}

static bool is_rs(struct json jwk)
{
    return member_is(jwk, "alg", "RS256") || member_is(jwk, "alg", "RS384") ||
           member_is(jwk, "alg", "RS512");
}

/* The verdict must be that of the vectors where the key is an RSA key for RS256, RS384 or RS512.
 * Whatever is meant for another family must be refused, also in the face of an RSA key of that
 * family. Left out is what turns on the `alg`, `use` or `key_ops` of the JSON Web Key: a key in
 * PEM form has none, so there any other key stands in. */
static void vectors_of_signatures(void **unused)
{
    (void)unused;
    struct buf file = BUF_INIT;
    if (!file_text(&file, TEST_SHARED_DIR "/testdata/jws/json_web_signature_test.json"))
        skip();

    struct json root, groups, group, key, list, test, value;
    struct json_iter group_it, test_it;
    unsigned n_valid = 0, n_invalid = 0, n_other = 0;
    struct buf scratch = BUF_INIT, payload = BUF_INIT;
    assert_int_equal(json_parse(&root, buf_as_str(&file)), ERR_OK);
    assert_true(json_get(root, STR("testGroups"), &groups));
    json_iter_init(&group_it, groups);
    while (json_next(&group_it, NULL, &group)) {
        bool has_key = json_get(group, STR("public"), &key) && member_is(key, "kty", "RSA");
        bool ours = has_key && is_rs(key);
        bool ps = has_key && (member_is(key, "alg", "PS256") || member_is(key, "alg", "PS384") ||
                              member_is(key, "alg", "PS512"));
        struct keys *own = ours || ps ? keys_of_jwk(key) : NULL;
        assert_true(json_get(group, STR("tests"), &list));
        json_iter_init(&test_it, list);
        while (json_next(&test_it, NULL, &test)) {
            buf_clear(&scratch);
            buf_clear(&payload);
            assert_true(json_get(test, STR("jws"), &value));
            struct str jws = json_text(value, &scratch);
            bool turns_on_alg = ps && member_is(test, "comment", "UsingRS256");
            turns_on_alg |= ps && member_is(test, "comment", "UsingRS384");
            turns_on_alg |= ps && member_is(test, "comment", "UsingRS512");
            const struct keys *k = own && !turns_on_alg ? own : keys;
            bool expected = ours && member_is(test, "result", "valid");
            enum err e = jwt_check_signature(&payload, k, jws);
            if ((e == ERR_OK) != expected) {
                json_get(test, STR("tcId"), &value);
                fail_msg("vector %.*s gives '%s'", (int)value.text.len, value.text.p, err_text(e));
            }
            n_valid += expected;
            n_invalid += ours && !expected;
            n_other += !ours;
        }
        keys_free(own);
    }
    print_message("%u valid, %u invalid, %u of other families\n", n_valid, n_invalid, n_other);
    assert_true(n_valid >= 14 && n_invalid >= 200 && n_other >= 100);
    buf_fini(&scratch);
    buf_fini(&payload);
    buf_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_three_algorithms),
        cmocka_unit_test(judges_headers),
        cmocka_unit_test(refuses_the_public_key_as_a_secret),
        cmocka_unit_test(refuses_pss_under_a_good_name),
        cmocka_unit_test(judges_structure),
        cmocka_unit_test(refuses_what_stands_around),
        cmocka_unit_test(wants_canonical_base64url),
        cmocka_unit_test(refuses_every_cut_and_every_change),
        cmocka_unit_test(refuses_another_key),
        cmocka_unit_test(signs_what_it_verifies),
        cmocka_unit_test(limits_the_length),
        cmocka_unit_test(reads_an_identity),
        cmocka_unit_test(reads_missing_members_as_empty),
        cmocka_unit_test(takes_the_last_of_equal_names),
        cmocka_unit_test(judges_claims),
        cmocka_unit_test(limits_the_lists),
        cmocka_unit_test(writes_the_answer_of_decode),
        cmocka_unit_test(counts_references),
        cmocka_unit_test(verifies_in_many_threads_with_one_key),
        cmocka_unit_test(vectors_of_signatures),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
