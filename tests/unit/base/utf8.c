#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
    struct str text;
    bool valid;
    bool cut; /* not valid, but more bytes could make it so */
} cases[] = {
    {STR(""), true, false},
    {STR("a"), true, false},
    {STR("plain text that is longer than eight bytes"), true, false},
    {STR("\x00"), true, false},
    {STR("\x7f"), true, false},
    {STR("\xc2\x80"), true, false},
    {STR("\xdf\xbf"), true, false},
    {STR("\xe0\xa0\x80"), true, false},
    {STR("\xed\x9f\xbf"), true, false},
    {STR("\xee\x80\x80"), true, false},
    {STR("\xef\xbf\xbf"), true, false},
    {STR("\xf0\x90\x80\x80"), true, false},
    {STR("\xf4\x8f\xbf\xbf"), true, false},
    {STR("1234567\xe2\x82\xac"
         "12345678\xf0\x9f\x98\x80z"),
     true, false},
    {STR("\x80"), false, false},
    {STR("\xbf"), false, false},
    {STR("\xc0\x80"), false, false},
    {STR("\xc1\xbf"), false, false},
    {STR("\xc2"), false, true},
    {STR("\xc2"
         "a"),
     false, false},
    {STR("\xe0\x9f\xbf"), false, false},
    {STR("\xe0\xa0"), false, true},
    {STR("\xe1\x80"), false, true},
    {STR("\xe1\x80\xc0"), false, false},
    {STR("\xed\xa0\x80"), false, false},
    {STR("\xed\xbf\xbf"), false, false},
    {STR("\xf0\x8f\xbf\xbf"), false, false},
    {STR("\xf0\x9f\x98"), false, true},
    {STR("\xf4\x90\x80\x80"), false, false},
    {STR("\xf5\x80\x80\x80"), false, false},
    {STR("\xff"), false, false},
    {STR("12345678\xfe"), false, false},
    {STR("12345678\xe2\x82"), false, true},
};

static bool fed_in_two(struct str s, size_t cut, uint32_t *state)
{
    *state = UTF8_WHOLE;
    return utf8_feed(state, str_make(s.p, cut)) &&
           utf8_feed(state, str_make(s.p + cut, s.len - cut));
}

static bool fed_by_byte(struct str s, uint32_t *state)
{
    *state = UTF8_WHOLE;
    for (size_t i = 0; i < s.len; i++) {
        if (!utf8_feed(state, str_make(s.p + i, 1)))
            return false;
    }
    return true;
}

static void judges_text(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str s = cases[i].text;
        bool valid = cases[i].valid, possible = valid || cases[i].cut;
        uint32_t state;
        assert_int_equal(utf8_valid(s), valid);
        assert_int_equal(fed_by_byte(s, &state), possible);
        if (possible)
            assert_int_equal(state == UTF8_WHOLE, valid);
        for (size_t cut = 0; cut <= s.len; cut++) {
            assert_int_equal(fed_in_two(s, cut, &state), possible);
            if (possible)
                assert_int_equal(state == UTF8_WHOLE, valid);
        }
    }
}

/* All sequences of up to three bytes, against the definition: decode, encode, compare. */
static bool by_definition(const unsigned char *p, size_t len)
{
    while (len) {
        unsigned n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : 0;
        if (!n || n > len)
            return false;
        uint32_t c = n == 1 ? p[0] : p[0] & (0x7f >> n);
        for (unsigned i = 1; i < n; i++) {
            if (p[i] >> 6 != 2)
                return false;
            c = c << 6 | (p[i] & 0x3f);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800};
        if (c < least[n] || (c >= 0xd800 && c <= 0xdfff))
            return false;
        p += n;
        len -= n;
    }
    return true;
}

static void agrees_with_the_definition(void **unused)
{
    (void)unused;
    for (uint32_t v = 0; v < 1u << 24; v += v < 1u << 16 ? 1 : 5) {
        unsigned char p[3] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16)};
        struct str s = {(const char *)p, v < 1u << 8 ? 1 : v < 1u << 16 ? 2 : 3};
        bool expected = by_definition(p, s.len);
        uint32_t state;
        if (utf8_valid(s) != expected ||
            (fed_by_byte(s, &state) && state == UTF8_WHOLE) != expected)
            fail_msg("%02x %02x %02x (%zu)", p[0], p[1], p[2], s.len);
    }
}

static void measures_characters(void **unused)
{
    (void)unused;
    assert_int_equal(utf8_char_len(STR("")), 0);
    assert_int_equal(utf8_char_len(STR("ab")), 1);
    assert_int_equal(utf8_char_len(STR("\xc3\xa9"
                                       "b")),
                     2);
    assert_int_equal(utf8_char_len(STR("\xe2\x82\xac\xe2")), 3);
    assert_int_equal(utf8_char_len(STR("\xf0\x9f\x98\x80")), 4);
    assert_int_equal(utf8_char_len(STR("\xf0\x9f\x98")), 0);
    assert_int_equal(utf8_char_len(STR("\xed\xa0\x80")), 0);
    assert_int_equal(utf8_char_len(STR("\x80")), 0);
    assert_int_equal(utf8_char_len(STR("\xf4\x90\x80\x80")), 0);
}

/* A broken byte is found wherever it stands in the steps of eight. */
static void finds_it_at_every_offset(void **unused)
{
    (void)unused;
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        assert_true(utf8_valid(str_make(text, sizeof text)));
        text[at] = (char)0xff;
        assert_false(utf8_valid(str_make(text, sizeof text)));
        if (at + 1 < sizeof text)
            memcpy(text + at, "\xc3\xa9", 2);
        else
            text[at] = 'z';
        assert_true(utf8_valid(str_make(text, sizeof text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_text),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(measures_characters),
        cmocka_unit_test(finds_it_at_every_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
