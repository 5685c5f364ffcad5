#include "bus/cluster.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include "base/log.h"
#include "base/mem.h"
#include "bus/cluster_own.h"

enum {
    INBOX_LETTERS = 1 << 20,
    /* When the thread finds that it has not run for so long, it has stood still itself. */
    STILL_MS = 2 * MEMBERS_BEAT_MS,
    REOPEN_MIN_MS = 1000, /* after a connection is over for good; doubles */
    REOPEN_MAX_MS = 8000,
    UNSUBSCRIBE_BURST = 1024, /* subjects ended in one beat */
    BODY_OVERHEAD = 512,      /* of a message beside its text: field heads and numbers */
};

static void send_to_node(struct cluster *c, uint32_t node, const struct wire *w)
{
    cluster_node_subject(c, &c->scratch, node);
    cluster_send(c, &c->scratch, w, true);
}

static struct wire about_us(const struct cluster *c, enum wire_kind kind)
{
    return (struct wire){.kind = kind,
                         .node = c->o.node,
                         .incarnation = c->incarnation,
                         .roles = c->o.roles,
                         .n_workers = c->o.n_workers,
                         .server = str_of(c->server)};
}

static void tell_all(struct cluster *c, enum wire_kind kind)
{
    struct wire w = about_us(c, kind);
    cluster_subject(c, &c->scratch, "h");
    cluster_send(c, &c->scratch, &w, true);
}

static void send_fence(void *ctx, uint32_t node, uint64_t number)
{
    struct cluster *c = ctx;
    struct wire w = {.kind = WIRE_FENCE, .node = c->o.node, .number = number};
    send_to_node(c, node, &w);
}

/* ---- the state, and who answers ---- */

static void write_roster(struct cluster *c)
{
    struct roster r = {0};
    bool away = c->said == CLUSTER_AWAY;
    for (unsigned i = 0; i < c->members.n; i++) {
        const struct member *m = &c->members.list[i];
        if (!cluster_holds_sockets(m->roles))
            continue;
        r.n_unreachable += away;
        for (unsigned w = 0; !away && w < m->n_workers; w++)
            buf_add(&r.sources, &(struct bus_source){m->node, w}, sizeof(struct bus_source));
    }
    pthread_mutex_lock(&c->roster_lock);
    struct roster old = c->roster;
    c->roster = r;
    pthread_mutex_unlock(&c->roster_lock);
    buf_fini(&old.sources);
}

static void set_state(struct cluster *c, enum cluster_state state, const char *why)
{
    atomic_store(&c->state, state);
    if (c->said == state)
        return;
    c->said = state;
    write_roster(c);
    if (state == CLUSTER_UP) {
        LOG(LOG_INFO, "bus_up", LOG_CSTR("server", c->server), LOG_INT("nodes", c->members.n + 1));
        pthread_mutex_lock(&c->start_lock);
        c->was_up = true;
        pthread_cond_signal(&c->started);
        pthread_mutex_unlock(&c->start_lock);
    } else if (state == CLUSTER_AWAY) {
        LOG(LOG_WARN, "bus_away", LOG_CSTR("reason", why));
        /* They are still members, but questions under way need not wait for them. */
        for (unsigned i = 0; i < c->members.n; i++)
            c->local.gone(c->local.ctx, c->members.list[i].node);
    }
}

static void node_gone(struct cluster *c, uint32_t node, const char *why)
{
    LOG(LOG_INFO, "node_gone", LOG_INT("node", node), LOG_CSTR("reason", why));
    write_roster(c);
    c->local.gone(c->local.ctx, node);
}

static void expire(struct cluster *c, int64_t since_ms)
{
    uint32_t node;
    while (members_expire(&c->members, since_ms, &node))
        node_gone(c, node, "silent");
}

static void settle(struct cluster *c)
{
    set_state(c, CLUSTER_SETTLING, NULL);
    c->settle_began_ms = c->echo_ms = c->loop.now_ms;
    members_forget_welcomes(&c->members);
    tell_all(c, WIRE_HELLO);
}

