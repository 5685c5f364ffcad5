#include "edge/node.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"

#define LOG_AREA LOG_SERVER

enum err node_init(struct node *n, unsigned n_workers)
{
    *n = (struct node){.n_workers = n_workers, .began_s = time(NULL)};
    if (getrandom(&n->id, sizeof(n->id), 0) < 0)
        return ERR_SYS;
    n->interest = interest_new();
    for (unsigned i = 0; i < n_workers; i++) {
        if (inbox_new(&n->inboxes[i], NODE_INBOX_LETTERS)) {
            node_fini(n);
            return ERR_SYS;
        }
    }
    return ERR_OK;
}

void mail_free(struct mail *m)
{
    if (m->msg)
        msg_unref(m->msg);
    if (m->question)
        bus_question_unref(m->question);
    remote_job_free(m->job);
    trust_unref(m->trust);
    tls_context_unref(m->tls);
    buf_fini(&m->bytes);
    mem_free(m);
}

static unsigned throw_away(void *reader, struct letter *l)
{
    (void)reader;
    mail_free(container_of(l, struct mail, letter));
    return 0;
}

void node_fini(struct node *n)
{
    for (unsigned i = 0; i < n->n_workers; i++) {
        if (n->inboxes[i])
            inbox_empty(n->inboxes[i], throw_away, NULL);
        inbox_free(n->inboxes[i]);
        n->inboxes[i] = NULL;
    }
    interest_free(n->interest);
    n->interest = NULL;
}

static struct mail *mail_new(enum mail_kind kind)
{
    struct mail *m = mem_zalloc(sizeof(*m));
    m->kind = kind;
    return m;
}

void node_send(struct node *n, unsigned worker, struct mail *m)
{
    inbox_post_always(n->inboxes[worker], &m->letter);
}

static uint64_t all_workers(const struct node *n)
{
    return n->n_workers == 64 ? UINT64_MAX : (1ull << n->n_workers) - 1;
}

static uint64_t receivers(const struct node *n, const struct msg *m)
{
    struct hub_address to;
    switch (m->kind) {
    case MSG_CHANNEL:
        return interest_mask(n->interest, hub_channel_hash(m->app, m->target));
    case MSG_USER:
    case MSG_ADD:
    case MSG_RELOAD:
    case MSG_KICK_USER:
        return interest_mask(n->interest, hub_user_hash(m->app, m->target));
    case MSG_SOCKET:
    case MSG_KICK_SOCKET:
        if (hub_address_parse(&to, m->target) || to.node != n->id || to.worker >= n->n_workers)
            return 0;
        return 1ull << to.worker;
    case MSG_KICK_TOKEN:
    case MSG_KICK_APP:
        return all_workers(n);
    case MSG_KINDS:
        break;
    }
    return 0;
}

static size_t msg_bytes(const struct msg *m)
{
    return sizeof(*m) + m->app.len + m->target.len + m->event.len + m->data.len;
}

void node_msg_read(struct node *n, unsigned worker, const struct msg *m)
{
    atomic_fetch_sub_explicit(&n->unread_bytes[worker], msg_bytes(m), memory_order_relaxed);
}

/* All receivers or none: a message that some got and its publisher believes refused would come
 * twice. Posts between this look and ours may pass the cap by a few. */
static bool all_have_room(const struct node *n, uint64_t workers)
{
    for (uint64_t left = workers; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (!inbox_has_room(n->inboxes[i], 1) ||
            atomic_load_explicit(&n->unread_bytes[i], memory_order_relaxed) > NODE_INBOX_BYTES)
            return false;
    }
    return true;
}

static void send_msg(struct node *n, unsigned worker, struct msg *msg)
{
    struct mail *m = mail_new(MAIL_MSG);
    m->msg = msg_ref(msg);
    atomic_fetch_add_explicit(&n->unread_bytes[worker], msg_bytes(msg), memory_order_relaxed);
    node_send(n, worker, m);
}

static void send_question(struct node *n, unsigned worker, struct bus_question *q, uint32_t cursor)
{
    struct mail *m = mail_new(MAIL_QUESTION);
    m->question = bus_question_ref(q);
    m->cursor = cursor;
    node_send(n, worker, m);
}

/* ---- the embedded bus ---- */

