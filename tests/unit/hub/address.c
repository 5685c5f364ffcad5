#include "base/mem.h"
#include "hub/table.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static enum err parse(const char *text, struct hub_address *out)
{
    return hub_address_parse(out, str_of(text));
}

static void comes_back_as_it_was(void **unused)
{
    (void)unused;
    struct prng r = {42};
    for (int i = 0; i < 20000; i++) {
        /* All bits random, or all 0, or all 1, each field by itself. */
        uint64_t fill[4];
        for (int k = 0; k < 4; k++)
            fill[k] = prng_below(&r, 4) ? prng_next(&r) : prng_below(&r, 2) ? UINT64_MAX : 0;
        struct hub h = {.options = {.node = (uint32_t)fill[0],
                                    .worker = (uint16_t)(fill[1] % HUB_WORKERS_MAX)}};
        struct hub_socket s = {.number = fill[2], .salt = (uint16_t)fill[3]};
        char id[HUB_SOCKET_ID_LEN];
        struct hub_address a;
        hub_socket_id(&h, &s, id);
        assert_int_equal(hub_address_parse(&a, str_make(id, sizeof id)), ERR_OK);
        assert_int_equal(a.node, h.options.node);
        assert_int_equal(a.worker, h.options.worker);
        assert_true(a.number == s.number);
        assert_int_equal(a.salt, s.salt);

        /* In the dress of a UUID of version 4, lower case. */
        for (unsigned at = 0; at < sizeof id; at++) {
            if (at == 8 || at == 13 || at == 18 || at == 23)
                assert_int_equal(id[at], '-');
            else
                assert_true((id[at] >= '0' && id[at] <= '9') || (id[at] >= 'a' && id[at] <= 'f'));
        }
        assert_int_equal(id[14], '4');
        assert_non_null(strchr("89ab", id[19]));
    }
}

static void reads_upper_case(void **unused)
{
    (void)unused;
    struct hub_address a, b;
    assert_int_equal(parse("01abcdef-1234-4abc-8def-0123456789ab", &a), ERR_OK);
    assert_int_equal(parse("01ABCDEF-1234-4aBC-8DEF-0123456789AB", &b), ERR_OK);
    assert_int_equal(a.node, 0x01abcdef);
    assert_int_equal(a.salt, 0x1234);
    assert_true(a.node == b.node && a.number == b.number && a.worker == b.worker);
}

static void refuses_what_is_no_id(void **unused)
{
    (void)unused;
    static const char good[] = "01abcdef-1234-4abc-8def-0123456789ab";
    static const char *const wrong[] = {
        "",
        "x",
        "01abcdef-1234-4abc-8def-0123456789a",
        "01abcdef-1234-4abc-8def-0123456789abc",
        "01abcdef-1234-1abc-8def-0123456789ab", /* version 1 */
        "01abcdef-1234-4abc-cdef-0123456789ab", /* another variant */
        "01abcdef-1234-4abc-0def-0123456789ab",
        "01abcdef12344abc8def0123456789ab",
        "{1abcdef-1234-4abc-8def-0123456789a}",
        "01abcdef 1234 4abc 8def 0123456789ab",
        "01abcde-f1234-4abc-8def-0123456789ab",
    };
    struct hub_address a;
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(parse(wrong[i], &a), ERR_PROTO);
    /* Any one character that is no hexadecimal digit, or no dash where one must be. */
    for (unsigned at = 0; at < sizeof good - 1; at++) {
        static const char junk[] = "g/:@G`\0 \xff";
        for (unsigned i = 0; i < sizeof junk - 1; i++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[at] = junk[i];
            assert_int_equal(hub_address_parse(&a, str_make(text, sizeof good - 1)), ERR_PROTO);
        }
    }
    assert_int_equal(parse(good, &a), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(reads_upper_case),
        cmocka_unit_test(refuses_what_is_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