static void look_if_settled(struct cluster *c)
{
    int64_t since = c->loop.now_ms - c->settle_began_ms;
    if (since < CLUSTER_SETTLE_MS ||
        (since < CLUSTER_SETTLE_MAX_MS && !members_all_know_us(&c->members)))
        return;
    /* Who has not been heard since then does not come back by itself. */
    expire(c, c->settle_began_ms);
    set_state(c, CLUSTER_UP, NULL);
}

/* ---- confirmations ---- */

static void confirm(struct cluster *c, const uint64_t *seqs)
{
    for (unsigned w = 0; w < c->o.n_workers; w++) {
        if (seqs[w] <= c->confirmed[w])
            continue;
        c->confirmed[w] = seqs[w];
        c->local.confirmed(c->local.ctx, w, seqs[w]);
    }
}

static void confirm_what_is_sure(struct cluster *c)
{
    if (c->fence.flying || !c->connected || !topics_catch_up(&c->topics))
        return;
    if (!c->fence_wanted) {
        confirm(c, c->told);
        return;
    }
    c->fence_wanted = false;
    memcpy(c->covered, c->told, sizeof(c->covered));
    fence_start(&c->fence, &c->members, c->server);
}

static bool subscribe_topic(void *ctx, struct topic *t)
{
    struct cluster *c = ctx;
    struct nats_sub *sub;
    c->fence_wanted = true;
    if (!c->connected || nats_subscribe(&sub, atomic_load(&c->nats), t->subject))
        return false;
    t->sub = sub;
    return true;
}

static void unsubscribe_topic(void *ctx, struct topic *t)
{
    (void)ctx;
    nats_unsubscribe(t->sub);
}

static void note_interest(struct cluster *c, const struct cluster_letter *l)
{
    if (l->is_user)
        cluster_user_subject(c, &c->scratch, l->app, l->name);
    else
        cluster_channel_subject(c, &c->scratch, l->app, l->name);
    if (l->on)
        topics_add(&c->topics, buf_as_str(&c->scratch));
    else
        topics_drop(&c->topics, buf_as_str(&c->scratch), c->loop.now_ms);
    c->told[l->worker] = l->seq;
}

/* ---- the connection comes and goes ---- */

static void subscribe_base(struct cluster *c)
{
    static const char *const parts[] = {"h", "n", "q", "t"};
    static const bool for_sockets[] = {false, false, true, true};
    for (unsigned i = 0; i < CLUSTER_BASE_SUBJECTS; i++) {
        if (c->base[i] || (for_sockets[i] && !cluster_holds_sockets(c->o.roles)))
            continue;
        if (i == 1)
            cluster_node_subject(c, &c->scratch, c->o.node);
        else
            cluster_subject(c, &c->scratch, parts[i]);
        buf_char(&c->scratch, 0);
        if (nats_subscribe(&c->base[i], atomic_load(&c->nats), c->scratch.p))
            c->base[i] = NULL;
    }
}

static void on_connected(struct cluster *c)
{
    struct nats *nats = atomic_load(&c->nats);
    c->connected = true;
    c->reopen_wait_ms = REOPEN_MIN_MS;
    nats_server_id(nats, c->server);
    size_t max = nats_max_payload(nats);
    atomic_store(&c->message_max, max > BODY_OVERHEAD ? max - BODY_OVERHEAD : 0);
    if (c->fence.flying) {
        fence_drop(&c->fence);
        c->fence_wanted = true;
    }
    subscribe_base(c);
    settle(c);
}

static void on_disconnected(struct cluster *c)
{
    c->connected = false;
    set_state(c, CLUSTER_AWAY, "the connection to NATS is lost");
}

static struct nats_options connection_options(struct cluster *c);
static void on_nats(struct io *io, uint32_t events);

static void reopen(struct timer *t)
{
    struct cluster *c = container_of(t, struct cluster, reopen);
    struct nats *nats;
    char why[256];
    const struct nats_options o = connection_options(c);
    if (nats_open(&nats, &o, why, sizeof(why))) {
        LOG(LOG_ERROR, "bus_not_opened", LOG_CSTR("reason", why));
        timer_set(&c->loop.timers, &c->reopen, c->loop.now_ms + c->reopen_wait_ms);
        return;
    }
    /* The one before the last: no worker is in a call of it any more. */
    nats_close(c->old_nats);
    c->old_nats = atomic_load(&c->nats);
    memset(c->base, 0, sizeof(c->base));
    topics_forget(&c->topics);
    atomic_store(&c->nats, nats);
    loop_remove(&c->loop, &c->nats_io);
    c->nats_io = (struct io){.fn = on_nats, .fd = nats_fd(nats)}; /* removing cleared fn */
    loop_add(&c->loop, &c->nats_io, EPOLLIN);
}

