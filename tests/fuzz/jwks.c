/* Key sets: what is taken counts, what is said is a sentence, and a set says the same each time. */
#include "auth/jwt.h"
#include "base/json.h"
#include "fuzz_check.h"
#include <string.h>

static void check_sentence(const char *text)
{
    size_t len = strlen(text);
    CHECK(len > 5 && text[len - 1] == '.' && text[0] >= 'A' && text[0] <= 'Z');
}

/* No key of a stranger's signs with these bytes. */
static void check_verdict(const struct keys *k)
{
    static const struct str tokens[] = {
        STR("eyJhbGciOiJFZERTQSJ9.e30."
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            "A"),
        STR("eyJhbGciOiJFUzI1NiJ9.e30."
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            "A"),
    };
    struct buf payload = BUF_INIT;
    CHECK(jwt_check_signature(&payload, k, tokens[1]) == ERR_DENIED);
    (void)jwt_check_signature(&payload, k, tokens[0]); /* a key of small order may take it */
    buf_fini(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str text = {len ? (const char *)data : "", len};
    struct keys *k = keys_new(), *again = keys_new();
    struct jwks_report report, report_again;
    char why[320] = "", why_again[320] = "";
    enum err e = keys_add_jwks(k, text, &report, why, sizeof why);
    CHECK((e == ERR_OK) == !why[0]);
    CHECK(keys_count(k) == report.n_taken);
    CHECK(report.n_passed_over == 0 || report.reason[0]);
    if (report.reason[0])
        check_sentence(report.reason);
    if (e)
        check_sentence(why);
    else
        CHECK(report.n_taken > 0);
    check_verdict(k);

    CHECK(keys_add_jwks(again, text, &report_again, why_again, sizeof why_again) == e);
    CHECK(keys_equal(k, again) && strcmp(why, why_again) == 0);
    keys_free(k);
    keys_free(again);
    return 0;
}
