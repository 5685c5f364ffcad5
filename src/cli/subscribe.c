#include "cli/subscribe.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/client_tls.h"
#include "ws/frame.h"

enum {
    HANDSHAKE_BYTES_MAX = 16 * 1024,
    MESSAGE_BYTES_MAX = 64 << 20,
    HANDSHAKE_MS = 10 * 1000,
};

struct client {
    int fd;
    bool is_wss, json;
    struct client_tls_context *tls_context;
    struct client_tls *tls; /* NULL: plain */
    char host[256], port[8];
    const char *path;
    char *why;
    size_t why_len;
};

static enum err fail(struct client *c, enum err e, const char *what, const char *detail)
{
    snprintf(c->why, c->why_len, "%s%s%s", what, *detail ? ": " : "", detail);
    return e;
}

static enum err parse_url(struct client *c, const char *url)
{
    struct str rest = str_of(url);
    c->is_wss = str_starts(rest, STR("wss://"));
    if (!c->is_wss && !str_starts(rest, STR("ws://")))
        return fail(c, ERR_PROTO, "the URL must begin with ws:// or wss://", url);
    rest.p += c->is_wss ? 6 : 5;
    rest.len -= c->is_wss ? 6 : 5;
    c->path = memchr(rest.p, '/', rest.len);
    struct str host = str_cut(&rest, '/');
    const char *colon = host.len ? memrchr(host.p, ':', host.len) : NULL;
    if (!c->path || !host.len)
        return fail(c, ERR_PROTO, "the URL must be ws://HOST:PORT/PATH", url);
    struct str port = c->is_wss ? STR("443") : STR("80");
    if (colon && colon[host.len - (size_t)(colon - host.p) - 1] != ']') {
        port = str_make(colon + 1, host.len - (size_t)(colon + 1 - host.p));
        host.len = (size_t)(colon - host.p);
    }
    if (host.len >= 2 && host.p[0] == '[')
        host = str_make(host.p + 1, host.len - 2);
    if (host.len >= sizeof(c->host) || port.len >= sizeof(c->port))
        return fail(c, ERR_PROTO, "the URL's host is too long", url);
    memcpy(c->host, host.p, host.len);
    memcpy(c->port, port.p, port.len);
    return ERR_OK;
}

static enum err dial(struct client *c)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int r = getaddrinfo(c->host, c->port, &hints, &list);
    if (r)
        return fail(c, ERR_SYS, c->host, gai_strerror(r));
    for (struct addrinfo *a = list; a && c->fd < 0; a = a->ai_next) {
        c->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (c->fd >= 0 && connect(c->fd, a->ai_addr, a->ai_addrlen) < 0) {
            int saved = errno;
            close(c->fd);
            errno = saved;
            c->fd = -1;
        }
    }
    freeaddrinfo(list);
    return c->fd >= 0 ? ERR_OK : fail(c, ERR_SYS, "cannot connect", strerror(errno));
}

static enum err secure(struct client *c, const char *ca_file)
{
    enum err e =
        client_tls_context_new(&c->tls_context, CLIENT_TLS_VERIFY, ca_file, c->why, c->why_len);
    if (e)
        return e;
    c->tls = client_tls_new(c->tls_context, c->fd, c->host);
    if (!c->tls)
        return fail(c, ERR_LIMIT, "out of memory", "");
    e = client_tls_handshake(c->tls, c->why, c->why_len);
    return e == ERR_AGAIN ? fail(c, e, "the server does not answer the TLS handshake", "") : e;
}

static void hang_up(struct client *c)
{
    if (c->tls)
        client_tls_end(c->tls);
    client_tls_free(c->tls);
    client_tls_context_free(c->tls_context);
    if (c->fd >= 0)
        close(c->fd);
}

static ssize_t receive(struct client *c, struct buf *in, size_t len)
{
    char *to = buf_reserve(in, len);
    return c->tls ? client_tls_recv(c->tls, to, len) : recv(c->fd, to, len, 0);
}

