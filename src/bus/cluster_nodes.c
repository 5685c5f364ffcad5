/* cluster_nodes.c - who is in the cluster, and whether this node is. */
#include "base/log.h"
#include "bus/cluster_own.h"

#define LOG_AREA LOG_BUS

enum { TAKEN_LOG_MS = 10000 }; /* between two lines of the same trouble */

void cluster_send_to_node(struct cluster *c, uint32_t node, const struct wire *w)
{
    cluster_node_subject(c, &c->scratch, node);
    cluster_send(c, &c->scratch, w, true);
}

static struct wire about_us(const struct cluster *c, enum wire_kind kind)
{
    return (struct wire){.kind = kind,
                         .node = c->o.node,
                         .incarnation = c->incarnation,
                         .roles = c->roles,
                         .n_workers = c->o.n_workers,
                         .server = str_of(c->server)};
}

void cluster_tell_all(struct cluster *c, enum wire_kind kind)
{
    struct wire w = about_us(c, kind);
    cluster_subject(c, &c->scratch, "h");
    cluster_send(c, &c->scratch, &w, true);
}

void cluster_beat(struct cluster *c)
{
    cluster_tell_all(c, c->said == BUS_SETTLING ? WIRE_HELLO : WIRE_BEAT);
}

/* ---- the state, and who answers ---- */

/* Nothing is known of nodes that were members before the connection broke, until they are heard. */
static bool is_reachable(const struct cluster *c, const struct member *m)
{
    return c->said == BUS_UP || (c->said == BUS_SETTLING && m->heard_ms >= c->settle_began_ms);
}

static void add_to_roster(struct roster_part *p, uint32_t node, unsigned n_workers, bool reachable)
{
    p->n_unreachable += !reachable;
    for (unsigned w = 0; reachable && w < n_workers; w++)
        buf_add(&p->sources, &(struct bus_source){node, w}, sizeof(struct bus_source));
}

static void write_roster(struct cluster *c)
{
    struct roster r = {0};
    for (unsigned i = 0; i < c->members.n; i++) {
        const struct member *m = &c->members.list[i];
        bool reachable = is_reachable(c, m);
        add_to_roster(&r.nodes, m->node, 1, reachable);
        if (cluster_holds_sockets(m->roles))
            add_to_roster(&r.workers, m->node, m->n_workers, reachable);
    }
    pthread_mutex_lock(&c->roster_lock);
    struct roster old = c->roster;
    c->roster = r;
    pthread_mutex_unlock(&c->roster_lock);
    buf_fini(&old.workers.sources);
    buf_fini(&old.nodes.sources);
}

static void signal_start(struct cluster *c, bool *what)
{
    pthread_mutex_lock(&c->start_lock);
    *what = true;
    pthread_cond_signal(&c->started);
    pthread_mutex_unlock(&c->start_lock);
}

void cluster_set_state(struct cluster *c, enum bus_state state, const char *why)
{
    atomic_store(&c->state, state);
    if (c->said == state)
        return;
    c->said = state;
    write_roster(c);
    if (state == BUS_UP) {
        LOG(LOG_INFO, "bus_up", LOG_CSTR("server", c->server), LOG_INT("nodes", c->members.n + 1));
        c->reopen_wait_ms = CLUSTER_REOPEN_MIN_MS;
        signal_start(c, &c->was_up);
    } else if (state == BUS_AWAY) {
        LOG(LOG_WARN, "bus_away", LOG_CSTR("reason", why));
        c->local.away(c->local.ctx);
        /* They are still members, but questions under way need not wait for them. */
        for (unsigned i = 0; i < c->members.n; i++)
            c->local.gone(c->local.ctx, c->members.list[i].node, false);
    }
}

static void node_gone(struct cluster *c, uint32_t node, bool left)
{
    LOG(LOG_INFO, "node_gone", LOG_INT("node", node), LOG_CSTR("reason", left ? "left" : "silent"));
    write_roster(c);
    c->local.gone(c->local.ctx, node, left);
}

void cluster_expire(struct cluster *c, int64_t since_ms)
{
    uint32_t node;
    while (members_expire(&c->members, since_ms, &node))
        node_gone(c, node, false);
}

void cluster_settle(struct cluster *c)
{
    c->settle_began_ms = c->echo_ms = c->loop.now_ms;
    cluster_set_state(c, BUS_SETTLING, NULL);
    members_forget_welcomes(&c->members);
    cluster_tell_all(c, WIRE_HELLO);
    c->local.newcomer(c->local.ctx, cluster_give_all, c);
}