static void on_over(struct cluster *c)
{
    LOG(LOG_ERROR, "bus_refused", LOG_CSTR("reason", nats_last_error(atomic_load(&c->nats))));
    on_disconnected(c);
    timer_set(&c->loop.timers, &c->reopen, c->loop.now_ms + c->reopen_wait_ms);
    c->reopen_wait_ms *= 2;
    if (c->reopen_wait_ms > REOPEN_MAX_MS)
        c->reopen_wait_ms = REOPEN_MAX_MS;
}

/* ---- nodes among themselves ---- */

static void on_echo(struct cluster *c, const struct cluster_letter *l)
{
    if (l->incarnation != c->incarnation) {
        LOG(LOG_ERROR, "node_id_taken", LOG_INT("node", c->o.node));
        pthread_mutex_lock(&c->start_lock);
        c->id_is_taken = true;
        pthread_cond_signal(&c->started);
        pthread_mutex_unlock(&c->start_lock);
        return;
    }
    c->echo_ms = c->loop.now_ms;
    if (c->connected && c->said == CLUSTER_AWAY)
        settle(c);
}

static void on_heard(struct cluster *c, const struct cluster_letter *l)
{
    bool is_new = !members_find(&c->members, l->node);
    if (members_heard(&c->members, l->node, l->incarnation, l->roles, l->n_workers,
                      str_of(l->server), c->loop.now_ms)) {
        if (is_new)
            LOG(LOG_INFO, "node_came", LOG_INT("node", l->node), LOG_INT("workers", l->n_workers));
        write_roster(c);
        if (fence_review(&c->fence, &c->members))
            confirm(c, c->covered);
    }
    if (l->what == WIRE_HELLO) {
        struct wire w = about_us(c, WIRE_WELCOME);
        send_to_node(c, l->node, &w);
    } else if (l->what == WIRE_WELCOME) {
        struct member *m = members_find(&c->members, l->node);
        if (m)
            m->knows_us = true;
        if (c->said == CLUSTER_SETTLING)
            look_if_settled(c);
    }
}

static void on_node_letter(struct cluster *c, const struct cluster_letter *l)
{
    struct wire ack = {.kind = WIRE_FENCE_ACK, .node = c->o.node, .number = l->number};
    switch (l->what) {
    case WIRE_BEAT:
    case WIRE_HELLO:
    case WIRE_WELCOME:
        if (l->node == c->o.node)
            on_echo(c, l);
        else
            on_heard(c, l);
        break;
    case WIRE_BYE:
        if (l->node != c->o.node && members_remove(&c->members, l->node)) {
            node_gone(c, l->node, "left");
            if (fence_review(&c->fence, &c->members))
                confirm(c, c->covered);
        }
        break;
    case WIRE_FENCE:
        if (l->node != c->o.node) {
            send_to_node(c, l->node, &ack);
            break;
        }
        /* Our own, back from our server. */
        /* fall through */
    case WIRE_FENCE_ACK:
        if (fence_back(&c->fence, l->node, l->number))
            confirm(c, c->covered);
        break;
    default:
        break;
    }
}

/* ---- the thread ---- */

static void tell_of_malformed(struct cluster *c)
{
    unsigned n = atomic_exchange(&c->malformed, 0);
    if (n)
        LOG(LOG_WARN, "bus_messages_dropped", LOG_INT("count", n),
            LOG_CSTR("reason", "malformed, or of a version that this one does not know"));
}

