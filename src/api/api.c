#include "api/api.h"
#include <string.h>
#include "base/log.h"

#define LOG_AREA LOG_HTTP

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
    } methods[] = {{HTTP_M_GET, "GET, HEAD"},
                   {HTTP_M_POST, "POST"},
                   {HTTP_M_OPTIONS, "OPTIONS"},
                   {HTTP_M_PUT, "PUT"},
                   {HTTP_M_DELETE, "DELETE"}};
    if (r->has_problems)
        api_problem(r, PROBLEM_METHOD);
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

enum { PLACES_MAX = 10 };

/* Where a path may belong: a table below a prefix. */
struct place {
    const struct route *routes;
    unsigned n;
    struct str prefix;
};

struct places {
    struct place all[PLACES_MAX];
    unsigned n;
};

static bool is_below(struct str path, struct str prefix)
{
    return str_starts(path, prefix) && path.len > prefix.len && path.p[prefix.len] == '/';
}

static void add_place(struct places *p, const struct route *routes, unsigned n, struct str prefix)
{
    p->all[p->n++] = (struct place){routes, n, prefix};
}

/* The modern API, wherever the seed's is. */
static void add_v1_places(struct places *p, unsigned roles)
{
    const struct str prefix = STR("/v1");
    if (roles & API_SLAVE)
        add_place(p, api_v1_slave_routes, api_n_v1_slave_routes, prefix);
    if (roles & API_MASTER)
        add_place(p, api_v1_master_routes, api_n_v1_master_routes, prefix);
    add_place(p, api_v1_routes, api_n_v1_routes, prefix);
}

static void add_master_places(struct places *p, const struct api *a, unsigned roles,
                              struct str path)
{
    struct str prefix = a->options.master_prefix;
    add_place(p, api_master_commands, api_n_master_commands, prefix);
    add_place(p, api_moderation_routes, api_n_moderation_routes, prefix);
    add_place(p, api_master_queries, api_n_master_queries, prefix);
    /* The seed document writes the queries without the prefix. A path below a prefix is never
     * read that way, or "/api/channels" would ask for an app named "api". */
    bool below_slave = roles & API_SLAVE && is_below(path, a->options.slave_prefix);
    if (prefix.len && !is_below(path, prefix) && !below_slave)
        add_place(p, api_master_queries, api_n_master_queries, STR_EMPTY);
}

/* A path below /v1 is the seed's only where its own prefix says so. */
static bool may_be_below(struct str prefix, bool is_v1)
{
    return !is_v1 || api_has_problems(prefix);
}

static void find_places(struct places *p, const struct api *a, unsigned roles, struct str path)
{
    bool is_v1 = api_has_problems(path);
    p->n = 0;
    if (is_v1)
        add_v1_places(p, roles);
    if (roles & API_SLAVE && may_be_below(a->options.slave_prefix, is_v1))
        add_place(p, api_slave_routes, api_n_slave_routes, a->options.slave_prefix);
    if (roles & API_MASTER && may_be_below(a->options.master_prefix, is_v1))
        add_master_places(p, a, roles, path);
    add_place(p, api_health_routes, api_n_health_routes, STR_EMPTY);
    if (roles & API_MASTER)
        add_place(p, api_console_routes, api_n_console_routes, STR_EMPTY);
}

