#include "edge/worker.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/names.h"
#include "edge/about.h"
#include "edge/door.h"
#include "edge/http_conn.h"
#include "edge/metrics.h"
#include "edge/proxied.h"
#include "edge/scarcity.h"
#include "edge/sockets.h"
#include "edge/ws_conn.h"
#include "ws/deflate.h"

#define LOG_AREA LOG_SERVER

enum {
    FAREWELLS_OVER_MS = 24 * 3600 * 1000,
    WORKER_SCRATCH_KEEP = 256 * 1024, /* bytes of scratch memory that stay between uses */
    /* A letter costs this and a byte each of its data: so a reading of the inbox is at most 64
     * messages, or about a megabyte of them, for any one socket. */
    WORKER_LETTER_COST = LOOP_LETTERS_BUDGET / 64,
    WORKER_DELIVERY_COST = LOOP_LETTERS_BUDGET / 8192, /* and so many deliveries: a millisecond */
};

void worker_conn_came(struct worker *w)
{
    counter_set(&w->stats.conns, ++w->n_conns);
}

void worker_conn_gone(struct worker *w)
{
    assert(w->n_conns);
    counter_set(&w->stats.conns, --w->n_conns);
}

struct buf *worker_scratch(struct worker *w)
{
    if (w->scratch.cap > WORKER_SCRATCH_KEEP)
        buf_fini(&w->scratch);
    buf_clear(&w->scratch);
    return &w->scratch;
}

static void on_interest(void *ctx, const struct hub_name *name, bool on)
{
    struct worker *w = ctx;
    interest_change(w->node->interest, w->interest, w->index, hub_name_hash(name), on);
    if (w->node->cluster)
        cluster_interest(w->node->cluster, w->index, ++w->told, name, on);
}

void worker_listen(struct worker *w, struct str app, struct str channel, bool on)
{
    on_interest(w, &(struct hub_name){.app = app, .name = channel}, on);
}

static struct trace_socket trace_of(const struct hub_socket *s)
{
    return (struct trace_socket){.number = s->number, .salt = s->salt, .app = hub_app_of(s)};
}

static int64_t unix_ms(const struct worker *w)
{
    return (int64_t)(w->loop.now_s * 1000);
}

void worker_note(struct worker *w, const struct hub_socket *s, struct str word, struct str text)
{
    const struct trace_socket of = trace_of(s);
    trace_note(&w->trace, &of, unix_ms(w), word, text);
}

void worker_note_answer(struct worker *w, const struct hub_socket *s, struct str word,
                        struct str text)
{
    const struct trace_socket of = trace_of(s);
    trace_note_answer(&w->trace, &of, unix_ms(w), word, text);
}

/* ---- letters ---- */

/* Takes over the bytes' memory. */
static void send_page(struct worker *w, const struct bus_question *q, uint32_t next_cursor,
                      struct buf *bytes)
{
    const struct bus_part part = {.from = {w->node->id, w->index},
                                  .number = q->number,
                                  .cursor = next_cursor,
                                  .bytes = buf_as_str(bytes)};
    if (q->node != w->node->id) {
        cluster_send_part(w->node->cluster, q, &part, worker_scratch(w));
        bus_seat_gathered(w->seat);
        buf_fini(bytes);
        return;
    }
    struct mail *m = mem_zalloc(sizeof(*m));
    m->kind = MAIL_PART;
    m->part = part;
    m->bytes = *bytes;
    *bytes = BUF_INIT;
    node_send(w->node, q->from, m);
}

static uint32_t some_names(void *ctx, const struct bus_question *q, uint32_t cursor,
                           struct buf *names)
{
    struct worker *w = ctx;
    return hub_answer(w->hub, &q->q, false, cursor, MATCHING_PAGE_BYTES, names);
}

static void on_matched(void *ctx, const struct bus_question *q, struct buf *names)
{
    send_page(ctx, q, HUB_CURSOR_END, names);
}

static void tell_trace(struct worker *w, const struct hub_question *q, struct buf *page)
{
    struct hub_address a;
    if (hub_address_parse(&a, q->channel) || a.node != w->node->id || a.worker != w->index)
        return;
    const struct trace_socket s = {.number = a.number, .salt = a.salt, .app = q->app};
    trace_tell(&w->trace, &s, unix_ms(w), page);
}

