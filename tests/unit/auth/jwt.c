#include "auth/jwt.h"
#include "base/names.h"
#include "base64_text.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
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
    if (signing_key_generate(&private_pem, &public_pem) ||
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
    enum err e = jwt_verify(out, keys, str_make(copy, token.len), NULL, NOW);
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
        {STR("{\"alg\":\"RS256\",\"alg\":\"RS256\"}"), ERR_PROTO},
        {STR("{\"alg\":\"RS256\",\"kid\":\"a\",\"kid\":\"a\"}"), ERR_PROTO},
        {STR("{\"alg\":\"RS256\",\"kid\":null,\"ki\\u0064\":\"a\"}"), ERR_PROTO},
        {STR("{\"alg\":null,\"alg\":\"RS256\"}"), ERR_PROTO},
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
    assert_int_equal(signing_key_generate(&other_private, &other_public), ERR_OK);
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

    /* Megabytes in each of the parts. */
    for (unsigned part = 0; part < 3; part++) {
        struct buf long_one = BUF_INIT;
        for (unsigned i = 0; i < 3; i++) {
            for (size_t n = 0; n < (i == part ? 4u << 20 : 4); n++)
                buf_char(&long_one, 'A');
            if (i < 2)
                buf_char(&long_one, '.');
        }
        expect_verdict(buf_as_str(&long_one), ERR_LIMIT);
        buf_fini(&long_one);
    }
}

/* The claims of a text that has to be good. */
static struct claims *claims_of(struct str json)
{
    struct claims *c = NULL;
    enum err e = claims_from_json(&c, json, NULL, NOW);
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
        enum err e = claims_from_json(&c, str_of(cases[i].json), NULL, NOW);
        if (e != cases[i].e)
            fail_msg("'%s' gives '%s'", cases[i].json, err_text(e));
        claims_unref(c);
    }
}

static struct buf list_of(const char *a, const char *b)
{
    struct buf list = BUF_INIT;
    if (a)
        names_add(&list, str_of(a));
    if (b)
        names_add(&list, str_of(b));
    return list;
}

static void judges_by_rules(void **unused)
{
    (void)unused;
    static const struct {
        const char *audience, *issuer, *json;
        enum err e;
    } cases[] = {
        {NULL, NULL, "{}", ERR_OK},
        {NULL, NULL, "{\"aud\":\"x\",\"iss\":\"y\"}", ERR_OK},
        {"a", NULL, "{\"aud\":\"a\"}", ERR_OK},
        {"a", NULL, "{\"aud\":\"other\"}", ERR_OK},
        {"a", NULL, "{\"aud\":[\"x\",\"a\"]}", ERR_OK},
        {"a", NULL, "{\"aud\":[\"other\"]}", ERR_OK},
        {"a", NULL, "{\"aud\":\"\\u0061\"}", ERR_OK},
        {"a", NULL, "{\"aud\":\"A\"}", ERR_DENIED},
        {"a", NULL, "{\"aud\":\"ab\"}", ERR_DENIED},
        {"a", NULL, "{\"aud\":\"\"}", ERR_DENIED},
        {"a", NULL, "{\"aud\":[]}", ERR_DENIED},
        {"a", NULL, "{\"aud\":[\"x\",\"\"]}", ERR_DENIED},
        {"a", NULL, "{\"aud\":null}", ERR_DENIED},
        {"a", NULL, "{\"iss\":\"a\"}", ERR_DENIED},
        {"a", NULL, "{}", ERR_DENIED},
        {"a", NULL, "{\"aud\":\"a\",\"aud\":\"x\"}", ERR_DENIED},
        {NULL, "i", "{\"iss\":\"i\"}", ERR_OK},
        {NULL, "i", "{\"iss\":\"other\"}", ERR_OK},
        {NULL, "i", "{\"iss\":\"i/\"}", ERR_DENIED},
        {NULL, "i", "{\"aud\":\"i\"}", ERR_DENIED},
        {NULL, "i", "{\"iss\":null}", ERR_DENIED},
        {NULL, "i", "{\"iss\":[\"i\"]}", ERR_PROTO},
        {"a", "i", "{\"aud\":\"a\",\"iss\":\"i\"}", ERR_OK},
        {"a", "i", "{\"aud\":\"a\"}", ERR_DENIED},
        {"a", "i", "{\"iss\":\"i\"}", ERR_DENIED},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claims *c = NULL;
        struct claims_rules rules = {list_of(cases[i].audience, cases[i].audience ? "other" : NULL),
                                     list_of(cases[i].issuer, cases[i].issuer ? "other" : NULL), 0};
        enum err e = claims_from_json(&c, str_of(cases[i].json), &rules, NOW);
        if (e != cases[i].e)
            fail_msg("'%s' gives '%s'", cases[i].json, err_text(e));
        claims_unref(c);
        /* A ticket's claims were judged when it was issued. */
        c = NULL;
        assert_int_equal(claims_from_judged_json(&c, str_of(cases[i].json)),
                         e == ERR_PROTO ? ERR_PROTO : ERR_OK);
        claims_unref(c);
        claims_rules_fini(&rules);
    }
}

static void forgives_clocks(void **unused)
{
    (void)unused;
    static const struct {
        const char *json;
        double leeway_s, end_s;
        enum err e;
    } cases[] = {
        {"{\"exp\":1699999995}", 5, NOW, ERR_OK},
        {"{\"exp\":1699999995}", 4, 0, ERR_EXPIRED},
        {"{\"exp\":1699999994}", 5, 0, ERR_EXPIRED},
        {"{\"nbf\":1700000005}", 5, 0, ERR_OK},
        {"{\"nbf\":1700000006}", 5, 0, ERR_EXPIRED},
        {"{\"iat\":1700000005}", 5, 0, ERR_OK},
        {"{\"iat\":1700000006}", 5, 0, ERR_EXPIRED},
        {"{\"exp\":0}", 5, 0, ERR_OK},
        {"{}", 5, 0, ERR_OK},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claims *c = NULL;
        struct claims_rules rules = {.leeway_s = cases[i].leeway_s};
        enum err e = claims_from_json(&c, str_of(cases[i].json), &rules, NOW);
        if (e != cases[i].e)
            fail_msg("'%s' gives '%s'", cases[i].json, err_text(e));
        if (!e)
            assert_true(claims_end_s(c, &rules) == cases[i].end_s);
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
    enum err e = claims_from_json(&c, buf_as_str(&json), NULL, NOW);
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
        if (jwt_verify(&c, keys, l->token, NULL, NOW) == ERR_OK && str_eq(c->user_id, STR("u")))
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
        cmocka_unit_test(judges_by_rules),
        cmocka_unit_test(forgives_clocks),
        cmocka_unit_test(limits_the_lists),
        cmocka_unit_test(writes_the_answer_of_decode),
        cmocka_unit_test(counts_references),
        cmocka_unit_test(verifies_in_many_threads_with_one_key),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
