#include "api/api.h"
#include <string.h>
#include "base/log.h"

void api_reply_fini(struct api_reply *r)
{
    buf_fini(&r->body);
    buf_fini(&r->extra);
}

void api_text(struct api_reply *r, int status, const char *body)
{
    r->status = status;
    r->type = HTTP_TEXT;
    buf_clear(&r->body);
    buf_str(&r->body, str_of(body));
}

struct buf *api_json(struct api_reply *r)
{
    r->status = 200;
    r->type = HTTP_JSON;
    buf_clear(&r->body);
    return &r->body;
}

enum api_outcome api_refuse(struct api_reply *r, enum err e)
{
    switch (e) {
    case ERR_FULL:
        api_text(r, 503, "server busy, try again");
        buf_str(&r->extra, STR("Retry-After: 1\r\n"));
        break;
    case ERR_AWAY:
        api_text(r, 503, "the bus is away, try again");
        buf_str(&r->extra, STR("Retry-After: 1\r\n"));
        break;
    case ERR_TIMEOUT:
        api_text(r, 504, "no answer in time");
        break;
    case ERR_LIMIT:
        api_text(r, 413, "a limit was passed");
        break;
    case ERR_NOT_FOUND:
        api_text(r, 404, "404 page not found\n");
        break;
    case ERR_DENIED:
    case ERR_EXPIRED:
        api_text(r, 401, "not permitted");
        break;
    case ERR_OK:
    case ERR_SYS:
    case ERR_AGAIN:
    case ERR_PROTO:
        api_text(r, 400, "400 Bad Request");
        r->close = true;
        break;
    }
    return API_DONE;
}

enum api_outcome api_refuse_size(struct api_reply *r, const char *what, size_t max)
{
    api_text(r, 413, what);
    buf_printf(&r->body, " is longer than %zu bytes\n", max);
    return API_DONE;
}

struct str api_param(const struct api_call *c, struct str name)
{
    struct str value;
    return form_get(&c->form, name, &value) ? value : STR_EMPTY;
}

static void refuse_method(struct api_reply *r, unsigned allowed)
{
    static const struct {
        enum http_method method;
        const char *names;
    } methods[] = {{HTTP_M_GET, "GET, HEAD"}, {HTTP_M_POST, "POST"}, {HTTP_M_OPTIONS, "OPTIONS"}};
    r->status = 405;
    buf_str(&r->extra, STR("Allow: "));
    bool first = true;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (!(allowed >> methods[i].method & 1))
            continue;
        buf_printf(&r->extra, "%s%s", first ? "" : ", ", methods[i].names);
        first = false;
    }
    buf_str(&r->extra, STR("\r\n"));
}

enum { PLACES_MAX = 6 };

/* Where a path may belong: a table below a prefix. */
struct place {
    const struct route *routes;
    unsigned n;
    struct str prefix;
};

static bool is_below(struct str path, struct str prefix)
{
    return str_starts(path, prefix) && path.len > prefix.len && path.p[prefix.len] == '/';
}

static unsigned find_places(const struct api *a, unsigned roles, struct str path,
                            struct place places[PLACES_MAX])
{
    unsigned n = 0;
    if (roles & API_SLAVE)
        places[n++] = (struct place){api_slave_routes, api_n_slave_routes, a->options.slave_prefix};
    if (roles & API_MASTER) {
        struct str prefix = a->options.master_prefix;
        places[n++] = (struct place){api_master_commands, api_n_master_commands, prefix};
        places[n++] = (struct place){api_moderation_routes, api_n_moderation_routes, prefix};
        places[n++] = (struct place){api_master_queries, api_n_master_queries, prefix};
        /* The seed document writes the queries without the prefix. A path below a prefix is never
         * read that way, or "/api/channels" would ask for an app named "api". */
        bool below_slave = roles & API_SLAVE && is_below(path, a->options.slave_prefix);
        if (prefix.len && !is_below(path, prefix) && !below_slave)
            places[n++] = (struct place){api_master_queries, api_n_master_queries, STR_EMPTY};
    }
    places[n++] = (struct place){api_health_routes, api_n_health_routes, STR_EMPTY};
    return n;
}

static enum err find_route(const struct api *a, unsigned roles, const struct http_request *r,
                           struct route_match *m)
{
    struct place places[PLACES_MAX];
    unsigned n = find_places(a, roles, r->path, places);
    enum err best = ERR_NOT_FOUND;
    unsigned allowed = 0;
    for (unsigned i = 0; i < n; i++) {
        enum err e =
            route_find(m, places[i].routes, places[i].n, places[i].prefix, r->method, r->path);
        if (e == ERR_OK || e == ERR_PROTO)
            return e;
        allowed |= m->allowed;
        if (e == ERR_DENIED)
            best = e;
        route_match_fini(m);
    }
    *m = (struct route_match){.allowed = allowed};
    return best;
}

/* ---- who may call the master (RFC 6750 section 3) ---- */

