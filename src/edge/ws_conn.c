#include "edge/ws_conn.h"
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "edge/ws_own.h"

enum {
    INFLATED_KEEP = 64 * 1024, /* bytes of memory that stay between messages */
};

static struct ws_conn *self(struct conn *c)
{
    return container_of(c, struct ws_conn, conn);
}

/* ---- the end ---- */

static void note_end(struct worker *w, const struct recorder_end *e, const struct ws_conn *s)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s (%u)%s", reasons[e->why].word, e->code, e->detail.len ? ": " : "");
    buf_str(&text, e->detail);
    worker_note(w, &s->socket, STR("closed"), buf_as_str(&text));
    buf_fini(&text);
}

static void tell_end(const struct ws_conn *s, enum reason why, unsigned code, struct str detail)
{
    char id[HUB_SOCKET_ID_LEN];
    struct worker *w = ws_worker(s);
    hub_socket_id(w->hub, &s->socket, id);
    const struct recorder_end e = {.socket = str_make(id, sizeof(id)),
                                   .app = hub_app_of(&s->socket),
                                   .user = hub_user_of(&s->socket),
                                   .why = why,
                                   .code = code,
                                   .detail = detail,
                                   .since_s = s->socket.since_s,
                                   .ended_s = (int64_t)w->loop.now_s};
    if (why != REASON_SHUTDOWN) { /* nobody will ask any more */
        recorder_add(w->recorder, &e, w->loop.now_ms);
        note_end(w, &e, s);
    }
    LOG(reasons[why].level, "socket_closed", LOG_STR("socket", e.socket),
        LOG_CSTR("reason", reasons[why].word), LOG_INT("code", code), LOG_STR("detail", detail));
}

/* Once for each: the code is that of its close frame, or 1006. */
static void leave(struct ws_conn *s, enum reason why, unsigned code, struct str detail)
{
    struct worker *w = ws_worker(s);
    if (s->held)
        held_drop(s->held, &w->held, hub_grants_pool(w->hub));
    s->held = NULL;
    if (!s->joined)
        return;
    s->joined = false;
    tell_end(s, why, code, detail);
    counter_add(&w->stats.closes[why], 1);
    gate_socket_left(ws_gate(s), hub_app_of(&s->socket), hub_user_of(&s->socket));
    hub_leave(w->hub, &s->socket);
}

/* "word: detail"; a backend that kicks, and a client that goes, has the say about the text. */
static void write_close(struct buf *out, enum reason why, unsigned code, struct str detail)
{
    struct buf text = BUF_INIT;
    if (why != REASON_KICKED && why != REASON_BANNED && why != REASON_CLIENT) {
        buf_str(&text, str_of(reasons[why].word));
        buf_str(&text, STR(": "));
    }
    buf_str(&text, detail);
    ws_frame_close(out, (uint16_t)code, buf_as_str(&text));
    buf_fini(&text);
}

void ws_close_as(struct ws_conn *s, enum reason why, unsigned code, struct str detail)
{
    if (conn_is_ending(&s->conn))
        return;
    ws_ensure_handshake(s);
    if (s->joined && !s->is_slow)
        hub_catch_up(ws_worker(s)->hub, &s->socket);
    struct buf frame = BUF_INIT;
    write_close(&frame, why, code, detail);
    /* What it has not begun to take although it is over its limits it will not get. */
    if (s->is_slow)
        conn_drop_unsent(&s->conn);
    conn_finish_with(&s->conn, buf_as_str(&frame));
    buf_fini(&frame);
    leave(s, why, code, detail);
    timer_set(&ws_worker(s)->loop.timers, &s->timer, ws_worker(s)->loop.now_ms + WORKER_LINGER_MS);
}

void ws_close(struct ws_conn *s, enum reason why, struct str detail)
{
    ws_close_as(s, why, reasons[why].code, detail);
}

bool ws_conn_kick(void *worker, struct hub_socket *socket, struct str payload)
{
    (void)worker;
    struct ws_conn *s = container_of(socket, struct ws_conn, socket);
    unsigned code = (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1];
    if (conn_is_ending(&s->conn))
        return false;
    ws_close_as(s, code == NODE_CLOSE_BANNED ? REASON_BANNED : REASON_KICKED, code,
                str_make(payload.p + 2, payload.len - 2));
    return true;
}

/* ---- in ---- */

static void on_ping(struct ws_conn *s, struct str payload)
{
    struct buf *out = ws_begin_payload(ws_worker(s));
    buf_str(out, payload);
    ws_reply(s, out, WS_PONG);
}

static void on_close(struct ws_conn *s, const struct ws_message *m)
{
    /* The same code back (RFC 6455 section 5.5.1); none is answered by an empty frame's code. */
    unsigned code = m->code == WS_NO_STATUS ? WS_NORMAL : m->code;
    s->got_close = true;
    ws_close_as(s, REASON_CLIENT, code, STR_EMPTY);
}

