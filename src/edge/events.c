#include "edge/events.h"
#include <inttypes.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/names.h"
#include "edge/http_conn.h"

struct stream {
    struct stream *next;
    uint64_t call;
    bool has_nodes, greeted;
    uint64_t sure_at;        /* interest is known everywhere when the worker's `sure` is here */
    unsigned n_this_tick;    /* messages */
    uint64_t n_dropped;      /* not told yet */
    struct str app, channel; /* in the same allocation; app "": no tail */
};

struct events *events_new(struct worker *w)
{
    struct events *e = mem_zalloc(sizeof(*e));
    e->worker = w;
    return e;
}

void events_free(struct events *e)
{
    if (!e)
        return;
    events_end(e);
    buf_fini(&e->scratch);
    mem_free(e);
}

/* ---- streams ---- */

static void forget(struct events *e, struct stream **at)
{
    struct stream *s = *at;
    *at = s->next;
    e->n--;
    if (s->app.len)
        worker_listen(e->worker, s->app, s->channel, false);
    if (!e->n) {
        timer_stop(&e->worker->loop.timers, &e->timer);
        timer_stop(&e->worker->loop.timers, &e->greeting);
    }
    mem_free(s);
}

void events_gone(struct events *e, uint64_t call)
{
    for (struct stream **at = &e->first; *at; at = &(*at)->next) {
        if ((*at)->call == call) {
            forget(e, at);
            return;
        }
    }
}

/* Sends what is in e->scratch. False: the connection is at its end, and the stream to be forgotten.
 */
static bool give(struct events *e, uint64_t call, enum api_piece piece)
{
    struct api_reply r = {.body = e->scratch};
    if (piece == API_FIRST) {
        r.status = 200;
        r.type = "text/event-stream";
        /* The last one: a proxy like nginx is not to gather what comes. */
        buf_str(&r.extra, STR("Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"));
    }
    bool goes_on = http_conn_stream(e->worker, call, &r, 0, piece);
    buf_fini(&r.extra);
    return goes_on;
}

/* To one of them, which may be its end. Returns where the next one is. */
static struct stream **give_next(struct events *e, struct stream **at, enum api_piece piece)
{
    if (give(e, (*at)->call, piece))
        return &(*at)->next;
    forget(e, at);
    return at;
}

/* No stream is left behind, and a connection may begin with a request that came after it. */
void events_end(struct events *e)
{
    while (e->first) {
        uint64_t call = e->first->call;
        bool greeted = e->first->greeted;
        forget(e, &e->first);
        buf_clear(&e->scratch);
        if (greeted) {
            give(e, call, API_LAST);
            continue;
        }
        struct api_reply r = {.has_problems = true};
        api_refuse(&r, ERR_AWAY);
        http_conn_answer(e->worker, call, &r);
        api_reply_fini(&r);
    }
}

static bool has_room(const struct events *e, const struct stream *s)
{
    return http_conn_queued(e->worker, s->call) < EVENTS_QUEUE_BYTES;
}

static struct buf *begin(struct events *e, const char *event)
{
    buf_clear(&e->scratch);
    buf_printf(&e->scratch, "event: %s\ndata: ", event);
    return &e->scratch;
}

static long long now_ms(const struct events *e)
{
    return (long long)(e->worker->loop.now_s * 1000);
}

/* ---- what all nodes tell ---- */

static void on_nodes(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct events *e = ctx;
    struct str rest = p->names;
    unsigned n = 0;
    (void)question;
    e->is_asking = false;
    struct buf *out = begin(e, "nodes");
    buf_printf(out, "{\"time\":%lld,\"missing\":%u,\"nodes\":[", now_ms(e), p->n_missing);
    for (struct str name; names_next(&rest, &name);) {
        if (!json_is_object(name))
            continue;
        if (n++)
            buf_char(out, ',');
        buf_str(out, name);
    }
    buf_str(out, STR("]}\n\n"));
    for (struct stream **at = &e->first; *at;) {
        const struct stream *s = *at;
        if (s->has_nodes && s->greeted && has_room(e, s))
            at = give_next(e, at, API_NEXT);
        else
            at = &(*at)->next;
    }
}

static void ask_nodes(struct events *e)
{
    const struct bus_ask what = {
        .kind = HUB_NODES, .app = STR_EMPTY, .channel = STR_EMPTY, .whole = true};
    uint64_t question;
    if (!e->is_asking)
        e->is_asking = bus_ask(e->worker->seat, &what, on_nodes, e, &question) == ERR_OK;
}

/* ---- each second ---- */

static bool write_dropped(struct events *e, struct stream *s)
{
    s->n_this_tick = 0;
    if (!s->n_dropped)
        return false;
    buf_printf(begin(e, "dropped"), "{\"messages\":%" PRIu64 "}\n\n", s->n_dropped);
    s->n_dropped = 0;
    return true;
}

