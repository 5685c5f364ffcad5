#include "base/str.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void compares(void **unused)
{
    (void)unused;
    assert_true(str_eq(STR("abc"), str_of("abc")));
    assert_true(str_eq(STR_EMPTY, str_make(NULL, 0)));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_eq_nocase(STR("Upgrade"), STR("uPGRADE")));
    assert_false(str_eq_nocase(STR("Upgrade"), STR("Upgrades")));
    assert_false(str_eq_nocase(STR("[a"), STR("{a")));
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR_EMPTY));
    assert_false(str_starts(STR("abc"), STR("b")));
    assert_false(str_starts(STR("a"), STR("ab")));
}

static void trims(void **unused)
{
    (void)unused;
    assert_true(str_eq(str_trim(STR(" \t\r\na b\n ")), STR("a b")));
    assert_true(str_eq(str_trim(STR("  ")), STR("")));
    assert_true(str_eq(str_trim(STR("")), STR("")));
    assert_true(str_eq(str_trim(STR("a")), STR("a")));
}

static void cuts(void **unused)
{
    (void)unused;
    struct str rest = STR("a,,bc");
    assert_true(str_eq(str_cut(&rest, ','), STR("a")));
    assert_true(str_eq(str_cut(&rest, ','), STR("")));
    assert_true(str_eq(str_cut(&rest, ','), STR("bc")));
    assert_int_equal(rest.len, 0);
    assert_true(str_eq(str_cut(&rest, ','), STR("")));

    rest = STR("a,");
    assert_true(str_eq(str_cut(&rest, ','), STR("a")));
    assert_int_equal(rest.len, 0);
}

static void finds_tokens(void **unused)
{
    (void)unused;
    assert_true(str_has_token(STR("keep-alive, Upgrade"), STR("upgrade")));
    assert_true(str_has_token(STR("upgrade"), STR("Upgrade")));
    assert_true(str_has_token(STR(" ,\tupgrade ,"), STR("upgrade")));
    assert_false(str_has_token(STR("upgrades, up grade"), STR("upgrade")));
    assert_false(str_has_token(STR(""), STR("upgrade")));
}

static void reads_hex_digits(void **unused)
{
    (void)unused;
    const char *digits = "0123456789abcdef";
    for (int i = 0; i < 16; i++)
        assert_int_equal(str_hex_digit(digits[i]), i);
    assert_int_equal(str_hex_digit('A'), 10);
    assert_int_equal(str_hex_digit('F'), 15);
    for (const char *c = "/:@G`g\xff"; *c; c++)
        assert_int_equal(str_hex_digit(*c), -1);
    assert_int_equal(str_hex_digit('\0'), -1);
}

static void reads_numbers(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint64_t max, n;
    } good[] = {{"0", 0, 0},
                {"0", 9, 0},
                {"65535", 65535, 65535},
                {"00080", 65535, 80},
                {"18446744073709551615", UINT64_MAX, UINT64_MAX}};
    static const struct {
        const char *text;
        uint64_t max;
    } bad[] = {{"", 9},
               {"1", 0},
               {"65536", 65535},
               {"000080", 65535},
               {"-1", 99},
               {"+1", 99},
               {"1 ", 99},
               {"1x", 99},
               {"00", 9},
               {"18446744073709551616", UINT64_MAX},
               {"99999999999999999999", UINT64_MAX}};
    uint64_t n = 4711;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(str_number(str_of(bad[i].text), bad[i].max, &n));
        assert_int_equal(n, 4711);
    }
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(str_number(str_of(good[i].text), good[i].max, &n));
        assert_true(n == good[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers), cmocka_unit_test(compares),
        cmocka_unit_test(trims),         cmocka_unit_test(cuts),
        cmocka_unit_test(finds_tokens),  cmocka_unit_test(reads_hex_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
