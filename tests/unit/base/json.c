#include "base/json.h"
#include "base/utf8.h"
#include "file_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Parses a copy that ends where the memory does, so that a sanitizer sees a step too far. */
static enum err judge(struct str text)
{
    char *copy = malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    memcpy(copy, text.p, text.len);
    struct json out;
    enum err e = json_parse(&out, str_make(copy, text.len));
    free(copy);
    return e;
}

static struct json parsed(struct str text)
{
    struct json out;
    assert_int_equal(json_parse(&out, text), ERR_OK);
    return out;
}

static void assert_text(struct str got, struct str expected)
{
    if (!str_eq(got, expected))
        fail_msg("got '%.*s', expected '%.*s'", (int)got.len, got.p, (int)expected.len, expected.p);
}

static const struct str good[] = {
    STR("null"),
    STR(" \t\r\ntrue \n"),
    STR("false"),
    STR("0"),
    STR("-0"),
    STR("-0.0e-0"),
    STR("1e400"),
    STR("1E+2"),
    STR("9223372036854775808"),
    STR("123456789.012345678901234567890"),
    STR("\"\""),
    STR("\"\x7f\""),
    STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\""),
    STR("\"\\ud800\""),
    STR("\"\\udc00\\ud800\""),
    STR("\"\\u0000\""),
    STR("\"a string that is longer than eight bytes\""),
    STR("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\""),
    STR("[]"),
    STR("[ ]"),
    STR("{}"),
    STR("{ }"),
    STR("[[[[]]]]"),
    STR("[{},[],{\"a\":[{}]}]"),
    STR("{\"\":0}"),
    STR("{\"a\":1,\"a\":2}"),
    STR(" { \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : null } } "),
    STR("[1,\"]\",{\"}\":\"{\"}]"),
};

static const struct str bad[] = {
    STR(""),
    STR(" "),
    STR("\xef\xbb\xbfnull"),
    STR("nul"),
    STR("nulll"),
    STR("True"),
    STR("NaN"),
    STR("-"),
    STR("+1"),
    STR(".5"),
    STR("1."),
    STR("1.e1"),
    STR("1e"),
    STR("1e+"),
    STR("007"),
    STR("-01"),
    STR("0x1"),
    STR("1 2"),
    STR("1,"),
    STR("-Infinity"),
    STR("\""),
    STR("\"abc"),
    STR("\"abcdefgh"),
    STR("'a'"),
    STR("\"\\"),
    STR("\"\\\""),
    STR("\"\\x41\""),
    STR("\"\\u12\""),
    STR("\"\\u12g4\""),
    STR("\"\\u123"),
    STR("\"\\U0041\""),
    STR("\"a\nb\""),
    STR("\"a long run of text, then \x01\""),
    STR("\"\0\""),
    STR("\"\x1f\""),
    STR("\"\xff\""),
    STR("\"\xc3\""),
    STR("\"\xc3"),
    STR("\"\xc0\xaf\""),
    STR("\"\xed\xa0\x80\""),
    STR("\"\xf4\x90\x80\x80\""),
    STR("\xc3\xa9"),
    STR("["),
    STR("]"),
    STR("[,]"),
    STR("[1,]"),
    STR("[1 2]"),
    STR("[1"),
    STR("[1,"),
    STR("[1}"),
    STR("[1:2]"),
    STR("[\"a\":1]"),
    STR("[]]"),
    STR("[][]"),
    STR("{"),
    STR("}"),
    STR("{,}"),
    STR("{\"a\"}"),
    STR("{\"a\":}"),
    STR("{\"a\":1,}"),
    STR("{\"a\":1"),
    STR("{\"a\":1]"),
    STR("{\"a\":1 \"b\":2}"),
    STR("{\"a\" 1}"),
    STR("{a:1}"),
    STR("{1:1}"),
    STR("{null:1}"),
    STR("{[]:1}"),
    STR("{\"a\":1}}"),
    STR("{\"a\":[}"),
    STR("[{\"a\":1]}"),
    STR("/**/1"),
    STR("1//"),
    STR("\v1"),
    STR("\f1"),
    STR("1\0"),
    STR("\xc2\xa0"
        "1"),
};

static void accepts_json(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (judge(good[i]) != ERR_OK)
            fail_msg("refused: %.*s", (int)good[i].len, good[i].p);
    }
}

