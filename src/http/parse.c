#include "http/parse.h"
#include <assert.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t len;
} header_names[HTTP_H_N] = {
#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    [HTTP_H_HOST] = NAME("host"),
    [HTTP_H_CONTENT_TYPE] = NAME("content-type"),
    [HTTP_H_EXPECT] = NAME("expect"),
    [HTTP_H_ORIGIN] = NAME("origin"),
    [HTTP_H_AUTHORIZATION] = NAME("authorization"),
    [HTTP_H_UPGRADE] = NAME("upgrade"),
    [HTTP_H_WS_KEY] = NAME("sec-websocket-key"),
    [HTTP_H_WS_VERSION] = NAME("sec-websocket-version"),
    [HTTP_H_WS_EXTENSIONS] = NAME("sec-websocket-extensions"),
    [HTTP_H_TRANSFER_ENCODING] = NAME("transfer-encoding"),
    [HTTP_H_FORWARDED_FOR] = NAME("x-forwarded-for"),
    [HTTP_H_IDEMPOTENCY_KEY] = NAME("idempotency-key"),
    [HTTP_H_IF_NONE_MATCH] = NAME("if-none-match"),
    [HTTP_H_ACCEPT_ENCODING] = NAME("accept-encoding"),
    [HTTP_H_REQUEST_ID] = NAME("x-request-id"),
    [HTTP_H_FETCH_SITE] = NAME("sec-fetch-site"),
#undef NAME
};

static struct http_parser *self(llhttp_t *l)
{
    return l->data;
}

static int refuse(struct http_parser *p, int status)
{
    p->refusal = status;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *l)
{
    struct http_parser *p = self(l);
    buf_clear(&p->text);
    buf_clear(&p->body_part);
    p->body_span = STR_EMPTY;
    p->headers_bytes = 0;
    p->target_len = 0;
    p->kept_mask = 0;
    p->name_len = 0;
    p->current = -1;
    p->n_headers = p->n_hosts = p->n_codings = 0;
    p->in_value = p->head_done = p->head_given = p->complete = p->wants_continue = false;
    return 0;
}

static int on_url(llhttp_t *l, const char *at, size_t len)
{
    struct http_parser *p = self(l);
    if (p->target_len + len > HTTP_TARGET_MAX)
        return refuse(p, 414);
    buf_add(&p->text, at, len);
    p->target_len += (uint32_t)len;
    return 0;
}

static int count_header_bytes(struct http_parser *p, size_t len)
{
    p->headers_bytes += len;
    return p->headers_bytes > p->headers_max ? refuse(p, 431) : 0;
}

static int on_header_field(llhttp_t *l, const char *at, size_t len)
{
    struct http_parser *p = self(l);
    /* RFC 9112 section 5.1; some builds of llhttp let them pass. */
    if (memchr(at, ' ', len))
        return refuse(p, 400);
    for (size_t i = 0; i < len && p->name_len <= sizeof(p->name); i++) {
        char c = at[i];
        if (p->name_len < sizeof(p->name))
            p->name[p->name_len] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        p->name_len++;
    }
    return count_header_bytes(p, len);
}

/* A further line of a list: what is kept of it moves to where more can follow. */
static void go_on_with(struct http_parser *p, int8_t header)
{
    uint32_t at = p->kept[header].at, len = p->kept[header].len;
    p->kept[header].at = (uint32_t)p->text.len;
    p->kept[header].len = 0;
    p->current = header;
    if (len >= HTTP_FORWARDED_MAX)
        return;
    buf_reserve(&p->text, len + 1);
    buf_add(&p->text, p->text.p + at, len);
    buf_char(&p->text, ',');
    p->kept[header].len = len + 1;
}

/* The name is whole: which one is it? */
static int begin_value(struct http_parser *p)
{
    p->in_value = true;
    p->current = -1;
    if (!p->name_len)
        return refuse(p, 400);
    if (++p->n_headers > HTTP_HEADERS_N_MAX)
        return refuse(p, 431);
    if (p->head_done)
        return 0; /* a trailer is no header (RFC 9110 section 6.5.1) */
    for (int8_t i = 0; i < HTTP_H_N; i++) {
        if (header_names[i].len != p->name_len ||
            memcmp(header_names[i].name, p->name, p->name_len) != 0)
            continue;
        if (i == HTTP_H_HOST && ++p->n_hosts > 1)
            return refuse(p, 400); /* RFC 9112 section 3.2 */
        if (i == HTTP_H_TRANSFER_ENCODING && ++p->n_codings > 1)
            return refuse(p, 400); /* who reads which of them is what smuggling is made of */
        if (!(p->kept_mask >> i & 1)) {
            p->kept_mask |= 1u << i;
            p->kept[i].at = (uint32_t)p->text.len;
            p->kept[i].len = 0;
            p->current = i;
        } else if (i == HTTP_H_FORWARDED_FOR) {
            go_on_with(p, i);
        }
    }
    return 0;
}