static enum err find_route(const struct api *a, unsigned roles, const struct http_request *r,
                           struct route_match *m)
{
    struct places places;
    find_places(&places, a, roles, r->path);
    enum err best = ERR_NOT_FOUND;
    unsigned allowed = 0;
    for (const struct place *p = places.all; p < places.all + places.n; p++) {
        enum err e = route_find(m, p->routes, p->n, p->prefix, r->method, r->path);
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

#define SCOPE " error=\"insufficient_scope\""

static bool refuse_key(struct api_call *c, enum problem why, const char *challenge)
{
    char request[API_REQUEST_ID_MAX];
    c->api->request_id(c->api->ctx, c->number, request);
    LOG(LOG_WARN, "master_refused", LOG_CSTR("request", request),
        LOG_INT("status", problem_status(why)), LOG_CSTR("reason", problem_code(why)),
        LOG_STR("key", c->key ? master_key_name(c->key) : STR_EMPTY),
        LOG_STR("app", c->n_params ? c->params[0] : STR_EMPTY));
    api_problem(c->reply, why);
    buf_printf(&c->reply->extra, "WWW-Authenticate: Bearer%s\r\n", challenge);
    return false;
}

bool api_has_app(struct api_call *c, struct str app)
{
    if (!c->key || master_key_has_app(c->key, app))
        return true;
    return refuse_key(c, PROBLEM_KEY_APP, SCOPE);
}

bool api_has_all_apps(struct api_call *c)
{
    return !c->key || master_key_has_all_apps(c->key) || refuse_key(c, PROBLEM_KEY_APPS, SCOPE);
}

/* "Bearer KEY", the first word without regard to case. */
static bool read_bearer(struct str header, struct str *secret)
{
    struct str scheme = str_cut(&header, ' ');
    *secret = str_trim(header);
    return str_eq_nocase(scheme, STR("Bearer")) && secret->len;
}

/* "192.0.2.1" or "[::1]": nobody can lead an address anywhere else, and no name looks like one. */
static bool is_address(struct str host)
{
    for (size_t i = 0; i < host.len && host.p[0] != '['; i++) {
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
    }
    return host.len;
}

/* Names with a dot are the world's, where anybody may have one; but those of "localhost". */
static bool is_own_name(struct str host)
{
    const struct str end = STR(".localhost");
    if (!memchr(host.p, '.', host.len))
        return true;
    return host.len > end.len && str_eq_nocase(str_make(host.p + host.len - end.len, end.len), end);
}

/* A name of theirs that they have led to this machine makes a page of somebody else's one of ours
 * to the browser (DNS rebinding). */
static bool has_own_host(const struct api_call *c)
{
    struct str header = c->request->headers[HTTP_H_HOST], rest = header;
    struct str host = header.len && header.p[0] == '[' ? header : str_cut(&rest, ':');
    return c->api->options.is_open || !header.p || is_address(host) || is_own_name(host);
}

/* Without keys this machine may call, and so may a browser on it: but no page of somebody else's
 * that it shows (Fetch Metadata; every browser of today says so). */
bool api_is_no_strange_page(struct api_call *c)
{
    struct str site = c->request->headers[HTTP_H_FETCH_SITE];
    bool is_strange = site.p && str_eq(site, STR("cross-site"));
    if (!is_strange && has_own_host(c))
        return true;
    LOG(LOG_WARN, "page_refused", LOG_STR("origin", c->request->headers[HTTP_H_ORIGIN]),
        LOG_STR("host", c->request->headers[HTTP_H_HOST]));
    api_problem(c->reply, is_strange ? PROBLEM_ORIGIN : PROBLEM_HOST);
    return false;
}

static bool is_permitted(struct api_call *c, enum master_right right)
{
    const struct master_keys *keys = c->api->trust->master_keys;
    struct str header = c->request->headers[HTTP_H_AUTHORIZATION], secret;
    if (!right)
        return true;
    if (!keys)
        return api_is_no_strange_page(c);
    if (!header.p || !read_bearer(header, &secret))
        return refuse_key(c, PROBLEM_KEY_NEEDED, "");
    c->key = master_keys_find(keys, secret);
    if (!c->key)
        return refuse_key(c, PROBLEM_KEY_UNKNOWN, " error=\"invalid_token\"");
    if (!master_key_has_right(c->key, right))
        return refuse_key(c, PROBLEM_KEY_RIGHT, SCOPE);
    return !c->n_params || api_has_app(c, c->params[0]);
}

/* ---- a request ---- */

static enum err read_form(struct api_call *c)
{
    const struct http_request *r = c->request;
    struct str type = r->headers[HTTP_H_CONTENT_TYPE];
    struct str media = type;
    if (c->reply->has_problems) /* its bodies are read as what they are: body.h */
        return form_add_urlencoded(&c->form, r->query);
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
        return api_refuse_size(c->reply, PROBLEM_NAME_TOO_LONG, "a name", c->api->options.name_max);
    form_init(&c->form);
    enum err e = read_form(c);
    if (e == ERR_LIMIT)
        api_problem(c->reply, PROBLEM_TOO_MANY_PARAMETERS);
    else if (e)
        api_text(c->reply, 400, "malformed body");
    else if (c->reply->has_problems && entry->right == MASTER_PUBLISH)
        outcome = api_once(c, entry);
    else
        outcome = entry->handle(c);
    form_fini(&c->form);
    return outcome;
}

/* Finds what is called, in `m`, for route_match_fini. False: it is refused. */
static bool find_call(struct api_call *c, struct route_match *m)
{
    c->reply->has_problems = api_has_problems(c->request->path);
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