static void refuses_other_text(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (judge(bad[i]) != ERR_PROTO)
            fail_msg("accepted: %.*s", (int)bad[i].len, bad[i].p);
    }
    struct json out = {JSON_TRUE, STR("untouched")};
    assert_int_equal(json_parse(&out, STR("[1")), ERR_PROTO);
    assert_text(out.text, STR("untouched"));
}

/* No beginning of a container or a string is JSON. */
static void refuses_what_is_cut(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct str s = str_trim(good[i]);
        if (!strchr("[{\"tfn", s.p[0]))
            continue;
        for (size_t len = 0; len < s.len; len++)
            assert_int_equal(judge(str_make(s.p, len)), ERR_PROTO);
    }
}

/* Every byte that needs a look is seen at every offset of the steps of eight. */
static void looks_at_every_byte(void **unused)
{
    (void)unused;
    char text[40];
    for (size_t at = 1; at + 1 < sizeof text; at++) {
        for (int c = 0; c < 256; c++) {
            memset(text, 'x', sizeof text);
            text[0] = text[sizeof text - 1] = '"';
            text[at] = (char)c;
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            assert_int_equal(judge(str_make(text, sizeof text)), plain ? ERR_OK : ERR_PROTO);
        }
    }
}

static void limits_the_depth(void **unused)
{
    (void)unused;
    for (int brackets = 0; brackets < 2; brackets++) {
        for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
            struct buf text = BUF_INIT;
            for (unsigned i = 0; i < depth; i++)
                buf_str(&text, brackets || i % 3 ? STR("[") : STR("{\"a\":"));
            buf_char(&text, '1');
            for (unsigned i = depth; i-- > 0;)
                buf_char(&text, brackets || i % 3 ? ']' : '}');
            assert_int_equal(judge(buf_as_str(&text)),
                             depth <= JSON_DEPTH_MAX ? ERR_OK : ERR_LIMIT);
            if (depth <= JSON_DEPTH_MAX) {
                /* With one bracket of the other kind it is no JSON. */
                text.p[text.len - depth / 2] ^= ']' ^ '}';
                assert_int_equal(judge(buf_as_str(&text)), ERR_PROTO);
            }
            buf_fini(&text);
        }
    }
}

static void reads_the_vectors(void **unused)
{
    (void)unused;
    const char *path = TEST_SHARED_DIR "/testdata/json";
    DIR *folder = opendir(path);
    if (!folder)
        skip();
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char kind = entry->d_name[0];
        if (!strchr("yni", kind) || entry->d_name[1] != '_')
            continue;
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        struct buf text = BUF_INIT;
        assert_true(file_text(&text, name));
        bool accepted = judge(buf_as_str(&text)) == ERR_OK;
        if ((kind == 'y' && !accepted) || (kind == 'n' && accepted))
            fail_msg("%s: %s", entry->d_name, accepted ? "accepted" : "refused");
        buf_fini(&text);
        n++;
    }
    closedir(folder);
    assert_true(n > 300);
}

static void gives_spans(void **unused)
{
    (void)unused;
    struct str text = STR(" \n{\"a\":[1, 2.50]} ");
    struct json root = parsed(text);
    assert_int_equal(root.type, JSON_OBJECT);
    assert_ptr_equal(root.text.p, text.p + 2);
    assert_text(root.text, STR("{\"a\":[1, 2.50]}"));

    assert_int_equal(parsed(STR("null")).type, JSON_NULL);
    assert_int_equal(parsed(STR("true")).type, JSON_TRUE);
    assert_int_equal(parsed(STR("false")).type, JSON_FALSE);
    assert_int_equal(parsed(STR("-1")).type, JSON_NUMBER);
    assert_int_equal(parsed(STR("\"\"")).type, JSON_STRING);
    assert_int_equal(parsed(STR("[]")).type, JSON_ARRAY);
}

