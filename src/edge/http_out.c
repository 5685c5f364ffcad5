#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include "base/log.h"
#include "edge/http_own.h"

#define LOG_AREA LOG_HTTP

enum {
    HTTP_STREAM_BYTES = 256 << 10, /* of a streamed reply waiting, before more of it is made */
};

/* ---- requests and their ids ---- */

void http_begin_request(struct http_conn *h)
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

void http_write_request_id(const struct http_conn *h, char out[API_REQUEST_ID_MAX])
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
        http_write_request_id(h, out);
}

/* ---- replies ---- */

/* A query may have a token in it: the path alone is told. */
static void log_reply(const struct http_conn *h, const struct api_reply *r)
{
    char id[API_REQUEST_ID_MAX];
    if (!log_is_on(LOG_HTTP, LOG_DEBUG))
        return;
    http_write_request_id(h, id);
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
        http_write_request_id(h, id);
}

void http_send_reply(struct http_conn *h, const struct api_reply *r, bool head_only,
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
        http_finish(h);
}

struct api_reply http_reply_begin(const struct http_conn *h)
{
    return (struct api_reply){.has_problems = api_has_problems(http_parser_path(&h->parser))};
}

void http_turn_away(struct http_conn *h, enum problem p, const char *why, unsigned retry_s)
{
    struct api_reply r = http_reply_begin(h);
    api_problem_at(&r, p, str_of(why), STR_EMPTY);
    buf_printf(&r.extra, "Retry-After: %u\r\nX-Content-Type-Options: nosniff\r\n", retry_s);
    http_send_reply(h, &r, false, false);
    api_reply_fini(&r);
}

void http_turn_away_at_gate(struct http_conn *h)
{
    if (h->turn_away == 503)
        http_turn_away(h, PROBLEM_SERVER_FULL, "too many connections, try again\n",
                       GATE_RETRY_FULL_S);
    else
        http_turn_away(h, PROBLEM_TOO_MANY_CONNECTIONS, "too many connections from your address\n",
                       GATE_RETRY_COUNT_S);
}

void http_refuse(struct http_conn *h, int status)
{
    struct api_reply r = http_reply_begin(h);
    http_begin_request(h);
    if (h->turn_away && status != 408) {
        http_turn_away_at_gate(h);
        return;
    }
    api_problem_of_status(&r, status);
    http_send_reply(h, &r, false, false);
    api_reply_fini(&r);
}

bool http_stays(const struct http_conn *h, const struct api_reply *r, bool keep_alive)
{
    return keep_alive && !r->close && !h->draining && !h->is_guest;
}

/* ---- late answers, and long ones ---- */

void http_conn_answer(struct worker *w, uint64_t number, const struct api_reply *r)
{
    struct http_conn *h = slots_get(&w->http_conns, number);
    if (!h || !h->waiting)
        return;
    h->waiting = false;
    http_send_reply(h, r, h->head_only, http_stays(h, r, h->keep_alive));
    http_go_on(h);
}

static void begin_stream(struct http_conn *h, const struct api_reply *r, struct buf *out)
{
    char id[API_REQUEST_ID_MAX];
    note_reply(h, r, id);
    h->keep_alive = http_stays(h, r, h->keep_alive) && !h->is_http_1_0;
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
    if (!h || !h->waiting)
        return false;
    if (conn_is_ending(&h->conn)) {
        http_rearm(h); /* its peer may have ended it, and not take what waits */
        return false;
    }
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
            http_go_on(h);
        else
            http_finish(h);
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

/* Who has sent more already is not read; a stream to nobody ends when it is written to, then. */
void http_conn_attend(struct worker *w, uint64_t number)
{
    struct http_conn *h = slots_get(&w->http_conns, number);
    if (h && h->waiting && !h->stash.len)
        conn_resume(&h->conn);
}