/* What the hub does not know: objects. */
static uint32_t own_page(struct worker *w, const struct bus_question *q, uint32_t cursor,
                         struct buf *page)
{
    struct buf about = BUF_INIT;
    switch (q->q.kind) {
    case HUB_ENDED:
        return recorder_page(w->recorder, q->q.app, q->q.channel, cursor, q->page_bytes,
                             w->loop.now_ms, page);
    case HUB_NODES:
        about_write(&about, w->node);
        names_add(page, buf_as_str(&about));
        buf_fini(&about);
        return HUB_CURSOR_END;
    case HUB_TRACE:
        tell_trace(w, &q->q, page);
        return HUB_CURSOR_END;
    default:
        return sockets_page(w, &q->q, cursor, q->page_bytes, page);
    }
}

static void answer_question(struct worker *w, struct bus_question *q, uint32_t cursor)
{
    struct buf page = BUF_INIT;
    if (q->pattern) {
        /* Unanswered it is given up by the asker, which then says so. */
        if (matching_add(w->matching, q, w->loop.now_ms + BUS_ASK_MS))
            LOG(LOG_WARN, "patterns_refused", LOG_INT("worker", w->index),
                LOG_INT("at_once", MATCHING_MAX));
        return;
    }
    uint32_t next = hub_is_of_host(q->q.kind)
                        ? own_page(w, q, cursor, &page)
                        : hub_answer(w->hub, &q->q, q->count_only, cursor, q->page_bytes, &page);
    send_page(w, q, next, &page);
}

static void take_part(struct worker *w, struct mail *m)
{
    m->part.bytes = buf_as_str(&m->bytes);
    bus_part_arrived(w->seat, &m->part);
}

/* What was in force before goes with the letter. */
static void take_files(struct worker *w, struct mail *m)
{
    struct trust *trust = w->api.trust;
    struct tls_context *tls = w->tls;
    w->api.trust = m->trust;
    w->tls = m->tls;
    m->trust = trust;
    m->tls = tls;
}

static void say_served(struct worker *w)
{
    if (w->served)
        return;
    w->served = true;
    node_served(w->node);
}

static void force_stop(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, stop_deadline);
    if (w->served)
        return;
    LOG(LOG_WARN, "stop_forced", LOG_INT("worker", w->index), LOG_INT("connections", w->n_conns));
    http_conns_close(w);
    say_served(w);
}

static void begin_stop(struct worker *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++)
        listener_close(&w->listeners[i]);
    proxied_close_all(w);
    http_conns_drain(w);
    events_end(w->events);
    ws_conns_go_away(w);
    w->stop_deadline.fn = force_stop;
    timer_set(&w->loop.timers, &w->stop_deadline, w->loop.now_ms + WORKER_STOP_MS);
}

/* What was dispatched is written, or so much has come since that it is time to say how long it has
 * taken so far. */
static void note_writes(struct worker *w)
{
    int64_t now_us = loop_clock_us();
    for (unsigned i = 0; i < w->n_came; i++)
        histogram_add(&w->stats.publish_to_write, now_us - w->came_us[i]);
    w->n_came = 0;
}

/* The sockets of a user whose grants change. */
static void note_grants(struct worker *w, const struct msg *m)
{
    bool is_add = m->kind == MSG_ADD;
    if (!is_add && m->kind != MSG_RELOAD)
        return;
    for (const struct hub_socket *s = hub_sockets_of(w->hub, m->app, m->target); s;
         s = s->next_of_user)
        worker_note(w, s, is_add ? STR("grant_added") : STR("grants_replaced"),
                    is_add ? m->data : STR_EMPTY);
}

/* What that costs of a reading. */
static unsigned dispatch(struct worker *w, const struct msg *m)
{
    if (w->n_came == WORKER_WRITES_NOTED)
        note_writes(w);
    w->came_us[w->n_came++] = m->came_us;
    note_grants(w, m);
    return hub_dispatch(w->hub, m) * WORKER_DELIVERY_COST;
}

static unsigned read_letter(void *reader, struct letter *l)
{
    struct worker *w = reader;
    struct mail *m = container_of(l, struct mail, letter);
    unsigned cost = WORKER_LETTER_COST;
    switch (m->kind) {
    case MAIL_MSG:
        node_msg_read(w->node, w->index, m->msg);
        cost += (unsigned)m->msg->data.len;
        if (msg_is_kick(m->msg))
            kicks_add(w->kicks, m->msg);
        else
            cost += dispatch(w, m->msg);
        if (w->events->first && m->msg->kind == MSG_CHANNEL)
            events_message(w->events, m->msg);
        ws_conns_close_slow(w);
        break;
    case MAIL_QUESTION:
        answer_question(w, m->question, m->cursor);
        break;
    case MAIL_PART:
        take_part(w, m);
        break;
    case MAIL_SURE:
        w->sure = m->seq;
        ws_conns_go_on(w);
        events_sure(w->events, false);
        break;
    case MAIL_AWAY:
        ws_conns_wait_for_nothing(w);
        events_sure(w->events, true);
        break;
    case MAIL_GONE:
        bus_node_gone(w->seat, m->node, m->left);
        break;
    case MAIL_LOST:
        atomic_store(&w->node->lost[w->index], false);
        ws_conns_close_lost(w);
        break;
    case MAIL_REMOTE:
        ws_conn_remote_done(w, m->job, m->outcome);
        break;
    case MAIL_FILES:
        take_files(w, m);
        events_end(w->events); /* whose keys may be gone */
        break;
    case MAIL_SHED:
        ws_conns_shed(w);
        break;
    case MAIL_STOP:
        begin_stop(w);
        break;
    case MAIL_END:
        loop_stop(&w->loop);
        break;
    }
    mail_free(m);
    return cost;
}

