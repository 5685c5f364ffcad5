/* console.c - the web console at /ui of a master: a page that is part of the program and speaks the
 * public API alone, so what it may do is what the key that is typed into it may; and what the page
 * has to know before anybody has signed in. How it is built: console/. */
#include "api/api.h"

#if GUSHER_CONSOLE

/* A file of console/, as the build made it, plain and compressed. */
struct file {
    const char *type;
    struct form_of_file {
        const unsigned char *bytes;
        const size_t *len;
        const char *hash;
    } plain, gzip;
};

#define FORM(name)                                                                                 \
    {                                                                                              \
        name, &name##_len, name##_hash                                                             \
    }
#define FILE_OF_CONSOLE(handler, name, media_type)                                                 \
    extern const unsigned char name[], name##_gz[];                                                \
    extern const size_t name##_len, name##_gz_len;                                                 \
    extern const char name##_hash[], name##_gz_hash[];                                             \
    static enum api_outcome handler(struct api_call *c)                                            \
    {                                                                                              \
        static const struct file file = {media_type, FORM(name), FORM(name##_gz)};                 \
        return give(c, &file);                                                                     \
    }

/* Nothing from elsewhere, nothing inline, nobody's frame. To try things out the page opens a socket
 * of its own, at the slave, which may have any of this machine's names. */
static void add_policy(struct api_call *c)
{
    struct buf *out = &c->reply->extra;
    buf_str(out, STR("Content-Security-Policy: default-src 'none'; script-src 'self'; "
                     "style-src 'self'; img-src 'self' data:; connect-src 'self'"));
    if (api_is_dev(c) && c->api->options.slave_port)
        buf_printf(out, " %s://*:%u", c->api->options.slave_has_tls ? "wss" : "ws",
                   c->api->options.slave_port);
    buf_str(out, STR("; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
                     "X-Content-Type-Options: nosniff\r\n"
                     "Referrer-Policy: no-referrer\r\n"
                     "Cross-Origin-Opener-Policy: same-origin\r\n"));
}

/* The ETags of a list that a browser sends are those we gave, whole. */
static bool has_already(const struct api_call *c, const char *hash)
{
    struct str list = c->request->headers[HTTP_H_IF_NONE_MATCH];
    return list.p && memmem(list.p, list.len, hash, strlen(hash));
}

static enum api_outcome give(struct api_call *c, const struct file *f)
{
    struct str codings = c->request->headers[HTTP_H_ACCEPT_ENCODING];
    bool is_gzip = codings.p && str_has_token(codings, STR("gzip"));
    const struct form_of_file *form = is_gzip ? &f->gzip : &f->plain;
    add_policy(c);
    /* Asked each time, answered by a 304: so a new release is a new console at once. */
    buf_printf(&c->reply->extra,
               "Cache-Control: no-cache\r\nETag: \"%s\"\r\nVary: Accept-Encoding\r\n", form->hash);
    if (has_already(c, form->hash)) {
        c->reply->status = 304;
        return API_DONE;
    }
    if (is_gzip)
        buf_str(&c->reply->extra, STR("Content-Encoding: gzip\r\n"));
    c->reply->status = 200;
    c->reply->type = f->type;
    buf_add(&c->reply->body, form->bytes, *form->len);
    return API_DONE;
}

FILE_OF_CONSOLE(on_page, console_index_html, "text/html; charset=utf-8")
FILE_OF_CONSOLE(on_script, console_app_js, "text/javascript; charset=utf-8")
FILE_OF_CONSOLE(on_style, console_app_css, "text/css; charset=utf-8")
FILE_OF_CONSOLE(on_icon, console_favicon_svg, "image/svg+xml")

/* Relative: a proxy may have put all of this below a prefix. */
static enum api_outcome on_bare_path(struct api_call *c)
{
    c->reply->status = 308;
    buf_str(&c->reply->extra, STR("Location: ui/\r\n"));
    return API_DONE;
}

static void add_bool(struct buf *out, const char *name, bool value)
{
    buf_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static enum api_outcome on_config(struct api_call *c)
{
    const struct api_options *o = &c->api->options;
    struct buf *out = api_json(c->reply);
    buf_str(out, STR("{\"version\":\"" GUSHER_VERSION "\""));
    add_bool(out, "keys", c->api->trust->master_keys);
    add_bool(out, "dev", api_is_dev(c));
    buf_printf(out, ",\"slave_port\":%u", o->slave_port);
    add_bool(out, "slave_tls", o->slave_has_tls);
    buf_char(out, '}');
    add_policy(c);
    buf_str(&c->reply->extra, STR("Cache-Control: no-store\r\n"));
    return API_DONE;
}

#define ENTRY(handler)                                                                             \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler, 0                                                                                 \
    }

const struct route api_console_routes[] = {
    {HTTP_M_GET, "ui", ENTRY(on_bare_path)},
    {HTTP_M_GET, "ui/", ENTRY(on_page)},
    {HTTP_M_GET, "ui/app.js", ENTRY(on_script)},
    {HTTP_M_GET, "ui/app.css", ENTRY(on_style)},
    {HTTP_M_GET, "ui/favicon.svg", ENTRY(on_icon)},
    {HTTP_M_GET, "ui/config.json", ENTRY(on_config)},
};

#else

static enum api_outcome on_page(struct api_call *c)
{
    api_text(c->reply, 404, "This gusher was built without its console (GUSHER_CONSOLE=OFF).\n");
    return API_DONE;
}

const struct route api_console_routes[] = {
    {HTTP_M_GET, "ui", &(const struct api_entry){on_page, 0}},
    {HTTP_M_GET, "ui/", &(const struct api_entry){on_page, 0}},
};

#endif

const bool api_has_console = GUSHER_CONSOLE;
const unsigned api_n_console_routes = sizeof(api_console_routes) / sizeof(api_console_routes[0]);