static bool refuse_key(struct api_call *c, int status, const char *challenge, const char *why)
{
    LOG(LOG_WARN, "master_refused", LOG_INT("status", status), LOG_CSTR("reason", why),
        LOG_STR("key", c->key ? master_key_name(c->key) : STR_EMPTY),
        LOG_STR("app", c->n_params ? c->params[0] : STR_EMPTY));
    api_text(c->reply, status, why);
    buf_char(&c->reply->body, '\n');
    buf_printf(&c->reply->extra, "WWW-Authenticate: Bearer%s\r\n", challenge);
    return false;
}

bool api_has_app(struct api_call *c, struct str app)
{
    if (!c->key || master_key_has_app(c->key, app))
        return true;
    return refuse_key(c, 403, " error=\"insufficient_scope\"", "the key is not for this app");
}

/* "Bearer KEY", the first word without regard to case. */
static bool read_bearer(struct str header, struct str *secret)
{
    struct str scheme = str_cut(&header, ' ');
    *secret = str_trim(header);
    return str_eq_nocase(scheme, STR("Bearer")) && secret->len;
}

static bool is_permitted(struct api_call *c, enum master_right right)
{
    const struct master_keys *keys = c->api->trust->master_keys;
    struct str header = c->request->headers[HTTP_H_AUTHORIZATION], secret;
    if (!right || !keys)
        return true;
    if (!header.p || !read_bearer(header, &secret))
        return refuse_key(c, 401, "", "a key is needed: Authorization: Bearer KEY");
    c->key = master_keys_find(keys, secret);
    if (!c->key)
        return refuse_key(c, 401, " error=\"invalid_token\"", "the key is not known");
    if (!master_key_has_right(c->key, right))
        return refuse_key(c, 403, " error=\"insufficient_scope\"",
                          "the key does not have the right for this");
    return !c->n_params || api_has_app(c, c->params[0]);
}

/* ---- a request ---- */

static enum err read_form(struct api_call *c)
{
    const struct http_request *r = c->request;
    struct str type = r->headers[HTTP_H_CONTENT_TYPE];
    struct str media = type;
    bool is_json = type.p && str_eq_nocase(str_trim(str_cut(&media, ';')), STR("application/json"));
    if (r->method == HTTP_M_POST && type.p && r->body.len &&
        (!is_json || c->api->options.json_bodies)) {
        enum err e = form_add_body(&c->form, type, r->body);
        if (e)
            return e;
    }
    return form_add_urlencoded(&c->form, r->query);
}

static bool has_long_name(const struct api_call *c)
{
    unsigned i = 0;
    while (i < c->n_params && c->params[i].len <= c->api->options.name_max)
        i++;
    return i < c->n_params;
}

static enum api_outcome call(struct api_call *c, const struct api_entry *entry)
{
    enum api_outcome outcome = API_DONE;
    if (!is_permitted(c, entry->right))
        return API_DONE;
    if (has_long_name(c))
        return api_refuse_size(c->reply, "a name", c->api->options.name_max);
    form_init(&c->form);
    enum err e = read_form(c);
    if (e)
        api_text(c->reply, e == ERR_LIMIT ? 413 : 400,
                 e == ERR_LIMIT ? "too many parameters" : "malformed body");
    else
        outcome = entry->handle(c);
    form_fini(&c->form);
    return outcome;
}

/* Finds what is called, in `m`, for route_match_fini. False: it is refused. */
static bool find_call(struct api_call *c, struct route_match *m)
{
    enum err e = find_route(c->api, c->roles, c->request, m);
    memcpy(c->params, m->params, sizeof(c->params));
    c->n_params = m->n_params;
    if (e == ERR_DENIED)
        refuse_method(c->reply, m->allowed);
    else if (e)
        api_refuse(c->reply, e);
    return !e;
}

static enum master_right right_for(const struct route_match *m)
{
    const struct api_entry *entry = m->route->handler;
    return entry->right;
}

bool api_refuses_head(struct api *a, unsigned roles, const struct http_request *r, uint64_t number,
                      struct api_reply *reply)
{
    struct route_match m;
    struct api_call c = {.api = a, .roles = roles, .request = r, .number = number, .reply = reply};
    bool goes_on = find_call(&c, &m) && is_permitted(&c, right_for(&m));
    route_match_fini(&m);
    return !goes_on;
}

enum api_outcome api_handle(struct api *a, unsigned roles, const struct http_request *r,
                            uint64_t number, double now_s, int64_t now_ms, struct api_reply *reply,
                            struct claims **claims)
{
    struct route_match m;
    struct api_call c = {.api = a,
                         .roles = roles,
                         .request = r,
                         .number = number,
                         .now_s = now_s,
                         .now_ms = now_ms,
                         .no_sockets = roles & API_NO_SOCKETS,
                         .reply = reply,
                         .claims = claims};
    enum api_outcome outcome = find_call(&c, &m) ? call(&c, m.route->handler) : API_DONE;
    route_match_fini(&m);
    return outcome;
}