static void on_beat(struct timer *t)
{
    struct cluster *c = container_of(t, struct cluster, beat);
    int64_t now = c->loop.now_ms, still = now - c->last_beat_ms - MEMBERS_BEAT_MS;
    timer_set(&c->loop.timers, &c->beat, now + MEMBERS_BEAT_MS);
    c->last_beat_ms = now;
    if (still > STILL_MS) {
        members_forgive(&c->members, still);
        c->echo_ms += still;
        c->settle_began_ms += still;
    }
    tell_of_malformed(c);
    topics_run(&c->topics, now, c->connected ? UNSUBSCRIBE_BURST : 0);
    if (!c->connected)
        return;
    tell_all(c, c->said == CLUSTER_SETTLING ? WIRE_HELLO : WIRE_BEAT);
    if (c->fence_seen == c->fence.number)
        fence_again(&c->fence);
    c->fence_seen = c->fence.number;
    if (now - c->echo_ms > MEMBERS_DEAD_MS) {
        set_state(c, CLUSTER_AWAY, "NATS does not answer");
    } else if (c->said == CLUSTER_SETTLING) {
        look_if_settled(c);
    } else if (c->said == CLUSTER_UP) {
        expire(c, now - MEMBERS_DEAD_MS);
        if (fence_review(&c->fence, &c->members))
            confirm(c, c->covered);
    }
}

static unsigned read_letter(void *reader, struct letter *letter)
{
    struct cluster *c = reader;
    struct cluster_letter *l = container_of(letter, struct cluster_letter, letter);
    switch (l->kind) {
    case LETTER_INTEREST:
        note_interest(c, l);
        break;
    case LETTER_CONNECTED:
        on_connected(c);
        break;
    case LETTER_LOST_CONNECTION:
        on_disconnected(c);
        break;
    case LETTER_OVER:
        on_over(c);
        break;
    case LETTER_NODE:
        on_node_letter(c, l);
        break;
    case LETTER_STOP:
        if (c->connected)
            tell_all(c, WIRE_BYE);
        loop_stop(&c->loop);
        break;
    }
    mem_free(l);
    return 1;
}

static void end_turn(void *ctx)
{
    struct cluster *c = ctx;
    if (c->connected)
        topics_trim(&c->topics);
    confirm_what_is_sure(c);
    nats_flush(atomic_load(&c->nats));
}

static void on_nats(struct io *io, uint32_t events)
{
    (void)events;
    nats_serve(atomic_load(&container_of(io, struct cluster, nats_io)->nats));
}

static void *run(void *arg)
{
    struct cluster *c = arg;
    loop_run(&c->loop);
    return NULL;
}

void cluster_post(struct cluster *c, struct cluster_letter *l)
{
    inbox_post_always(c->inbox, &l->letter);
}

static void post_event(struct cluster *c, enum letter_kind kind)
{
    struct cluster_letter *l = mem_zalloc(sizeof(*l));
    l->kind = kind;
    cluster_post(c, l);
}

/* ---- what cnats calls (on threads of its own) ---- */

static void on_came(void *ctx, struct str bytes)
{
    cluster_take(ctx, bytes);
}

static void on_changed(void *ctx, bool connected)
{
    struct cluster *c = ctx;
    /* Publishers stop at once: the thread itself may be busy elsewhere for a moment. */
    if (!connected)
        atomic_store(&c->state, CLUSTER_AWAY);
    post_event(c, connected ? LETTER_CONNECTED : LETTER_LOST_CONNECTION);
}

static void on_nats_over(void *ctx)
{
    post_event(ctx, LETTER_OVER);
}

static void on_lost(void *ctx)
{
    struct cluster *c = ctx;
    c->local.lost(c->local.ctx);
}

static struct nats_options connection_options(struct cluster *c)
{
    return (struct nats_options){.servers = c->o.servers,
                                 .creds = c->o.creds,
                                 .ca_file = c->o.ca_file,
                                 .name = "gusher",
                                 .ctx = c,
                                 .came = on_came,
                                 .changed = on_changed,
                                 .over = on_nats_over,
                                 .lost = on_lost};
}

/* ---- beginning and end ---- */

static unsigned throw_away(void *reader, struct letter *l)
{
    (void)reader;
    mem_free(container_of(l, struct cluster_letter, letter));
    return 0;
}