static enum err publish(void *ctx, struct msg *msg, bool begun, struct buf *scratch)
{
    struct node *n = ctx;
    uint64_t workers = receivers(n, msg);
    (void)scratch;
    if (!begun && !all_have_room(n, workers))
        return ERR_FULL;
    for (uint64_t left = workers; left; left &= left - 1)
        send_msg(n, (unsigned)__builtin_ctzll(left), msg);
    return ERR_OK;
}

static enum bus_state state(void *ctx)
{
    (void)ctx;
    return BUS_UP;
}

static size_t message_max(void *ctx)
{
    (void)ctx;
    return SIZE_MAX;
}

/* Of itself a node tells once. */
static unsigned answers(const struct node *n, enum hub_question_kind kind)
{
    return kind == HUB_NODES ? 1 : n->n_workers;
}

static void sources(void *ctx, enum hub_question_kind kind, struct buf *list, unsigned *n_missing)
{
    struct node *n = ctx;
    *n_missing = 0;
    for (unsigned i = 0; i < answers(n, kind); i++)
        buf_add(list, &(struct bus_source){n->id, i}, sizeof(struct bus_source));
}

static enum err ask(void *ctx, struct bus_question *q, struct buf *scratch)
{
    struct node *n = ctx;
    (void)scratch;
    if (!all_have_room(n, all_workers(n)))
        return ERR_FULL;
    for (unsigned i = 0; i < answers(n, q->q.kind); i++)
        send_question(n, i, q, HUB_CURSOR_BEGIN);
    return ERR_OK;
}

static void more(void *ctx, struct bus_question *q, struct bus_source source, uint32_t cursor,
                 struct buf *scratch)
{
    (void)scratch;
    send_question(ctx, source.worker, q, cursor);
}

struct bus_backend node_backend(struct node *n)
{
    if (n->cluster)
        return cluster_backend(n->cluster);
    return (struct bus_backend){.ctx = n,
                                .node = n->id,
                                .publish = publish,
                                .state = state,
                                .message_max = message_max,
                                .sources = sources,
                                .ask = ask,
                                .more = more};
}

/* ---- what the cluster hands over ---- */

/* A worker so far behind misses messages: its sockets are told by their close, so that clients know
 * and come again. */
static void tell_lost(struct node *n, unsigned worker)
{
    if (!atomic_exchange(&n->lost[worker], true))
        node_send(n, worker, mail_new(MAIL_LOST));
}

static void deliver(void *ctx, struct msg *msg)
{
    struct node *n = ctx;
    for (uint64_t left = receivers(n, msg); left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (all_have_room(n, 1ull << i))
            send_msg(n, i, msg);
        else
            tell_lost(n, i);
    }
}

static void on_question(void *ctx, struct bus_question *q, uint32_t worker, uint32_t cursor)
{
    struct node *n = ctx;
    for (unsigned i = 0; i < answers(n, q->q.kind); i++) {
        if (worker == CLUSTER_ALL_WORKERS || worker == i)
            send_question(n, i, q, cursor);
    }
}

static void on_part(void *ctx, unsigned worker, const struct bus_part *p)
{
    struct mail *m = mail_new(MAIL_PART);
    m->part = *p;
    buf_str(&m->bytes, p->bytes);
    node_send(ctx, worker, m);
}

/* Without room for it the ticket is unknown here, which is no fault of the note. */
static enum err take_ticket(struct node *n, struct str note)
{
    if (!n->stores.tickets)
        return ERR_OK;
    enum err e = tickets_take_note(n->stores.tickets, note, loop_clock_ms());
    return e == ERR_FULL ? ERR_OK : e;
}

/* ---- bans ---- */

static void close_banned(struct node *n, const struct ban *ban)
{
    static const char reason[] = {(char)(NODE_CLOSE_BANNED >> 8),
                                  (char)(NODE_CLOSE_BANNED & 255),
                                  'b',
                                  'a',
                                  'n',
                                  'n',
                                  'e',
                                  'd'};
    struct msg *m = msg_new(ban->kind == BAN_USER ? MSG_KICK_USER : MSG_KICK_TOKEN, ban->app,
                            ban->name, STR_EMPTY, str_make(reason, sizeof(reason)));
    /* To all workers, whatever interest says: a socket may be about to come. */
    for (unsigned i = 0; i < n->n_workers; i++)
        send_msg(n, i, m);
    msg_unref(m);
}

