#include "auth/jwt.h"
#include "auth/keys.h"
#include "base/json.h"
#include "file_text.h"
#include "jws_make.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static EVP_PKEY *rsa, *ec, *ed;

static int make_all(void **unused)
{
    (void)unused;
    rsa = jws_key("RS256");
    ec = jws_key("ES256");
    ed = jws_key("EdDSA");
    return 0;
}

static int free_all(void **unused)
{
    (void)unused;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ed);
    return 0;
}

static struct jwks_report report;
static char why[400];

/* The set of these keys' texts, read from a copy that ends where the memory does. */
static enum err read_set(struct keys *k, const char *const *texts, unsigned n)
{
    struct buf json = BUF_INIT;
    buf_str(&json, STR("{\"keys\":["));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&json, "%s%s", i ? "," : "", texts[i]);
    buf_str(&json, STR("]}"));
    char *copy = malloc(json.len);
    memcpy(copy, json.p, json.len);
    why[0] = 0;
    enum err e = keys_add_jwks(k, str_make(copy, json.len), &report, why, sizeof why);
    free(copy);
    buf_fini(&json);
    return e;
}

static bool is_sentence(const char *text)
{
    size_t len = strlen(text);
    return len > 5 && text[len - 1] == '.' && text[0] >= 'A' && text[0] <= 'Z';
}

/* The text of a key, for free(). */
static char *jwk_text(EVP_PKEY *key, const char *more)
{
    struct buf text = BUF_INIT;
    add_jwk(&text, key, more);
    buf_char(&text, 0);
    return text.p;
}

static void expect_taken(const char *text)
{
    struct keys *k = keys_new();
    if (read_set(k, &text, 1))
        fail_msg("%s: %s", text, why);
    assert_int_equal(keys_count(k), 1);
    assert_int_equal(report.n_taken, 1);
    assert_int_equal(report.n_passed_over, 0);
    keys_free(k);
}

/* Alone it is an error, beside a good one it is passed over. */
static void expect_passed_over(const char *text, const char *word)
{
    struct keys *k = keys_new();
    char *good = jwk_text(ed, "");
    if (read_set(k, &text, 1) != ERR_PROTO || !is_sentence(why) || !strstr(why, word))
        fail_msg("%s: '%s' does not say '%s'", text, why, word);
    assert_int_equal(keys_count(k), 0);
    assert_int_equal(report.n_passed_over, 1);
    assert_int_equal(read_set(k, (const char *const[]){text, good}, 2), ERR_OK);
    assert_int_equal(report.n_taken, 1);
    assert_int_equal(report.n_passed_over, 1);
    assert_true(is_sentence(report.reason) && strstr(report.reason, word));
    assert_int_equal(keys_count(k), 1);
    free(good);
    keys_free(k);
}

static void judge_members(EVP_PKEY *key, const char *more, const char *word)
{
    char *text = jwk_text(key, more);
    if (word)
        expect_passed_over(text, word);
    else
        expect_taken(text);
    free(text);
}

