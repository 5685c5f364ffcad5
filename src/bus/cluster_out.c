#include "bus/cluster.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/subject.h"
#include "bus/cluster_own.h"

#define LOG_AREA LOG_BUS

/* ---- subjects ---- */

void cluster_subject(const struct cluster *c, struct buf *out, const char *part)
{
    buf_clear(out);
    buf_str(out, buf_as_str(&c->prefix));
    buf_str(out, str_of(part));
}

void cluster_channel_subject(const struct cluster *c, struct buf *out, struct str app,
                             struct str channel)
{
    cluster_subject(c, out, "c.");
    subject_token(out, app);
    buf_char(out, '.');
    subject_token(out, channel);
}

void cluster_user_subject(const struct cluster *c, struct buf *out, struct str app, struct str user)
{
    /* The app is the seed: so are "a"+"bc" and "ab"+"c" apart. */
    uint64_t h = hash_wide(user, hash_wide(app, 0).lo).lo;
    cluster_subject(c, out, "u.");
    buf_printf(out, "%u", (unsigned)(h % CLUSTER_USER_SUBJECTS));
}

void cluster_node_subject(const struct cluster *c, struct buf *out, uint32_t node)
{
    cluster_subject(c, out, "n.");
    buf_printf(out, "%08x", node);
}

/* ---- sending ---- */

/* The subject is in `scratch` already; the letter goes behind it. */
enum err cluster_send(struct cluster *c, struct buf *scratch, const struct wire *w, bool anyway)
{
    buf_char(scratch, 0);
    size_t begin = scratch->len;
    wire_write(scratch, w);
    struct str body = str_make(scratch->p + begin, scratch->len - begin);
    return nats_publish(atomic_load(&c->nats), scratch->p, body, anyway);
}

/* ---- the workers' side ---- */

void cluster_interest(struct cluster *c, unsigned worker, uint64_t seq, const struct hub_name *name,
                      bool on)
{
    struct cluster_letter *l = mem_zalloc(sizeof(*l) + name->app.len + name->name.len);
    l->kind = LETTER_INTEREST;
    l->worker = worker;
    l->seq = seq;
    l->on = on;
    l->is_user = name->is_user;
    l->app = str_make(l->text, name->app.len);
    l->name = str_make(l->text + name->app.len, name->name.len);
    memcpy(l->text, name->app.p, name->app.len);
    if (name->name.len)
        memcpy(l->text + name->app.len, name->name.p, name->name.len);
    cluster_post(c, l);
}

/* False: there is nobody it could be for. */
static bool message_subject(const struct cluster *c, struct buf *out, const struct msg *m)
{
    struct hub_address to;
    switch (m->kind) {
    case MSG_CHANNEL:
        cluster_channel_subject(c, out, m->app, m->target);
        return true;
    case MSG_USER:
    case MSG_ADD:
    case MSG_RELOAD:
    case MSG_KICK_USER:
        cluster_user_subject(c, out, m->app, m->target);
        return true;
    case MSG_SOCKET:
    case MSG_KICK_SOCKET:
        if (hub_address_parse(&to, m->target))
            return false;
        cluster_node_subject(c, out, to.node);
        return true;
    case MSG_KICK_TOKEN:
    case MSG_KICK_APP:
        cluster_subject(c, out, "t");
        return true;
    case MSG_KINDS:
        break;
    }
    return false;
}

static enum err publish(void *ctx, struct msg *m, bool begun, struct buf *scratch)
{
    struct cluster *c = ctx;
    struct wire w = {.kind = WIRE_MSG,
                     .node = c->o.node,
                     .msg_kind = m->kind,
                     .app = m->app,
                     .target = m->target,
                     .event = m->event,
                     .data = m->data};
    if (atomic_load(&c->state) != BUS_UP)
        return ERR_AWAY;
    if (!message_subject(c, scratch, m))
        return ERR_OK;
    return cluster_send(c, scratch, &w, begun);
}

static const struct {
    enum wire_kind wire;
    const char *subject;
} notes[] = {[BUS_NOTE_TICKET] = {WIRE_TICKET, "t"},
             [BUS_NOTE_BAN] = {WIRE_BAN, "b"},
             [BUS_NOTE_DONE] = {WIRE_DONE, "d"},
             [BUS_NOTE_LOG] = {WIRE_LOG, "h"}};

static struct wire note_letter(const struct cluster *c, enum bus_note kind, struct str note)
{
    return (struct wire){.kind = notes[kind].wire, .node = c->o.node, .data = note};
}

static void note_subject(const struct cluster *c, struct buf *out, enum bus_note kind)
{
    cluster_subject(c, out, notes[kind].subject);
}

static enum err share(void *ctx, enum bus_note kind, struct str note, struct buf *scratch)
{
    struct cluster *c = ctx;
    struct wire w = note_letter(c, kind, note);
    if (atomic_load(&c->state) == BUS_AWAY)
        return ERR_AWAY;
    note_subject(c, scratch, kind);
    return cluster_send(c, scratch, &w, false);
}

void cluster_give_all(void *cluster, enum bus_note kind, struct str note)
{
    struct cluster *c = cluster;
    struct wire w = note_letter(c, kind, note);
    note_subject(c, &c->scratch, kind);
    cluster_send(c, &c->scratch, &w, true);
}