static bool write_alive(struct events *e)
{
    if (e->n_ticks % EVENTS_ALIVE_TICKS)
        return false;
    buf_clear(&e->scratch);
    buf_str(&e->scratch, STR(": alive\n\n"));
    return true;
}

static void tick(struct timer *t)
{
    struct events *e = container_of(t, struct events, timer);
    struct loop *l = &e->worker->loop;
    bool wants_nodes = false;
    timer_set(&l->timers, t, l->now_ms + EVENTS_EVERY_MS);
    e->n_ticks++;
    for (struct stream **at = &e->first; *at;) {
        struct stream *s = *at;
        wants_nodes |= s->has_nodes && s->greeted;
        if (s->greeted && has_room(e, s) && (write_dropped(e, s) || write_alive(e)))
            at = give_next(e, at, API_NEXT);
        else
            at = &s->next;
    }
    if (wants_nodes)
        ask_nodes(e);
}

/* ---- beginning ---- */

static void write_hello(struct events *e, struct stream *s)
{
    buf_printf(begin(e, "hello"),
               "{\"version\":\"%s\",\"node\":\"%08" PRIx32 "\",\"nodes\":%s}\n\n", GUSHER_VERSION,
               e->worker->node->id, s->has_nodes ? "true" : "false");
    s->greeted = true;
}

/* Whose tail is sure by now: whatever is published from here on passes by. */
void events_sure(struct events *e, bool is_away)
{
    bool wants_nodes = false;
    for (struct stream **at = &e->first; *at;) {
        struct stream *s = *at;
        if (s->greeted || (s->sure_at > e->worker->sure && !is_away)) {
            at = &s->next;
            continue;
        }
        wants_nodes |= s->has_nodes;
        write_hello(e, s);
        http_conn_attend(e->worker, s->call);
        at = give_next(e, at, API_FIRST);
    }
    if (wants_nodes)
        ask_nodes(e);
}

/* On a timer, as there is nothing to send yet while the call is being handled. It is not that of
 * the ticks: streams that come without end would put those off. */
static void greet(struct timer *t)
{
    struct events *e = container_of(t, struct events, greeting);
    events_sure(e, bus_state(e->worker->seat) == BUS_AWAY);
}

enum err events_open(struct events *e, uint64_t call, struct str app, struct str channel,
                     bool nodes)
{
    struct worker *w = e->worker;
    if (w->stopping)
        return ERR_AWAY;
    if (e->n >= (nodes ? EVENTS_STREAMS_MAX : EVENTS_TAILS_MAX))
        return ERR_FULL;
    struct stream *s = mem_zalloc(sizeof(*s) + app.len + channel.len);
    char *at = (char *)(s + 1);
    s->call = call;
    s->has_nodes = nodes;
    s->app = str_put(&at, app);
    s->channel = str_put(&at, channel);
    struct stream **last = &e->first;
    while (*last)
        last = &(*last)->next;
    *last = s;
    e->n++;
    if (app.len) {
        worker_listen(w, app, channel, true);
        s->sure_at = w->node->cluster ? w->told : 0;
    }
    e->greeting.fn = greet;
    timer_set(&w->loop.timers, &e->greeting, w->loop.now_ms);
    if (e->n == 1) {
        e->timer.fn = tick;
        timer_set(&w->loop.timers, &e->timer, w->loop.now_ms + EVENTS_EVERY_MS);
    }
    return ERR_OK;
}

/* ---- messages ---- */

/* In JSON a line's end stands between tokens alone, where a blank does as well. */
static void add_on_one_line(struct buf *out, struct str json)
{
    size_t from = out->len;
    buf_str(out, json);
    for (char *p = out->p + from; p < out->p + out->len; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
}

static void write_message(struct events *e, const struct msg *m)
{
    struct buf *out = begin(e, "message");
    buf_printf(out, "{\"time\":%lld,\"app\":", now_ms(e));
    json_quote(out, m->app);
    buf_str(out, STR(",\"channel\":"));
    json_quote(out, m->target);
    buf_str(out, STR(",\"event\":"));
    json_quote(out, m->event);
    buf_str(out, STR(",\"data\":"));
    add_on_one_line(out, m->data);
    buf_str(out, STR("}\n\n"));
}

/* Whether the stream shows the message; when it should, but cannot, that is noted. */
static bool takes(struct events *e, struct stream *s, const struct msg *m)
{
    if (!s->app.len || !s->greeted || !str_eq(s->app, m->app) || !str_eq(s->channel, m->target))
        return false;
    bool ok = s->n_this_tick < EVENTS_MESSAGES_PER_S && has_room(e, s);
    s->n_dropped += !ok;
    s->n_this_tick += ok;
    return ok;
}

void events_message(struct events *e, const struct msg *m)
{
    bool is_written = false;
    for (struct stream **at = &e->first; *at;) {
        if (!takes(e, *at, m)) {
            at = &(*at)->next;
            continue;
        }
        if (!is_written)
            write_message(e, m);
        is_written = true;
        at = give_next(e, at, API_NEXT);
    }
}