static void walks(void **unused)
{
    (void)unused;
    struct json root = parsed(STR("{ \"a\" : 1 ,\"b\\n\":[ {\"}\":\"]\"} , \"\\\\\" ] , "
                                  "\"a\":\"\xc3\xa9\\\"\",\"\":{},\"z\":null}"));
    static const struct str expected[][2] = {
        {STR("\"a\""), STR("1")},
        {STR("\"b\\n\""), STR("[ {\"}\":\"]\"} , \"\\\\\" ]")},
        {STR("\"a\""), STR("\"\xc3\xa9\\\"\"")},
        {STR("\"\""), STR("{}")},
        {STR("\"z\""), STR("null")},
    };
    struct json_iter it;
    struct json key, value;
    json_iter_init(&it, root);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(json_next(&it, &key, &value));
        assert_int_equal(key.type, JSON_STRING);
        assert_text(key.text, expected[i][0]);
        assert_text(value.text, expected[i][1]);
    }
    assert_false(json_next(&it, &key, &value));
    assert_false(json_next(&it, &key, &value));

    struct json list;
    assert_true(json_get(root, STR("b\n"), &list));
    json_iter_init(&it, list);
    assert_true(json_next(&it, NULL, &value));
    assert_text(value.text, STR("{\"}\":\"]\"}"));
    assert_true(json_next(&it, NULL, &value));
    assert_text(value.text, STR("\"\\\\\""));
    assert_false(json_next(&it, NULL, &value));

    json_iter_init(&it, parsed(STR("[ ]")));
    assert_false(json_next(&it, NULL, &value));
    json_iter_init(&it, parsed(STR("{}")));
    assert_false(json_next(&it, &key, &value));
}

static void gets_the_first_member(void **unused)
{
    (void)unused;
    struct json root = parsed(STR("{\"b\":{\"a\":0},\"a\":1,\"a\":2,\"\\u0063\":3}"));
    struct json out;
    assert_true(json_get(root, STR("a"), &out));
    assert_text(out.text, STR("1"));
    assert_true(json_get(root, STR("c"), &out));
    assert_text(out.text, STR("3"));
    assert_false(json_get(root, STR("d"), &out));
    assert_false(json_get(root, STR(""), &out));
    assert_false(json_get(parsed(STR("[\"a\"]")), STR("a"), &out));
    assert_false(json_get(parsed(STR("\"a\"")), STR("a"), &out));
}

static const struct {
    struct str json, text;
} strings[] = {
    {STR("\"\""), STR("")},
    {STR("\"plain\""), STR("plain")},
    {STR("\"\\u0041\""), STR("A")},
    {STR("\"\\b\\f\\n\\r\\t\\\"\\\\\\/\""), STR("\b\f\n\r\t\"\\/")},
    {STR("\"a\\u0000b\""), STR("a\0b")},
    {STR("\"\\u007f\\u0080\\u07FF\\u0800\\uFFFF\""),
     STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
    {STR("\"\\ud83d\\ude00\""), STR("\xf0\x9f\x98\x80")},
    {STR("\"\\uDBFF\\uDFFF\""), STR("\xf4\x8f\xbf\xbf")},
    {STR("\"\\ud800\""), STR("\xef\xbf\xbd")},
    {STR("\"\\ud800x\""), STR("\xef\xbf\xbdx")},
    {STR("\"\\ud800\\n\""), STR("\xef\xbf\xbd\n")},
    {STR("\"\\ud800\\ud83d\\ude00\""), STR("\xef\xbf\xbd\xf0\x9f\x98\x80")},
    {STR("\"\\ud800\\u0041\""), STR("\xef\xbf\xbd"
                                    "A")},
    {STR("\"\\udc00\\ud800\""), STR("\xef\xbf\xbd\xef\xbf\xbd")},
    {STR("\"before \\u20ac after\""), STR("before \xe2\x82\xac after")},
};

static void decodes(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct json s = parsed(strings[i].json);
        struct str text = strings[i].text;
        struct buf out = BUF_INIT;
        buf_str(&out, STR("kept"));
        json_decode(&out, s);
        assert_text(str_make(out.p, 4), STR("kept"));
        assert_text(str_make(out.p + 4, out.len - 4), text);

        buf_clear(&out);
        assert_text(json_text(s, &out), text);
        bool plain = !memchr(s.text.p, '\\', s.text.len);
        assert_int_equal(out.len, plain ? 0 : text.len);
        if (plain)
            assert_ptr_equal(json_text(s, NULL).p, s.text.p + 1);

        for (size_t k = 0; k < sizeof strings / sizeof *strings; k++)
            assert_int_equal(json_is(s, strings[k].text), str_eq(text, strings[k].text));
        for (size_t len = 0; len < text.len; len++)
            assert_false(json_is(s, str_make(text.p, len)));
        buf_clear(&out);
        buf_str(&out, text);
        buf_char(&out, 'x');
        assert_false(json_is(s, buf_as_str(&out)));
        buf_fini(&out);
    }
    assert_false(json_is(parsed(STR("1")), STR("1")));
    assert_false(json_is(parsed(STR("null")), STR("null")));
}

