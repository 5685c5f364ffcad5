/* ws_out.c - what a WebSocket is sent: frames, fan-outs, answers, the handshake's answer. */
#include <assert.h>
#include "base/mem.h"
#include "edge/ws_own.h"

enum { SLOW_KEEP = 4096 }; /* bytes of memory for their numbers that stay */

static const struct proto *const protos[ENCODER_DEFLATE] = {&proto_gusher};
static_assert(2 * ENCODER_DEFLATE <= HUB_ENCODERS_MAX, "every encoder has a place in the hub");

const struct proto *ws_proto_of(const struct hub_socket *s)
{
    return protos[s->encoder % ENCODER_DEFLATE];
}

/* ---- frames ---- */

void ws_begin_payload_in(struct buf *b)
{
    buf_reserve(b, WS_HEADER_MAX);
    b->len = WS_HEADER_MAX;
}

struct buf *ws_begin_payload(struct worker *w)
{
    struct buf *b = worker_scratch(w);
    ws_begin_payload_in(b);
    return b;
}

struct blob *ws_end_payload(struct buf *b, unsigned op)
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
    ws_begin_payload_in(&out);
    ws_deflate(w->deflate, payload, &out);
    if (out.len - WS_HEADER_MAX < payload.len)
        b = ws_end_payload(&out, WS_TEXT | WS_COMPRESSED);
    buf_fini(&out);
    return b;
}

struct blob *ws_conn_encode(void *worker, unsigned encoder, const struct msg *m)
{
    struct worker *w = worker;
    struct buf *b = ws_begin_payload(w);
    protos[encoder % ENCODER_DEFLATE]->encode(m, b);
    struct str payload = {b->p + WS_HEADER_MAX, b->len - WS_HEADER_MAX};
    struct blob *small = NULL;
    if (encoder & ENCODER_DEFLATE && payload.len >= w->options->deflate_min)
        small = compressed(w, payload);
    return small ? small : ws_end_payload(b, WS_TEXT);
}

struct blob *ws_ping_frame(void)
{
    char header[WS_HEADER_MAX];
    return blob_of(str_make(header, ws_frame_header(header, WS_PING, 0)));
}

/* ---- the handshake's answer ---- */

void ws_send_handshake(struct ws_conn *s, const char accept[WS_ACCEPT_LEN], struct str extensions)
{
    /* Not the worker's: a reply may be under way in that, and find that another socket is to be
     * caught up, whose handshake has waited. */
    struct buf text = BUF_INIT, *out = &text;
    buf_str(out, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: "));
    buf_add(out, accept, WS_ACCEPT_LEN);
    if (extensions.len) {
        buf_str(out, STR("\r\nSec-WebSocket-Extensions: "));
        buf_str(out, extensions);
    }
    buf_str(out, STR("\r\n\r\n"));
    conn_send_bytes(&s->conn, buf_as_str(out));
    buf_fini(out);
}

void ws_ensure_handshake(struct ws_conn *s)
{
    if (!s->held || !s->held->handshake)
        return;
    s->held->handshake = false;
    ws_send_handshake(s, s->held->accept, s->held->extensions);
}

/* ---- messages and answers ---- */

static void mark_slow(struct ws_conn *s)
{
    if (s->is_slow)
        return;
    s->is_slow = true;
    buf_add(&ws_worker(s)->too_slow, &s->socket.number, sizeof(s->socket.number));
}

void ws_conn_deliver(void *worker, struct hub_socket *socket, struct blob *b, bool bulk)
{
    (void)worker;
    struct ws_conn *s = container_of(socket, struct ws_conn, socket);
    ws_ensure_handshake(s);
    if (bulk ? conn_send_bulk(&s->conn, b) : conn_send(&s->conn, b))
        mark_slow(s);
}

void ws_conn_deliver_range(void *worker, struct hub_socket *socket, const struct blob_range *r)
{
    (void)worker;
    struct ws_conn *s = container_of(socket, struct ws_conn, socket);
    ws_ensure_handshake(s);
    if (conn_send_range(&s->conn, r))
        mark_slow(s);
}

bool ws_conns_write_due(void *worker)
{
    struct worker *w = worker;
    struct hub_due due[NET_SLICE_MAX];
    struct net_write writes[NET_SLICE_MAX];
    unsigned n = hub_due(w->hub, due, w->net.slice, NET_SLICE_BYTES);
    for (unsigned i = 0; i < n; i++) {
        struct ws_conn *s = container_of(due[i].socket, struct ws_conn, socket);
        ws_ensure_handshake(s);
        writes[i] = (struct net_write){&s->conn, due[i].n, due[i].ranges};
    }
    net_write_many(&w->net, writes, n);
    return n > 0;
}

void ws_close_slow(struct ws_conn *s)
{
    s->is_slow = true;
    LOG(LOG_WARN, "socket_too_slow", LOG_INT("queued_bytes", s->conn.queued_bytes),
        LOG_INT("queue_bytes_max", ws_worker(s)->options->queue_bytes_max),
        LOG_INT("queue_messages_max", ws_worker(s)->options->queue_messages_max));
    ws_close(s, REASON_SLOW,
             net_is_short(s->conn.net) ? STR("memory for send queues is short")
                                       : STR("send queue full"));
}

void ws_conns_close_slow(struct worker *w)
{
    /* The last word of one may find another one too slow. */
    for (uint64_t number; w->too_slow.len;) {
        w->too_slow.len -= sizeof(number);
        memcpy(&number, w->too_slow.p + w->too_slow.len, sizeof(number));
        struct hub_socket *socket = hub_find(w->hub, number);
        if (socket)
            ws_close_slow(container_of(socket, struct ws_conn, socket));
    }
    if (w->too_slow.cap > SLOW_KEEP)
        buf_fini(&w->too_slow);
}

void ws_reply(struct ws_conn *s, struct buf *payload, enum ws_op op)
{
    struct blob *b = ws_end_payload(payload, op);
    ws_ensure_handshake(s);
    hub_catch_up(ws_worker(s)->hub, &s->socket);
    if (conn_send(&s->conn, b))
        ws_close_slow(s);
    blob_unref(b);
}
