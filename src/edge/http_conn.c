#include "edge/http_conn.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "edge/door.h"
#include "edge/events.h"
#include "edge/scarcity.h"
#include "edge/ws_conn.h"

#define LOG_AREA LOG_HTTP

enum {
    HTTP_IDLE_MS = 75 * 1000,       /* a backend's pooled connection between requests */
    HTTP_IDLE_SLAVE_MS = 15 * 1000, /* a browser's */
    HTTP_STREAM_BYTES = 256 << 10,  /* of a streamed reply waiting, before more of it is made */
    HTTP_AGAIN_MS = 16,          /* between two tries of a request whose answer is not known yet */
    HTTP_REST_MS = 1,            /* between a handshake and what came behind it */
    HTTP_RESTS_US = 15000,       /* of a turn, after which those who rest go on with resting */
    HTTP_AHEAD_BYTES = 64 << 10, /* replies waiting to be taken before the next request is read */
    /* Of one worker: connections over a limit that are kept to tell them so. More are just closed.
     */
    HTTP_TURNED_AWAY_MAX = 256,
};

struct http_conn {
    struct conn conn;
    struct worker *worker;
    struct timer timer;
    uint64_t number;        /* in worker->http_conns: what a late answer is found by */
    uint64_t request;       /* the number of the one that was read last; 0: none was, */
    int64_t handled_us;     /* and when it was handled first */
    int64_t began_ms;       /* when the request being read began; 0: none is */
    int64_t idle_by_ms;     /* when a connection that reads no request is closed */
    int64_t again_since_ms; /* the first try of a request that is handled again; 0: none is */
    unsigned roles;
    struct visitor visitor;
    bool is_from_here;  /* this machine */
    bool is_counted;    /* at the gate; if not: */
    uint16_t turn_away; /* the status with which it is refused */
    /* For a late answer, or to be handled again: nothing else is read meanwhile. */
    bool waiting;
    bool head_only, keep_alive, is_http_1_0; /* of the request that waits */
    bool rests;                              /* behind a handshake, until the timer */
    bool draining;                           /* the next reply is the last */
    bool is_guest;     /* the first is, and no socket becomes of it (door.h) */
    uint64_t question; /* goes on when the peer has taken what is queued; 0: none does */
    struct http_parser parser;
    struct buf stash; /* input that came after a request that waits */
};

static struct http_conn *self(struct conn *c)
{
    return container_of(c, struct http_conn, conn);
}

/* One timer, set for whatever comes first: the connection's state says what that is. */
static void rearm(struct http_conn *h)
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
    else if (h->conn.paused) /* an answer is under way, or output that is being taken */
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

static void finish(struct http_conn *h)
{
    conn_finish(&h->conn);
    rearm(h);
}

/* ---- replies ---- */

static void begin_request(struct http_conn *h)
{
    h->request = ++h->worker->n_requests;
    h->handled_us = h->worker->loop.now_us;
}

/* 1 to 128 visible characters: as it may stand in a log and in a header. */
static bool is_request_id(struct str id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.p[i] <= ' ' || id.p[i] > '~')
            return false;
    }
    return id.len && id.len < API_REQUEST_ID_MAX;
}

static void write_request_id(const struct http_conn *h, char out[API_REQUEST_ID_MAX])
{
    struct str given = h->parser.request.headers[HTTP_H_REQUEST_ID];
    if (given.p && is_request_id(given))
        snprintf(out, API_REQUEST_ID_MAX, "%.*s", (int)given.len, given.p);
    else
        snprintf(out, API_REQUEST_ID_MAX, "%08" PRIx32 "-%u-%" PRIx64, h->worker->node->id,
                 h->worker->index, h->request);
}

void http_conn_request_id(struct worker *w, uint64_t number, char out[API_REQUEST_ID_MAX])
{
    const struct http_conn *h = slots_get(&w->http_conns, number);
    out[0] = 0;
    if (h)
        write_request_id(h, out);
}

/* A query may have a token in it: the path alone is told. */
static void log_reply(const struct http_conn *h, const struct api_reply *r)
{
    char id[API_REQUEST_ID_MAX];
    if (!log_is_on(LOG_HTTP, LOG_DEBUG))
        return;
    write_request_id(h, id);
    LOG(LOG_DEBUG, "request", LOG_CSTR("request", id),
        LOG_CSTR("method", http_method_name(h->parser.request.method)),
        LOG_STR("path", http_parser_path(&h->parser)), LOG_INT("status", r->status),
        LOG_INT("us", loop_clock_us() - h->handled_us));
}

