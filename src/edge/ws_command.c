/* ws_command.c - a client's commands, and their replies that wait until interest is sure. */
#include "base/log.h"
#include "base/mem.h"
#include "base/names.h"
#include "edge/ws_own.h"

enum {
    HELD_BYTES_MAX = 256 * 1024, /* of one connection's replies that wait; then reading stops */
};

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
    struct buf *out = ws_begin_payload(w);
    ws_proto_of(socket)->remote_reply(w->hub, socket, job->remote, !e, out);
    ws_reply(container_of(socket, struct ws_conn, socket), out, WS_TEXT);
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
    struct worker *w = ws_worker(s);
    if (!s->held)
        s->held = held_new(s);
    struct held_reply *r = held_add(&w->held, s->held, w->told);
    r->frame = ws_end_payload(out, WS_TEXT);
    if (o->subscribed) {
        r->grants = grants_ref(s->socket.grants);
        r->denied = ws_end_payload(&notes->denied, WS_TEXT);
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
    const struct worker *w = ws_worker(s);
    if (s->held)
        return !o->unordered || bus_state(w->seat) != BUS_AWAY;
    return o->subscribed && w->told > w->sure;
}

void ws_answer(struct ws_conn *s, struct buf *payload)
{
    static const struct proto_outcome ordered = {0};
    if (has_to_wait(s, &ordered))
        hold(s, &ordered, payload, NULL);
    else
        ws_reply(s, payload, WS_TEXT);
}

/* Of {"event":"..","socket_id":"..","data":..} the event and the data's beginning. Who only asks
 * whether we live asks often. */
static void note_answer(struct ws_conn *s, struct str text)
{
    const struct str event = STR("{\"event\":\""), data = STR("\"data\":");
    if (!str_starts(text, event))
        return;
    struct str rest = str_make(text.p + event.len, text.len - event.len),
               word = str_cut(&rest, '"');
    const char *at = memmem(rest.p, rest.len, data.p, data.len);
    if (!at || str_starts(word, STR("gusher.pong")))
        return;
    at += data.len;
    worker_note_answer(ws_worker(s), &s->socket, word,
                       str_make(at, (size_t)(rest.p + rest.len - at - 1)));
}

void ws_on_text(struct ws_conn *s, struct str text)
{
    struct worker *w = ws_worker(s);
    struct buf *out = ws_begin_payload(w);
    struct proto_notes notes = {0};
    bool may_wait = w->node->cluster != NULL;
    if (may_wait)
        ws_begin_payload_in(&notes.denied);
    const struct proto_host host = {w, submit_remote, ws_refresh, may_wait ? &notes : NULL};
    struct proto_outcome o =
        ws_proto_of(&s->socket)
            ->command(&host, w->hub, &s->socket, text, (int64_t)w->loop.now_s, out);
    note_answer(s, str_make(out->p + WS_HEADER_MAX, out->len - WS_HEADER_MAX));
    if (o.close_code)
        ws_close_as(s, REASON_BAD_COMMAND, o.close_code, str_of(o.close_reason));
    else if (out->len > WS_HEADER_MAX && !conn_is_ending(&s->conn) && has_to_wait(s, &o))
        hold(s, &o, out, &notes);
    else if (out->len > WS_HEADER_MAX && !conn_is_ending(&s->conn))
        ws_reply(s, out, WS_TEXT);
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
        hub_drop(ws_worker(s)->hub, &s->socket, name);
    return r->denied;
}

static void release(struct ws_conn *s, struct held_reply *r)
{
    struct held *held = s->held;
    bool is_last = held_done(r), paused = held->paused;
    ws_ensure_handshake(s);
    held->bytes -= r->frame ? held_reply_bytes(r) : 0;
    if (is_last) {
        held_drop(held, &ws_worker(s)->held, hub_grants_pool(ws_worker(s)->hub));
        s->held = NULL;
    }
    hub_catch_up(ws_worker(s)->hub, &s->socket);
    if (r->frame && conn_send(&s->conn, judge(s, r)))
        ws_close_slow(s);
    if (is_last && paused) {
        s->pong_by = (uint32_t)(ws_worker(s)->loop.now_ms + ws_worker(s)->options->pong_ms);
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
            ws_ensure_handshake(r->of->conn);
    }
}