/* First the table, then the sockets: who comes in between is refused. */
enum err node_take_ban(struct node *n, struct str note)
{
    struct ban ban;
    enum err e = bans_take_note(n->stores.bans, note, time(NULL), &ban);
    if (!e && !ban.lifted)
        close_banned(n, &ban);
    if (!e && n->stores.ban_file)
        ban_file_keep(n->stores.ban_file, &ban);
    if (e == ERR_FULL)
        LOG(LOG_ERROR, "ban_not_taken", LOG_INT("bans_max", BANS_MAX));
    return e == ERR_EXPIRED ? ERR_OK : e;
}

/* ---- the log ---- */

/* api/log_levels.c says how it reads. */
enum err node_take_log(struct node *n, struct str note)
{
    struct log_levels levels = log_levels();
    struct str of = str_cut(&note, ' ');
    char id[16];
    if (!log_levels_read(&levels, note))
        return ERR_PROTO;
    snprintf(id, sizeof(id), "%08" PRIx32, n->id);
    if (of.len && !str_eq(of, str_of(id)))
        return ERR_OK;
    log_set_levels(&levels);
    struct buf text = BUF_INIT;
    log_levels_write(&text, &levels);
    LOG(LOG_INFO, "log_levels", LOG_STR("levels", buf_as_str(&text)));
    buf_fini(&text);
    return ERR_OK;
}

static enum err on_note(void *ctx, enum bus_note kind, struct str note)
{
    struct node *n = ctx;
    if (kind == BUS_NOTE_TICKET)
        return take_ticket(n, note);
    if (kind == BUS_NOTE_LOG)
        return node_take_log(n, note);
    if (kind == BUS_NOTE_DONE)
        return n->stores.idempotency
                   ? idempotency_take_note(n->stores.idempotency, note, loop_clock_ms())
                   : ERR_OK;
    enum err e = node_take_ban(ctx, note);
    return e == ERR_FULL ? ERR_OK : e;
}

struct giving {
    cluster_give_fn *give;
    void *ctx;
    struct buf note;
};

static void give_ban(void *ctx, const struct ban *ban)
{
    struct giving *g = ctx;
    buf_clear(&g->note);
    ban_write_note(&g->note, ban);
    g->give(g->ctx, BUS_NOTE_BAN, buf_as_str(&g->note));
}

static void on_newcomer(void *ctx, cluster_give_fn *give, void *give_ctx)
{
    struct node *n = ctx;
    struct giving g = {give, give_ctx, BUF_INIT};
    if (n->stores.bans)
        bans_each(n->stores.bans, time(NULL), give_ban, &g);
    buf_fini(&g.note);
}

static void on_confirmed(void *ctx, unsigned worker, uint64_t seq)
{
    struct mail *m = mail_new(MAIL_SURE);
    m->seq = seq;
    node_send(ctx, worker, m);
}

static void on_gone(void *ctx, uint32_t node, bool left)
{
    struct node *n = ctx;
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct mail *m = mail_new(MAIL_GONE);
        m->node = node;
        m->left = left;
        node_send(n, i, m);
    }
}

static void tell_workers(struct node *n, enum mail_kind kind)
{
    for (unsigned i = 0; i < n->n_workers; i++)
        node_send(n, i, mail_new(kind));
}

static void on_away(void *ctx)
{
    tell_workers(ctx, MAIL_AWAY);
}

void node_served(struct node *n)
{
    if (atomic_fetch_sub(&n->n_serving, 1) == 1)
        tell_workers(n, MAIL_END);
}

static void on_lost(void *ctx)
{
    struct node *n = ctx;
    for (unsigned i = 0; i < n->n_workers; i++)
        tell_lost(n, i);
}

struct cluster_local node_local(struct node *n)
{
    return (struct cluster_local){.ctx = n,
                                  .deliver = deliver,
                                  .question = on_question,
                                  .part = on_part,
                                  .note = on_note,
                                  .newcomer = on_newcomer,
                                  .confirmed = on_confirmed,
                                  .gone = on_gone,
                                  .away = on_away,
                                  .lost = on_lost};
}

void node_remote_done(void *node, struct remote_job *job, enum err e)
{
    struct mail *m = mail_new(MAIL_REMOTE);
    m->job = job;
    m->outcome = e;
    node_send(node, job->worker, m);
}
