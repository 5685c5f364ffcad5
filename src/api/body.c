#include "api/body.h"
#include "api/push.h"

enum { NO_ELEMENT = -1 };

/* Where something is wrong: in the body itself or in an element of it, and in which member. */
struct place {
    int64_t element;
    const char *member; /* NULL: not in a member */
};

static enum api_outcome refuse(struct api_call *c, enum problem p, struct place at,
                               const char *predicate)
{
    struct buf text = BUF_INIT, pointer = BUF_INIT;
    if (at.member)
        buf_printf(&text, "the member \"%s\"", at.member);
    else
        buf_str(&text, at.element < 0 ? STR("the body") : STR("the element"));
    if (at.element >= 0) {
        buf_printf(&text, at.member ? " of element %lld" : " %lld", (long long)at.element);
        buf_printf(&pointer, "/%lld", (long long)at.element);
    }
    if (at.member)
        buf_printf(&pointer, "/%s", at.member);
    buf_printf(&text, " %s", predicate);
    api_problem_at(c->reply, p, buf_as_str(&text), buf_as_str(&pointer));
    buf_fini(&text);
    buf_fini(&pointer);
    return API_DONE;
}

static const char *what_it_must_be(const struct body_member *m)
{
    return m->types == BODY_STRING   ? "must be a string"
           : m->types == BODY_NUMBER ? "must be a number"
                                     : "must be an array of strings";
}

static bool check(struct api_call *c, const struct body_member *m, int64_t element)
{
    const struct place at = {element, m->name};
    if (!m->is_there && !m->is_optional)
        refuse(c, PROBLEM_MISSING_MEMBER, at, "is missing");
    else if (m->is_there && !(m->types >> m->value.type & 1))
        refuse(c, PROBLEM_WRONG_TYPE, at, what_it_must_be(m));
    else if (m->is_there && m->is_nonempty && m->value.text.len == 2)
        refuse(c, PROBLEM_EMPTY_MEMBER, at, "is empty");
    else
        return true;
    return false;
}

static struct body_member *find_member(struct json key, struct body_member *members, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (json_is(key, str_of(members[i].name)))
            return &members[i];
    }
    return NULL;
}

static bool read_members(struct api_call *c, struct json object, int64_t element,
                         struct body_member *members, unsigned n)
{
    struct json_iter it;
    struct json key, value;
    if (object.type != JSON_OBJECT) {
        refuse(c, PROBLEM_WRONG_TYPE, (struct place){element, NULL}, "must be an object");
        return false;
    }
    json_iter_init(&it, object);
    while (json_next(&it, &key, &value)) {
        struct body_member *m = find_member(key, members, n);
        if (m && m->is_there) {
            /* Which one counts would be each reader's own guess. */
            refuse(c, PROBLEM_DUPLICATE_MEMBER, (struct place){element, m->name}, "is there twice");
            return false;
        }
        if (m) {
            m->is_there = true;
            m->value = value;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (!check(c, &members[i], element))
            return false;
    }
    return true;
}

static bool parse(struct api_call *c, struct json *out)
{
    enum err e = json_parse(out, c->request->body);
    if (e)
        api_problem(c->reply, e == ERR_LIMIT ? PROBLEM_TOO_DEEP : PROBLEM_MALFORMED_JSON);
    return !e;
}

bool body_read(struct api_call *c, struct body_member *members, unsigned n)
{
    struct json body;
    return parse(c, &body) && read_members(c, body, NO_ELEMENT, members, n);
}

bool body_read_optional(struct api_call *c, struct body_member *members, unsigned n)
{
    return !c->request->body.len || body_read(c, members, n);
}

bool body_read_array(struct api_call *c, struct json *array)
{
    if (!parse(c, array))
        return false;
    if (array->type == JSON_ARRAY)
        return true;
    refuse(c, PROBLEM_WRONG_TYPE, (struct place){NO_ELEMENT, NULL}, "must be an array");
    return false;
}

bool body_read_element(struct api_call *c, unsigned i, struct json element,
                       struct body_member *members, unsigned n)
{
    return read_members(c, element, i, members, n);
}

struct str body_text(const struct body_member *m, struct buf *scratch)
{
    return m->is_there ? json_text(m->value, scratch) : STR_EMPTY;
}

void body_wrong_type(struct api_call *c, const struct body_member *m, const char *what)
{
    struct buf predicate = BUF_INIT;
    buf_printf(&predicate, "must be %s", what);
    buf_char(&predicate, 0);
    refuse(c, PROBLEM_WRONG_TYPE, (struct place){NO_ELEMENT, m->name}, predicate.p);
    buf_fini(&predicate);
}

bool body_names(struct api_call *c, const struct body_member *m, struct buf *names)
{
    bool is_large = m->value.text.len > API_GRANTS_BYTES_MAX;
    enum err e = is_large ? ERR_LIMIT : api_read_names(m->value, names);
    if (e == ERR_LIMIT)
        api_problem(c->reply, PROBLEM_TOO_MANY_CHANNELS);
    else if (e)
        body_wrong_type(c, m, "an array of strings");
    return !e;
}

bool body_jwt(struct api_call *c, struct buf *scratch, struct str *jwt)
{
    struct body_member m = {.name = "jwt", .types = BODY_STRING};
    if (!body_read(c, &m, 1))
        return false;
    *jwt = body_text(&m, scratch);
    return true;
}