static void end_turn(void *ctx)
{
    struct worker *w = ctx;
    bool kicks = kicks_run(w->kicks);
    bool matches = matching_run(w->matching, w->loop.now_ms);
    /* Messages before the answers that tell of them. */
    bus_seat_flush(w->seat);
    /* What is caught up outside of a message may be too much as well. */
    ws_conns_close_slow(w);
    hub_set_full(w->hub, door_refuses_sockets(w));
    bool more = net_end_turn(&w->net);
    if (w->n_came && !more)
        note_writes(w);
    w->loop.busy = more || kicks || matches || w->too_slow.len;
    proxied_end_turn(w);
    if (w->stopping && !w->n_conns)
        say_served(w);
}

/* ---- life ---- */

static void on_late_answer(void *ctx, uint64_t call, const struct api_reply *r)
{
    http_conn_answer(ctx, call, r);
}

static bool on_piece(void *ctx, uint64_t call, const struct api_reply *r, uint64_t question,
                     enum api_piece piece)
{
    return http_conn_stream(ctx, call, r, question, piece);
}

static uint32_t on_handshake(void *ctx, uint64_t call)
{
    return http_conn_handshake(ctx, call);
}

static enum err on_watch(void *ctx, uint64_t call, struct str app, struct str channel, bool nodes)
{
    struct worker *w = ctx;
    return events_open(w->events, call, app, channel, nodes);
}

static bool is_local(void *ctx, uint64_t call)
{
    return http_conn_is_local(ctx, call);
}

static void on_metrics(void *ctx, struct buf *out)
{
    struct worker *w = ctx;
    metrics_write(out, w->node);
}

static enum err on_ban(void *ctx, struct str note)
{
    struct worker *w = ctx;
    return node_take_ban(w->node, note);
}

static enum err on_log(void *ctx, struct str note)
{
    struct worker *w = ctx;
    return node_take_log(w->node, note);
}

static void on_request_id(void *ctx, uint64_t call, char out[API_REQUEST_ID_MAX])
{
    http_conn_request_id(ctx, call, out);
}

static const char *trouble(void *ctx)
{
    struct worker *w = ctx;
    return scarcity_trouble(w->node->scarcity);
}

/* Each listener has its own roles; the accept callback knows the worker and tells the listener by
 * its place. */
static void on_accept(struct worker *w, unsigned i, int fd, const struct sockaddr_storage *peer)
{
    door_take(w, fd, i, peer);
}

static void on_accept_0(void *worker, int fd, const struct sockaddr_storage *peer)
{
    on_accept(worker, 0, fd, peer);
}

static void on_accept_1(void *worker, int fd, const struct sockaddr_storage *peer)
{
    on_accept(worker, 1, fd, peer);
}

static const char *why_not_0(void *ctx)
{
    struct worker *w = ctx;
    return door_why_not(w, w->listener_roles[0]);
}

static const char *why_not_1(void *ctx)
{
    struct worker *w = ctx;
    return door_why_not(w, w->listener_roles[1]);
}

static enum err open_listeners(struct worker *w, struct worker_listen *listens, unsigned n)
{
    static accept_fn *const accepted[WORKER_LISTENERS_MAX] = {on_accept_0, on_accept_1};
    static accept_not_fn *const why_not[WORKER_LISTENERS_MAX] = {why_not_0, why_not_1};
    assert(n <= WORKER_LISTENERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        assert(w->tls || !listens[i].tls);
        w->listener_roles[i] = listens[i].roles;
        w->listener_has_tls[i] = listens[i].tls;
        if (listener_open(&w->listeners[i], &w->loop, &listens[i].address, accepted[i], w))
            return ERR_SYS;
        w->listeners[i].why_not = why_not[i];
    }
    return ERR_OK;
}

/* Whoever was given port 0 has another one by now. */
static void tell_slave_port(struct worker *w, const struct worker_listen *listens, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!(listens[i].roles & API_SLAVE))
            continue;
        w->api.options.slave_port = address_port(&listens[i].address);
        w->api.options.slave_has_tls = listens[i].tls;
    }
}

