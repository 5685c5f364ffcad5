#include "auth/jwt.h"
#include "auth/keys.h"
#include "jws_make.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static EVP_PKEY *rsa; /* one key for all tests: making it is what takes time */

static int make_rsa(void **unused)
{
    (void)unused;
    rsa = EVP_RSA_gen(2048);
    return rsa ? 0 : -1;
}

static int free_rsa(void **unused)
{
    (void)unused;
    EVP_PKEY_free(rsa);
    return 0;
}

/* Takes the text out of `bio` and frees it. */
static struct buf pem_of(BIO *bio, int written)
{
    assert_int_equal(written, 1);
    char *p;
    long len = BIO_get_mem_data(bio, &p);
    struct buf text = BUF_INIT;
    buf_add(&text, p, (size_t)len);
    BIO_free(bio);
    return text;
}

static struct buf spki(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return pem_of(bio, PEM_write_bio_PUBKEY(bio, key));
}

static struct buf pkcs1_public(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PublicKey(key, &der);
    assert_true(len > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    int written = PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, len) > 0;
    OPENSSL_free(der);
    return pem_of(bio, written);
}

static struct buf pkcs8(EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return pem_of(bio, PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, cipher ? "secret" : NULL,
                                                     cipher ? 6 : 0, NULL, NULL));
}

static struct buf pkcs1_private(EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char secret[] = "secret";
    return pem_of(bio, PEM_write_bio_PrivateKey_traditional(
                           bio, key, cipher, cipher ? secret : NULL, cipher ? 6 : 0, NULL, NULL));
}