static void honours_what_a_key_is_for(void **unused)
{
    (void)unused;
    static const struct {
        const char *more, *word;
    } cases[] = {
        {"", NULL},
        {",\"use\":\"sig\"", NULL},
        {",\"use\":\"enc\"", "use"},
        {",\"use\":\"Sig\"", "use"},
        {",\"use\":null", "use"},
        {",\"use\":[\"sig\"]", "use"},
        {",\"key_ops\":[\"verify\"]", NULL},
        {",\"key_ops\":[\"sign\",\"verify\"]", NULL},
        {",\"key_ops\":[]", "key_ops"},
        {",\"key_ops\":[\"sign\"]", "key_ops"},
        {",\"key_ops\":[\"Verify\"]", "key_ops"},
        {",\"key_ops\":\"verify\"", "key_ops"},
        {",\"key_ops\":null", "key_ops"},
        {",\"use\":\"enc\",\"key_ops\":[\"verify\"]", "use"},
        {",\"kid\":\"\"", NULL},
        {",\"kid\":\"a\\u0000b\"", NULL},
        {",\"kid\":7", "kid"},
        {",\"kid\":null", "kid"},
        {",\"x5c\":[1],\"x5t\":{},\"other\":1e999", NULL},
        {",\"d\":\"AAAA\"", "secret"},
        {",\"kid\":\"a\",\"kid\":\"b\"", "once"},
        {",\"kty\":\"RSA\"", "once"},
        {",\"\\u0075se\":\"sig\",\"use\":\"sig\"", "once"},
        {",\"alg\":\"none\"", "algorithm"},
        {",\"alg\":\"HS256\"", "algorithm"},
        {",\"alg\":\"RSA-OAEP\"", "algorithm"},
        {",\"alg\":null", "algorithm"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        judge_members(i % 3 ? i % 2 ? ec : ed : rsa, cases[i].more, cases[i].word);
    judge_members(rsa, ",\"alg\":\"RS384\"", NULL);
    judge_members(rsa, ",\"alg\":\"PS512\"", NULL);
    judge_members(rsa, ",\"alg\":\"ES256\"", "another kind");
    judge_members(ec, ",\"alg\":\"ES256\"", NULL);
    judge_members(ec, ",\"alg\":\"ES384\"", "another kind");
    judge_members(ec, ",\"alg\":\"EdDSA\"", "another kind");
    judge_members(ed, ",\"alg\":\"EdDSA\"", NULL);
    judge_members(ed, ",\"alg\":\"RS256\"", "another kind");
}

static void passes_over_what_is_no_key(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"7", "object"},
        {"null", "object"},
        {"[]", "object"},
        {"{}", "none of RSA"},
        {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", "secret"},
        {"{\"kty\":\"rsa\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "none of RSA"},
        {"{\"kty\":\"RSA\"}", "numbers"},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\"}", "numbers"},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "17 bits"},
        {"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}", "numbers"},
        {"{\"kty\":\"RSA\",\"n\":5,\"e\":3}", "numbers"},
        {"{\"kty\":\"RSA\",\"n\":\"A=\",\"e\":\"AQAB\"}", "numbers"},
        {"{\"kty\":\"EC\"}", "numbers"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}", "numbers"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\","
         "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
         "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
         "numbers"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AAAA\",\"y\":\"AAAA\"}", "numbers"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "numbers"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "numbers"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\","
         "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         "numbers"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed448\","
         "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         "numbers"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_passed_over(cases[i].text, cases[i].word);

    EVP_PKEY *small = EVP_RSA_gen(1024);
    judge_members(small, "", "1024 bits");
    EVP_PKEY_free(small);
}

static void refuses_what_is_no_set(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"",
                                        "x",
                                        "[]",
                                        "null",
                                        "{}",
                                        "{\"keys\":{}}",
                                        "{\"keys\":null}",
                                        "{\"Keys\":[]}",
                                        "{\"keys\":[]}x",
                                        "{\"keys\":[]",
                                        "<html>Service Unavailable</html>"};
    struct keys *k = keys_new();
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(keys_add_jwks(k, str_of(texts[i]), &report, why, sizeof why), ERR_PROTO);
        assert_true(is_sentence(why));
    }
    assert_int_equal(read_set(k, NULL, 0), ERR_PROTO); /* a set, but an empty one */
    assert_true(strstr(why, "no key"));

    struct buf large = BUF_INIT;
    buf_str(&large, STR("{\"keys\":[]"));
    while (large.len <= JWKS_BYTES_MAX)
        buf_char(&large, ' ');
    assert_int_equal(keys_add_jwks(k, buf_as_str(&large), &report, why, sizeof why), ERR_LIMIT);
    buf_fini(&large);
    assert_int_equal(keys_count(k), 0);
    keys_free(k);
}

static void takes_so_many_keys(void **unused)
{
    (void)unused;
    struct keys *k = keys_new();
    char *text = jwk_text(ed, "");
    const char *texts[KEYS_MAX + 1];
    for (unsigned i = 0; i <= KEYS_MAX; i++)
        texts[i] = text;
    assert_int_equal(read_set(k, texts, KEYS_MAX), ERR_OK);
    assert_int_equal(keys_count(k), KEYS_MAX);
    assert_int_equal(read_set(k, texts, 1), ERR_LIMIT);
    assert_true(is_sentence(why));
    free(text);
    keys_free(k);
}

/* ---- the examples of the RFCs ---- */

static const struct {
    const char *name, *key;
    struct str token;
} examples[] = {
    {"RFC 7515 A.2",
     "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"
     "Vaw-"
     "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_"
     "7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
     "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5"
     "ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
     "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\","
     "\"e\":\"AQAB\"}",
     STR("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
         "LmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZm"
         "h7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyT"
         "yWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqt"
         "FZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_Io"
         "ypGlUPQGe77Rw")},
    {"RFC 7515 A.3",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
     STR("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
         "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
         "SApmWQxfKTUJqPP3-Kg6NU1Q")},
    {"RFC 7515 A.4",
     "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":"
     "\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EO"
     "nYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-"
     "x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}",
     STR("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWR"
         "Oc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8"
         "vcnwNrmxYbSW9ERBXukOXolLzeO_Jn")},
    {"RFC 8037 A.4",
     "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PG"
         "cvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")},
};

