#include "auth/keys.h"
#include "base/json.h"
#include "file_text.h"
#include <cjose/base64.h>
#include <cjose/util.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
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

static struct buf certificate(EVP_PKEY *key)
{
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    int written = PEM_write_bio_X509(bio, x);
    X509_free(x);
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
    assert_non_null(keys_jwk(k));
    keys_free(k);
    buf_fini(&pem);
}

static void expect_private(struct buf pem)
{
    char why[160] = "";
    struct signing_key *k = NULL;
    if (signing_key_from_pem(&k, buf_as_str(&pem), why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    assert_non_null(signing_key_jwk(k));
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
    expect_public(certificate(rsa));
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

static void refuses_other_families(void **unused)
{
    (void)unused;
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *pss = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &pss), 1);
    EVP_PKEY_CTX_free(ctx);

    EVP_PKEY *others[] = {ec, ed, pss};
    for (unsigned i = 0; i < 3; i++) {
        refuse_public(spki(others[i]), "no RSA key");
        refuse_private(pkcs8(others[i], NULL), "no RSA key");
        EVP_PKEY_free(others[i]);
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
    assert_int_equal(keys_generate(&private, &public), ERR_OK);
    assert_int_equal(keys_public_half(&half, buf_as_str(&private), why, sizeof why), ERR_OK);
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

static BIGNUM *number_of(struct json key, const char *name)
{
    struct json value;
    if (!json_get(key, str_of(name), &value))
        return NULL;
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

static bool has_comment(struct json group, const char *comment)
{
    struct json value;
    return json_get(group, STR("comment"), &value) && json_is(value, str_of(comment));
}

/* Of the vectors for JSON Web Keys these are about the numbers of one RSA key. The others turn on
 * what a key in PEM form does not have (kid, use, alg, sets of keys) or on other families.
 * The one with the ROCA flaw is let in: that flaw lies in how some chips made the primes,
 * and only the owner of such a key suffers. */
static void vectors_of_keys(void **unused)
{
    (void)unused;
    struct buf file = BUF_INIT;
    if (!file_text(&file, TEST_SHARED_DIR "/testdata/jws/json_web_key_test.json"))
        skip();

    struct json root, groups, group, key;
    struct json_iter it;
    unsigned n_seen = 0;
    assert_int_equal(json_parse(&root, buf_as_str(&file)), ERR_OK);
    assert_true(json_get(root, STR("testGroups"), &groups));
    json_iter_init(&it, groups);
    while (json_next(&it, NULL, &group)) {
        bool good = has_comment(group, "rs256");
        if (!good && !has_comment(group, "keysize_too_small") && !has_comment(group, "exponentOne"))
            continue;
        assert_true(json_get(group, STR("public"), &key));
        struct json set;
        if (json_get(key, STR("keys"), &set)) {
            struct json_iter keys;
            json_iter_init(&keys, set);
            assert_true(json_next(&keys, NULL, &key));
        }
        BIGNUM *modulus = number_of(key, "n"), *exponent = number_of(key, "e");
        EVP_PKEY *made = of_numbers(modulus, exponent);
        if (good)
            expect_public(spki(made));
        else
            refuse_public(spki(made), "RSA key");
        EVP_PKEY_free(made);
        BN_free(modulus);
        BN_free(exponent);
        n_seen++;
    }
    assert_true(n_seen >= 3);
    buf_fini(&file);
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
        cmocka_unit_test(refuses_other_families),
        cmocka_unit_test(refuses_weak_numbers),
        cmocka_unit_test(refuses_a_private_key_that_is_no_pair),
        cmocka_unit_test(survives_every_cut),
        cmocka_unit_test(cuts_a_sentence_to_its_room),
        cmocka_unit_test(generates_a_pair),
        cmocka_unit_test(vectors_of_keys),
    };
    return cmocka_run_group_tests(tests, make_rsa, free_rsa);
}
