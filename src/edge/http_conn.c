#include <assert.h>
#include <unistd.h>
#include "base/mem.h"
#include "edge/door.h"
#include "edge/events.h"
#include "edge/http_own.h"
#include "edge/scarcity.h"
#include "edge/ws_conn.h"

#define LOG_AREA LOG_HTTP

enum {
    HTTP_IDLE_MS = 75 * 1000,       /* a backend's pooled connection between requests */
    HTTP_IDLE_SLAVE_MS = 15 * 1000, /* a browser's */
    HTTP_AGAIN_MS = 16,          /* between two tries of a request whose answer is not known yet */
    HTTP_REST_MS = 1,            /* between a handshake and what came behind it */
    HTTP_RESTS_US = 15000,       /* of a turn, after which those who rest go on with resting */
    HTTP_AHEAD_BYTES = 64 << 10, /* replies waiting to be taken before the next request is read */
    /* Of one worker: connections over a limit that are kept to tell them so. More are just closed.
     */
    HTTP_TURNED_AWAY_MAX = 256,
};

static struct http_conn *self(struct conn *c)
{
    return container_of(c, struct http_conn, conn);
}

void http_rearm(struct http_conn *h)
{
    const struct worker_options *o = h->worker->options;
    int64_t now = h->worker->loop.now_ms, due;
    if (conn_is_ending(&h->conn))
        due = now + WORKER_LINGER_MS;
    else if (h->conn.stalled)
        due = now + o->write_ms - conn_stalled_ms(&h->conn);
    else if (h->again_since_ms)
        due = now + HTTP_AGAIN_MS;
    else if (h->rests)
        due = now + HTTP_REST_MS;
    else if (h->waiting || h->conn.paused) /* an answer is under way, or output is being taken */
        due = 0;
    else if (h->began_ms)
        due = h->began_ms + o->request_ms[h->roles];
    else
        due = h->idle_by_ms;
    if (due)
        timer_set(&h->worker->loop.timers, &h->timer, due);
    else
        timer_stop(&h->worker->loop.timers, &h->timer);
}

void http_finish(struct http_conn *h)
{
    conn_finish(&h->conn);
    http_rearm(h);
}

/* ---- upgrades ---- */

/* RFC 6455 section 4.2.1. */
static bool is_websocket(const struct http_request *r)
{
    return r->wants_websocket && r->headers[HTTP_H_WS_KEY].len;
}

/* Whose request it is. */
static struct visitor visitor_of(const struct http_conn *h)
{
    struct str forwarded = h->parser.request.headers[HTTP_H_FORWARDED_FOR];
    if (!h->visitor.is_proxy)
        return h->visitor;
    return gate_forwarded(h->worker->node->stores.gate, forwarded);
}

/* The limits of who is to have a WebSocket. False: the connection is turned away. */
static bool may_stay(struct http_conn *h, const struct claims *claims)
{
    struct gate *g = h->worker->node->stores.gate;
    struct visitor v = visitor_of(h);
    if (h->visitor.is_proxy && gate_become(g, v)) {
        http_turn_away(h, PROBLEM_TOO_MANY_CONNECTIONS, "too many connections from your address\n",
                       GATE_RETRY_COUNT_S);
        return false;
    }
    h->visitor = v;
    const char *why = gate_socket_came(g, claims->app_key, claims->user_id);
    if (why)
        http_turn_away(h, PROBLEM_TOO_MANY_CONNECTIONS, why, GATE_RETRY_COUNT_S);
    return !why;
}

