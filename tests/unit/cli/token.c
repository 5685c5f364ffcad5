#include "cli/token.h"
#include "auth/jwt.h"
#include "auth/keys.h"
#include "base/json.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW 1700000000.75

static struct buf private_pem, public_pem;
static struct keys *keys;

static int make_keys(void **unused)
{
    (void)unused;
    char why[160];
    return signing_key_generate(&private_pem, &public_pem) ||
                   keys_from_pem(&keys, buf_as_str(&public_pem), why, sizeof why)
               ? -1
               : 0;
}

static int free_keys(void **unused)
{
    (void)unused;
    keys_free(keys);
    buf_fini(&private_pem);
    buf_fini(&public_pem);
    return 0;
}

static void expect_payload(const struct token_options *o, const char *expected)
{
    struct buf token = BUF_INIT, payload = BUF_INIT;
    char why[160] = "";
    if (token_make(&token, o, buf_as_str(&private_pem), NOW, why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(jwt_check_signature(&payload, keys, buf_as_str(&token)), ERR_OK);
    buf_char(&payload, 0);
    assert_string_equal(payload.p, expected);

    struct claims *c = NULL;
    assert_int_equal(jwt_verify(&c, keys, buf_as_str(&token), NULL, NOW), ERR_OK);
    claims_unref(c);
    buf_fini(&token);
    buf_fini(&payload);
}

static void writes_the_claims(void **unused)
{
    (void)unused;
    const char *channels[] = {"AA", "app*", "\"\n\xc3\xa9"}, *remotes[] = {"cmd1", "cmd2"};
    expect_payload(
        &(struct token_options){.app = "TEST",
                                .user = "u",
                                .channels = channels,
                                .n_channels = 3,
                                .remotes = remotes,
                                .n_remotes = 2,
                                .life_s = 3600},
        "{\"gusher\":{\"user_id\":\"u\",\"channels\":[\"AA\",\"app*\",\"\\\"\\n\xc3\xa9\"],"
        "\"app_key\":\"TEST\",\"remotes\":{\"cmd1\":true,\"cmd2\":true}},"
        "\"iat\":1700000000,\"exp\":1700003600}");
    expect_payload(&(struct token_options){.app = "TEST"},
                   "{\"gusher\":{\"user_id\":\"\",\"channels\":[],\"app_key\":\"TEST\","
                   "\"remotes\":{}},\"iat\":1700000000}");
}

static void refuse(const struct token_options *o, struct str pem, enum err expected,
                   const char *word)
{
    struct buf token = BUF_INIT;
    char why[160] = "";
    assert_int_equal(token_make(&token, o, pem, NOW, why, sizeof why), expected);
    assert_int_equal(token.len, 0);
    if (!strstr(why, word) || why[strlen(why) - 1] != '.')
        fail_msg("'%s' does not say '%s'", why, word);
    buf_fini(&token);
}

static void refuses_bad_keys(void **unused)
{
    (void)unused;
    struct token_options o = {.app = "TEST"};
    refuse(&o, STR(""), ERR_PROTO, "no private key");
    refuse(&o, buf_as_str(&public_pem), ERR_PROTO, "public key");
}

static void refuses_bad_arguments(void **unused)
{
    (void)unused;
    struct str pem = buf_as_str(&private_pem);
    const char *bad[] = {"good", "\xff"};
    refuse(&(struct token_options){.app = "\xff"}, pem, ERR_PROTO, "UTF-8");
    refuse(&(struct token_options){.user = "\xff"}, pem, ERR_PROTO, "UTF-8");
    refuse(&(struct token_options){.channels = bad, .n_channels = 2}, pem, ERR_PROTO, "UTF-8");
    refuse(&(struct token_options){.remotes = bad, .n_remotes = 2}, pem, ERR_PROTO, "UTF-8");
    refuse(&(struct token_options){.life_s = -1}, pem, ERR_PROTO, "negative");
}

static void refuses_what_no_server_takes(void **unused)
{
    (void)unused;
    struct str pem = buf_as_str(&private_pem);
    const char **names = calloc(JWT_CHANNELS_MAX + 1, sizeof *names);
    for (unsigned i = 0; i <= JWT_CHANNELS_MAX; i++)
        names[i] = "0123456789";
    refuse(&(struct token_options){.channels = names, .n_channels = JWT_CHANNELS_MAX + 1}, pem,
           ERR_LIMIT, "at most");
    refuse(&(struct token_options){.remotes = names, .n_remotes = JWT_REMOTES_MAX + 1}, pem,
           ERR_LIMIT, "at most");
    refuse(&(struct token_options){.channels = names, .n_channels = JWT_CHANNELS_MAX}, pem,
           ERR_LIMIT, "bytes");
    free(names);
}

static void lives_as_long_as_can_be_said(void **unused)
{
    (void)unused;
    struct buf token = BUF_INIT;
    char why[160] = "";
    struct token_options o = {.app = "TEST", .life_s = LONG_MAX};
    assert_int_equal(token_make(&token, &o, buf_as_str(&private_pem), NOW, why, sizeof why),
                     ERR_OK);
    struct claims *c = NULL;
    assert_int_equal(jwt_verify(&c, keys, buf_as_str(&token), NULL, NOW + 1e9), ERR_OK);
    claims_unref(c);
    buf_fini(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_claims),
        cmocka_unit_test(refuses_bad_keys),
        cmocka_unit_test(refuses_bad_arguments),
        cmocka_unit_test(refuses_what_no_server_takes),
        cmocka_unit_test(lives_as_long_as_can_be_said),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
