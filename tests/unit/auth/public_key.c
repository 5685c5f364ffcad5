/* Every family through jwt_check_signature, and all that may be wrong with a signature. */
#include "auth/jwt.h"
#include "jws_make.h"
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const names[] = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                    "PS512", "ES256", "ES384", "ES512", "EdDSA"};
enum { N_ALGS = sizeof names / sizeof *names };

/* A key of each algorithm, made once; RS* and PS* share theirs. */
static EVP_PKEY *made[N_ALGS];

static int make_all(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_ALGS; i++) {
        made[i] = i && i < 6 ? made[0] : jws_key(names[i]);
        if (i && i < 6)
            EVP_PKEY_up_ref(made[0]);
    }
    return 0;
}

static int free_all(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_ALGS; i++)
        EVP_PKEY_free(made[i]);
    return 0;
}

static struct keys *keys_of(EVP_PKEY *key)
{
    struct buf pem = jws_pem(key);
    struct keys *k;
    char why[160];
    if (keys_from_pem(&k, buf_as_str(&pem), why, sizeof why))
        fail_msg("%s", why);
    buf_fini(&pem);
    return k;
}

/* The key with a fixed algorithm, as a set of one. */
static struct keys *keys_fixed(EVP_PKEY *key, const char *alg)
{
    struct buf json = BUF_INIT;
    char more[64], why[320];
    struct jwks_report report;
    struct keys *k = keys_new();
    snprintf(more, sizeof more, ",\"alg\":\"%s\"", alg);
    buf_str(&json, STR("{\"keys\":["));
    add_jwk(&json, key, more);
    buf_str(&json, STR("]}"));
    if (keys_add_jwks(k, buf_as_str(&json), &report, why, sizeof why))
        fail_msg("%s", why);
    buf_fini(&json);
    return k;
}

/* Judges a copy that ends where the memory does. */
static enum err judge(const struct keys *k, struct str token)
{
    struct buf payload = BUF_INIT;
    char *copy = malloc(token.len ? token.len : 1);
    memcpy(copy, token.p, token.len);
    enum err e = jwt_check_signature(&payload, k, str_make(copy, token.len));
    assert_true(e == ERR_OK || payload.len == 0);
    assert_int_equal(ERR_peek_error(), 0);
    free(copy);
    buf_fini(&payload);
    return e;
}

static enum err judge_and_free(const struct keys *k, struct buf token)
{
    enum err e = judge(k, buf_as_str(&token));
    buf_fini(&token);
    return e;
}

static bool is_rsa(unsigned i)
{
    return i < 6;
}

/* Each algorithm against the key of each: only a key that is for it takes it. */
static void takes_each_algorithm_by_its_own_key(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < N_ALGS; k++) {
        struct keys *keys = keys_of(made[k]);
        for (unsigned i = 0; i < N_ALGS; i++) {
            bool fits = i == k || (is_rsa(i) && is_rsa(k));
            enum err e = judge_and_free(keys, jws_named_token(made[i], names[i], NULL, STR("{}")));
            if (e != (fits ? ERR_OK : ERR_DENIED))
                fail_msg("%s by a key for %s: %s", names[i], names[k], err_text(e));
        }
        keys_free(keys);
    }
}

/* What the token says is not what decides: the key does. */
static void takes_no_signature_under_another_name(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < N_ALGS; k++) {
        struct keys *keys = keys_of(made[k]);
        for (unsigned i = 0; i < N_ALGS; i++) {
            struct buf header = BUF_INIT;
            buf_printf(&header, "{\"alg\":\"%s\"}", names[i]);
            enum err e =
                judge_and_free(keys, jws_token(made[k], names[k], buf_as_str(&header), STR("{}")));
            if (e != (i == k ? ERR_OK : ERR_DENIED))
                fail_msg("%s signed as %s: %s", names[k], names[i], err_text(e));
            buf_fini(&header);
        }
        keys_free(keys);
    }
}

static void a_fixed_algorithm_is_the_only_one(void **unused)
{
    (void)unused;
    for (unsigned fixed = 0; fixed < N_ALGS; fixed++) {
        struct keys *keys = keys_fixed(made[fixed], names[fixed]);
        for (unsigned i = 0; i < N_ALGS; i++) {
            enum err e = judge_and_free(keys, jws_named_token(made[i], names[i], NULL, STR("{}")));
            if (e != (i == fixed ? ERR_OK : ERR_DENIED))
                fail_msg("%s by a key fixed to %s: %s", names[i], names[fixed], err_text(e));
        }
        keys_free(keys);
    }
}

