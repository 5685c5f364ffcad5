#include "remote/url.h"

/* Percent-decodes `from`; a NUL would end the C string early and is refused. */
static bool decode(char to[REMOTE_URL_PART_MAX], struct str from)
{
    size_t len = 0;
    for (size_t i = 0; i < from.len; i++) {
        char c = from.p[i];
        if (c == '%') {
            if (from.len - i < 3)
                return false;
            int high = str_hex_digit(from.p[i + 1]), low = str_hex_digit(from.p[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || len + 1 >= REMOTE_URL_PART_MAX)
            return false;
        to[len++] = c;
    }
    to[len] = 0;
    return true;
}

static bool read_port(unsigned *out, struct str text)
{
    uint64_t port;
    if (!str_number(text, UINT16_MAX, &port) || !port)
        return false;
    *out = (unsigned)port;
    return true;
}

/* host, host:port, [v6] or [v6]:port */
static bool read_place(struct remote_url *out, struct str place)
{
    struct str host, rest = place;
    if (place.len && place.p[0] == '[') {
        rest = str_make(place.p + 1, place.len - 1);
        if (!memchr(rest.p, ']', rest.len))
            return false;
        host = str_cut(&rest, ']');
        if (rest.len && rest.p[0] != ':')
            return false;
    } else {
        const char *colon = place.len ? memchr(place.p, ':', place.len) : NULL;
        host = str_make(place.p, colon ? (size_t)(colon - place.p) : place.len);
        rest = str_make(place.p + host.len, place.len - host.len);
    }
    if (!host.len || !decode(out->host, host))
        return false;
    return !rest.len || read_port(&out->port, str_make(rest.p + 1, rest.len - 1));
}

enum err remote_url_parse(struct remote_url *out, struct str url, struct str scheme)
{
    *out = (struct remote_url){0};
    if (!str_starts(url, scheme))
        return ERR_PROTO;
    struct str path = str_make(url.p + scheme.len, url.len - scheme.len);
    struct str place = str_cut(&path, '/');
    /* A query or fragment has no meaning here, and must not become part of a name. */
    if ((path.len && (memchr(path.p, '?', path.len) || memchr(path.p, '#', path.len))) ||
        !decode(out->path, path))
        return ERR_PROTO;
    const char *at = place.len ? memrchr(place.p, '@', place.len) : NULL;
    if (at) {
        struct str login = str_make(place.p, (size_t)(at - place.p));
        place = str_make(at + 1, place.len - login.len - 1);
        if (!login.len || !memchr(login.p, ':', login.len))
            return ERR_PROTO;
        struct str user = str_cut(&login, ':');
        if (!decode(out->user, user) || !decode(out->password, login))
            return ERR_PROTO;
        out->has_login = true;
    }
    return read_place(out, place) ? ERR_OK : ERR_PROTO;
}
