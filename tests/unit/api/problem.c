#include "api/problem.h"
#include "api/api.h"
#include "base/json.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct str member(struct json object, const char *name, struct buf *scratch)
{
    struct json value;
    assert_true(json_get(object, str_of(name), &value));
    return value.type == JSON_STRING ? json_text(value, scratch) : value.text;
}

/* Whatever may be refused is a problem with a code that the document knows, and a sentence. */
static void are_told_in_full(void **unused)
{
    (void)unused;
    for (unsigned p = 0; p < PROBLEMS; p++) {
        struct api_reply r = {.has_problems = true};
        struct buf scratch = BUF_INIT, quoted = BUF_INIT;
        struct json o;
        bool has_own_text = p == PROBLEM_WRONG_TYPE || p == PROBLEM_MISSING_MEMBER ||
                            p == PROBLEM_DUPLICATE_MEMBER || p == PROBLEM_EMPTY_MEMBER ||
                            p == PROBLEM_NAME_TOO_LONG || p == PROBLEM_DATA_TOO_LONG ||
                            p == PROBLEM_PARAMETER || p == PROBLEM_LOG_LEVELS;
        if (has_own_text)
            api_problem_at(&r, p, STR("something is \"wrong\"\n"), STR("/a/\"b"));
        else
            api_problem(&r, p);
        assert_int_equal(r.status, problem_status(p));
        assert_string_equal(r.type, "application/problem+json");
        assert_int_equal(json_parse(&o, buf_as_str(&r.body)), ERR_OK);
        assert_true(str_eq(member(o, "type", &scratch), STR("about:blank")));
        assert_true(str_eq(member(o, "title", &scratch), str_of(http_reason(r.status))));
        assert_string_not_equal(http_reason(r.status), "Unknown");
        assert_true(str_eq(member(o, "code", &scratch), str_of(problem_code(p))));
        struct str detail = member(o, "detail", &scratch);
        assert_true(detail.len > 10 && isupper((unsigned char)detail.p[0]));
        assert_int_equal(detail.p[detail.len - 1], '.');
        assert_null(memchr(detail.p, '\n', detail.len));
        if (has_own_text)
            assert_true(str_eq(member(o, "pointer", &scratch), STR("/a/\"b")));
        buf_printf(&quoted, "\"%s\"", problem_code(p));
        assert_non_null(memmem(api_openapi, api_openapi_len, quoted.p, quoted.len));
        buf_fini(&scratch);
        buf_fini(&quoted);
        api_reply_fini(&r);
    }
}

static void are_texts_for_the_seed(void **unused)
{
    (void)unused;
    struct api_reply r = {0};
    api_problem(&r, PROBLEM_TOKEN_NEEDED);
    assert_int_equal(r.status, 401);
    assert_string_equal(r.type, HTTP_TEXT);
    assert_true(str_eq(buf_as_str(&r.body), STR("app_key is nil\n")));
    api_refuse_size(&r, PROBLEM_NAME_TOO_LONG, "a name", 10);
    assert_int_equal(r.status, 413);
    assert_true(str_eq(buf_as_str(&r.body), STR("a name is longer than 10 bytes\n")));
    api_problem_of_status(&r, 431);
    assert_true(str_eq(buf_as_str(&r.body), STR("431 Request Header Fields Too Large")));
    api_reply_fini(&r);
}

static void knows_its_paths(void **unused)
{
    (void)unused;
    assert_true(api_has_problems(STR("/v1")));
    assert_true(api_has_problems(STR("/v1/")));
    assert_true(api_has_problems(STR("/v1/apps")));
    assert_false(api_has_problems(STR("/v11")));
    assert_false(api_has_problems(STR("/api/v1/apps")));
    assert_false(api_has_problems(STR("/v")));
    assert_false(api_has_problems(STR_EMPTY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_told_in_full),
        cmocka_unit_test(are_texts_for_the_seed),
        cmocka_unit_test(knows_its_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