/* What a client has us do is bounded for it, and for all of its address. */
static bool may_command(struct ws_conn *s)
{
    const struct visitor v = {.address = s->address};
    int64_t now_us = ws_worker(s)->loop.now_us;
    const char *why = NULL;
    if (!gate_command(ws_gate(s), &s->command_clock, now_us))
        why = "too many commands";
    else if (gate_take(ws_gate(s), LIMIT_COMMANDS, v, now_us))
        why = "too many commands from your address";
    if (why)
        ws_close(s, REASON_TOO_MANY, str_of(why));
    return !why;
}

static void on_message(struct ws_conn *s, const struct ws_message *m)
{
    switch (m->op) {
    case WS_TEXT:
        if (may_command(s))
            ws_on_text(s, m->data);
        break;
    case WS_PING:
        if (may_command(s))
            on_ping(s, m->data);
        break;
    case WS_PONG:
        s->pong_by = (uint32_t)(ws_worker(s)->loop.now_ms + ws_worker(s)->options->pong_ms);
        break;
    case WS_CLOSE:
        on_close(s, m);
        break;
    case WS_BINARY: /* no dialect reads it; ignored, as the API says */
    case WS_CONTINUATION:
        break;
    }
}

/* The number helps: what is too big is most often a gusher.refresh, and the limit was never raised.
 */
static void close_too_big(struct ws_conn *s)
{
    char why[64];
    int len = snprintf(why, sizeof(why), "message is too big: over %zu bytes",
                       ws_worker(s)->options->message_max);
    ws_close(s, REASON_TOO_BIG, str_make(why, (size_t)len));
}

/* Turns a compressed message into what it was; false: the socket is closed for it. */
static bool unpack(struct ws_conn *s, struct ws_message *m)
{
    struct worker *w = ws_worker(s);
    if (w->inflated.cap > INFLATED_KEEP)
        buf_fini(&w->inflated);
    buf_clear(&w->inflated);
    enum err e = ws_inflate(w->deflate, m->data, w->options->message_max, &w->inflated);
    m->data = buf_as_str(&w->inflated);
    if (e == ERR_LIMIT)
        close_too_big(s);
    else if (e)
        ws_close(s, REASON_BAD_TEXT, STR("message is not compressed as agreed"));
    else if (m->op == WS_TEXT && !utf8_valid(m->data))
        ws_close(s, REASON_BAD_TEXT, STR("text is not UTF-8"));
    return !conn_is_ending(&s->conn);
}

static void on_input(struct conn *c, char *data, size_t len)
{
    struct ws_conn *s = self(c);
    const struct ws_rules rules = {.message_max = ws_worker(s)->options->message_max,
                                   .deflate = s->socket.encoder & ENCODER_DEFLATE};
    struct ws_message m;
    while (!conn_is_ending(c)) {
        enum err e = ws_read(&s->reader, &data, &len, &rules, &m);
        if (e == ERR_AGAIN)
            return;
        if (e && m.code == WS_TOO_BIG)
            close_too_big(s);
        else if (e)
            ws_close_as(s, m.code == WS_INVALID_DATA ? REASON_BAD_TEXT : REASON_BAD_FRAME, m.code,
                        m.data);
        else if (!m.compressed || unpack(s, &m))
            on_message(s, &m);
    }
}

/* ---- time ---- */

static int64_t ms_until(const struct ws_conn *s, uint32_t when)
{
    return (int32_t)(when - (uint32_t)ws_worker(s)->loop.now_ms);
}

void ws_set_timer(struct ws_conn *s)
{
    int64_t wait = ms_until(s, s->ping_at), token_wait = ws_token_wait_ms(s);
    if (ms_until(s, s->pong_by) < wait)
        wait = ms_until(s, s->pong_by);
    if (token_wait < wait)
        wait = token_wait;
    if (s->conn.stalled) {
        int64_t left = ws_worker(s)->options->write_ms - conn_stalled_ms(&s->conn);
        if (left < wait)
            wait = left;
    }
    timer_set(&ws_worker(s)->loop.timers, &s->timer, ws_worker(s)->loop.now_ms + wait);
}

static void ping(struct ws_conn *s)
{
    const struct worker_options *o = ws_worker(s)->options;
    s->ping_at = (uint32_t)(ws_worker(s)->loop.now_ms + o->ping_ms);
    gate_wind(&s->command_clock, ws_worker(s)->loop.now_us);
    ws_ensure_handshake(s);
    hub_catch_up(ws_worker(s)->hub, &s->socket);
    if (conn_send(&s->conn, ws_worker(s)->ping))
        ws_close_slow(s);
    else if (o->idle_rule && !s->socket.n_subs)
        ws_close(s, REASON_IDLE, STR("no subscription"));
}