/* Each frees the text. */
static void expect_public(struct buf pem)
{
    char why[160] = "";
    struct keys *k = NULL;
    if (keys_from_pem(&k, buf_as_str(&pem), why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    assert_int_equal(keys_count(k), 1);
    keys_free(k);
    buf_fini(&pem);
}

static void expect_private(struct buf pem)
{
    char why[160] = "";
    struct signing_key *k = NULL;
    if (signing_key_from_pem(&k, buf_as_str(&pem), why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    signing_key_free(k);
    buf_fini(&pem);
}

static void expect_sentence(const char *why, const char *word)
{
    size_t len = strlen(why);
    if (!len || why[len - 1] != '.' || !strstr(why, word))
        fail_msg("'%s' does not say '%s'", why, word);
}

static void refuse_public(struct buf pem, const char *word)
{
    char why[160] = "";
    struct keys *k = NULL;
    assert_int_equal(keys_from_pem(&k, buf_as_str(&pem), why, sizeof why), ERR_PROTO);
    assert_null(k);
    expect_sentence(why, word);
    buf_fini(&pem);
}

static void refuse_private(struct buf pem, const char *word)
{
    char why[160] = "";
    struct signing_key *k = NULL;
    assert_int_equal(signing_key_from_pem(&k, buf_as_str(&pem), why, sizeof why), ERR_PROTO);
    assert_null(k);
    expect_sentence(why, word);
    buf_fini(&pem);
}

static struct buf text(const char *c_string)
{
    struct buf b = BUF_INIT;
    buf_str(&b, str_of(c_string));
    return b;
}

static struct buf joined(struct buf a, struct buf b)
{
    buf_str(&a, buf_as_str(&b));
    buf_fini(&b);
    return a;
}

static void reads_every_public_form(void **unused)
{
    (void)unused;
    expect_public(spki(rsa));
    expect_public(pkcs1_public(rsa));
    expect_public(jws_certificate(rsa, false));
    expect_public(joined(text("A comment before it.\n"), spki(rsa)));
}

static void reads_every_private_form(void **unused)
{
    (void)unused;
    expect_private(pkcs8(rsa, NULL));
    expect_private(pkcs1_private(rsa, NULL));
}

static void takes_the_first_fitting_block(void **unused)
{
    (void)unused;
    expect_public(joined(pkcs8(rsa, NULL), spki(rsa)));
    expect_private(joined(spki(rsa), pkcs8(rsa, NULL)));
}

static void refuses_the_other_half(void **unused)
{
    (void)unused;
    refuse_public(pkcs8(rsa, NULL), "private");
    refuse_private(spki(rsa), "public");
}

static void refuses_encrypted_keys_without_asking(void **unused)
{
    (void)unused;
    refuse_private(pkcs8(rsa, EVP_aes_128_cbc()), "encrypted");
    refuse_private(pkcs1_private(rsa, EVP_aes_128_cbc()), "encrypted");
}

static void refuses_what_is_no_key(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "",
        "hello",
        "-----BEGIN PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    };
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        refuse_public(text(texts[i]), "no public key");
        refuse_private(text(texts[i]), "no private key");
    }
    refuse_public(text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), "broken");
    refuse_private(text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                   "broken");
}

static void takes_other_families(void **unused)
{
    (void)unused;
    static const char *const algs[] = {"ES256", "ES384", "ES512", "EdDSA"};
    for (unsigned i = 0; i < 4; i++) {
        EVP_PKEY *key = jws_key(algs[i]);
        expect_public(spki(key));
        expect_public(jws_certificate(key, false));
        refuse_private(pkcs8(key, NULL), "no RSA key");
        EVP_PKEY_free(key);
    }
}

static EVP_PKEY *generated(const char *kind)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void refuses_families_that_sign_no_jwt(void **unused)
{
    (void)unused;
    static const struct {
        const char *kind, *word;
    } cases[] = {
        {"RSA-PSS", "none of"}, {"ED448", "none of"}, {"X25519", "none of"}, {"X448", "none of"}};
    for (unsigned i = 0; i < 4; i++) {
        EVP_PKEY *key = generated(cases[i].kind);
        refuse_public(spki(key), cases[i].word);
        refuse_private(pkcs8(key, NULL), "no RSA key");
        EVP_PKEY_free(key);
    }
    static const char *const curves[] = {"secp256k1", "P-224", "brainpoolP256r1"};
    for (unsigned i = 0; i < 3; i++) {
        EVP_PKEY *key = EVP_EC_gen(curves[i]);
        refuse_public(spki(key), "must be on P-256");
        EVP_PKEY_free(key);
    }
}

/* A public key of any numbers. */
static EVP_PKEY *of_numbers(const BIGNUM *n, const BIGNUM *e)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static void refuse_numbers(const BIGNUM *n, const BIGNUM *e, const char *word)
{
    EVP_PKEY *key = of_numbers(n, e);
    refuse_public(spki(key), word);
    EVP_PKEY_free(key);
}

static void refuses_weak_numbers(void **unused)
{
    (void)unused;
    EVP_PKEY *small = EVP_RSA_gen(1024);
    refuse_public(spki(small), "1024 bits");
    refuse_private(pkcs8(small, NULL), "1024 bits");
    EVP_PKEY_free(small);

    BIGNUM *n = NULL, *e = NULL, *other = BN_new();
    EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_N, &n);
    EVP_PKEY_get_bn_param(rsa, OSSL_PKEY_PARAM_RSA_E, &e);

    BN_one(other);
    refuse_numbers(n, other, "numbers");
    BN_set_word(other, 65536);
    refuse_numbers(n, other, "numbers");
    BN_lshift(other, BN_value_one(), 64);
    BN_add_word(other, 1);
    refuse_numbers(n, other, "numbers");
    BN_copy(other, n);
    BN_sub_word(other, 1);
    refuse_numbers(other, e, "numbers");
    BN_lshift(other, BN_value_one(), 2046);
    BN_add_word(other, 1);
    refuse_numbers(other, e, "2047 bits");
    BN_lshift(other, BN_value_one(), 16384);
    BN_add_word(other, 1);
    refuse_numbers(other, e, "16385 bits");

    BN_free(n);
    BN_free(e);
    BN_free(other);
}

/* The numbers fit no longer: what such a key signs, nobody would take. */
static void refuses_a_private_key_that_is_no_pair(void **unused)
{
    (void)unused;
    static const char *const names[] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    BIGNUM *numbers[8] = {NULL};
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(EVP_PKEY_get_bn_param(rsa, names[i], &numbers[i]), 1);
        if (i == 2)
            BN_add_word(numbers[i], 2);
        OSSL_PARAM_BLD_push_BN(build, names[i], numbers[i]);
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    refuse_private(pkcs8(key, NULL), "broken");
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    for (unsigned i = 0; i < 8; i++)
        BN_free(numbers[i]);
}

static void survives_every_cut(void **unused)
{
    (void)unused;
    struct buf pem = spki(rsa);
    char why[160];
    for (size_t len = 0; len < pem.len; len++) {
        char *copy = malloc(len ? len : 1);
        memcpy(copy, pem.p, len);
        struct keys *k = NULL;
        /* The last line feed may be missing, nothing more. */
        enum err expected = len == pem.len - 1 ? ERR_OK : ERR_PROTO;
        assert_int_equal(keys_from_pem(&k, str_make(copy, len), why, sizeof why), expected);
        keys_free(k);
        free(copy);
    }
    buf_fini(&pem);
}

static void cuts_a_sentence_to_its_room(void **unused)
{
    (void)unused;
    char why[8] = "xxxxxxx";
    struct keys *k = NULL;
    assert_int_equal(keys_from_pem(&k, STR(""), why, sizeof why), ERR_PROTO);
    assert_int_equal(strlen(why), 7);
}

static void generates_a_pair(void **unused)
{
    (void)unused;
    struct buf private = BUF_INIT, public = BUF_INIT, half = BUF_INIT;
    char why[160];
    assert_int_equal(signing_key_generate(&private, &public), ERR_OK);
    assert_int_equal(signing_key_public_half(&half, buf_as_str(&private), why, sizeof why), ERR_OK);
    assert_true(str_eq(buf_as_str(&half), buf_as_str(&public)));

    struct keys *a, *b, *c;
    struct buf other = spki(rsa);
    assert_int_equal(keys_from_pem(&a, buf_as_str(&public), why, sizeof why), ERR_OK);
    assert_int_equal(keys_from_pem(&b, buf_as_str(&half), why, sizeof why), ERR_OK);
    assert_int_equal(keys_from_pem(&c, buf_as_str(&other), why, sizeof why), ERR_OK);
    assert_true(keys_equal(a, b));
    assert_false(keys_equal(a, c));
    keys_free(a);
    keys_free(b);
    keys_free(c);
    buf_fini(&other);
    buf_fini(&half);
    expect_private(private);
    expect_public(public);
}

/* ---- sets ---- */

static const struct str no_kid = {NULL, 0};

static struct str str_or_none(const char *kid)
{
    return kid ? str_of(kid) : no_kid;
}

static void add_key(struct keys *k, EVP_PKEY *key, const char *kid)
{
    struct buf pem = spki(key);
    char why[160];
    if (keys_add_pem(k, buf_as_str(&pem), str_or_none(kid), why, sizeof why))
        fail_msg("%s", why);
    buf_fini(&pem);
}

static void takes_every_public_block(void **unused)
{
    (void)unused;
    EVP_PKEY *others[] = {jws_key("ES256"), jws_key("ES384"), jws_key("ES512"), jws_key("EdDSA")};
    struct buf pem = joined(spki(rsa), pkcs8(rsa, NULL));
    for (unsigned i = 0; i < 4; i++)
        pem = joined(pem, i % 2 ? jws_certificate(others[i], false) : spki(others[i]));
    struct keys *k;
    char why[160];
    assert_int_equal(keys_from_pem(&k, buf_as_str(&pem), why, sizeof why), ERR_OK);
    assert_int_equal(keys_count(k), 5);
    keys_free(k);
    /* One that is broken spoils all: nobody wants half of his keys. */
    pem = joined(pem, text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    refuse_public(pem, "broken");
    for (unsigned i = 0; i < 4; i++)
        EVP_PKEY_free(others[i]);
}

/* The chain behind a certificate vouches for it; who signed it signs no JWTs. */
static void passes_over_the_chain_of_a_certificate(void **unused)
{
    (void)unused;
    EVP_PKEY *authority = jws_key("ES256");
    expect_public(joined(jws_certificate(rsa, false), jws_certificate(authority, true)));
    expect_public(jws_certificate(authority, true));
    EVP_PKEY_free(authority);
}

/* Whether a token with this kid is taken. */
static bool takes(const struct keys *k, EVP_PKEY *key, const char *alg, const char *kid)
{
    struct buf token = jws_named_token(key, alg, kid, STR("{}")), payload = BUF_INIT;
    bool taken = jwt_check_signature(&payload, k, buf_as_str(&token)) == ERR_OK;
    buf_fini(&token);
    buf_fini(&payload);
    return taken;
}

static void finds_keys_by_their_names(void **unused)
{
    (void)unused;
    struct keys *k = keys_new();
    EVP_PKEY *a = jws_key("ES256"), *b = jws_key("ES256"), *nameless = jws_key("ES256");
    EVP_PKEY *stranger = jws_key("ES256");
    add_key(k, a, "a");
    add_key(k, b, "b");
    add_key(k, nameless, NULL);
    add_key(k, rsa, "rsa");

    assert_true(takes(k, a, "ES256", "a"));
    assert_true(takes(k, b, "ES256", "b"));
    assert_true(takes(k, rsa, "RS256", "rsa"));
    /* A known name is that key's alone, */
    assert_false(takes(k, a, "ES256", "b"));
    assert_false(takes(k, nameless, "ES256", "a"));
    assert_false(takes(k, a, "ES256", "rsa"));
    assert_false(takes(k, rsa, "RS256", "a"));
    /* an unknown one that of the keys without a name, */
    assert_true(takes(k, nameless, "ES256", "c"));
    assert_true(takes(k, nameless, "ES256", ""));
    assert_false(takes(k, a, "ES256", "c"));
    assert_false(takes(k, a, "ES256", "A"));
    assert_false(takes(k, a, "ES256", ""));
    /* and without one every key may be it. */
    assert_true(takes(k, nameless, "ES256", NULL));
    assert_true(takes(k, a, "ES256", NULL));
    assert_true(takes(k, b, "ES256", NULL));
    assert_true(takes(k, rsa, "PS256", NULL));
    assert_false(takes(k, stranger, "ES256", NULL));

    /* Two keys of one name: a rotation by somebody who never changes the name. */
    add_key(k, stranger, "a");
    assert_true(takes(k, a, "ES256", "a"));
    assert_true(takes(k, stranger, "ES256", "a"));
    keys_free(k);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
    EVP_PKEY_free(nameless);
    EVP_PKEY_free(stranger);
}

static void a_kid_that_is_no_string_is_no_name(void **unused)
{
    (void)unused;
    static const struct {
        struct str header;
        bool named_taken, nameless_taken;
    } cases[] = {
        {STR("{\"alg\":\"ES256\",\"kid\":\"\\u0061\"}"), true, false},
        {STR("{\"alg\":\"ES256\",\"kid\":7}"), true, true},
        {STR("{\"alg\":\"ES256\",\"kid\":null}"), true, true},
        {STR("{\"alg\":\"ES256\",\"kid\":[\"b\"]}"), true, true},
        {STR("{\"alg\":\"ES256\",\"KID\":\"b\"}"), true, true},
    };
    struct keys *k = keys_new();
    EVP_PKEY *named = jws_key("ES256"), *nameless = jws_key("ES256");
    add_key(k, named, "a");
    add_key(k, nameless, NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        EVP_PKEY *signers[] = {named, nameless};
        bool expected[] = {cases[i].named_taken, cases[i].nameless_taken};
        for (unsigned n = 0; n < 2; n++) {
            struct buf token = jws_token(signers[n], "ES256", cases[i].header, STR("{}"));
            struct buf payload = BUF_INIT;
            bool taken = jwt_check_signature(&payload, k, buf_as_str(&token)) == ERR_OK;
            if (taken != expected[n])
                fail_msg("'%s' of key %u", cases[i].header.p, n);
            buf_fini(&token);
            buf_fini(&payload);
        }
    }
    keys_free(k);
    EVP_PKEY_free(named);
    EVP_PKEY_free(nameless);
}

/* Keys of another family cost no try; of the fitting one only so many are tried. */
static void tries_only_so_many_keys(void **unused)
{
    (void)unused;
    EVP_PKEY *other = jws_key("EdDSA"), *ec[KEYS_TRIES_MAX + 1];
    for (unsigned i = 0; i <= KEYS_TRIES_MAX; i++)
        ec[i] = jws_key("ES256");
    for (unsigned named = 0; named < 3; named++) {
        const char *kid = named ? "same" : NULL, *shown = named == 1 ? "same" : NULL;
        struct keys *k = keys_new();
        for (unsigned i = 0; i <= KEYS_TRIES_MAX; i++) {
            add_key(k, other, kid);
            add_key(k, ec[i], kid);
        }
        assert_true(takes(k, ec[0], "ES256", shown));
        assert_true(takes(k, ec[KEYS_TRIES_MAX - 1], "ES256", shown));
        assert_false(takes(k, ec[KEYS_TRIES_MAX], "ES256", shown));
        keys_free(k);
    }
    /* Those without a name and those with one share the tries. */
    struct keys *k = keys_new();
    for (unsigned i = 0; i <= KEYS_TRIES_MAX; i++)
        add_key(k, ec[i], i % 2 ? "a" : NULL);
    assert_true(takes(k, ec[KEYS_TRIES_MAX], "ES256", NULL));
    assert_true(takes(k, ec[5], "ES256", NULL));
    assert_false(takes(k, ec[7], "ES256", NULL));
    keys_free(k);
    EVP_PKEY_free(other);
    for (unsigned i = 0; i <= KEYS_TRIES_MAX; i++)
        EVP_PKEY_free(ec[i]);
}

static void an_empty_set_takes_nothing(void **unused)
{
    (void)unused;
    struct keys *k = keys_new();
    assert_int_equal(keys_count(k), 0);
    assert_false(takes(k, rsa, "RS256", NULL));
    assert_false(takes(k, rsa, "RS256", "a"));
    keys_free(k);
    keys_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_public_form),
        cmocka_unit_test(reads_every_private_form),
        cmocka_unit_test(takes_the_first_fitting_block),
        cmocka_unit_test(refuses_the_other_half),
        cmocka_unit_test(refuses_encrypted_keys_without_asking),
        cmocka_unit_test(refuses_what_is_no_key),
        cmocka_unit_test(takes_other_families),
        cmocka_unit_test(refuses_families_that_sign_no_jwt),
        cmocka_unit_test(refuses_weak_numbers),
        cmocka_unit_test(refuses_a_private_key_that_is_no_pair),
        cmocka_unit_test(survives_every_cut),
        cmocka_unit_test(cuts_a_sentence_to_its_room),
        cmocka_unit_test(generates_a_pair),
        cmocka_unit_test(takes_every_public_block),
        cmocka_unit_test(passes_over_the_chain_of_a_certificate),
        cmocka_unit_test(finds_keys_by_their_names),
        cmocka_unit_test(a_kid_that_is_no_string_is_no_name),
        cmocka_unit_test(tries_only_so_many_keys),
        cmocka_unit_test(an_empty_set_takes_nothing),
    };
    return cmocka_run_group_tests(tests, make_rsa, free_rsa);
}