static int on_header_value(llhttp_t *l, const char *at, size_t len)
{
    struct http_parser *p = self(l);
    if (!p->in_value) {
        int wrong = begin_value(p);
        if (wrong)
            return wrong;
    }
    int r = count_header_bytes(p, len);
    if (!r && p->current >= 0) {
        buf_add(&p->text, at, len);
        p->kept[p->current].len += (uint32_t)len;
    }
    return r;
}

static int on_header_value_complete(llhttp_t *l)
{
    struct http_parser *p = self(l);
    int r = p->in_value ? 0 : begin_value(p); /* an empty value has no on_header_value */
    p->in_value = false;
    p->name_len = 0; /* an empty name has no on_header_field */
    return r;
}

static struct str kept(const struct http_parser *p, enum http_header h)
{
    if (!(p->kept_mask >> h & 1))
        return (struct str){NULL, 0};
    return str_trim(str_make(p->text.p + p->kept[h].at, p->kept[h].len));
}

static int on_headers_complete(llhttp_t *l)
{
    struct http_parser *p = self(l);
    p->head_done = true;
    if (l->http_major != 1 || l->http_minor > 1)
        return refuse(p, 505);
    if (l->http_minor == 1 && p->n_hosts == 0)
        return refuse(p, 400);
    if (l->flags & F_CONTENT_LENGTH && l->content_length > p->body_max)
        return refuse(p, 413);

    /* RFC 9112 section 6.1: no coding in HTTP/1.0; one we do not understand. What does not end in
     * "chunked" has no length: llhttp refuses it. */
    struct str coding = kept(p, HTTP_H_TRANSFER_ENCODING);
    if (coding.p && l->http_minor == 0)
        return refuse(p, 400);
    if (coding.p && l->flags & F_CHUNKED && !str_eq_nocase(coding, STR("chunked")))
        return refuse(p, 501);

    /* Only a WebSocket is ever upgraded to; any other offer (h2c) is ignored, as RFC 9110
     * section 7.8 allows, and the request served as it is. CONNECT is for proxies. */
    if (l->method == HTTP_CONNECT)
        return refuse(p, 501);
    struct str upgrade = kept(p, HTTP_H_UPGRADE);
    if (l->upgrade && !(l->method == HTTP_GET && l->http_minor == 1 && upgrade.p &&
                        str_has_token(upgrade, STR("websocket"))))
        l->upgrade = 0;

    struct str expect = kept(p, HTTP_H_EXPECT);
    p->wants_continue = expect.p && str_eq_nocase(expect, STR("100-continue")) &&
                        l->http_minor == 1 && (l->flags & F_CHUNKED || l->content_length > 0);
    return 0;
}

static int on_body(llhttp_t *l, const char *at, size_t len)
{
    struct http_parser *p = self(l);
    p->wants_continue = false;
    if (p->body_part.len + p->body_span.len + len > p->body_max)
        return refuse(p, 413);
    if (p->body_part.len == 0 && p->body_span.len == 0) {
        p->body_span = str_make(at, len);
        return 0;
    }
    buf_str(&p->body_part, p->body_span);
    p->body_span = STR_EMPTY;
    buf_add(&p->body_part, at, len);
    return 0;
}

static enum http_method method_of(const llhttp_t *l)
{
    switch (l->method) {
    case HTTP_GET:
        return HTTP_M_GET;
    case HTTP_HEAD:
        return HTTP_M_HEAD;
    case HTTP_POST:
        return HTTP_M_POST;
    case HTTP_OPTIONS:
        return HTTP_M_OPTIONS;
    case HTTP_PUT:
        return HTTP_M_PUT;
    case HTTP_DELETE:
        return HTTP_M_DELETE;
    default:
        return HTTP_M_OTHER;
    }
}

/* The path and query of a target in absolute form (RFC 9112 section 3.2.2), which a client sends
 * that takes us for a proxy; any other target as it is. */
