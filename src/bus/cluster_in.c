#include "base/mem.h"
#include "base/names.h"
#include "bus/cluster_own.h"

static void take_msg(struct cluster *c, const struct wire *w)
{
    struct msg *m = msg_new((enum msg_kind)w->msg_kind, w->app, w->target, w->event, w->data);
    m->came_us = loop_clock_us();
    c->local.deliver(c->local.ctx, m);
    msg_unref(m);
}

static enum err take_question(struct cluster *c, const struct wire *w)
{
    struct bus_ask ask = {.kind = (enum hub_question_kind)w->question_kind,
                          .app = w->app,
                          .channel = w->channel,
                          .expression = w->pattern,
                          .count_only = w->count_only};
    if (w->node == c->o.node)
        return ERR_OK; /* our own: our workers have been asked without NATS */
    if (w->kind == WIRE_MORE && w->from_worker >= c->o.n_workers)
        return ERR_PROTO;
    if (w->pattern.len && pattern_new(&ask.pattern, w->pattern))
        return ERR_PROTO;
    struct bus_question *q = bus_question_new(&ask, w->node, w->worker, w->number, w->seed,
                                              w->page_bytes ? w->page_bytes : SIZE_MAX);
    c->local.question(c->local.ctx, q, w->kind == WIRE_MORE ? w->from_worker : CLUSTER_ALL_WORKERS,
                      w->cursor);
    bus_question_unref(q);
    return ERR_OK;
}

static void take_part(struct cluster *c, const struct wire *w)
{
    const struct bus_part p = {.from = {w->node, w->from_worker},
                               .number = w->number,
                               .cursor = w->cursor,
                               .follows = w->follows,
                               .bytes = w->data};
    if (w->worker < c->o.n_workers)
        c->local.part(c->local.ctx, w->worker, &p);
}

static void take_node_letter(struct cluster *c, const struct wire *w)
{
    struct cluster_letter *l = mem_zalloc(sizeof(*l));
    l->kind = LETTER_NODE;
    l->what = w->kind;
    l->node = w->node;
    l->number = w->number;
    l->incarnation = w->incarnation;
    l->roles = w->roles;
    l->n_workers = w->n_workers;
    memcpy(l->server, w->server.p, w->server.len);
    cluster_post(c, l);
}

/* Our own are known here. */
static enum err take_note(struct cluster *c, const struct wire *w, enum bus_note kind)
{
    return w->node == c->o.node ? ERR_OK : c->local.note(c->local.ctx, kind, w->data);
}

static enum err take(struct cluster *c, struct str bytes)
{
    struct wire w;
    enum err e = wire_read(&w, bytes);
    if (e)
        return e;
    switch (w.kind) {
    case WIRE_MSG:
        if (w.msg_kind >= MSG_KINDS || (w.msg_kind == MSG_RELOAD && !names_valid(w.data)) ||
            (w.msg_kind >= MSG_KICK_SOCKET && !msg_kick_is_valid(w.data)))
            return ERR_PROTO;
        take_msg(c, &w);
        return ERR_OK;
    case WIRE_QUESTION:
    case WIRE_MORE:
        return w.question_kind >= HUB_QUESTIONS ? ERR_PROTO : take_question(c, &w);
    case WIRE_PART:
        take_part(c, &w);
        return ERR_OK;
    case WIRE_TICKET:
        return take_note(c, &w, BUS_NOTE_TICKET);
    case WIRE_BAN:
        return take_note(c, &w, BUS_NOTE_BAN);
    case WIRE_DONE:
        return take_note(c, &w, BUS_NOTE_DONE);
    case WIRE_LOG:
        return take_note(c, &w, BUS_NOTE_LOG);
    default:
        if (w.server.len >= MEMBERS_SERVER_MAX)
            return ERR_PROTO;
        take_node_letter(c, &w);
        return ERR_OK;
    }
}

void cluster_take(struct cluster *c, struct str bytes)
{
    if (take(c, bytes))
        atomic_fetch_add(&c->malformed, 1);
}