/* The connection becomes a WebSocket, and `h` is gone at the turn's end; or it is refused. */
static void upgrade(struct http_conn *h, struct claims *claims, char *rest, size_t rest_len)
{
    const struct http_request *r = &h->parser.request;
    struct str version = r->headers[HTTP_H_WS_VERSION];
    bool right_version = version.p && str_eq(version, STR("13"));
    if (is_websocket(r) && right_version && !h->draining) {
        if (!may_stay(h, claims)) {
            claims_unref(claims);
            return;
        }
        h->is_counted = false; /* the WebSocket is, in its place */
        if (h->conn.paused)    /* it has waited, and the WebSocket is to be read */
            conn_resume(&h->conn);
        char id[API_REQUEST_ID_MAX];
        http_write_request_id(h, id);
        ws_conn_open(h->worker, &h->conn, h->visitor, str_of(id), claims, r->headers[HTTP_H_WS_KEY],
                     r->headers[HTTP_H_WS_EXTENSIONS], rest, rest_len);
        return;
    }
    claims_unref(claims);
    struct api_reply reply = http_reply_begin(h);
    if (h->draining) {
        api_problem(&reply, PROBLEM_SHUTTING_DOWN);
    } else if (is_websocket(r) && version.len) {
        api_problem(&reply, PROBLEM_WEBSOCKET_VERSION);
        buf_str(&reply.extra, STR("Upgrade: websocket\r\n"));
    } else {
        api_problem(&reply, PROBLEM_NOT_A_WEBSOCKET);
    }
    buf_str(&reply.extra, STR("X-Content-Type-Options: nosniff\r\nSec-WebSocket-Version: 13\r\n"));
    http_send_reply(h, &reply, r->method == HTTP_M_HEAD, false);
    api_reply_fini(&reply);
}

/* ---- requests ---- */

/* Whether there is time for a further try: then the connection waits for it. */
static bool tries_again(struct http_conn *h)
{
    int64_t now = h->worker->loop.now_ms;
    if (!h->again_since_ms)
        h->again_since_ms = now;
    h->waiting = now - h->again_since_ms < TICKET_NOTE_MS;
    /* The text of the request stays with the parser, but a body may lie in the input, which is gone
     * by then. What is handled again has none to read. */
    h->parser.request.body = STR_EMPTY;
    return h->waiting;
}

/* Handles the request that is whole. True: go on with the input behind it. */
static bool handle(struct http_conn *h, char *rest, size_t rest_len)
{
    const struct http_request *r = &h->parser.request;
    struct worker *w = h->worker;
    struct api_reply reply = {0};
    struct claims *claims;
    bool head_only = r->method == HTTP_M_HEAD;
    /* Whoever asked for a WebSocket and does not get one starts anew: what it may have sent
     * behind the request would be frames. */
    bool keep_alive = r->keep_alive && !r->wants_websocket;

    if (!h->again_since_ms)
        http_begin_request(h);
    if (h->turn_away) {
        http_turn_away_at_gate(h);
        return false;
    }
    h->waiting = false;
    bool no_sockets = h->is_guest || door_refuses_sockets(w);
    switch (api_handle(&w->api, h->roles | (no_sockets ? API_NO_SOCKETS : 0), r, h->number,
                       w->loop.now_s, w->loop.now_ms, &reply, &claims)) {
    case API_AGAIN:
        if (tries_again(h))
            break;
        /* fall through */
    case API_DONE:
        http_send_reply(h, &reply, head_only, http_stays(h, &reply, keep_alive));
        break;
    case API_LATER:
        h->waiting = true;
        h->head_only = head_only;
        h->keep_alive = keep_alive;
        h->is_http_1_0 = r->is_http_1_0;
        break;
    case API_UPGRADE:
        upgrade(h, claims, rest, rest_len);
        break;
    }
    if (no_sockets && reply.status == 503)
        scarcity_refused(w->node->scarcity);
    api_reply_fini(&reply);
    if (!h->waiting)
        h->again_since_ms = 0;
    return !h->waiting && !conn_is_ending(&h->conn);
}

/* Whether the head alone is enough to refuse the request: then it is answered. */
static bool refuses_head(struct http_conn *h)
{
    const struct http_request *r = http_parser_head(&h->parser);
    struct api_reply reply = {0};
    if (r)
        http_begin_request(h);
    bool refused =
        r && !h->turn_away && api_refuses_head(&h->worker->api, h->roles, r, h->number, &reply);
    if (refused)
        http_send_reply(h, &reply, r->method == HTTP_M_HEAD, false);
    api_reply_fini(&reply);
    return refused;
}