static void verifies_the_examples_of_the_rfcs(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct keys *k = keys_new();
        struct buf payload = BUF_INIT;
        assert_int_equal(read_set(k, &examples[i].key, 1), ERR_OK);
        enum err e = jwt_check_signature(&payload, k, examples[i].token);
        if (e)
            fail_msg("%s: %s", examples[i].name, err_text(e));
        assert_true(payload.len > 0);
        buf_fini(&payload);
        keys_free(k);
    }
}

/* ---- the vectors of Wycheproof ---- */

static bool member_is(struct json object, const char *name, const char *text)
{
    struct json value;
    return json_get(object, str_of(name), &value) && json_is(value, str_of(text));
}

/* The public half of a group as a set, whether it is one there or a single key. */
static struct buf set_of(struct json group)
{
    struct buf set = BUF_INIT;
    struct json public, keys;
    if (!json_get(group, STR("public"), &public))
        return set;
    if (json_get(public, STR("keys"), &keys)) {
        buf_str(&set, public.text);
    } else {
        buf_str(&set, STR("{\"keys\":["));
        buf_str(&set, public.text);
        buf_str(&set, STR("]}"));
    }
    return set;
}

/* The algorithm of some keys is called ES521, which there is not: they are passed over here. One
 * key is for PS256, and the token PS384 (RFC 7520 section 4.2). A key with the ROCA flaw is let in:
 * the flaw lies in how some chips made the primes, and only the owner of such a key suffers. */
static bool differs_on_purpose(struct json group, struct str set)
{
    return member_is(group, "comment", "jws_rsa_roca_key") ||
           (memmem(set.p, set.len, "bilbo", 5) &&
            (memmem(set.p, set.len, "\"ES521\"", 7) || memmem(set.p, set.len, "\"PS256\"", 7)));
}

static void judge_vectors(struct json group, unsigned *n_valid, unsigned *n_invalid)
{
    struct buf set = set_of(group), scratch = BUF_INIT;
    struct json list, test, jws, id;
    struct json_iter it;
    if (!set.len || differs_on_purpose(group, buf_as_str(&set))) {
        buf_fini(&set);
        return;
    }
    struct keys *k = keys_new();
    (void)keys_add_jwks(k, buf_as_str(&set), &report, why, sizeof why); /* it may have none */
    assert_true(json_get(group, STR("tests"), &list));
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &test)) {
        struct buf payload = BUF_INIT;
        buf_clear(&scratch);
        assert_true(json_get(test, STR("jws"), &jws) && json_get(test, STR("tcId"), &id));
        bool valid = member_is(test, "result", "valid");
        enum err e = jwt_check_signature(&payload, k, json_text(jws, &scratch));
        if ((e == ERR_OK) != valid)
            fail_msg("vector %.*s: %s", (int)id.text.len, id.text.p, err_text(e));
        *n_valid += valid;
        *n_invalid += !valid;
        buf_fini(&payload);
    }
    keys_free(k);
    buf_fini(&scratch);
    buf_fini(&set);
}

static void vectors(const char *path, unsigned valid_min, unsigned invalid_min)
{
    struct buf file = BUF_INIT;
    struct json root, groups, group;
    struct json_iter it;
    unsigned n_valid = 0, n_invalid = 0;
    if (!file_text(&file, path))
        skip();
    assert_int_equal(json_parse(&root, buf_as_str(&file)), ERR_OK);
    assert_true(json_get(root, STR("testGroups"), &groups));
    json_iter_init(&it, groups);
    while (json_next(&it, NULL, &group))
        judge_vectors(group, &n_valid, &n_invalid);
    print_message("%u valid, %u invalid\n", n_valid, n_invalid);
    assert_true(n_valid >= valid_min && n_invalid >= invalid_min);
    buf_fini(&file);
}

static void vectors_of_keys(void **unused)
{
    (void)unused;
    vectors(TEST_SHARED_DIR "/testdata/jws/json_web_key_test.json", 1, 9);
}

static void vectors_of_signatures(void **unused)
{
    (void)unused;
    vectors(TEST_SHARED_DIR "/testdata/jws/json_web_signature_test.json", 30, 320);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honours_what_a_key_is_for),
        cmocka_unit_test(passes_over_what_is_no_key),
        cmocka_unit_test(refuses_what_is_no_set),
        cmocka_unit_test(takes_so_many_keys),
        cmocka_unit_test(verifies_the_examples_of_the_rfcs),
        cmocka_unit_test(vectors_of_keys),
        cmocka_unit_test(vectors_of_signatures),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