/* Counts and logs it. Whoever asks about a refusal, or has an id of his own for the request, is
 * told which one it was: the id is written to `id` then, else "". */
static void note_reply(const struct http_conn *h, const struct api_reply *r,
                       char id[API_REQUEST_ID_MAX])
{
    assert((unsigned)r->status < WORKER_STATUSES);
    counter_add(&h->worker->stats.replies[r->status], 1);
    log_reply(h, r);
    id[0] = 0;
    if (r->status >= 400 || h->parser.request.headers[HTTP_H_REQUEST_ID].p)
        write_request_id(h, id);
}

static void send_reply(struct http_conn *h, const struct api_reply *r, bool head_only,
                       bool keep_alive)
{
    struct buf *out = worker_scratch(h->worker);
    char id[API_REQUEST_ID_MAX];
    note_reply(h, r, id);
    const struct http_reply reply = {.status = r->status,
                                     .type = r->type,
                                     .body = buf_as_str(&r->body),
                                     .extra = buf_as_str(&r->extra),
                                     .request_id = id,
                                     .keep_alive = keep_alive,
                                     .head_only = head_only};
    http_reply_write(out, &reply, h->worker->loop.now_s);
    conn_send_bytes(&h->conn, buf_as_str(out)); /* never full: see must_wait */
    if (!keep_alive)
        finish(h);
}

/* In the words of the API that is being asked, as far as that is known. */
static struct api_reply reply_begin(const struct http_conn *h)
{
    return (struct api_reply){.has_problems = api_has_problems(http_parser_path(&h->parser))};
}

/* Too many connections; `retry_s` is when there may be fewer. */
static void turn_away(struct http_conn *h, enum problem p, const char *why, unsigned retry_s)
{
    struct api_reply r = reply_begin(h);
    api_problem_at(&r, p, str_of(why), STR_EMPTY);
    buf_printf(&r.extra, "Retry-After: %u\r\nX-Content-Type-Options: nosniff\r\n", retry_s);
    send_reply(h, &r, false, false);
    api_reply_fini(&r);
}

static void turn_away_at_gate(struct http_conn *h)
{
    if (h->turn_away == 503)
        turn_away(h, PROBLEM_SERVER_FULL, "too many connections, try again\n", GATE_RETRY_FULL_S);
    else
        turn_away(h, PROBLEM_TOO_MANY_CONNECTIONS, "too many connections from your address\n",
                  GATE_RETRY_COUNT_S);
}

/* The request cannot be read any further: answer and end. */
static void refuse(struct http_conn *h, int status)
{
    struct api_reply r = reply_begin(h);
    begin_request(h);
    if (h->turn_away && status != 408) {
        turn_away_at_gate(h);
        return;
    }
    api_problem_of_status(&r, status);
    send_reply(h, &r, false, false);
    api_reply_fini(&r);
}

static bool stays(const struct http_conn *h, const struct api_reply *r, bool keep_alive)
{
    return keep_alive && !r->close && !h->draining && !h->is_guest;
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
        turn_away(h, PROBLEM_TOO_MANY_CONNECTIONS, "too many connections from your address\n",
                  GATE_RETRY_COUNT_S);
        return false;
    }
    h->visitor = v;
    const char *why = gate_socket_came(g, claims->app_key, claims->user_id);
    if (why)
        turn_away(h, PROBLEM_TOO_MANY_CONNECTIONS, why, GATE_RETRY_COUNT_S);
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
        write_request_id(h, id);
        ws_conn_open(h->worker, &h->conn, h->visitor, str_of(id), claims, r->headers[HTTP_H_WS_KEY],
                     r->headers[HTTP_H_WS_EXTENSIONS], rest, rest_len);
        return;
    }
    claims_unref(claims);
    struct api_reply reply = reply_begin(h);
    if (h->draining) {
        api_problem(&reply, PROBLEM_SHUTTING_DOWN);
    } else if (is_websocket(r) && version.len) {
        api_problem(&reply, PROBLEM_WEBSOCKET_VERSION);
        buf_str(&reply.extra, STR("Upgrade: websocket\r\n"));
    } else {
        api_problem(&reply, PROBLEM_NOT_A_WEBSOCKET);
    }
    buf_str(&reply.extra, STR("X-Content-Type-Options: nosniff\r\nSec-WebSocket-Version: 13\r\n"));
    send_reply(h, &reply, r->method == HTTP_M_HEAD, false);
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
        begin_request(h);
    if (h->turn_away) {
        turn_away_at_gate(h);
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
        send_reply(h, &reply, head_only, stays(h, &reply, keep_alive));
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
        begin_request(h);
    bool refused =
        r && !h->turn_away && api_refuses_head(&h->worker->api, h->roles, r, h->number, &reply);
    if (refused)
        send_reply(h, &reply, r->method == HTTP_M_HEAD, false);
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
            finish(h);
        rearm(h);
        return;
    }
    if (!h->began_ms)
        h->began_ms = w->loop.now_ms;
    rearm(h);
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
            refuse(h, status);
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
    rearm(h);
}