static void release(struct cluster *c)
{
    nats_close(atomic_load(&c->nats));
    nats_close(c->old_nats);
    if (c->inbox) {
        inbox_empty(c->inbox, throw_away, NULL);
        loop_fini(&c->loop);
        inbox_free(c->inbox);
    }
    topics_fini(&c->topics);
    members_fini(&c->members);
    fence_fini(&c->fence);
    buf_fini(&c->roster.sources);
    buf_fini(&c->scratch);
    buf_fini(&c->prefix);
    pthread_mutex_destroy(&c->roster_lock);
    pthread_mutex_destroy(&c->start_lock);
    pthread_cond_destroy(&c->started);
    mem_free(c);
}

static enum err wait_until_up(struct cluster *c, char *why, size_t why_len)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += c->o.wait_ms / 1000;
    until.tv_nsec += c->o.wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int r = 0;
    pthread_mutex_lock(&c->start_lock);
    while (!c->was_up && !c->id_is_taken && r == 0)
        r = pthread_cond_timedwait(&c->started, &c->start_lock, &until);
    bool up = c->was_up && !c->id_is_taken, taken = c->id_is_taken;
    pthread_mutex_unlock(&c->start_lock);
    if (up)
        return ERR_OK;
    if (taken)
        snprintf(why, why_len,
                 "another node has drawn the same id, once in four thousand million "
                 "times: start again");
    else
        snprintf(why, why_len, "NATS cannot be reached: %s (waited %lld s)",
                 nats_last_error(atomic_load(&c->nats)), (long long)c->o.wait_ms / 1000);
    return ERR_TIMEOUT;
}

static enum err start_thread(struct cluster *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = r;
    return r ? ERR_SYS : ERR_OK;
}

enum err cluster_start(struct cluster **out, const struct cluster_options *o,
                       const struct cluster_local *local, char *why, size_t why_len)
{
    struct cluster *c = mem_zalloc(sizeof(*c));
    struct nats *nats = NULL;
    assert(o->n_workers <= MEMBERS_WORKERS_MAX);
    c->o = *o;
    c->local = *local;
    c->reopen_wait_ms = REOPEN_MIN_MS;
    buf_printf(&c->prefix, "%s.", o->prefix);
    atomic_init(&c->state, CLUSTER_AWAY);
    pthread_mutex_init(&c->roster_lock, NULL);
    pthread_mutex_init(&c->start_lock, NULL);
    pthread_cond_init(&c->started, NULL);
    members_init(&c->members);
    topics_init(&c->topics, subscribe_topic, unsubscribe_topic, c);
    fence_init(&c->fence, o->node, send_fence, c);
    enum err e = nats_check_servers(o->servers, why, why_len);
    if (e)
        goto fail;
    e = ERR_SYS;
    snprintf(why, why_len, "no descriptor left");
    if (getrandom(&c->incarnation, sizeof(c->incarnation), 0) < 0 ||
        inbox_new(&c->inbox, INBOX_LETTERS))
        goto fail;
    if (loop_init(&c->loop, c->inbox, read_letter, c)) {
        inbox_free(c->inbox);
        c->inbox = NULL;
        goto fail;
    }
    loop_at_end(&c->loop, end_turn, c);
    const struct nats_options no = connection_options(c);
    e = nats_open(&nats, &no, why, why_len);
    if (e)
        goto fail;
    atomic_store(&c->nats, nats);
    c->nats_io = (struct io){.fn = on_nats, .fd = nats_fd(nats)};
    c->beat.fn = on_beat;
    c->reopen.fn = reopen;
    c->last_beat_ms = c->loop.now_ms;
    loop_add(&c->loop, &c->nats_io, EPOLLIN);
    timer_set(&c->loop.timers, &c->beat, c->loop.now_ms + MEMBERS_BEAT_MS);
    e = start_thread(c);
    if (e) {
        snprintf(why, why_len, "cannot start a thread: %s", strerror(errno));
        goto fail;
    }
    e = wait_until_up(c, why, why_len);
    if (e) {
        cluster_stop(c);
        return e;
    }
    *out = c;
    return ERR_OK;

fail:
    release(c);
    return e;
}

void cluster_stop(struct cluster *c)
{
    if (!c)
        return;
    post_event(c, LETTER_STOP);
    pthread_join(c->thread, NULL);
    release(c);
}