static void on_timer(struct timer *t)
{
    struct ws_conn *s = container_of(t, struct ws_conn, timer);
    if (conn_is_ending(&s->conn)) {
        int64_t left = conn_farewell_ms(&s->conn, ws_worker(s)->options->write_ms);
        if (left > 0)
            timer_set(&ws_worker(s)->loop.timers, &s->timer, ws_worker(s)->loop.now_ms + left);
        else
            conn_close(&s->conn);
        return;
    }
    if (s->conn.stalled && conn_stalled_ms(&s->conn) >= ws_worker(s)->options->write_ms) {
        /* It takes nothing, so it would not take a close frame either. */
        leave(s, REASON_STUCK, WS_NO_CLOSE, STR("takes nothing"));
        conn_close(&s->conn);
        return;
    }
    if (s->held && s->held->paused) /* a pong may be there, and is not read */
        s->pong_by = (uint32_t)(ws_worker(s)->loop.now_ms + ws_worker(s)->options->pong_ms);
    if (ms_until(s, s->pong_by) <= 0)
        ws_close(s, REASON_NO_PONG, STR("no pong in time"));
    else if (ms_until(s, s->ping_at) <= 0)
        ping(s);
    else if (ws_token_wait_ms(s) <= 0)
        ws_token_is_due(s);
    if (!conn_is_ending(&s->conn))
        ws_set_timer(s);
}

static void on_stall(struct conn *c)
{
    struct ws_conn *s = self(c);
    ws_set_timer(s);
    if (s->joined)
        hub_set_stalled(ws_worker(s)->hub, &s->socket, true);
}

static void on_drained(struct conn *c)
{
    struct ws_conn *s = self(c);
    if (s->joined)
        hub_set_stalled(ws_worker(s)->hub, &s->socket, false);
}

/* ---- life ---- */

static void on_gone(struct conn *c)
{
    struct ws_conn *s = self(c);
    leave(s, REASON_GONE, WS_NO_CLOSE, STR_EMPTY);
    timer_stop(&ws_worker(s)->loop.timers, &s->timer);
    ws_reader_fini(&s->reader);
    gate_leave(ws_gate(s), (struct visitor){.address = s->address});
    worker_conn_gone(ws_worker(s));
    mem_free(s);
}

static const struct conn_ops ops = {.read_max = CONN_READ_STRANGER,
                                    .on_input = on_input,
                                    .on_stall = on_stall,
                                    .on_drained = on_drained,
                                    .on_gone = on_gone};

static void tell_opened(const struct ws_conn *s, const struct in6_addr *ip,
                        const struct claims *claims, struct str request)
{
    struct worker *w = ws_worker(s);
    char id[HUB_SOCKET_ID_LEN], address[ADDRESSES_TEXT];
    addresses_text(ip, address);
    worker_note(w, &s->socket, STR("opened"), str_of(address));
    if (!log_is_on(LOG_SOCKETS, LOG_DEBUG))
        return;
    hub_socket_id(w->hub, &s->socket, id);
    LOG(LOG_DEBUG, "socket_opened", LOG_STR("socket", str_make(id, sizeof(id))),
        LOG_STR("request", request), LOG_STR("app", claims->app_key),
        LOG_STR("user", claims->user_id), LOG_CSTR("address", address));
}

void ws_conn_open(struct worker *w, struct conn *from, struct visitor visitor, struct str request,
                  struct claims *claims, struct str key, struct str offers, char *rest,
                  size_t rest_len)
{
    struct str extensions = w->options->deflate_min ? ws_deflate_answer(offers) : STR_EMPTY;
    struct ws_conn *s = mem_zalloc(sizeof(*s));
    conn_move(&s->conn, from, &ops);
    s->timer.fn = on_timer;
    ws_reader_init(&s->reader);
    s->address = visitor.address;
    s->command_clock = gate_clock(w->loop.now_us);
    s->ping_at = (uint32_t)(w->loop.now_ms + w->options->ping_ms);
    s->pong_by = (uint32_t)(w->loop.now_ms + w->options->pong_ms);
    worker_conn_came(w);
    hub_join(w->hub, &s->socket, claims->app_key, claims->user_id, ws_grants_of(w->hub, claims),
             extensions.len ? ENCODER_DEFLATE : 0);
    addresses_set(&w->addresses, s->socket.number, visitor.came_by_proxy ? &visitor.ip : NULL);
    s->joined = true;
    s->socket.since_s = (uint32_t)w->loop.now_s;
    tell_opened(s, &visitor.ip, claims, request);
    ws_token_begins(s, claims);
    claims_unref(claims);
    ws_set_timer(s);
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
        ws_send_handshake(s, accept, extensions);
    }
    if (rest_len)
        on_input(&s->conn, rest, rest_len);
}

static void close_all(struct worker *w, enum reason why, struct str detail)
{
    uint32_t place = 0;
    for (struct hub_socket *socket; (socket = hub_each(w->hub, &place));)
        ws_close(container_of(socket, struct ws_conn, socket), why, detail);
}

void ws_conns_close_lost(struct worker *w)
{
    LOG(LOG_ERROR, "messages_lost", LOG_INT("worker", w->index),
        LOG_CSTR("reason", "they came faster than they could be sent"));
    close_all(w, REASON_LOST, STR("messages were lost: subscribe again"));
}

void ws_conns_go_away(struct worker *w)
{
    close_all(w, REASON_SHUTDOWN, STR("server is shutting down"));
}
