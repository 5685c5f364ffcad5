#include "base/json_sort.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void expect(const char *text, const char *sorted)
{
    struct json value;
    struct buf out = BUF_INIT;
    assert_int_equal(json_parse(&value, str_of(text)), ERR_OK);
    buf_str(&out, STR("before "));
    json_write_sorted(&out, value);
    buf_char(&out, 0);
    assert_string_equal(out.p + 7, sorted);
    buf_fini(&out);
}

static void sorts_members_at_every_depth(void **unused)
{
    (void)unused;
    expect("{\"msg\":1,\"a\":\"<\"}", "{\"a\":\"<\",\"msg\":1}");
    expect(" [ { \"b\" : [ ] , \"a\" : { \"d\":2, \"c\":{ } } } , null ] ",
           "[{\"a\":{\"c\":{},\"d\":2},\"b\":[]},null]");
    expect("{\"ab\":1,\"a\":2,\"\":3,\"B\":4}", "{\"\":3,\"B\":4,\"a\":2,\"ab\":1}");
}

static void keeps_what_is_written(void **unused)
{
    (void)unused;
    expect("1e400", "1e400");
    expect("{\"n\":0.10,\"m\":9007199254740993}", "{\"m\":9007199254740993,\"n\":0.10}");
    expect("\"\\u00fc \\/\"", "\"\\u00fc \\/\"");
}

static void the_last_of_a_name_counts(void **unused)
{
    (void)unused;
    expect("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
    /* However it is written. */
    expect("{\"a\":1,\"\\u0061\":2}", "{\"\\u0061\":2}");
}

static void goes_as_deep_as_the_reader(void **unused)
{
    (void)unused;
    char text[2 * JSON_DEPTH_MAX + 1] = {0};
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++) {
        text[i] = '[';
        text[JSON_DEPTH_MAX + i] = ']';
    }
    expect(text, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_members_at_every_depth),
        cmocka_unit_test(keeps_what_is_written),
        cmocka_unit_test(the_last_of_a_name_counts),
        cmocka_unit_test(goes_as_deep_as_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
