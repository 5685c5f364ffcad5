#include "edge/ws_conn.h"
#include <assert.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/utf8.h"
#include "ws/deflate.h"
#include "ws/frame.h"
#include "ws/handshake.h"

enum {
    INFLATED_KEEP = 64 * 1024,   /* bytes of memory that stay between messages */
    HELD_BYTES_MAX = 256 * 1024, /* of one connection's replies that wait; then reading stops */
};

struct ws_conn {
    struct conn conn;
    struct worker *worker;
    struct hub_socket socket;
    struct ws_reader reader;
    struct timer timer;
    struct ws_conn *next_slow;
    struct held *held;         /* replies that wait; NULL: none do */
    uint32_t ping_at, pong_by; /* low bits of the millisecond */
    bool joined, is_slow, got_close;
};

/* An encoder's number: a dialect, and whether messages are compressed. */
enum { ENCODER_DEFLATE = 4 };
static const struct proto *const protos[ENCODER_DEFLATE] = {&proto_gusher};
static_assert(2 * ENCODER_DEFLATE <= HUB_ENCODERS_MAX, "every encoder has a place in the hub");

static const struct proto *proto_of(const struct hub_socket *s)
{
    return protos[s->encoder % ENCODER_DEFLATE];
}

static struct ws_conn *self(struct conn *c)
{
    return container_of(c, struct ws_conn, conn);
}

/* ---- out ---- */

/* Payloads are written behind room for the longest header; the header then goes right in front,
 * and the whole is copied once, to where the sockets share it. */
static struct buf *begin_payload(struct worker *w)
{
    struct buf *b = worker_scratch(w);
    buf_reserve(b, WS_HEADER_MAX);
    b->len = WS_HEADER_MAX;
    return b;
}

static struct blob *end_payload(struct buf *b, unsigned op)
{
    char header[WS_HEADER_MAX];
    unsigned n = ws_frame_header(header, op, b->len - WS_HEADER_MAX);
    char *frame = b->p + WS_HEADER_MAX - n;
    memcpy(frame, header, n);
    return blob_of(str_make(frame, b->len - WS_HEADER_MAX + n));
}

/* The payload compressed, or NULL when that brings nothing. */
static struct blob *compressed(struct worker *w, struct str payload)
{
    struct buf out = BUF_INIT;
    struct blob *b = NULL;
    buf_reserve(&out, WS_HEADER_MAX);
    out.len = WS_HEADER_MAX;
    ws_deflate(w->deflate, payload, &out);
    if (out.len - WS_HEADER_MAX < payload.len)
        b = end_payload(&out, WS_TEXT | WS_COMPRESSED);
    buf_fini(&out);
    return b;
}

struct blob *ws_conn_encode(void *worker, unsigned encoder, const struct msg *m)
{
    struct worker *w = worker;
    struct buf *b = begin_payload(w);
    protos[encoder % ENCODER_DEFLATE]->encode(m, b);
    struct str payload = {b->p + WS_HEADER_MAX, b->len - WS_HEADER_MAX};
    struct blob *small = NULL;
    if (encoder & ENCODER_DEFLATE && payload.len >= w->options->deflate_min)
        small = compressed(w, payload);
    return small ? small : end_payload(b, WS_TEXT);
}

struct blob *ws_ping_frame(void)
{
    char header[WS_HEADER_MAX];
    return blob_of(str_make(header, ws_frame_header(header, WS_PING, 0)));
}

/* ---- the handshake's answer ---- */