static void go_on(struct http_conn *h)
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
        go_on(h);
    }
    rearm(h);
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
    go_on(h);
    rearm(h);
}

/* ---- what the connection calls ---- */

static void on_input(struct conn *c, char *data, size_t len)
{
    process(self(c), data, len);
}

static void on_stall(struct conn *c)
{
    rearm(self(c));
}

static void on_drained(struct conn *c)
{
    struct http_conn *h = self(c);
    uint64_t question = h->question;
    h->question = 0;
    if (question)
        api_go_on(&h->worker->api, question, true);
    if (c->paused)
        go_on(h);
    rearm(h);
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
        refuse(h, 408);
    else if (!h->conn.stalled && !h->began_ms && now >= h->idle_by_ms)
        conn_close(&h->conn);
    else
        rearm(h);
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
    rearm(h);
    bool stays_out = !enter(h, peer, tls);
    h->visitor.came_by_proxy = by_proxy;
    /* Who is refused anyway need not send the body first. */
    http_parser_init(&h->parser, h->turn_away ? 0 : w->options->body_max[roles],
                     w->options->headers_max);
    if (stays_out || (tls && conn_secure(&h->conn, tls)))
        conn_close(&h->conn);
}

void http_conn_answer(struct worker *w, uint64_t number, const struct api_reply *r)
{
    struct http_conn *h = slots_get(&w->http_conns, number);
    if (!h || !h->waiting)
        return;
    h->waiting = false;
    send_reply(h, r, h->head_only, stays(h, r, h->keep_alive));
    go_on(h);
}

static void begin_stream(struct http_conn *h, const struct api_reply *r, struct buf *out)
{
    char id[API_REQUEST_ID_MAX];
    note_reply(h, r, id);
    h->keep_alive = stays(h, r, h->keep_alive) && !h->is_http_1_0;
    const struct http_reply reply = {.status = r->status,
                                     .type = r->type,
                                     .extra = buf_as_str(&r->extra),
                                     .request_id = id,
                                     .keep_alive = h->keep_alive,
                                     .chunked = !h->is_http_1_0,
                                     .unbounded = h->is_http_1_0,
                                     .head_only = h->head_only};
    http_reply_write(out, &reply, h->worker->loop.now_s);
}

bool http_conn_stream(struct worker *w, uint64_t number, const struct api_reply *r,
                      uint64_t question, enum api_piece piece)
{
    struct http_conn *h = slots_get(&w->http_conns, number);
    if (!h || !h->waiting || conn_is_ending(&h->conn))
        return false;
    h->question = 0;
    struct buf *out = worker_scratch(w);
    bool over = piece == API_LAST || h->head_only;
    if (piece == API_FIRST)
        begin_stream(h, r, out);
    if (!h->head_only && h->is_http_1_0)
        buf_str(out, buf_as_str(&r->body));
    else if (!h->head_only)
        http_chunk_write(out, buf_as_str(&r->body));
    if (piece == API_LAST && !h->is_http_1_0)
        http_chunks_end(out, buf_as_str(&r->extra));
    conn_send_bytes(&h->conn, buf_as_str(out));
    if (over) {
        h->waiting = false;
        if (h->keep_alive)
            go_on(h);
        else
            finish(h);
        return piece == API_LAST;
    }
    if (h->conn.queued_bytes > HTTP_STREAM_BYTES)
        h->question = question;
    else
        api_go_on(&w->api, question, true);
    return true;
}

size_t http_conn_queued(struct worker *w, uint64_t number)
{
    const struct http_conn *h = slots_get(&w->http_conns, number);
    return h ? h->conn.queued_bytes : SIZE_MAX;
}

void http_conns_drain(struct worker *w)
{
    uint32_t place = 0;
    for (struct http_conn *h; (h = slots_each(&w->http_conns, &place));) {
        h->draining = true;
        if (!h->waiting && http_parser_is_idle(&h->parser))
            finish(h);
    }
}

void http_conns_close(struct worker *w)
{
    uint32_t place = 0;
    for (struct http_conn *h; (h = slots_each(&w->http_conns, &place));)
        conn_close(&h->conn);
}
