#include "cli/bench_tokens.h"
#include "auth/jwt.h"
#include "auth/keys.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW 1700000000.0

static const struct bench_tokens_options options = {
    .app = "de\"mo", .channels = "bench-*", .n = 37, .now_s = NOW};

static void signs_one_for_each_user(void **unused)
{
    (void)unused;
    struct buf private_pem = BUF_INIT, public_pem = BUF_INIT;
    struct keys *keys;
    struct bench_tokens t;
    char why[200] = "";
    assert_int_equal(signing_key_generate(&private_pem, &public_pem), ERR_OK);
    assert_int_equal(keys_from_pem(&keys, buf_as_str(&public_pem), why, sizeof why), ERR_OK);
    if (bench_tokens_make(&t, &options, buf_as_str(&private_pem), why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(t.n, 37);
    for (unsigned i = 0; i < t.n; i++) {
        char expected[200];
        struct buf payload = BUF_INIT;
        struct claims *c;
        snprintf(expected, sizeof expected,
                 "{\"gusher\":{\"user_id\":\"bench-%u\",\"channels\":[\"bench-*\"],"
                 "\"app_key\":\"de\\\"mo\",\"remotes\":{}},\"iat\":1700000000,\"exp\":1700086400}",
                 i);
        assert_int_equal(jwt_verify(&c, keys, buf_as_str(&t.items[i]), NULL, NOW), ERR_OK);
        claims_unref(c);
        assert_int_equal(jwt_payload(&payload, buf_as_str(&t.items[i])), ERR_OK);
        buf_char(&payload, 0);
        assert_string_equal(payload.p, expected);
        buf_fini(&payload);
    }
    bench_tokens_fini(&t);
    keys_free(keys);
    buf_fini(&private_pem);
    buf_fini(&public_pem);
}

static void says_what_is_wrong_with_the_key(void **unused)
{
    (void)unused;
    struct bench_tokens t;
    char why[200] = "";
    assert_int_not_equal(bench_tokens_make(&t, &options, STR("no key"), why, sizeof why), ERR_OK);
    assert_true(*why);
    bench_tokens_fini(&t);
    bench_tokens_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_one_for_each_user),
        cmocka_unit_test(says_what_is_wrong_with_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
