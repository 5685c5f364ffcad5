/* json.c - json_parse against jansson, the walk against the text, and quoting against decoding. */
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz_check.h"
#include "jansson_beside.h"

enum { INPUT_MAX = 8192 }; /* the comparison of objects is quadratic */

static bool lies_in(struct str part, struct str whole)
{
    return part.p >= whole.p && part.p + part.len <= whole.p + whole.len;
}

/* A string as jansson would take it: no lone surrogates, which we allow and jansson does not;
 * and in names no zero, which jansson, whose names are C strings, has no room for. Each is
 * written over by another escape of the same length, so that all else is compared as it is. */
static void soften_string(struct json string, bool is_key)
{
    char *p = (char *)string.text.p + 1, *end = (char *)string.text.p + string.text.len - 1;
    while (p < end) {
        if (*p != '\\') {
            p++;
            continue;
        }
        if (p[1] != 'u') {
            p += 2;
            continue;
        }
        char digits[5] = {p[2], p[3], p[4], p[5]};
        unsigned long unit = strtoul(digits, NULL, 16), next = 0;
        if (end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
            char more[5] = {p[8], p[9], p[10], p[11]};
            next = strtoul(more, NULL, 16);
        }
        if (unit >= 0xd800 && unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
            p += 12;
            continue;
        }
        if (unit >= 0xd800 && unit <= 0xdfff)
            memcpy(p + 2, "fffd", 4);
        if (is_key && !unit)
            memcpy(p + 2, "0001", 4);
        p += 6;
    }
}

/* Walks all of `value` and sees that no span leaves it. With `soften` it is also rewritten in
 * place to what jansson takes. */
static void walk(struct json value, bool soften)
{
    CHECK(value.text.len > 0);
    double number;
    switch (value.type) {
    case JSON_NUMBER:
        /* A number that no double holds is JSON, and an error to jansson. */
        if (!json_number(value, &number) && soften) {
            memset((char *)value.text.p, ' ', value.text.len);
            *(char *)value.text.p = '1';
        }
        return;
    case JSON_STRING:
        if (soften)
            soften_string(value, false);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    default:
        CHECK(!json_number(value, &number));
        return;
    }
    struct json_iter it;
    struct json key, inner;
    const char *last = value.text.p;
    json_iter_init(&it, value);
    while (json_next(&it, &key, &inner)) {
        if (value.type == JSON_OBJECT) {
            CHECK(key.type == JSON_STRING && lies_in(key.text, value.text) && key.text.p > last);
            last = key.text.p + key.text.len;
            if (soften)
                soften_string(key, true);
        }
        CHECK(lies_in(inner.text, value.text) && inner.text.p > last);
        last = inner.text.p + inner.text.len - 1;
        walk(inner, soften);
    }
}

static void compare(struct json ours, const json_t *theirs);

static void compare_object(struct json ours, const json_t *theirs)
{
    size_t distinct = 0;
    struct json_iter it;
    struct json key, value;
    struct buf name = BUF_INIT;
    json_iter_init(&it, ours);
    while (json_next(&it, &key, &value)) {
        /* Jansson keeps the last of duplicate members, json_get finds the first. */
        buf_clear(&name);
        json_decode(&name, key);
        struct json_iter rest = it;
        struct json later, ignored;
        bool is_last = true;
        while (is_last && json_next(&rest, &later, &ignored))
            is_last = !json_is(later, buf_as_str(&name));
        if (is_last) {
            distinct++;
            buf_char(&name, '\0');
            compare(value, json_object_get(theirs, name.p));
            name.len--;
        }
        struct json first;
        CHECK(json_get(ours, buf_as_str(&name), &first));
        CHECK(first.text.p <= value.text.p);
    }
    CHECK(distinct == json_object_size(theirs));
    buf_fini(&name);
}

static void compare(struct json ours, const json_t *theirs)
{
    CHECK(theirs);
    switch (ours.type) {
    case JSON_NULL:
        CHECK(json_typeof(theirs) == JANSSON_NULL);
        break;
    case JSON_FALSE:
        CHECK(json_typeof(theirs) == JANSSON_FALSE);
        break;
    case JSON_TRUE:
        CHECK(json_typeof(theirs) == JANSSON_TRUE);
        break;
    case JSON_NUMBER: {
        double number;
        CHECK(json_number(ours, &number) && json_typeof(theirs) == JSON_REAL);
        CHECK(number == json_real_value(theirs));
        break;
    }
    case JSON_STRING: {
        struct buf scratch = BUF_INIT;
        struct str expected = {json_string_value(theirs), json_string_length(theirs)};
        CHECK(json_typeof(theirs) == JANSSON_STRING);
        CHECK(str_eq(json_text(ours, &scratch), expected));
        CHECK(json_is(ours, expected));
        buf_fini(&scratch);
        break;
    }
    case JSON_ARRAY: {
        CHECK(json_typeof(theirs) == JANSSON_ARRAY);
        struct json_iter it;
        struct json value;
        size_t n = 0;
        json_iter_init(&it, ours);
        while (json_next(&it, NULL, &value))
            compare(value, json_array_get(theirs, n++));
        CHECK(n == json_array_size(theirs));
        break;
    }
    case JSON_OBJECT:
        CHECK(json_typeof(theirs) == JANSSON_OBJECT);
        compare_object(ours, theirs);
        break;
    }
}

static json_t *read_by_jansson(struct str text)
{
    /* Integers as doubles: jansson's own have 64 bits, ours may have any length. */
    return json_loadb(text.p, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
                      NULL);
}

static void check_parse(struct str text)
{
    struct json value;
    enum err e = json_parse(&value, text);
    if (e) {
        CHECK(e == ERR_PROTO || e == ERR_LIMIT);
        /* What jansson takes is JSON too. But it allows a deeper nesting than we do, and takes a
         * zero byte after the value, which may stand nowhere in JSON, for the end of the text. */
        json_t *theirs = read_by_jansson(text);
        CHECK(!theirs || e == ERR_LIMIT || memchr(text.p, '\0', text.len));
        json_decref(theirs);
        return;
    }
    CHECK(lies_in(value.text, text));
    walk(value, false);

    char *copy = malloc(text.len);
    CHECK(copy);
    memcpy(copy, text.p, text.len);
    struct str soft = {copy, text.len};
    CHECK(json_parse(&value, soft) == ERR_OK);
    walk(value, true);
    CHECK(json_parse(&value, soft) == ERR_OK);
    json_t *theirs = read_by_jansson(soft);
    CHECK(theirs);
    compare(value, theirs);
    json_decref(theirs);
    free(copy);
}

static void check_quote(struct str text)
{
    struct buf quoted = BUF_INIT, plain = BUF_INIT, again = BUF_INIT;
    struct json value;
    json_quote(&quoted, text);
    CHECK(json_parse(&value, buf_as_str(&quoted)) == ERR_OK);
    CHECK(value.type == JSON_STRING && value.text.len == quoted.len);
    json_decode(&plain, value);
    CHECK(utf8_valid(buf_as_str(&plain)));
    CHECK(json_is(value, buf_as_str(&plain)));
    if (utf8_valid(text))
        CHECK(str_eq(buf_as_str(&plain), text));
    /* What has been mended once stays as it is. */
    json_quote(&again, buf_as_str(&plain));
    CHECK(str_eq(buf_as_str(&again), buf_as_str(&quoted)));
    buf_fini(&quoted);
    buf_fini(&plain);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > INPUT_MAX)
        return 0;
    struct str text = {len ? (const char *)data : "", len};
    check_parse(text);
    check_quote(text);
    return 0;
}
