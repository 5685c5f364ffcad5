#include "base/json.h"
#include "base/json_scan.h"
#include "base/utf8.h"
#include <assert.h>

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* These take one thing of the grammar at `p` and return what follows it, or NULL if it is not
 * there. */

static const char *take_string(const char *p, const char *end)
{
    if (p == end || *p != '"')
        return NULL;
    p++;
    for (;;) {
        p = json_skip_plain(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            if (end - p < 2)
                return NULL;
            switch (p[1]) {
            case '"':
            case '\\':
            case '/':
            case 'b':
            case 'f':
            case 'n':
            case 'r':
            case 't':
                p += 2;
                break;
            case 'u':
                if (end - p < 6 || json_hex4(p + 2) < 0)
                    return NULL;
                p += 6;
                break;
            default:
                return NULL;
            }
            continue;
        }
        if ((unsigned char)*p < 0x20)
            return NULL;
        do {
            unsigned len = utf8_char_len(str_make(p, (size_t)(end - p)));
            if (!len)
                return NULL;
            p += len;
        } while (p < end && (unsigned char)*p >= 0x80);
    }
}

static const char *take_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    const char *digits = p;
    if (p < end && *p == '0')
        p++;
    else
        p = skip_digits(p, end);
    if (p == digits)
        return NULL;
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

static const char *take_word(const char *p, const char *end, struct str word)
{
    if ((size_t)(end - p) < word.len || memcmp(p, word.p, word.len) != 0)
        return NULL;
    return p + word.len;
}

static const char *take_key(const char *p, const char *end)
{
    p = take_string(skip_space(p, end), end);
    if (!p)
        return NULL;
    p = skip_space(p, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

static enum json_type type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

enum err json_parse(struct json *out, struct str text)
{
    const char *end = text.p + text.len;
    const char *start = skip_space(text.p, end);
    const char *p = start;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d is an object */
    unsigned depth = 0;
    bool in_object = false;

value:
    p = skip_space(p, end);
    if (p == end)
        return ERR_PROTO;
    switch (*p) {
    case '{':
    case '[': {
        if (depth == JSON_DEPTH_MAX)
            return ERR_LIMIT;
        in_object = *p == '{';
        uint64_t bit = (uint64_t)1 << depth % 64;
        if (in_object)
            objects[depth / 64] |= bit;
        else
            objects[depth / 64] &= ~bit;
        depth++;
        p = skip_space(p + 1, end);
        if (p < end && *p == (in_object ? '}' : ']'))
            goto close;
        if (in_object)
            goto key;
        goto value;
    }
    case '"':
        p = take_string(p, end);
        break;
    case 't':
        p = take_word(p, end, STR("true"));
        break;
    case 'f':
        p = take_word(p, end, STR("false"));
        break;
    case 'n':
        p = take_word(p, end, STR("null"));
        break;
    default:
        p = take_number(p, end);
    }
    if (!p)
        return ERR_PROTO;

after_value:
    if (!depth) {
        if (skip_space(p, end) != end)
            return ERR_PROTO;
        *out = (struct json){type_of(*start), str_make(start, (size_t)(p - start))};
        return ERR_OK;
    }
    p = skip_space(p, end);
    if (p == end)
        return ERR_PROTO;
    if (*p == ',') {
        p++;
        if (in_object)
            goto key;
        goto value;
    }
    if (*p != (in_object ? '}' : ']'))
        return ERR_PROTO;

close:
    p++;
    depth--;
    in_object = depth && objects[(depth - 1) / 64] >> (depth - 1) % 64 & 1;
    goto after_value;

key:
    p = take_key(p, end);
    if (!p)
        return ERR_PROTO;
    goto value;
}

bool json_is_object(struct str text)
{
    struct json value;
    return json_parse(&value, text) == ERR_OK && value.type == JSON_OBJECT;
}

/* From here on the text has been accepted: what is looked for is there. The ends are looked at
 * all the same, so that text that was never parsed costs a wrong answer and no memory fault. */

static const char *string_end(const char *p, const char *end)
{
    p++;
    while (p < end && *p != '"') {
        p = json_skip_plain(p, end);
        if (p < end && *p == '\\')
            p += end - p >= 2 ? 2 : 1;
        else
            while (p < end && ((unsigned char)*p >= 0x80 || (unsigned char)*p < 0x20))
                p++;
    }
    return p < end ? p + 1 : end;
}

static const char *container_end(const char *p, const char *end)
{
    unsigned depth = 0;
    while (p < end) {
        switch (*p) {
        case '"':
            p = string_end(p, end);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0)
                return p + 1;
            break;
        default:
            break;
        }
        p++;
    }
    return end;
}

static const char *value_end(const char *p, const char *end)
{
    if (*p == '"')
        return string_end(p, end);
    if (*p == '{' || *p == '[')
        return container_end(p, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && !is_space(*p))
        p++;
    return p;
}

static struct json value_at(const char *p, const char *end)
{
    return (struct json){type_of(*p), str_make(p, (size_t)(value_end(p, end) - p))};
}

void json_iter_init(struct json_iter *it, struct json container)
{
    assert(container.type == JSON_ARRAY || container.type == JSON_OBJECT);
    /* Without its brackets a container is a list that ends where the text does. */
    it->end = container.text.p + container.text.len - 1;
    it->p = skip_space(container.text.p + 1, it->end);
    it->in_object = container.type == JSON_OBJECT;
}

bool json_next(struct json_iter *it, struct json *key, struct json *value)
{
    const char *p = it->p;
    if (p >= it->end)
        return false;
    if (it->in_object) {
        struct json name = value_at(p, it->end);
        if (key)
            *key = name;
        p = skip_space(name.text.p + name.text.len, it->end);
        if (p < it->end && *p == ':')
            p = skip_space(p + 1, it->end);
        if (p >= it->end)
            return false;
    }
    *value = value_at(p, it->end);
    p = skip_space(value->text.p + value->text.len, it->end);
    if (p < it->end)
        p = skip_space(p + 1, it->end);
    it->p = p;
    return true;
}

bool json_get(struct json object, struct str name, struct json *out)
{
    if (object.type != JSON_OBJECT)
        return false;
    struct json_iter it;
    json_iter_init(&it, object);
    struct json key, value;
    while (json_next(&it, &key, &value)) {
        if (json_is(key, name)) {
            *out = value;
            return true;
        }
    }
    return false;
}