void cluster_look_if_settled(struct cluster *c)
{
    int64_t since = c->loop.now_ms - c->settle_began_ms;
    if (since < CLUSTER_SETTLE_MS ||
        (since < CLUSTER_SETTLE_MAX_MS && !members_all_know_us(&c->members)))
        return;
    /* Who has not been heard since then does not come back by itself. */
    cluster_expire(c, c->settle_began_ms);
    cluster_set_state(c, BUS_UP, NULL);
}

void cluster_serve_now(struct cluster *c)
{
    c->roles = c->o.roles;
    if (c->connected)
        cluster_beat(c);
}

void cluster_leave_now(struct cluster *c)
{
    c->roles &= ~(unsigned)MEMBER_HOLDS_SOCKETS;
    if (c->connected)
        cluster_beat(c);
}

/* ---- nodes among themselves ---- */

static void on_taken_id(struct cluster *c)
{
    int64_t now = c->loop.now_ms;
    signal_start(c, &c->id_is_taken);
    if (c->taken_logged_ms && now - c->taken_logged_ms < TAKEN_LOG_MS)
        return;
    c->taken_logged_ms = now;
    LOG(LOG_ERROR, "node_id_taken", LOG_INT("node", c->o.node));
}

static void on_echo(struct cluster *c, const struct cluster_letter *l)
{
    if (l->incarnation != c->incarnation) {
        on_taken_id(c);
        return;
    }
    c->echo_ms = c->loop.now_ms;
    if (c->connected && c->said == BUS_AWAY)
        cluster_settle(c);
}

/* True: it greets, and is not repeating that. */
static bool on_heard(struct cluster *c, const struct cluster_letter *l)
{
    const struct member *before = members_find(&c->members, l->node);
    bool is_new = !before;
    bool held_sockets = before && cluster_holds_sockets(before->roles);
    bool was_reachable = before && is_reachable(c, before);
    bool greets = l->what == WIRE_HELLO, has_greeted = before && before->greets;
    if (members_heard(&c->members, l->node, l->incarnation, l->roles, l->n_workers,
                      str_of(l->server), c->loop.now_ms)) {
        if (is_new)
            LOG(LOG_INFO, "node_came", LOG_INT("node", l->node), LOG_INT("workers", l->n_workers));
        write_roster(c);
        if (held_sockets && !cluster_holds_sockets(l->roles)) {
            LOG(LOG_INFO, "node_stops", LOG_INT("node", l->node));
            c->local.gone(c->local.ctx, l->node, true);
        }
        cluster_fence_review(c);
    } else if (!was_reachable) {
        write_roster(c);
    }
    struct member *m = members_find(&c->members, l->node);
    if (!m)
        return false;
    /* It has lost its connection, and with it what was asked over that. */
    if (greets && !is_new && !has_greeted)
        c->local.gone(c->local.ctx, l->node, false);
    m->greets = greets;
    return greets && !has_greeted;
}

static void on_hello(struct cluster *c, uint32_t node, bool is_first)
{
    struct wire w = about_us(c, WIRE_WELCOME);
    struct cluster_giving giving = {c, node};
    /* Whoever is welcome knows who is not. */
    if (is_first)
        c->local.newcomer(c->local.ctx, cluster_give_one, &giving);
    cluster_send_to_node(c, node, &w);
}

static void on_welcome(struct cluster *c, uint32_t node)
{
    struct member *m = members_find(&c->members, node);
    if (m)
        m->knows_us = true;
    if (c->said == BUS_SETTLING)
        cluster_look_if_settled(c);
}

static void on_bye(struct cluster *c, uint32_t node)
{
    if (!members_remove(&c->members, node))
        return;
    node_gone(c, node, true);
    cluster_fence_review(c);
}

static void on_own_letter(struct cluster *c, const struct cluster_letter *l)
{
    if (l->what == WIRE_FENCE) /* back from our server */
        cluster_fence_back(c, l->node, l->number);
    else if (l->what == WIRE_BEAT || l->what == WIRE_HELLO)
        on_echo(c, l);
}

void cluster_on_node_letter(struct cluster *c, const struct cluster_letter *l)
{
    struct wire ack = {.kind = WIRE_FENCE_ACK, .node = c->o.node, .number = l->number};
    if (l->node == c->o.node) {
        on_own_letter(c, l);
        return;
    }
    switch (l->what) {
    case WIRE_BEAT:
        on_heard(c, l);
        break;
    case WIRE_HELLO:
        on_hello(c, l->node, on_heard(c, l));
        break;
    case WIRE_WELCOME:
        on_heard(c, l);
        on_welcome(c, l->node);
        break;
    case WIRE_BYE:
        on_bye(c, l->node);
        break;
    case WIRE_FENCE:
        cluster_send_to_node(c, l->node, &ack);
        break;
    case WIRE_FENCE_ACK:
        cluster_fence_back(c, l->node, l->number);
        break;
    default:
        break;
    }
}