static struct str origin_form(struct str target)
{
    static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (unsigned i = 0; i < 2; i++) {
        struct str head = str_make(target.p, schemes[i].len);
        if (target.len < head.len || !str_eq_nocase(head, schemes[i]))
            continue;
        size_t at = head.len;
        while (at < target.len && target.p[at] != '/' && target.p[at] != '?')
            at++;
        return str_make(target.p + at, target.len - at);
    }
    return target;
}

static struct str target_of(const struct http_parser *p)
{
    return p->text.p ? origin_form(str_make(p->text.p, p->target_len)) : STR_EMPTY;
}

static void fill_request(struct http_parser *p)
{
    const llhttp_t *l = &p->llhttp;
    struct http_request *r = &p->request;
    struct str target = target_of(p);
    r->method = method_of(l);
    r->path = str_cut(&target, '?');
    r->query = target;
    for (int h = 0; h < HTTP_H_N; h++)
        r->headers[h] = kept(p, (enum http_header)h);
    r->body = p->body_part.len ? buf_as_str(&p->body_part) : p->body_span;
    r->keep_alive = llhttp_should_keep_alive(l) && l->http_minor == 1;
    r->is_http_1_0 = l->http_minor == 0;
    r->wants_websocket = l->upgrade;
}

static int on_message_complete(llhttp_t *l)
{
    struct http_parser *p = self(l);
    fill_request(p);
    p->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

const char *http_method_name(enum http_method m)
{
    static const char *const names[] = {
        [HTTP_M_OTHER] = "OTHER",  [HTTP_M_GET] = "GET",         [HTTP_M_HEAD] = "HEAD",
        [HTTP_M_POST] = "POST",    [HTTP_M_OPTIONS] = "OPTIONS", [HTTP_M_PUT] = "PUT",
        [HTTP_M_DELETE] = "DELETE"};
    return names[m];
}

void http_parser_init(struct http_parser *p, size_t body_max, size_t headers_max)
{
    memset(p, 0, sizeof(*p));
    p->body_max = body_max;
    p->headers_max = headers_max;
    p->complete = true; /* idle */
    llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
    p->llhttp.data = p;
}

void http_parser_fini(struct http_parser *p)
{
    buf_fini(&p->text);
    buf_fini(&p->body_part);
}

static int status_of(const llhttp_t *l, llhttp_errno_t e)
{
    /* llhttp also calls it a wrong version when a good one is followed by something odd. */
    bool good = l->http_major == 1 && l->http_minor <= 1;
    return e == HPE_INVALID_VERSION && !good ? 505 : 400;
}

enum err http_parse(struct http_parser *p, const char *data, size_t len, size_t *used, int *status)
{
    llhttp_t *l = &p->llhttp;
    *used = 0;
    if (p->complete) {
        /* The request before this one has been answered; its memory may go. */
        if (l->error == HPE_PAUSED)
            llhttp_resume(l);
        buf_fini(&p->text);
        buf_fini(&p->body_part);
        /* Blank lines between requests are allowed (RFC 9112 section 2.2), but must not count as
         * the beginning of one. */
        while (*used < len && (data[*used] == '\r' || data[*used] == '\n'))
            (*used)++;
        if (*used == len)
            return ERR_AGAIN;
        p->complete = false;
        on_message_begin(l);
    }
    llhttp_errno_t e = llhttp_execute(l, data + *used, len - *used);
    if (e == HPE_OK) {
        *used = len;
        buf_str(&p->body_part, p->body_span);
        p->body_span = STR_EMPTY;
        return ERR_AGAIN;
    }
    if (p->complete && (e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE)) {
        *used = (size_t)(llhttp_get_error_pos(l) - data);
        return ERR_OK;
    }
    *used = len;
    *status = p->refusal ? p->refusal : status_of(l, e);
    return ERR_PROTO;
}

struct str http_parser_path(const struct http_parser *p)
{
    struct str target = target_of(p);
    return str_cut(&target, '?');
}

bool http_parser_is_idle(const struct http_parser *p)
{
    return p->complete;
}

bool http_parser_wants_continue(struct http_parser *p)
{
    bool wants = p->wants_continue;
    p->wants_continue = false;
    return wants;
}

const struct http_request *http_parser_head(struct http_parser *p)
{
    if (p->complete || !p->head_done || p->head_given)
        return NULL;
    p->head_given = true;
    fill_request(p);
    p->request.body = STR_EMPTY;
    return &p->request;
}
