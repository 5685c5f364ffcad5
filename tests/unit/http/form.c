#include "http/form.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* The parameters of a form in one text, each as name=value and a bar. */
static void assert_params(const struct form *f, const char *expected)
{
    struct buf got = BUF_INIT;
    for (unsigned i = 0; i < f->n; i++) {
        buf_str(&got, f->params[i].name);
        buf_char(&got, '=');
        buf_str(&got, f->params[i].value);
        buf_char(&got, '|');
    }
    if (!str_eq(buf_as_str(&got), str_of(expected)))
        fail_msg("got '%.*s', expected '%s'", (int)got.len, got.p ? got.p : "", expected);
    buf_fini(&got);
}

typedef enum err read_fn(struct form *f, struct str text);

/* Reads a copy that ends where the memory does, so that a sanitizer sees a step too far. */
static void expect(read_fn *read, struct str text, enum err e, const char *params)
{
    char *copy = malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    memcpy(copy, text.p, text.len);
    struct form f;
    form_init(&f);
    enum err got = read(&f, str_make(copy, text.len));
    if (got != e)
        fail_msg("'%.*s' gives %s", (int)text.len, text.p, err_text(got));
    assert_params(&f, params);
    form_fini(&f);
    free(copy);
}

static void reads_urlencoded(void **unused)
{
    (void)unused;
    static const struct {
        struct str text;
        const char *params;
    } cases[] = {
        {STR(""), ""},
        {STR("a=1&b=2"), "a=1|b=2|"},
        {STR("a=1&a=2"), "a=1|a=2|"},
        {STR("a"), "a=|"},
        {STR("a="), "a=|"},
        {STR("=a"), "=a|"},
        {STR("a=b=c"), "a=b=c|"},
        {STR("&&a=1&&"), "a=1|"},
        {STR("a=x+y&b+c=%2B"), "a=x y|b c=+|"},
        {STR("a=%C3%a9%20"), "a=\xc3\xa9 |"},
        {STR("%61=%3D%26"), "a==&|"},
        {STR("a=1&b=%zz&c=3"), "a=1|c=3|"},
        {STR("a=1&%4=2&c=%"), "a=1|"},
        {STR("a=%4"), ""},
        {STR("a=%+1"), ""},
        {STR("a=1;b=2&c=3"), "c=3|"},
        {STR(";&a=%3B"), "a=;|"},
        {STR("a=%%41"), ""},
        {STR("a=\xff\x01\n"), "a=\xff\x01\n|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(form_add_urlencoded, cases[i].text, ERR_OK, cases[i].params);
}

static void decodes_zero_bytes(void **unused)
{
    (void)unused;
    struct form f;
    struct str value;
    form_init(&f);
    assert_int_equal(form_add_urlencoded(&f, STR("a=x%00y")), ERR_OK);
    assert_true(form_get(&f, STR("a"), &value));
    assert_true(str_eq(value, STR("x\0y")));
    form_fini(&f);
}

static void copies_only_what_is_escaped(void **unused)
{
    (void)unused;
    struct form f;
    form_init(&f);
    struct str text = STR("name=value");
    assert_int_equal(form_add_urlencoded(&f, text), ERR_OK);
    assert_ptr_equal(f.params[0].name.p, text.p);
    assert_ptr_equal(f.params[0].value.p, text.p + 5);
    assert_null(f.chunks);
    text = STR("{\"name\":\"value\"}");
    assert_int_equal(form_add_json(&f, text), ERR_OK);
    assert_ptr_equal(f.params[1].value.p, text.p + 9);
    assert_null(f.chunks);
    form_fini(&f);
}

/* FORM_PARAMS_MAX pass and one more does not; what is refused leaves nothing behind. */
static void limits_parameters(void **unused)
{
    (void)unused;
    for (unsigned n = FORM_PARAMS_MAX; n <= FORM_PARAMS_MAX + 1; n++) {
        struct buf urlencoded = BUF_INIT, json = BUF_INIT, parts = BUF_INIT;
        for (unsigned i = 0; i < n; i++) {
            buf_printf(&urlencoded, "a%u=%%41&", i);
            buf_printf(&json, "%s\"a%u\":\"\\n\"", i ? "," : "{", i);
            buf_printf(&parts,
                       "--b\r\nContent-Disposition: form-data; name=\"a%u%%22\"\r\n\r\n\r\n", i);
        }
        buf_char(&json, '}');
        buf_str(&parts, STR("--b--"));
        enum err e = n > FORM_PARAMS_MAX ? ERR_LIMIT : ERR_OK;

        struct form f;
        form_init(&f);
        assert_int_equal(form_add_urlencoded(&f, buf_as_str(&urlencoded)), e);
        assert_int_equal(f.n, e ? 0 : n);
        form_fini(&f);
        assert_int_equal(form_add_json(&f, buf_as_str(&json)), e);
        assert_int_equal(f.n, e ? 0 : n);
        form_fini(&f);
        assert_int_equal(form_add_multipart(&f, buf_as_str(&parts), STR("b")), e);
        assert_int_equal(f.n, e ? 0 : n);

        if (!e) {
            assert_int_equal(form_add_urlencoded(&f, STR("x=1")), ERR_LIMIT);
            assert_int_equal(f.n, n);
        }
        form_fini(&f);
        buf_fini(&urlencoded);
        buf_fini(&json);
        buf_fini(&parts);
    }

    /* Pairs that are dropped do not count. */
    struct buf text = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        buf_str(&text, STR("a=%zz&"));
    buf_str(&text, STR("b=1"));
    expect(form_add_urlencoded, buf_as_str(&text), ERR_OK, "b=1|");
    buf_fini(&text);
}

static void gets_the_first(void **unused)
{
    (void)unused;
    struct form f;
    struct str value = STR("untouched");
    form_init(&f);
    assert_false(form_get(&f, STR("a"), &value));
    assert_true(str_eq(value, STR("untouched")));
    assert_int_equal(form_add_json(&f, STR("{\"a\":\"body\",\"a\":2}")), ERR_OK);
    assert_int_equal(form_add_urlencoded(&f, STR("a=query&b=%62")), ERR_OK);
    assert_true(form_get(&f, STR("a"), &value));
    assert_true(str_eq(value, STR("body")));
    assert_true(form_get(&f, STR("b"), &value));
    assert_true(str_eq(value, STR("b")));
    assert_false(form_get(&f, STR("A"), &value));
    assert_false(form_get(&f, STR(""), &value));

    /* A source that is refused takes nothing away from the others. */
    assert_int_equal(form_add_json(&f, STR("[1]")), ERR_PROTO);
    assert_true(form_get(&f, STR("b"), &value));
    assert_int_equal(f.n, 4);
    form_fini(&f);
    assert_false(form_get(&f, STR("a"), &value));
}

static void reads_json(void **unused)
{
    (void)unused;
    expect(form_add_json,
           STR(" {\"s\":\"t\\u00e9\\\"\",\"n\":1.50,\"o\":{\"k\": [1 ,2]},\"b\":true,\"z\":null,"
               "\"k\\n\":\"\"} "),
           ERR_OK, "s=t\xc3\xa9\"|n=1.50|o={\"k\": [1 ,2]}|b=true|z=null|k\n=|");
    expect(form_add_json, STR("{}"), ERR_OK, "");
    expect(form_add_json, STR(""), ERR_PROTO, "");
    expect(form_add_json, STR("[]"), ERR_PROTO, "");
    expect(form_add_json, STR("\"a\""), ERR_PROTO, "");
    expect(form_add_json, STR("{\"a\":1,}"), ERR_PROTO, "");
    expect(form_add_json, STR("{\"a\":1}{}"), ERR_PROTO, "");
}

static enum err read_multipart(struct form *f, struct str text)
{
    return form_add_multipart(f, text, STR("xX"));
}

#define PART(headers, value) "--xX\r\n" headers "\r\n\r\n" value "\r\n"
#define NAMED(name, value)   PART("Content-Disposition: form-data; name=" name, value)
#define END                  "--xX--\r\n"

static void reads_multipart(void **unused)
{
    (void)unused;
    static const struct {
        struct str text;
        const char *params;
    } cases[] = {
        {STR(END), ""},
        {STR("--xX--"), ""},
        {STR(NAMED("\"a\"", "1") NAMED("\"b\"", "2") END), "a=1|b=2|"},
        {STR(NAMED("a", "") "--xX--"), "a=|"},
        {STR(NAMED("\"a\"", "two\r\nlines\n--x\r\n-xX") END), "a=two\r\nlines\n--x\r\n-xX|"},
        {STR(NAMED("\"a\"", "\r\n") END), "a=\r\n|"},
        {STR("preamble --xX\r\nmore\r\n" NAMED("a", "1") END "epilogue\r\n--xX\r\n"), "a=1|"},
        {STR("\r\n" NAMED("a", "1") END), "a=1|"},
        {STR("--xX \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--xX-- \r\n"), "a=1|"},
        {STR(PART("CONTENT-DISPOSITION:FORM-DATA;NAME=\"a\"", "1") END), "a=1|"},
        {STR(PART("content-type: text/plain\r\ncontent-disposition:\tform-data ; name=\"a\" ; "
                  "filename=\"x;name=b.txt\"\r\ncontent-type: a/b",
                  "file") END),
         "a=file|"},
        {STR(NAMED("\"say \\\"hi\\\" \\\\ %22%0d%0A %41 \\n\"", "1") END),
         "say \"hi\" \\ \"\r\n %41 \\n=1|"},
        {STR(NAMED("\"\"", "1") END), "=1|"},
        {STR(NAMED("\"\xc3\xa9;=\"", "1") END), "\xc3\xa9;==1|"},
        /* Without a name. */
        {STR(PART("Content-Disposition: form-data", "1") NAMED("b", "2") END), "b=2|"},
        {STR(PART("Content-Disposition: attachment; name=a", "1") NAMED("b", "2") END), "b=2|"},
        {STR(PART("X-Other: 1", "1") NAMED("b", "2") END), "b=2|"},
        {STR("--xX\r\n\r\nno headers\r\n" NAMED("b", "2") END), "b=2|"},
        {STR(PART("Content-Disposition: form-data; name*=UTF-8''a", "1") END), ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(read_multipart, cases[i].text, ERR_OK, cases[i].params);
}

static void refuses_broken_multipart(void **unused)
{
    (void)unused;
    static const struct str cases[] = {
        STR(""),
        STR("no delimiter"),
        STR("--x\r\n"),
        STR("--xX"),
        STR("--xX-"),
        STR("--xX\n"),
        STR("--xX\r\n"),
        STR("--xX\r\n--xX--"),
        STR("--xX\r\n\r\n--xX--"),
        STR("text--xX--"),
        STR("text\n--xX--"),
        STR(NAMED("a", "1")),
        STR(NAMED("a", "1") "--xX"),
        STR(NAMED("a", "1") "--xX-"),
        STR(NAMED("a", "1") "--xX\r\n"),
        STR(NAMED("a", "1\r\n--xXy") END),
        STR(NAMED("a", "1") "--xX--y"),
        STR(NAMED("\"a", "1") END),
        STR(NAMED("\"a\\\"", "1") END),
        STR(NAMED("\"a\"b", "1") END),
        STR(NAMED("", "1") END),
        STR(NAMED("a b", "1") END),
        STR(NAMED("a;", "1") END),
        STR(NAMED("a; name=b", "1") END),
        STR(NAMED("\"a\"; filename", "1") END),
        STR(PART("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
                 "1") END),
        STR(PART("Content-Disposition: form-data\r\nContent-Disposition: form-data; name=b", "1")
                END),
        STR(PART("X: a\nContent-Disposition: form-data; name=a", "1") END),
        STR(PART("Content-Disposition: form-data;\r\n name=a", "1") END),
        STR(PART("Content-Disposition : form-data; name=a", "1") END),
        STR(PART("no colon", "1") END),
        STR(PART(": no name", "1") END),
        STR(PART("Content-Disposition: form-data; name=a\n", "1") END),
        STR(PART("X: a\rb", "1") END),
        STR("--xX\nContent-Disposition: form-data; name=a\n\n1\n--xX--\n"),
        STR("--xX\r\nContent-Disposition: form-data; name=a\r\n1\r\n--xX--"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(read_multipart, cases[i], ERR_PROTO, "");
}

static void refuses_cut_multipart(void **unused)
{
    (void)unused;
    struct str text = STR("p\r\n" NAMED("\"a\"", "1") NAMED("\"b\"", "2") "--xX--");
    for (size_t len = 0; len < text.len; len++)
        expect(read_multipart, str_make(text.p, len), ERR_PROTO, "");
    expect(read_multipart, text, ERR_OK, "a=1|b=2|");
}

static void checks_the_boundary(void **unused)
{
    (void)unused;
    char boundary[FORM_BOUNDARY_MAX + 1], body[100];
    memset(boundary, 'b', sizeof boundary);
    for (int len = FORM_BOUNDARY_MAX; len <= FORM_BOUNDARY_MAX + 1; len++) {
        int n = snprintf(body, sizeof body, "--%.*s--", len, boundary);
        struct form f;
        form_init(&f);
        assert_int_equal(
            form_add_multipart(&f, str_make(body, (size_t)n), str_make(boundary, (size_t)len)),
            len > FORM_BOUNDARY_MAX ? ERR_PROTO : ERR_OK);
        form_fini(&f);
    }
    static const struct str bad[] = {STR(""), STR("a "), STR("a\r\n"), STR("a\"b"), STR("a\0b")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct form f;
        form_init(&f);
        int n = snprintf(body, sizeof body, "--%s--", bad[i].p);
        assert_int_equal(form_add_multipart(&f, str_make(body, (size_t)n), bad[i]), ERR_PROTO);
        form_fini(&f);
    }
}

static void chooses_by_content_type(void **unused)
{
    (void)unused;
    static const struct {
        struct str type, body;
        enum err e;
        const char *params;
    } cases[] = {
        {STR("application/x-www-form-urlencoded"), STR("a=1"), ERR_OK, "a=1|"},
        {STR("Application/X-WWW-Form-Urlencoded ; charset=utf-8"), STR("a=1"), ERR_OK, "a=1|"},
        {STR("application/json"), STR("{\"a\":1}"), ERR_OK, "a=1|"},
        {STR("application/JSON;charset=UTF-8"), STR("{\"a\":1}"), ERR_OK, "a=1|"},
        {STR("application/json"), STR("a=1"), ERR_PROTO, ""},
        {STR("multipart/form-data; boundary=xX"), STR(NAMED("a", "1") END), ERR_OK, "a=1|"},
        {STR("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"xX\" "), STR(NAMED("a", "1") END),
         ERR_OK, "a=1|"},
        {STR("multipart/form-data"), STR(NAMED("a", "1") END), ERR_PROTO, ""},
        {STR("multipart/form-data; boundary="), STR(NAMED("a", "1") END), ERR_PROTO, ""},
        {STR("multipart/form-data; boundary=\"xX"), STR(NAMED("a", "1") END), ERR_PROTO, ""},
        {STR("multipart/form-data; boundary=xX; boundary=y"), STR(NAMED("a", "1") END), ERR_PROTO,
         ""},
        {STR("multipart/mixed; boundary=xX"), STR(NAMED("a", "1") END), ERR_OK, ""},
        {STR("text/plain"), STR("a=1"), ERR_OK, ""},
        {STR(""), STR("a=1"), ERR_OK, ""},
        {STR("application/jsonp"), STR("{\"a\":1}"), ERR_OK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct form f;
        form_init(&f);
        if (form_add_body(&f, cases[i].type, cases[i].body) != cases[i].e)
            fail_msg("%s", cases[i].type.p);
        assert_params(&f, cases[i].params);
        form_fini(&f);
    }
}

static void decodes_segments(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    assert_int_equal(form_decode_segment(&out, STR("a+b%2fc%C3%A9")), ERR_OK);
    assert_true(str_eq(buf_as_str(&out), STR("a+b/c\xc3\xa9")));
    assert_int_equal(form_decode_segment(&out, STR("")), ERR_OK);
    static const struct str bad[] = {STR("x%"), STR("x%4"), STR("x%4g"), STR("x%g4"), STR("%%41")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(form_decode_segment(&out, bad[i]), ERR_PROTO);
        assert_true(str_eq(buf_as_str(&out), STR("a+b/c\xc3\xa9")));
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_urlencoded),
        cmocka_unit_test(decodes_zero_bytes),
        cmocka_unit_test(copies_only_what_is_escaped),
        cmocka_unit_test(limits_parameters),
        cmocka_unit_test(gets_the_first),
        cmocka_unit_test(reads_json),
        cmocka_unit_test(reads_multipart),
        cmocka_unit_test(refuses_broken_multipart),
        cmocka_unit_test(refuses_cut_multipart),
        cmocka_unit_test(checks_the_boundary),
        cmocka_unit_test(chooses_by_content_type),
        cmocka_unit_test(decodes_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
