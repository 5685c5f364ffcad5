/* form.c - the four forms of parameters. The first byte picks one; a boundary or a content type
 * stands on the first line of the rest. What was read is written again and read again. */
#include "http/form.h"
#include "base/json.h"
#include "fuzz_check.h"

static void percent_encode(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_printf(out, "%%%02x", (unsigned char)s.p[i]);
}

static bool same_params(const struct form *a, const struct form *b)
{
    for (unsigned i = 0; a->n == b->n && i < a->n; i++) {
        if (!str_eq(a->params[i].name, b->params[i].name) ||
            !str_eq(a->params[i].value, b->params[i].value))
            return false;
    }
    return a->n == b->n;
}

/* Every parameter can be written in the urlencoded form, and means the same there. */
static void check_again(const struct form *f)
{
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < f->n; i++) {
        struct str value;
        CHECK(form_get(f, f->params[i].name, &value));
        percent_encode(&text, f->params[i].name);
        buf_char(&text, '=');
        percent_encode(&text, f->params[i].value);
        buf_char(&text, '&');
    }
    struct form again;
    form_init(&again);
    CHECK(form_add_urlencoded(&again, buf_as_str(&text)) == ERR_OK);
    CHECK(same_params(f, &again));
    form_fini(&again);
    buf_fini(&text);
}

/* The same for parts. The boundary must not occur, so it is one that was not in the input. */
static void check_again_in_parts(const struct form *f, struct str input)
{
    struct str boundary = STR("another-boundary-that-no-input-has");
    if (memmem(input.p, input.len, "another", 7))
        return;
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < f->n; i++) {
        struct str name = f->params[i].name;
        buf_str(&text, STR("--"));
        buf_str(&text, boundary);
        buf_str(&text, STR("\r\nContent-Disposition: form-data; name=\""));
        for (size_t k = 0; k < name.len; k++) {
            if (memchr("\"\r\n", name.p[k], 3))
                percent_encode(&text, str_make(name.p + k, 1));
            else if (name.p[k] == '\\')
                buf_str(&text, STR("\\\\"));
            else if (name.p[k] == '%')
                goto not_writable; /* %22 in a name cannot be told from a quote */
            else
                buf_char(&text, name.p[k]);
        }
        buf_str(&text, STR("\"\r\n\r\n"));
        buf_str(&text, f->params[i].value);
        buf_str(&text, STR("\r\n"));
    }
    buf_str(&text, STR("--"));
    buf_str(&text, boundary);
    buf_str(&text, STR("--"));
    struct form again;
    form_init(&again);
    CHECK(form_add_multipart(&again, buf_as_str(&text), boundary) == ERR_OK);
    CHECK(same_params(f, &again));
    form_fini(&again);
not_writable:
    buf_fini(&text);
}

static void check_segment(struct str text)
{
    struct buf out = BUF_INIT, encoded = BUF_INIT, again = BUF_INIT;
    if (form_decode_segment(&out, text) == ERR_OK) {
        percent_encode(&encoded, buf_as_str(&out));
        CHECK(form_decode_segment(&again, buf_as_str(&encoded)) == ERR_OK);
        CHECK(str_eq(buf_as_str(&out), buf_as_str(&again)));
    } else {
        CHECK(out.len == 0);
    }
    buf_fini(&out);
    buf_fini(&encoded);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!len)
        return 0;
    struct str text = {(const char *)data + 1, len - 1};
    struct form f;
    form_init(&f);
    enum err e = ERR_OK;
    switch (data[0] % 5) {
    case 0:
        e = form_add_urlencoded(&f, text);
        CHECK(e == ERR_OK || e == ERR_LIMIT);
        break;
    case 1: {
        struct str boundary = str_cut(&text, '\n');
        e = form_add_multipart(&f, text, boundary);
        break;
    }
    case 2: {
        e = form_add_json(&f, text);
        struct json value;
        if (e == ERR_OK)
            CHECK(json_parse(&value, text) == ERR_OK && value.type == JSON_OBJECT);
        break;
    }
    case 3: {
        /* A body after a query, as a request brings them. */
        struct str query = str_cut(&text, '\n');
        struct str type = str_cut(&text, '\n');
        form_add_urlencoded(&f, query);
        unsigned n = f.n;
        e = form_add_body(&f, type, text);
        CHECK(!e || f.n == n);
        break;
    }
    default:
        check_segment(text);
    }
    CHECK(e == ERR_OK || e == ERR_PROTO || e == ERR_LIMIT);
    CHECK(f.n <= FORM_PARAMS_MAX);
    CHECK(!e || data[0] % 5 == 3 || !f.n);
    check_again(&f);
    check_again_in_parts(&f, text);
    form_fini(&f);
    return 0;
}