/* Names that no key is for, with signatures that are good under every name. */
static void takes_no_algorithm_that_is_not_ours(void **unused)
{
    (void)unused;
    static const char *const others[] = {"none",   "None",  "NONE",   "",        "HS256",
                                         "HS384",  "HS512", "ES256K", "Ed25519", "EdDsa",
                                         "RS256 ", "PS1",   "RSA1_5", "A128KW",  "es256"};
    for (unsigned k = 0; k < N_ALGS; k++) {
        struct keys *keys = keys_of(made[k]);
        for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
            struct buf header = BUF_INIT;
            buf_printf(&header, "{\"alg\":\"%s\"}", others[i]);
            struct buf token = jws_token(made[k], names[k], buf_as_str(&header), STR("{}"));
            assert_int_equal(judge(keys, buf_as_str(&token)), ERR_DENIED);
            token.len = (size_t)((char *)memrchr(token.p, '.', token.len) - token.p) + 1;
            assert_int_equal(judge_and_free(keys, token), ERR_DENIED); /* without any signature */
            buf_fini(&header);
        }
        keys_free(keys);
    }
}

/* The public key, which everybody has, as the secret of an HMAC: in each of its forms. */
static void takes_no_public_key_as_a_secret(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < N_ALGS; k++) {
        struct keys *keys = keys_of(made[k]);
        struct buf secrets[2] = {jws_pem(made[k]), BUF_INIT};
        add_jwk(&secrets[1], made[k], "");
        for (unsigned i = 0; i < 2; i++) {
            struct buf token = jws_unsigned(STR("{\"alg\":\"HS256\"}"), STR("{}"));
            unsigned char mac[32];
            unsigned len = sizeof mac;
            HMAC(EVP_sha256(), secrets[i].p, (int)secrets[i].len, (unsigned char *)token.p,
                 token.len, mac, &len);
            buf_char(&token, '.');
            add_base64url(&token, mac, len);
            assert_int_equal(judge_and_free(keys, token), ERR_DENIED);
            buf_fini(&secrets[i]);
        }
        keys_free(keys);
    }
}

/* A token with these bytes for a signature. */
static struct buf with_signature(const char *alg, const void *p, size_t len)
{
    struct buf header = BUF_INIT;
    buf_printf(&header, "{\"alg\":\"%s\"}", alg);
    struct buf token = jws_unsigned(buf_as_str(&header), STR("{}"));
    buf_char(&token, '.');
    add_base64url(&token, p, len);
    buf_fini(&header);
    return token;
}

static struct buf good_signature(unsigned i)
{
    struct buf header = BUF_INIT, signature = BUF_INIT;
    buf_printf(&header, "{\"alg\":\"%s\"}", names[i]);
    struct buf text = jws_unsigned(buf_as_str(&header), STR("{}"));
    add_jws_signature(&signature, made[i], names[i], buf_as_str(&text), RSA_PSS_SALTLEN_DIGEST);
    buf_fini(&header);
    buf_fini(&text);
    return signature;
}

/* Shorter, longer, empty, long beyond reason. */
static void wants_the_length_of_a_signature(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_ALGS; i++) {
        struct keys *keys = keys_of(made[i]);
        struct buf good = good_signature(i);
        size_t len = good.len;
        buf_reserve(&good, 30000);
        memset(good.p + len, 0, 30000);
        static const size_t lens[] = {0, 1, 31, 32, 63, 64, 65, 95, 96, 97, 131, 132, 133, 30000};
        assert_int_equal(judge_and_free(keys, with_signature(names[i], good.p, len)), ERR_OK);
        for (unsigned n = 0; n < sizeof lens / sizeof *lens; n++) {
            if (lens[n] == len)
                continue;
            enum err e = judge_and_free(keys, with_signature(names[i], good.p, lens[n]));
            assert_int_equal(e, ERR_DENIED);
        }
        assert_int_equal(judge_and_free(keys, with_signature(names[i], good.p, len - 1)),
                         ERR_DENIED);
        assert_int_equal(judge_and_free(keys, with_signature(names[i], good.p, len + 1)),
                         ERR_DENIED);
        keys_free(keys);
        buf_fini(&good);
    }
}

static void notices_every_changed_byte(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_ALGS; i++) {
        struct keys *keys = keys_of(made[i]);
        struct buf signature = good_signature(i);
        for (size_t at = 0; at<signature.len; at += signature.len> 100 ? 7 : 1) {
            signature.p[at] ^= 1;
            assert_int_equal(
                judge_and_free(keys, with_signature(names[i], signature.p, signature.len)),
                ERR_DENIED);
            signature.p[at] ^= 1;
        }
        keys_free(keys);
        buf_fini(&signature);
    }
}

/* The form that most other programs write is not the one of JWS. */
static void takes_no_ec_signature_in_der(void **unused)
{
    (void)unused;
    for (unsigned i = 6; i < 9; i++) {
        struct keys *keys = keys_of(made[i]);
        struct buf header = BUF_INIT;
        buf_printf(&header, "{\"alg\":\"%s\"}", names[i]);
        struct buf text = jws_unsigned(buf_as_str(&header), STR("{}"));
        unsigned char der[200];
        size_t len = sizeof der;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, jws_digest(names[i]), NULL, made[i]), 1);
        assert_int_equal(EVP_DigestSign(ctx, der, &len, (unsigned char *)text.p, text.len), 1);
        EVP_MD_CTX_free(ctx);
        buf_char(&text, '.');
        add_base64url(&text, der, len);
        assert_int_equal(judge_and_free(keys, text), ERR_DENIED);
        buf_fini(&header);
        keys_free(keys);
    }
}