void cluster_give_one(void *giving, enum bus_note kind, struct str note)
{
    const struct cluster_giving *g = giving;
    struct wire w = note_letter(g->cluster, kind, note);
    cluster_node_subject(g->cluster, &g->cluster->scratch, g->node);
    cluster_send(g->cluster, &g->cluster->scratch, &w, true);
}

static void flush(void *ctx)
{
    struct cluster *c = ctx;
    nats_flush(atomic_load(&c->nats));
}

static enum bus_state state(void *ctx)
{
    struct cluster *c = ctx;
    return (enum bus_state)atomic_load(&c->state);
}

static size_t message_max(void *ctx)
{
    struct cluster *c = ctx;
    return atomic_load(&c->message_max);
}

/* How many workers of this node answer such a question. */
static unsigned own_answers(const struct cluster *c, enum hub_question_kind kind)
{
    if (kind == HUB_NODES)
        return 1;
    return cluster_holds_sockets(c->o.roles) ? c->o.n_workers : 0;
}

static void sources(void *ctx, enum hub_question_kind kind, struct buf *list, unsigned *n_missing)
{
    struct cluster *c = ctx;
    for (unsigned w = 0; w < own_answers(c, kind); w++)
        buf_add(list, &(struct bus_source){c->o.node, w}, sizeof(struct bus_source));
    pthread_mutex_lock(&c->roster_lock);
    const struct roster_part *p = kind == HUB_NODES ? &c->roster.nodes : &c->roster.workers;
    *n_missing = p->n_unreachable;
    buf_str(list, buf_as_str(&p->sources));
    pthread_mutex_unlock(&c->roster_lock);
}

static struct wire question_wire(const struct bus_question *q, enum wire_kind kind)
{
    return (struct wire){.kind = kind,
                         .node = q->node,
                         .worker = q->from,
                         .number = q->number,
                         .question_kind = q->q.kind,
                         .page_bytes = q->page_bytes == SIZE_MAX ? 0 : (uint32_t)q->page_bytes,
                         .count_only = q->count_only,
                         .seed = q->q.seed,
                         .app = q->q.app,
                         .channel = q->q.channel,
                         .pattern = q->expression};
}

static enum err ask(void *ctx, struct bus_question *q, struct buf *scratch)
{
    struct cluster *c = ctx;
    struct wire w = question_wire(q, WIRE_QUESTION);
    if (own_answers(c, q->q.kind))
        c->local.question(c->local.ctx, q, CLUSTER_ALL_WORKERS, HUB_CURSOR_BEGIN);
    if (atomic_load(&c->state) == BUS_AWAY)
        return ERR_OK;
    cluster_subject(c, scratch, q->q.kind == HUB_NODES ? "h" : "q");
    /* Should it not go out, those who were asked do not answer: the answer will say so. */
    cluster_send(c, scratch, &w, true);
    return ERR_OK;
}

static void more(void *ctx, struct bus_question *q, struct bus_source source, uint32_t cursor,
                 struct buf *scratch)
{
    struct cluster *c = ctx;
    if (source.node == c->o.node) {
        c->local.question(c->local.ctx, q, source.worker, cursor);
        return;
    }
    struct wire w = question_wire(q, WIRE_MORE);
    w.from_worker = source.worker;
    w.cursor = cursor;
    if (atomic_load(&c->state) == BUS_AWAY)
        return;
    cluster_node_subject(c, scratch, source.node);
    cluster_send(c, scratch, &w, true);
}

/* The longest beginning of `rest` that fits into one message. */
static struct str cut_piece(struct str *rest, bool hashes, size_t max)
{
    struct str piece = {rest->p, 0}, after = *rest, name;
    if (hashes) {
        piece.len = rest->len < max ? rest->len : max - max % sizeof(struct hash128);
    } else {
        while (names_next(&after, &name) && (size_t)(after.p - piece.p) <= max)
            piece.len = (size_t)(after.p - piece.p);
        /* A name that no message can hold is left out: no node could be told of it. */
        if (!piece.len && rest->len) {
            after = *rest;
            names_next(&after, &name);
            LOG(LOG_WARN, "name_too_long", LOG_INT("bytes", name.len));
            *rest = after;
            return str_make(after.p, 0);
        }
    }
    rest->p += piece.len;
    rest->len -= piece.len;
    return piece;
}

void cluster_send_part(struct cluster *c, const struct bus_question *q, const struct bus_part *p,
                       struct buf *scratch)
{
    size_t max = atomic_load(&c->message_max);
    struct str rest = p->bytes;
    if (max > CLUSTER_PIECE_MAX)
        max = CLUSTER_PIECE_MAX;
    do {
        struct wire w = {.kind = WIRE_PART,
                         .node = p->from.node,
                         .from_worker = p->from.worker,
                         .worker = q->from,
                         .number = p->number,
                         .cursor = p->cursor};
        w.data = cut_piece(&rest, q->count_only, max);
        w.follows = rest.len > 0;
        if (atomic_load(&c->state) == BUS_AWAY)
            return;
        cluster_node_subject(c, scratch, q->node);
        cluster_send(c, scratch, &w, true);
    } while (rest.len);
}

struct bus_backend cluster_backend(struct cluster *c)
{
    return (struct bus_backend){.ctx = c,
                                .node = c->o.node,
                                .publish = publish,
                                .share = share,
                                .flush = flush,
                                .state = state,
                                .message_max = message_max,
                                .sources = sources,
                                .ask = ask,
                                .more = more};
}
