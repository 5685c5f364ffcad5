#include "auth/origins.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/names.h"

struct origins {
    struct buf patterns; /* names.h */
};

struct origins *origins_new(void)
{
    return mem_zalloc(sizeof(struct origins));
}

void origins_free(struct origins *o)
{
    if (!o)
        return;
    buf_fini(&o->patterns);
    mem_free(o);
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool consists_of(struct str text, const char *more)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_letter_or_digit(text.p[i]) && !(text.p[i] && strchr(more, text.p[i])))
            return false;
    }
    return text.len > 0;
}

static bool is_port(struct str text)
{
    size_t n = 0;
    while (n < text.len && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    return n && n == text.len;
}

/* Cuts the scheme off *text; false: there is none. */
static bool cut_scheme(struct str *text, struct str *scheme)
{
    *scheme = str_cut(text, ':');
    if (!str_starts(*text, STR("//")))
        return false;
    text->p += 2;
    text->len -= 2;
    return consists_of(*scheme, "+-.");
}

/* A name, an IPv4 or a bracketed IPv6 address, and perhaps a port. */
static bool is_host(struct str text)
{
    const char *end = text.len && text.p[0] == '[' ? memchr(text.p, ']', text.len) : NULL;
    struct str host, port = text;
    if (end) {
        host = str_make(text.p + 1, (size_t)(end - text.p) - 1);
        port = str_make(end + 1, text.len - host.len - 2);
        if (port.len && port.p[0] != ':')
            return false;
        return consists_of(host, ":.") &&
               (!port.len || is_port(str_make(port.p + 1, port.len - 1)));
    }
    bool has_port = memchr(text.p, ':', text.len);
    host = str_cut(&port, ':');
    return consists_of(host, "-._") && (!has_port || is_port(port));
}

/* Browsers leave a default port out. */
static struct str without_default_port(struct str scheme, struct str host)
{
    struct str port = str_eq_nocase(scheme, STR("https"))  ? STR(":443")
                      : str_eq_nocase(scheme, STR("http")) ? STR(":80")
                                                           : STR_EMPTY;
    if (host.len > port.len && str_eq(str_make(host.p + host.len - port.len, port.len), port))
        host.len -= port.len;
    return host;
}

enum err origins_add(struct origins *o, struct str pattern)
{
    struct str scheme, host = pattern, rest;
    if (str_eq(pattern, STR("null"))) { /* a page without an origin: a file, a sandbox */
        names_add(&o->patterns, pattern);
        return ERR_OK;
    }
    if (!cut_scheme(&host, &scheme))
        return ERR_PROTO;
    rest = host;
    if (str_starts(host, STR("*.")))
        rest = str_make(host.p + 2, host.len - 2);
    if (!is_host(rest))
        return ERR_PROTO;
    host = without_default_port(scheme, host);
    names_add(&o->patterns, str_make(pattern.p, (size_t)(host.p + host.len - pattern.p)));
    return ERR_OK;
}

static bool matches(struct str pattern, struct str origin)
{
    const char *star = memchr(pattern.p, '*', pattern.len);
    if (!star)
        return str_eq_nocase(pattern, origin);
    struct str before = str_make(pattern.p, (size_t)(star - pattern.p));
    struct str behind = str_make(star + 1, pattern.len - before.len - 1);
    if (origin.len <= before.len + behind.len)
        return false;
    struct str label = str_make(origin.p + before.len, origin.len - before.len - behind.len);
    return str_eq_nocase(str_make(origin.p, before.len), before) &&
           str_eq_nocase(str_make(label.p + label.len, behind.len), behind) &&
           consists_of(label, "-_");
}

bool origins_allow(const struct origins *o, struct str origin)
{
    struct str rest = buf_as_str(&o->patterns);
    for (struct str pattern; names_next(&rest, &pattern);) {
        if (matches(pattern, origin))
            return true;
    }
    return false;
}