/* r and s of 0, of the order, and of all ones: CVE-2022-21449 and its kin. Numbers with leading
 * zeros and with the sign bit set are all met in some hundred good signatures. */
static void reads_the_numbers_of_an_ec_signature(void **unused)
{
    (void)unused;
    static const unsigned char zeros[132], ones[132] = {[0 ... 131] = 0xff};
    for (unsigned i = 6; i < 9; i++) {
        struct keys *keys = keys_of(made[i]);
        size_t len = i == 6 ? 64 : i == 7 ? 96 : 132;
        assert_int_equal(judge_and_free(keys, with_signature(names[i], zeros, len)), ERR_DENIED);
        assert_int_equal(judge_and_free(keys, with_signature(names[i], ones, len)), ERR_DENIED);
        for (unsigned n = 0; n < (i == 6 ? 600 : 20); n++)
            assert_int_equal(
                judge_and_free(keys, jws_named_token(made[i], names[i], NULL, STR("{}"))), ERR_OK);
        keys_free(keys);
    }
}

static void wants_a_salt_as_long_as_the_digest(void **unused)
{
    (void)unused;
    struct keys *keys = keys_of(made[3]);
    static const int lens[] = {0, 20, 31, 33, 48, 64, RSA_PSS_SALTLEN_MAX};
    for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct buf token = jws_unsigned(STR("{\"alg\":\"PS256\"}"), STR("{}"));
        struct buf signature = BUF_INIT;
        add_jws_signature(&signature, made[3], "PS256", buf_as_str(&token), lens[i]);
        buf_char(&token, '.');
        add_base64url(&token, signature.p, signature.len);
        assert_int_equal(judge_and_free(keys, token), ERR_DENIED);
        buf_fini(&signature);
    }
    keys_free(keys);
}

enum { THREADS = 4, ROUNDS = 40 };

struct load {
    const struct keys *keys;
    struct buf *tokens; /* one of each algorithm, */
    struct str bad;     /* and one that is not good */
    unsigned n_good;
};

static void *verify_often(void *arg)
{
    struct load *l = arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < N_ALGS; i++) {
            struct buf payload = BUF_INIT;
            l->n_good +=
                jwt_check_signature(&payload, l->keys, buf_as_str(&l->tokens[i])) == ERR_OK;
            buf_fini(&payload);
        }
        struct buf payload = BUF_INIT;
        l->n_good += jwt_check_signature(&payload, l->keys, l->bad) == ERR_OK;
        buf_fini(&payload);
    }
    return NULL;
}

/* Keys of all families that nobody has used before, from both forms, in many threads at once. */
static void verifies_in_many_threads_with_the_same_keys(void **unused)
{
    (void)unused;
    struct keys *keys = keys_new();
    struct buf json = BUF_INIT, tokens[N_ALGS], bad;
    struct jwks_report report;
    char why[320];
    buf_str(&json, STR("{\"keys\":["));
    for (unsigned i = 0; i < N_ALGS; i++) {
        tokens[i] = jws_named_token(made[i], names[i], NULL, STR("{}"));
        if (i)
            buf_char(&json, ',');
        add_jwk(&json, made[i], "");
    }
    buf_str(&json, STR("]}"));
    struct buf pem = jws_pem(made[0]);
    assert_int_equal(keys_add_pem(keys, buf_as_str(&pem), str_make(NULL, 0), why, sizeof why),
                     ERR_OK);
    assert_int_equal(keys_add_jwks(keys, buf_as_str(&json), &report, why, sizeof why), ERR_OK);
    bad = with_signature("RS256", (unsigned char[256]){1}, 256);

    pthread_t threads[THREADS];
    struct load loads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        loads[i] = (struct load){keys, tokens, buf_as_str(&bad), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &loads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(loads[i].n_good, ROUNDS * N_ALGS);
    for (unsigned i = 0; i < N_ALGS; i++)
        buf_fini(&tokens[i]);
    buf_fini(&bad);
    buf_fini(&pem);
    buf_fini(&json);
    keys_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_algorithm_by_its_own_key),
        cmocka_unit_test(takes_no_signature_under_another_name),
        cmocka_unit_test(a_fixed_algorithm_is_the_only_one),
        cmocka_unit_test(takes_no_algorithm_that_is_not_ours),
        cmocka_unit_test(takes_no_public_key_as_a_secret),
        cmocka_unit_test(wants_the_length_of_a_signature),
        cmocka_unit_test(notices_every_changed_byte),
        cmocka_unit_test(takes_no_ec_signature_in_der),
        cmocka_unit_test(reads_the_numbers_of_an_ec_signature),
        cmocka_unit_test(wants_a_salt_as_long_as_the_digest),
        cmocka_unit_test(verifies_in_many_threads_with_the_same_keys),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