static void wait_for_more(struct http_conn *h)
{
    struct worker *w = h->worker;
    bool slave = !(h->roles & API_MASTER);
    if (http_parser_is_idle(&h->parser)) {
        h->began_ms = 0;
        h->idle_by_ms = w->loop.now_ms + (slave ? HTTP_IDLE_SLAVE_MS : HTTP_IDLE_MS);
        if (h->draining)
            http_finish(h);
        http_rearm(h);
        return;
    }
    if (!h->began_ms)
        h->began_ms = w->loop.now_ms;
    http_rearm(h);
    if (refuses_head(h))
        return;
    if (http_parser_wants_continue(&h->parser))
        conn_send_bytes(&h->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* While memory for send queues is short, one reply at a time. */
static bool must_wait(const struct http_conn *h)
{
    size_t ahead = net_is_short(h->conn.net) ? 0 : HTTP_AHEAD_BYTES;
    return h->waiting || h->rests || h->conn.queued_bytes > ahead;
}

static void process(struct http_conn *h, char *data, size_t len)
{
    while (!must_wait(h)) {
        size_t used;
        int status;
        enum err e = http_parse(&h->parser, data, len, &used, &status);
        data += used;
        len -= used;
        if (e == ERR_AGAIN) {
            wait_for_more(h);
            return;
        }
        if (e) {
            http_refuse(h, status);
            return;
        }
        h->began_ms = 0;
        if (!handle(h, data, len) && !h->waiting)
            return;
        /* To look at a JWT takes up to a millisecond: others go before the next one. */
        h->rests &= len > 0;
    }
    /* Reading stops, so at most one read's worth is kept. */
    buf_add(&h->stash, data, len);
    conn_pause(&h->conn);
    http_rearm(h);
}

void http_go_on(struct http_conn *h)
{
    if (conn_is_ending(&h->conn) || must_wait(h))
        return;
    struct buf stash = h->stash;
    h->stash = BUF_INIT;
    conn_resume(&h->conn);
    process(h, stash.len ? stash.p : (char[1]){0}, stash.len);
    buf_fini(&stash);
}

/* Many may rest at the same time: a turn goes on with some of them. */
static void end_rest(struct http_conn *h)
{
    const struct loop *l = &h->worker->loop;
    if (loop_clock_us() - l->now_us < HTTP_RESTS_US) {
        h->rests = false;
        http_go_on(h);
    }
    http_rearm(h);
}

/* What came behind the request is input again once there is an answer. */
static void handle_again(struct http_conn *h)
{
    struct buf stash = h->stash;
    h->stash = BUF_INIT;
    bool goes_on = handle(h, stash.len ? stash.p : (char[1]){0}, stash.len);
    if (!goes_on && !h->waiting) {
        buf_fini(&stash); /* the WebSocket has taken it, or it is the end */
        return;
    }
    h->stash = stash;
    http_go_on(h);
    http_rearm(h);
}

/* ---- what the connection calls ---- */

static void on_input(struct conn *c, char *data, size_t len)
{
    process(self(c), data, len);
}

static void on_stall(struct conn *c)
{
    http_rearm(self(c));
}

static void on_drained(struct conn *c)
{
    struct http_conn *h = self(c);
    uint64_t question = h->question;
    h->question = 0;
    if (question)
        api_go_on(&h->worker->api, question, true);
    if (c->paused)
        http_go_on(h);
    http_rearm(h);
}

static void on_gone(struct conn *c)
{
    struct http_conn *h = self(c);
    timer_stop(&h->worker->loop.timers, &h->timer);
    if (h->question)
        api_go_on(&h->worker->api, h->question, false);
    if (h->waiting)
        events_gone(h->worker->events, h->number);
    slots_remove(&h->worker->http_conns, h->number);
    if (h->is_counted)
        gate_leave(h->worker->node->stores.gate, h->visitor);
    if (h->turn_away)
        h->worker->n_turned_away--;
    http_parser_fini(&h->parser);
    buf_fini(&h->stash);
    worker_conn_gone(h->worker);
    h->worker->n_guests -= h->is_guest;
    mem_free(h);
}

#define OPS                                                                                        \
    .on_input = on_input, .on_stall = on_stall, .on_drained = on_drained, .on_gone = on_gone,      \
    .half_close = true, .bounds_itself = true

/* Requests that come in one read are handled in one turn, so strangers' come in small ones. */
static const struct conn_ops stranger_ops = {OPS, .read_max = CONN_READ_STRANGER},
                             backend_ops = {OPS};

static void on_timer(struct timer *t)
{
    struct http_conn *h = container_of(t, struct http_conn, timer);
    const struct worker_options *o = h->worker->options;
    int64_t now = h->worker->loop.now_ms;
    if (conn_is_ending(&h->conn)) {
        int64_t left = conn_farewell_ms(&h->conn, o->write_ms);
        if (left <= 0)
            conn_close(&h->conn);
        else
            timer_set(&h->worker->loop.timers, &h->timer, now + left);
        return;
    }
    if (h->conn.stalled && conn_stalled_ms(&h->conn) >= o->write_ms)
        conn_close(&h->conn);
    else if (!h->conn.stalled && h->again_since_ms)
        handle_again(h);
    else if (!h->conn.stalled && h->rests)
        end_rest(h);
    else if (!h->conn.stalled && h->began_ms && now >= h->began_ms + o->request_ms[h->roles])
        http_refuse(h, 408);
    else if (!h->conn.stalled && !h->waiting && !h->began_ms && now >= h->idle_by_ms)
        conn_close(&h->conn);
    else
        http_rearm(h);
}

struct str http_conn_not_tls(void)
{
    return STR("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
               "Content-Length: 45\r\nConnection: close\r\n\r\n"
               "This port speaks TLS: use https:// or wss://\n");
}

uint32_t http_conn_handshake(struct worker *w, uint64_t number)
{
    struct http_conn *h = slots_get(&w->http_conns, number);
    assert(h);
    if (h->again_since_ms) /* it was counted at its first try */
        return 0;
    h->rests = true;
    return gate_take(w->node->stores.gate, LIMIT_HANDSHAKES, visitor_of(h), w->loop.now_us);
}

bool http_conn_is_local(struct worker *w, uint64_t number)
{
    const struct http_conn *h = slots_get(&w->http_conns, number);
    return h && h->is_from_here && !h->parser.request.headers[HTTP_H_FORWARDED_FOR].p;
}

/* Takes the connection in, or notes how it is to be refused; false: it is not worth that. */
static bool enter(struct http_conn *h, const struct sockaddr_storage *peer, bool tls)
{
    struct worker *w = h->worker;
    struct gate *g = w->node->stores.gate;
    h->visitor = gate_visitor(g, peer);
    h->is_from_here = address_is_loopback(&(struct address){.sa = *peer});
    int status = gate_enter(g, h->visitor, peer);
    if (!status) {
        h->is_counted = true;
    } else {
        if (w->n_turned_away >= HTTP_TURNED_AWAY_MAX)
            return false;
        h->turn_away = (uint16_t)status;
        w->n_turned_away++;
    }
    /* A handshake of TLS is work as well, which a refusal would take as much as the service. */
    return !tls || !gate_take(g, LIMIT_HANDSHAKES, h->visitor, w->loop.now_us);
}

void http_conn_open(struct worker *w, int fd, unsigned listener,
                    const struct sockaddr_storage *peer, bool by_proxy, bool is_guest)
{
    unsigned roles = w->listener_roles[listener];
    struct tls_context *tls = w->listener_has_tls[listener] ? w->tls : NULL;
    struct http_conn *h = mem_zalloc(sizeof(*h));
    const struct conn_ops *ops = roles & API_SLAVE ? &stranger_ops : &backend_ops;
    if (conn_open(&h->conn, &w->net, fd, ops)) {
        close(fd);
        mem_free(h);
        return;
    }
    h->worker = w;
    h->roles = roles;
    h->is_guest = is_guest;
    w->n_guests += is_guest;
    h->timer.fn = on_timer;
    h->number = slots_add(&w->http_conns, h);
    worker_conn_came(w);
    counter_add(&w->stats.accepted, 1);
    /* A handshake has as long as a request that begins at once, too. */
    h->idle_by_ms = w->loop.now_ms + w->options->request_ms[roles];
    http_rearm(h);
    bool stays_out = !enter(h, peer, tls);
    h->visitor.came_by_proxy = by_proxy;
    /* Who is refused anyway need not send the body first. */
    http_parser_init(&h->parser, h->turn_away ? 0 : w->options->body_max[roles],
                     w->options->headers_max);
    if (stays_out || (tls && conn_secure(&h->conn, tls)))
        conn_close(&h->conn);
}

void http_conns_drain(struct worker *w)
{
    uint32_t place = 0;
    for (struct http_conn *h; (h = slots_each(&w->http_conns, &place));) {
        h->draining = true;
        if (!h->waiting && http_parser_is_idle(&h->parser))
            http_finish(h);
    }
}

void http_conns_close(struct worker *w)
{
    uint32_t place = 0;
    for (struct http_conn *h; (h = slots_each(&w->http_conns, &place));)
        conn_close(&h->conn);
}