static void reads_numbers(void **unused)
{
    (void)unused;
    static const char *const numbers[] = {
        "0",
        "-0",
        "1",
        "-1.5",
        "1e2",
        "1E+2",
        "100e-2",
        "0.1",
        "123456789012345678901234567890",
        "1.7976931348623157e308",
        "4.9e-324",
        "1e-400",
        "2.2250738585072011e-308",
        "0e999999999999999999999999",
        "0.000e-999999999999999999999999",
        "1e-999999999999999999999999",
        "9007199254740993",
        "1690000000.25",
        "0.0000000000000000000000000000000000000000001e43",
    };
    double value;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_true(json_number(parsed(str_of(numbers[i])), &value));
        double expected = strtod(numbers[i], NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
    value = 7;
    assert_false(json_number(parsed(STR("1e400")), &value));
    assert_false(json_number(parsed(STR("-1e99999999999999999999")), &value));
    assert_false(json_number(parsed(STR("\"1\"")), &value));
    assert_false(json_number(parsed(STR("true")), &value));
    assert_true(value == 7);
}

/* Numbers of more digits than are looked at. */
static void reads_long_numbers(void **unused)
{
    (void)unused;
    double value;
    struct buf text = BUF_INIT;

    /* Just past the middle between 1 and the next double: only the very last digit tells. */
    for (int last = 0; last < 2; last++) {
        buf_clear(&text);
        buf_str(&text, STR("1.00000000000000011102230246251565404236316680908203125"));
        for (int i = 0; i < 2000; i++)
            buf_char(&text, '0');
        buf_char(&text, last ? '1' : '0');
        assert_true(json_number(parsed(buf_as_str(&text)), &value));
        assert_true(value == (last ? 1 + 0x1p-52 : 1));
    }

    buf_clear(&text);
    buf_char(&text, '1');
    for (int i = 0; i < 5000; i++)
        buf_char(&text, '0');
    assert_false(json_number(parsed(buf_as_str(&text)), &value));
    buf_str(&text, STR("e-5000"));
    assert_true(json_number(parsed(buf_as_str(&text)), &value));
    assert_true(value == 1);

    buf_clear(&text);
    buf_str(&text, STR("0."));
    for (int i = 0; i < 5000; i++)
        buf_char(&text, '0');
    buf_str(&text, STR("25e5001"));
    assert_true(json_number(parsed(buf_as_str(&text)), &value));
    assert_true(value == 2.5);
    buf_fini(&text);
}

static void quotes(void **unused)
{
    (void)unused;
    static const struct {
        struct str text, json;
    } cases[] = {
        {STR(""), STR("\"\"")},
        {STR("plain text </script> & more"), STR("\"plain text </script> & more\"")},
        {STR("\"\\/"), STR("\"\\\"\\\\/\"")},
        {STR("\b\f\n\r\t"), STR("\"\\b\\f\\n\\r\\t\"")},
        {STR("\0\x01\x0b\x1f\x7f"), STR("\"\\u0000\\u0001\\u000b\\u001f\x7f\"")},
        {STR("\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"),
         STR("\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\"")},
        {STR("a\xff"
             "b"),
         STR("\"a\xef\xbf\xbd"
             "b\"")},
        {STR("\xe2\x82"), STR("\"\xef\xbf\xbd\"")},
        {STR("\xe2\x82\n"), STR("\"\xef\xbf\xbd\\n\"")},
        {STR("\xf0\x9f\x98\xf0\x9f\x98\x80"), STR("\"\xef\xbf\xbd\xf0\x9f\x98\x80\"")},
        {STR("\xed\xa0\x80"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
        {STR("a run of text longer than eight, then \n and more of it"),
         STR("\"a run of text longer than eight, then \\n and more of it\"")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = BUF_INIT;
        json_quote(&out, cases[i].text);
        assert_text(buf_as_str(&out), cases[i].json);
        assert_int_equal(judge(buf_as_str(&out)), ERR_OK);
        if (utf8_valid(cases[i].text))
            assert_true(json_is(parsed(buf_as_str(&out)), cases[i].text));
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_json),
        cmocka_unit_test(refuses_other_text),
        cmocka_unit_test(refuses_what_is_cut),
        cmocka_unit_test(looks_at_every_byte),
        cmocka_unit_test(limits_the_depth),
        cmocka_unit_test(reads_the_vectors),
        cmocka_unit_test(gives_spans),
        cmocka_unit_test(walks),
        cmocka_unit_test(decodes),
        cmocka_unit_test(gets_the_first_member),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_long_numbers),
        cmocka_unit_test(quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