static void send_handshake(struct ws_conn *s, const char accept[WS_ACCEPT_LEN],
                           struct str extensions)
{
    struct buf *out = worker_scratch(s->worker);
    buf_str(out, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: "));
    buf_add(out, accept, WS_ACCEPT_LEN);
    if (extensions.len) {
        buf_str(out, STR("\r\nSec-WebSocket-Extensions: "));
        buf_str(out, extensions);
    }
    buf_str(out, STR("\r\n\r\n"));
    conn_send_bytes(&s->conn, buf_as_str(out));
}

/* Nothing may go out before it. */
static void ensure_handshake(struct ws_conn *s)
{
    if (!s->held || !s->held->handshake)
        return;
    s->held->handshake = false;
    send_handshake(s, s->held->accept, s->held->extensions);
}

/* ---- the end ---- */

static void log_close(const struct ws_conn *s, enum log_level level, unsigned code, struct str why)
{
    char id[HUB_SOCKET_ID_LEN];
    if (level < log_level())
        return;
    hub_socket_id(s->worker->hub, &s->socket, id);
    LOG(level, "socket_closed", LOG_STR("socket", str_make(id, sizeof(id))), LOG_INT("code", code),
        LOG_STR("reason", why));
}

/* It goes before it was closed for being slow. */
static void forget_slow(struct ws_conn *s)
{
    struct ws_conn **link = &s->worker->too_slow;
    while (*link && *link != s)
        link = &(*link)->next_slow;
    if (*link)
        *link = s->next_slow;
}

static void leave(struct ws_conn *s)
{
    if (s->held)
        held_drop(s->held, &s->worker->held, hub_grants_pool(s->worker->hub));
    s->held = NULL;
    if (!s->joined)
        return;
    s->joined = false;
    hub_leave(s->worker->hub, &s->socket);
}

/* The end that we choose: a close frame, the hub left at once, then the peer's turn. */
static void close_with(struct ws_conn *s, enum log_level level, unsigned code, struct str why)
{
    if (conn_is_ending(&s->conn))
        return;
    log_close(s, level, code, why);
    ensure_handshake(s);
    if (s->joined && !s->is_slow)
        hub_catch_up(s->worker->hub, &s->socket);
    struct buf frame = BUF_INIT;
    ws_frame_close(&frame, (uint16_t)code, why);
    /* What it has not begun to take although it is over its limits it will not get. */
    if (s->is_slow)
        conn_drop_unsent(&s->conn);
    conn_finish_with(&s->conn, buf_as_str(&frame));
    buf_fini(&frame);
    leave(s);
    timer_set(&s->worker->loop.timers, &s->timer, s->worker->loop.now_ms + WORKER_LINGER_MS);
}

static void mark_slow(struct ws_conn *s)
{
    if (s->is_slow)
        return;
    s->is_slow = true;
    s->next_slow = s->worker->too_slow;
    s->worker->too_slow = s;
}

void ws_conn_deliver(void *worker, struct hub_socket *socket, struct blob *b, bool bulk)
{
    (void)worker;
    struct ws_conn *s = container_of(socket, struct ws_conn, socket);
    ensure_handshake(s);
    if (bulk ? conn_send_bulk(&s->conn, b) : conn_send(&s->conn, b))
        mark_slow(s);
}

void ws_conn_deliver_range(void *worker, struct hub_socket *socket, const struct blob_range *r)
{
    (void)worker;
    struct ws_conn *s = container_of(socket, struct ws_conn, socket);
    ensure_handshake(s);
    if (conn_send_range(&s->conn, r))
        mark_slow(s);
}

bool ws_conns_write_due(void *worker)
{
    struct worker *w = worker;
    struct hub_due due[NET_SLICE_MAX];
    struct net_write writes[NET_SLICE_MAX];
    unsigned n = hub_due(w->hub, due, w->net.slice);
    for (unsigned i = 0; i < n; i++) {
        struct ws_conn *s = container_of(due[i].socket, struct ws_conn, socket);
        ensure_handshake(s);
        writes[i] = (struct net_write){&s->conn, due[i].n, due[i].ranges};
    }
    net_write_many(&w->net, writes, n);
    return n > 0;
}

static void close_slow(struct ws_conn *s)
{
    s->is_slow = true;
    LOG(LOG_WARN, "socket_too_slow", LOG_INT("queued_bytes", s->conn.queued_bytes),
        LOG_INT("queue_bytes_max", s->worker->options->queue_bytes_max),
        LOG_INT("queue_messages_max", s->worker->options->queue_messages_max));
    close_with(s, LOG_WARN, WS_POLICY, STR("too slow: send queue full"));
}

void ws_conns_close_slow(struct worker *w)
{
    for (struct ws_conn *s; (s = w->too_slow);) {
        w->too_slow = s->next_slow;
        close_slow(s);
    }
}

/* ---- in ---- */

static void reply(struct ws_conn *s, struct buf *payload, enum ws_op op)
{
    struct blob *b = end_payload(payload, op);
    ensure_handshake(s);
    hub_catch_up(s->worker->hub, &s->socket);
    if (conn_send(&s->conn, b))
        close_slow(s);
    blob_unref(b);
}

/* ---- remote commands ---- */

static enum err submit_remote(void *worker, struct hub_socket *s, struct str remote, struct str uid,
                              struct str payload, bool wants_reply)
{
    struct worker *w = worker;
    char id[HUB_SOCKET_ID_LEN];
    if (!w->node->remote)
        return ERR_NOT_FOUND;
    hub_socket_id(w->hub, s, id);
    struct remote_job *job = remote_job_new(hub_app_of(s), remote, hub_user_of(s),
                                            str_make(id, sizeof(id)), uid, payload);
    job->worker = w->index;
    job->number = s->number;
    job->wants_reply = wants_reply;
    enum err e = remote_submit(w->node->remote, job);
    if (e)
        remote_job_free(job);
    return e;
}

void ws_conn_remote_done(struct worker *w, const struct remote_job *job, enum err e)
{
    struct hub_socket *socket = hub_find(w->hub, job->number);
    if (e)
        LOG(LOG_WARN, "remote_failed", LOG_STR("app", job->app), LOG_STR("remote", job->remote),
            LOG_CSTR("reason", err_text(e)));
    if (!socket || (!e && !job->wants_reply))
        return;
    struct buf *out = begin_payload(w);
    proto_of(socket)->remote_reply(w->hub, socket, job->remote, !e, out);
    reply(container_of(socket, struct ws_conn, socket), out, WS_TEXT);
}

/* ---- commands ---- */

static void free_notes(struct proto_notes *n)
{
    buf_fini(&n->names);
    buf_fini(&n->added);
    buf_fini(&n->denied);
}

static void hold(struct ws_conn *s, const struct proto_outcome *o, struct buf *out,
                 struct proto_notes *notes)
{
    struct worker *w = s->worker;
    if (!s->held)
        s->held = held_new(s);
    struct held_reply *r = held_add(&w->held, s->held, w->told);
    r->frame = end_payload(out, WS_TEXT);
    if (o->subscribed) {
        r->grants = grants_ref(s->socket.grants);
        r->denied = end_payload(&notes->denied, WS_TEXT);
        r->names = notes->names;
        r->added = notes->added;
        notes->names = notes->added = BUF_INIT;
    }
    s->held->bytes += held_reply_bytes(r);
    if (s->held->bytes > HELD_BYTES_MAX && !s->held->paused) {
        s->held->paused = true;
        conn_pause(&s->conn);
    }
}

/* Replies keep their order; but an outage of the bus may be long, and a client that asks whether
 * the server lives is told. */
static bool has_to_wait(const struct ws_conn *s, const struct proto_outcome *o)
{
    const struct worker *w = s->worker;
    if (s->held)
        return !o->unordered || bus_state(w->seat) != BUS_AWAY;
    return o->subscribed && w->told > w->sure;
}

static void on_text(struct ws_conn *s, struct str text)
{
    struct worker *w = s->worker;
    struct buf *out = begin_payload(w);
    struct proto_notes notes = {0};
    bool may_wait = w->node->cluster != NULL;
    if (may_wait)
        notes.denied.len = (buf_reserve(&notes.denied, WS_HEADER_MAX), WS_HEADER_MAX);
    const struct proto_host host = {w, submit_remote, may_wait ? &notes : NULL};
    struct proto_outcome o =
        proto_of(&s->socket)->command(&host, w->hub, &s->socket, text, (int64_t)w->loop.now_s, out);
    if (o.close_code)
        close_with(s, LOG_INFO, o.close_code, str_of(o.close_reason));
    else if (out->len > WS_HEADER_MAX && has_to_wait(s, &o))
        hold(s, &o, out, &notes);
    else if (out->len > WS_HEADER_MAX)
        reply(s, out, WS_TEXT);
    free_notes(&notes);
}

/* A name that is permitted may be gone all the same: with the denial of an earlier command that
 * named it, too. */
static bool still_has_all(const struct ws_conn *s, struct str names)
{
    for (struct str name; names_next(&names, &name);) {
        if (!grants_allow(s->socket.grants, name) || !hub_is_subscribed(&s->socket, name))
            return false;
    }
    return true;
}

/* All or nothing also holds for what was permitted when it was asked, and is no longer. */
static struct blob *judge(struct ws_conn *s, struct held_reply *r)
{
    struct str rest = buf_as_str(&r->added), name;
    if (!r->grants || r->grants == s->socket.grants || still_has_all(s, buf_as_str(&r->names)))
        return r->frame;
    while (names_next(&rest, &name))
        hub_drop(s->worker->hub, &s->socket, name);
    return r->denied;
}

static void release(struct ws_conn *s, struct held_reply *r)
{
    struct held *held = s->held;
    bool is_last = held_done(r), paused = held->paused;
    ensure_handshake(s);
    held->bytes -= r->frame ? held_reply_bytes(r) : 0;
    if (is_last) {
        held_drop(held, &s->worker->held, hub_grants_pool(s->worker->hub));
        s->held = NULL;
    }
    hub_catch_up(s->worker->hub, &s->socket);
    if (r->frame && conn_send(&s->conn, judge(s, r)))
        close_slow(s);
    if (is_last && paused) {
        s->pong_by = (uint32_t)(s->worker->loop.now_ms + s->worker->options->pong_ms);
        conn_resume(&s->conn);
    }
}

void ws_conns_go_on(struct worker *w)
{
    for (struct held_reply *r; (r = held_take(&w->held, w->sure));) {
        release(r->of->conn, r);
        held_reply_free(r, hub_grants_pool(w->hub));
    }
}

void ws_conns_wait_for_nothing(struct worker *w)
{
    for (struct held_reply *r = w->held.first; r; r = r->next) {
        if (!r->frame)
            ensure_handshake(r->of->conn);
    }
}

static void on_ping(struct ws_conn *s, struct str payload)
{
    struct buf *out = begin_payload(s->worker);
    buf_str(out, payload);
    reply(s, out, WS_PONG);
}

static void on_close(struct ws_conn *s, const struct ws_message *m)
{
    /* The same code back (RFC 6455 section 5.5.1); none is answered by an empty frame's code. */
    unsigned code = m->code == WS_NO_STATUS ? WS_NORMAL : m->code;
    s->got_close = true;
    close_with(s, LOG_DEBUG, code, STR_EMPTY);
}

static void on_message(struct ws_conn *s, const struct ws_message *m)
{
    switch (m->op) {
    case WS_TEXT:
        on_text(s, m->data);
        break;
    case WS_PING:
        on_ping(s, m->data);
        break;
    case WS_PONG:
        s->pong_by = (uint32_t)(s->worker->loop.now_ms + s->worker->options->pong_ms);
        break;
    case WS_CLOSE:
        on_close(s, m);
        break;
    case WS_BINARY: /* no dialect reads it; ignored, as the API says */
    case WS_CONTINUATION:
        break;
    }
}

/* Turns a compressed message into what it was; false: the socket is closed for it. */
static bool unpack(struct ws_conn *s, struct ws_message *m)
{
    struct worker *w = s->worker;
    if (w->inflated.cap > INFLATED_KEEP)
        buf_fini(&w->inflated);
    buf_clear(&w->inflated);
    enum err e = ws_inflate(w->deflate, m->data, w->options->message_max, &w->inflated);
    m->data = buf_as_str(&w->inflated);
    if (e == ERR_LIMIT)
        close_with(s, LOG_INFO, WS_TOO_BIG, STR("message is too big"));
    else if (e)
        close_with(s, LOG_INFO, WS_INVALID_DATA, STR("message is not compressed as agreed"));
    else if (m->op == WS_TEXT && !utf8_valid(m->data))
        close_with(s, LOG_INFO, WS_INVALID_DATA, STR("text is not UTF-8"));
    return !conn_is_ending(&s->conn);
}

static void on_input(struct conn *c, char *data, size_t len)
{
    struct ws_conn *s = self(c);
    struct ws_message m;
    while (!conn_is_ending(c)) {
        enum err e = ws_read(&s->reader, &data, &len, s->worker->options->message_max, &m);
        if (e == ERR_AGAIN)
            return;
        if (e)
            close_with(s, LOG_INFO, m.code, m.data);
        else if (!m.compressed || unpack(s, &m))
            on_message(s, &m);
    }
}

/* ---- time ---- */

static int64_t ms_until(const struct ws_conn *s, uint32_t when)
{
    return (int32_t)(when - (uint32_t)s->worker->loop.now_ms);
}

static void set_timer(struct ws_conn *s)
{
    int64_t wait = ms_until(s, s->ping_at);
    if (ms_until(s, s->pong_by) < wait)
        wait = ms_until(s, s->pong_by);
    if (s->conn.stalled) {
        int64_t left = s->worker->options->write_ms - conn_stalled_ms(&s->conn);
        if (left < wait)
            wait = left;
    }
    timer_set(&s->worker->loop.timers, &s->timer, s->worker->loop.now_ms + wait);
}

static void ping(struct ws_conn *s)
{
    const struct worker_options *o = s->worker->options;
    s->ping_at = (uint32_t)(s->worker->loop.now_ms + o->ping_ms);
    ensure_handshake(s);
    hub_catch_up(s->worker->hub, &s->socket);
    if (conn_send(&s->conn, s->worker->ping))
        close_slow(s);
    else if (o->idle_rule && !s->socket.n_subs)
        close_with(s, LOG_INFO, WS_POLICY, STR("idle: no subscription"));
}

static void on_timer(struct timer *t)
{
    struct ws_conn *s = container_of(t, struct ws_conn, timer);
    if (conn_is_ending(&s->conn)) {
        int64_t left = conn_farewell_ms(&s->conn, s->worker->options->write_ms);
        if (left > 0)
            timer_set(&s->worker->loop.timers, &s->timer, s->worker->loop.now_ms + left);
        else
            conn_close(&s->conn);
        return;
    }
    if (s->conn.stalled && conn_stalled_ms(&s->conn) >= s->worker->options->write_ms) {
        /* It takes nothing, so it would not take a close frame either. */
        log_close(s, LOG_WARN, 1006, STR("too slow: takes nothing"));
        conn_close(&s->conn);
        return;
    }
    if (s->held && s->held->paused) /* a pong may be there, and is not read */
        s->pong_by = (uint32_t)(s->worker->loop.now_ms + s->worker->options->pong_ms);
    if (ms_until(s, s->pong_by) <= 0)
        close_with(s, LOG_INFO, WS_POLICY, STR("no pong in time"));
    else if (ms_until(s, s->ping_at) <= 0)
        ping(s);
    if (!conn_is_ending(&s->conn))
        set_timer(s);
}

static void on_stall(struct conn *c)
{
    struct ws_conn *s = self(c);
    set_timer(s);
    if (s->joined)
        hub_set_stalled(s->worker->hub, &s->socket, true);
}

static void on_drained(struct conn *c)
{
    struct ws_conn *s = self(c);
    if (s->joined)
        hub_set_stalled(s->worker->hub, &s->socket, false);
}

/* ---- life ---- */

static void on_gone(struct conn *c)
{
    struct ws_conn *s = self(c);
    leave(s);
    if (s->is_slow)
        forget_slow(s);
    timer_stop(&s->worker->loop.timers, &s->timer);
    ws_reader_fini(&s->reader);
    worker_conn_gone(s->worker);
    mem_free(s);
}

static const struct conn_ops ops = {
    .on_input = on_input, .on_stall = on_stall, .on_drained = on_drained, .on_gone = on_gone};

static struct grants *grants_of(struct hub *hub, const struct claims *c)
{
    struct buf channels = BUF_INIT, remotes = BUF_INIT;
    for (unsigned i = 0; i < c->n_channels; i++)
        names_add(&channels, c->channels[i]);
    for (unsigned i = 0; i < c->n_remotes; i++) {
        if (c->remotes[i].allowed)
            names_add(&remotes, c->remotes[i].name);
    }
    struct grants *g =
        grants_get(hub_grants_pool(hub), buf_as_str(&channels), buf_as_str(&remotes));
    buf_fini(&channels);
    buf_fini(&remotes);
    return g;
}

void ws_conn_open(struct worker *w, struct conn *from, struct claims *claims, struct str key,
                  struct str offers, char *rest, size_t rest_len)
{
    struct str extensions = w->options->deflate_min ? ws_deflate_answer(offers) : STR_EMPTY;
    struct ws_conn *s = mem_zalloc(sizeof(*s));
    conn_move(&s->conn, from, &ops);
    s->worker = w;
    s->timer.fn = on_timer;
    ws_reader_init(&s->reader);
    s->reader.deflate = extensions.len > 0;
    s->ping_at = (uint32_t)(w->loop.now_ms + w->options->ping_ms);
    s->pong_by = (uint32_t)(w->loop.now_ms + w->options->pong_ms);
    worker_conn_came(w);
    hub_join(w->hub, &s->socket, claims->app_key, claims->user_id, grants_of(w->hub, claims),
             extensions.len ? ENCODER_DEFLATE : 0);
    s->joined = true;
    claims_unref(claims);
    set_timer(s);
    char accept[WS_ACCEPT_LEN];
    ws_accept(accept, key);
    /* Pushes to the user must reach the socket from the answer on. Without a bus there are none,
     * and nobody should wait for its return (ws_conns_wait_for_nothing). */
    if (w->told > w->sure && bus_state(w->seat) != BUS_AWAY) {
        s->held = held_new(s);
        s->held->handshake = true;
        memcpy(s->held->accept, accept, sizeof(accept));
        s->held->extensions = extensions;
        held_add(&w->held, s->held, w->told);
    } else {
        send_handshake(s, accept, extensions);
    }
    if (rest_len)
        on_input(&s->conn, rest, rest_len);
}

static void close_all(struct worker *w, enum log_level level, unsigned code, struct str why)
{
    uint32_t place = 0;
    for (struct hub_socket *socket; (socket = hub_each(w->hub, &place));)
        close_with(container_of(socket, struct ws_conn, socket), level, code, why);
}

void ws_conns_close_lost(struct worker *w)
{
    LOG(LOG_ERROR, "messages_lost", LOG_INT("worker", w->index),
        LOG_CSTR("reason", "they came faster than they could be sent"));
    close_all(w, LOG_WARN, WS_TRY_LATER, STR("messages were lost: subscribe again"));
}

void ws_conns_go_away(struct worker *w)
{
    close_all(w, LOG_DEBUG, WS_GOING_AWAY, STR("server is shutting down"));
}
