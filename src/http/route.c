#include "http/route.h"
#include "http/form.h"

struct segments {
    struct str raw[ROUTE_SEGMENTS_MAX];
    unsigned n;
};

static enum err split(struct segments *s, struct str path, struct str prefix)
{
    s->n = 0;
    if (!str_starts(path, prefix))
        return ERR_NOT_FOUND;
    path.p += prefix.len;
    path.len -= prefix.len;
    if (!path.len || path.p[0] != '/')
        return ERR_NOT_FOUND;
    path.p++;
    path.len--;
    for (bool more = true; more;) {
        if (s->n == ROUTE_SEGMENTS_MAX)
            return ERR_NOT_FOUND;
        more = path.len && memchr(path.p, '/', path.len);
        s->raw[s->n] = str_cut(&path, '/');
        struct str raw = s->raw[s->n++];
        /* "//" and dot segments, which some client or proxy on the way would have resolved (RFC
         * 3986 section 5.2.4): nobody can have meant them as names. Nor a slash at the end: that
         * fits only a pattern that has one. */
        if ((!raw.len && more) || str_eq(raw, STR(".")) || str_eq(raw, STR("..")))
            return ERR_NOT_FOUND;
    }
    return ERR_OK;
}

static bool is_param(struct str piece)
{
    return str_eq(piece, STR("{}"));
}

/* Literal segments are compared decoded: "%70ing" is "ping". They are short and known, so a
 * segment with an escape is the exception. */
static bool fits(const char *pattern, const struct segments *s, const struct str *decoded)
{
    struct str rest = str_of(pattern);
    bool more = true;
    for (unsigned i = 0; i < s->n; i++) {
        if (!more)
            return false;
        more = rest.len && memchr(rest.p, '/', rest.len);
        struct str piece = str_cut(&rest, '/');
        if (is_param(piece) ? !decoded[i].len : !str_eq(piece, decoded[i]))
            return false;
    }
    return !more;
}

enum err route_find(struct route_match *m, const struct route *routes, unsigned n,
                    struct str prefix, enum http_method method, struct str path)
{
    *m = (struct route_match){0};
    /* A broken escape is told before a wrong path: the request is malformed whatever it asks for.
     */
    if (memchr(path.p, '%', path.len)) {
        enum err broken = form_decode_segment(&m->text, path);
        if (broken)
            return broken;
        buf_clear(&m->text);
    }
    struct segments s;
    enum err e = split(&s, path, prefix);
    if (e)
        return e;

    struct str decoded[ROUTE_SEGMENTS_MAX];
    buf_reserve(&m->text, path.len + 1); /* decoding never grows: the spans stay where they are */
    for (unsigned i = 0; i < s.n; i++) {
        size_t at = m->text.len;
        if (form_decode_segment(&m->text, s.raw[i]))
            return ERR_PROTO;
        decoded[i] = str_make(m->text.p + at, m->text.len - at);
    }

    enum err found = ERR_NOT_FOUND;
    for (unsigned r = 0; r < n; r++) {
        if (!fits(routes[r].pattern, &s, decoded))
            continue;
        bool same =
            routes[r].method == method || (routes[r].method == HTTP_M_GET && method == HTTP_M_HEAD);
        m->allowed |= 1u << routes[r].method;
        if (!same) {
            found = ERR_DENIED;
            continue;
        }
        m->route = &routes[r];
        struct str rest = str_of(routes[r].pattern);
        for (unsigned i = 0; i < s.n; i++) {
            if (is_param(str_cut(&rest, '/')))
                m->params[m->n_params++] = decoded[i];
        }
        return ERR_OK;
    }
    return found;
}

void route_match_fini(struct route_match *m)
{
    buf_fini(&m->text);
}