static void open_uring(struct worker *w)
{
    if (uring_new(&w->uring) == ERR_OK)
        w->net.uring = w->uring;
    else if (w->index == 0)
        LOG(LOG_INFO, "no_io_uring", LOG_CSTR("reason", strerror(errno)));
}

enum err worker_new(struct worker **out, struct node *node, unsigned index,
                    const struct worker_options *options, struct worker_listen *listens,
                    unsigned n_listens, const struct worker_files *files)
{
    struct worker *w = mem_zalloc(sizeof(*w));
    w->options = options;
    w->node = node;
    w->index = index;
    if (loop_init(&w->loop, node->inboxes[index], read_letter, w)) {
        mem_free(w);
        return ERR_SYS;
    }
    loop_at_end(&w->loop, end_turn, w);
    net_init(&w->net, &w->loop, options->queue_messages_max, options->queue_bytes_max);
    w->net.memory_max = options->queues_memory_max;
    w->net.not_tls = http_conn_not_tls();
    w->net.write_more = ws_conns_write_due;
    w->net.ctx = w;
    if (options->io_uring)
        open_uring(w);
    slots_init(&w->http_conns);
    w->interest = mem_zalloc(sizeof(*w->interest));
    w->ping = ws_ping_frame();
    w->deflate = ws_deflate_new();
    held_queue_init(&w->held);

    const struct hub_host host = {w, ws_conn_deliver, ws_conn_deliver_range, ws_conn_encode,
                                  on_interest};
    const struct hub_options hub_options = {.node = node->id,
                                            .worker = (uint16_t)index,
                                            .subscriptions_max = options->subscriptions_max,
                                            .subscriptions_all = options->subscriptions_all,
                                            .name_max = (uint32_t)options->api.name_max,
                                            .bulk_min = HUB_BULK_MIN};
    w->hub = hub_new(&host, &hub_options);
    const struct bus_backend backend = node_backend(node);
    w->seat = bus_seat_new(&backend, &w->loop, index);
    w->recorder = recorder_new();
    w->events = events_new(w);
    w->matching = matching_new(some_names, on_matched, w);
    w->kicks = kicks_new(w->hub, ws_conn_kick, ws_conn_is_of_token, w);
    w->api = (struct api){.options = options->api,
                          .bus = w->seat,
                          .trust = trust_ref(files->trust),
                          .tickets = node->stores.tickets,
                          .bans = node->stores.bans,
                          .idempotency = node->stores.idempotency,
                          .answer = on_late_answer,
                          .stream = on_piece,
                          .handshake = on_handshake,
                          .is_local = is_local,
                          .watch = on_watch,
                          .metrics = on_metrics,
                          .ban = on_ban,
                          .log = on_log,
                          .request_id = on_request_id,
                          .trouble = trouble,
                          .ctx = w};
    w->tls = files->tls ? tls_context_ref(files->tls) : NULL;

    if (open_listeners(w, listens, n_listens)) {
        int saved = errno;
        worker_free(w);
        errno = saved;
        return ERR_SYS;
    }
    tell_slave_port(w, listens, n_listens);
    node->workers[index] = w;
    *out = w;
    return ERR_OK;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    loop_run(&w->loop);
    return NULL;
}

enum err worker_start(struct worker *w)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = r;
    return r ? ERR_SYS : ERR_OK;
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < WORKER_LISTENERS_MAX; i++)
        listener_close(&w->listeners[i]);
    bus_seat_free(w->seat); /* its last answers still find their connections */
    proxied_close_all(w);
    http_conns_close(w);
    ws_conns_go_away(w);
    net_end_turns(&w->net);
    /* Farewells that are still under way are over: their timers close them. */
    w->loop.now_ms += FAREWELLS_OVER_MS;
    timer_run(&w->loop.timers, w->loop.now_ms);
    net_end_turns(&w->net);
    proxied_end_turn(w);
    net_fini(&w->net);
    uring_free(w->uring);
    matching_free(w->matching);
    kicks_free(w->kicks);
    recorder_free(w->recorder);
    events_free(w->events);
    addresses_fini(&w->addresses);
    trace_fini(&w->trace);
    hub_free(w->hub);
    trust_unref(w->api.trust);
    tls_context_unref(w->tls);
    slots_fini(&w->http_conns);
    blob_unref(w->ping);
    buf_fini(&w->scratch);
    buf_fini(&w->inflated);
    buf_fini(&w->too_slow);
    ws_deflate_free(w->deflate);
    mem_free(w->interest);
    loop_fini(&w->loop);
    mem_free(w);
}