static enum err send_all(struct client *c, struct str s)
{
    while (s.len) {
        ssize_t n =
            c->tls ? client_tls_send(c->tls, s.p, s.len) : send(c->fd, s.p, s.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(c, ERR_SYS, "cannot send", strerror(errno));
        s.p += n;
        s.len -= (size_t)n;
    }
    return ERR_OK;
}

static enum err send_frame(struct client *c, enum ws_op op, struct str payload)
{
    struct buf out = BUF_INIT;
    enum err e = client_add_frame(&out, op, payload);
    e = e ? fail(c, e, "no random numbers", strerror(errno)) : send_all(c, buf_as_str(&out));
    buf_fini(&out);
    return e;
}

/* ---- the handshake ---- */

/* How long the kernel waits for what is to be read; 0: for ever. */
static void set_patience(struct client *c, int ms)
{
    const struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

/* The answer to the handshake: its last line of text where it was refused. */
static enum err judge(struct client *c, struct str head, struct str behind)
{
    if (client_is_accepted(head))
        return ERR_OK;
    struct str line = str_trim(str_cut(&head, '\r'));
    char text[256];
    behind = str_trim(behind);
    snprintf(text, sizeof(text), "%.*s (%.*s)", (int)line.len, line.p,
             behind.len > 100 ? 100 : (int)behind.len, behind.p);
    return fail(c, ERR_DENIED, "the server refused the connection", text);
}

static enum err shake_hands(struct client *c, const char *token, struct buf *in)
{
    struct buf out = BUF_INIT, authority = BUF_INIT;
    buf_printf(&authority, strchr(c->host, ':') ? "[%s]:%s" : "%s:%s", c->host, c->port);
    client_add_handshake(&out, str_of(c->path), str_of(token), buf_as_str(&authority));
    enum err e = send_all(c, buf_as_str(&out));
    buf_fini(&out);
    buf_fini(&authority);
    while (!e) {
        char *end = in->len ? memmem(in->p, in->len, "\r\n\r\n", 4) : NULL;
        if (end) {
            size_t head = (size_t)(end - in->p) + 4;
            e = judge(c, str_make(in->p, head), str_make(end + 4, in->len - head));
            buf_consume(in, head);
            return e;
        }
        ssize_t n = in->len > HANDSHAKE_BYTES_MAX ? 0 : receive(c, in, 4096);
        if (in->len > HANDSHAKE_BYTES_MAX || (n < 0 && errno == EAGAIN))
            return fail(c, ERR_PROTO, "the server does not answer the handshake", "");
        if (n <= 0)
            return fail(c, ERR_SYS, "the server closed the connection", "");
        in->len += (size_t)n;
    }
    return e;
}

/* ---- messages ---- */

static enum err subscribe(struct client *c, const char *channel)
{
    struct buf out = BUF_INIT;
    enum err e = client_add_subscribe(&out, str_of(channel));
    e = e ? fail(c, e, "no random numbers", strerror(errno)) : send_all(c, buf_as_str(&out));
    buf_fini(&out);
    return e;
}

/* White space that JSON permits between its tokens, line feeds included, must not cut the line. In
 * strings there is none of it: they have escapes. */
static void add_on_one_line(struct buf *out, struct str json)
{
    size_t at = out->len;
    buf_str(out, json);
    for (; at < out->len; at++)
        if (out->p[at] == '\n' || out->p[at] == '\r')
            out->p[at] = ' ';
}

/* One object a message: of what has no event and data, as pushes to users and sockets may, all is
 * data. */
static void print_json(struct json message)
{
    struct json channel, event, data;
    bool has_channel = json_get(message, STR("channel"), &channel) && channel.type == JSON_STRING;
    bool is_event = json_get(message, STR("event"), &event) && event.type == JSON_STRING &&
                    json_get(message, STR("data"), &data);
    struct buf out = BUF_INIT;
    buf_str(&out, STR("{\"channel\":"));
    buf_str(&out, is_event && has_channel ? channel.text : STR("null"));
    buf_str(&out, STR(",\"event\":"));
    buf_str(&out, is_event ? event.text : STR("null"));
    buf_str(&out, STR(",\"data\":"));
    add_on_one_line(&out, is_event ? data.text : message.text);
    buf_str(&out, STR("}\n"));
    fwrite(out.p, 1, out.len, stdout);
    buf_fini(&out);
}

static enum err on_text(struct client *c, struct str text)
{
    struct json message, event, data;
    bool is_json = json_parse(&message, text) == ERR_OK;
    if (is_json && json_get(message, STR("event"), &event) &&
        json_get(message, STR("data"), &data)) {
        if (json_is(event, STR("gusher.subscribe_error"))) {
            char refused[256];
            snprintf(refused, sizeof(refused), "%.*s", (int)data.text.len, data.text.p);
            return fail(c, ERR_DENIED, "the token does not permit", refused);
        }
        if (json_is(event, STR("gusher.subscribe_succeeded"))) {
            fprintf(stderr, "subscribed: %.*s\n", (int)data.text.len, data.text.p);
            return ERR_OK;
        }
    }
    if (c->json && !is_json)
        return fail(c, ERR_PROTO, "the server sent what is not JSON", "");
    if (c->json)
        print_json(message);
    else
        printf("%.*s\n", (int)text.len, text.p);
    fflush(stdout);
    return ERR_OK;
}

static enum err on_message(struct client *c, const struct ws_message *m, bool *closed)
{
    switch (m->op) {
    case WS_TEXT:
        return on_text(c, m->data);
    case WS_PING:
        return send_frame(c, WS_PONG, m->data);
    case WS_CLOSE:
        *closed = true;
        fprintf(stderr, "the server closed: %u %.*s\n", m->code, (int)m->data.len, m->data.p);
        return ERR_OK;
    case WS_BINARY:
    case WS_PONG:
    case WS_CONTINUATION:
        break;
    }
    return ERR_OK;
}

/* Handles what is in `in` and empties it. */
static enum err read_frames(struct client *c, struct ws_reader *r, struct buf *in, bool *closed)
{
    char *p = in->p;
    size_t len = in->len;
    const struct ws_rules rules = {.message_max = MESSAGE_BYTES_MAX};
    struct ws_message m;
    enum err e = ERR_OK;
    while (!e && !*closed) {
        e = ws_read_from_server(r, &p, &len, &rules, &m);
        if (e == ERR_AGAIN)
            break;
        e = e ? fail(c, e, "the server broke the protocol", "") : on_message(c, &m, closed);
    }
    buf_clear(in);
    return e == ERR_AGAIN ? ERR_OK : e;
}

static enum err listen_on(struct client *c, struct buf *in)
{
    struct ws_reader r;
    bool closed = false;
    ws_reader_init(&r);
    set_patience(c, 0);
    enum err e = read_frames(c, &r, in, &closed);
    while (!e && !closed) {
        ssize_t n = receive(c, in, 64 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            e = fail(c, ERR_SYS, "the connection broke", n < 0 ? strerror(errno) : "");
            break;
        }
        in->len = (size_t)n;
        e = read_frames(c, &r, in, &closed);
    }
    ws_reader_fini(&r);
    return e;
}

enum err subscribe_run(const struct subscribe_options *o, char *why, size_t why_len)
{
    struct client c = {.fd = -1, .json = o->json, .why = why, .why_len = why_len};
    struct buf in = BUF_INIT;
    enum err e = parse_url(&c, o->url);
    if (!e)
        e = dial(&c);
    if (!e)
        set_patience(&c, HANDSHAKE_MS);
    if (!e && c.is_wss)
        e = secure(&c, o->ca_file);
    if (!e)
        e = shake_hands(&c, o->token, &in);
    for (unsigned i = 0; !e && i < o->n_channels; i++)
        e = subscribe(&c, o->channels[i]);
    if (!e)
        e = listen_on(&c, &in);
    buf_fini(&in);
    hang_up(&c);
    return e;
}
