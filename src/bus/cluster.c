/* cluster.c - the cluster's thread: the connection to NATS, the beat, beginning and end. */
#include "bus/cluster.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include "base/deadline.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/cluster_own.h"

#define LOG_AREA LOG_BUS

enum {
    INBOX_LETTERS = 1 << 20,
    /* When the thread finds that it has not run for so long, it has stood still itself. */
    STILL_MS = 2 * MEMBERS_BEAT_MS,
    REOPEN_MAX_MS = 8000,     /* after a connection is over for good */
    UNSUBSCRIBE_BURST = 1024, /* subjects ended in one beat */
    BODY_OVERHEAD = 512,      /* of a message beside its text: field heads and numbers */
};

/* ---- the connection comes and goes ---- */

static void subscribe_base(struct cluster *c)
{
    static const char *const parts[] = {"h", "n", "q", "t", "b", "d"};
    static const unsigned roles[] = {
        0, 0, MEMBER_HOLDS_SOCKETS, MEMBER_HOLDS_SOCKETS, 0, MEMBER_PUBLISHES};
    for (unsigned i = 0; i < CLUSTER_BASE_SUBJECTS; i++) {
        if (c->base[i] || (roles[i] && !(c->o.roles & roles[i])))
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

/* Answers and beats have to fit into a message. */
static void refuse_small_payload(struct cluster *c, size_t max)
{
    LOG(LOG_ERROR, "bus_payload_too_small", LOG_INT("max_payload", max),
        LOG_INT("needed", CLUSTER_PAYLOAD_MIN));
    pthread_mutex_lock(&c->start_lock);
    c->why_not = "its max_payload is less than 4096 bytes";
    pthread_mutex_unlock(&c->start_lock);
}

static void on_connected(struct cluster *c)
{
    struct nats *nats = atomic_load(&c->nats);
    size_t max = nats_max_payload(nats);
    if (max < CLUSTER_PAYLOAD_MIN) {
        refuse_small_payload(c, max);
        return;
    }
    c->connected = true;
    nats_server_id(nats, c->server);
    atomic_store(&c->message_max, max - BODY_OVERHEAD);
    cluster_fence_lost(c);
    subscribe_base(c);
    cluster_settle(c);
}

static void on_disconnected(struct cluster *c)
{
    c->connected = false;
    cluster_set_state(c, BUS_AWAY, "the connection to NATS is lost");
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

/* ---- the thread ---- */

static void note_not_permitted(struct cluster *c, const struct cluster_letter *l)
{
    if (!c->n_not_permitted++)
        snprintf(c->not_permitted, sizeof(c->not_permitted), "%s", l->text);
}

/* Once a beat at most, however much there is of it. */
static void tell_of_troubles(struct cluster *c)
{
    unsigned n = atomic_exchange(&c->malformed, 0);
    if (n)
        LOG(LOG_WARN, "bus_messages_dropped", LOG_INT("count", n),
            LOG_CSTR("reason", "malformed, or of a version that this one does not know"));
    if (c->n_not_permitted)
        LOG(LOG_ERROR, "bus_not_permitted", LOG_INT("count", c->n_not_permitted),
            LOG_CSTR("reason", c->not_permitted));
    c->n_not_permitted = 0;
}

/* cnats waits by the wall clock. Stepped back while it waits for its next try to connect, it would
 * wait for as long as the step: then another connection takes its place. */
static void look_at_clock(struct cluster *c)
{
    double ahead_s = deadline_wall_ahead_s();
    bool stepped_back = ahead_s < c->clock_ahead_s - DEADLINE_STEP_S;
    c->clock_ahead_s = ahead_s;
    if (stepped_back && !c->connected && !timer_is_set(&c->reopen))
        nats_give_up(atomic_load(&c->nats));
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
    tell_of_troubles(c);
    look_at_clock(c);
    topics_run(&c->topics, now, c->connected ? UNSUBSCRIBE_BURST : 0);
    if (!c->connected)
        return;
    cluster_beat(c);
    cluster_fence_beat(c);
    if (now - c->echo_ms > MEMBERS_DEAD_MS) {
        cluster_set_state(c, BUS_AWAY, "NATS does not answer");
    } else if (c->said == BUS_SETTLING) {
        cluster_look_if_settled(c);
    } else if (c->said == BUS_UP) {
        cluster_expire(c, members_silent_since(now, c->echo_ms));
        cluster_fence_review(c);
    }
}

static unsigned read_letter(void *reader, struct letter *letter)
{
    struct cluster *c = reader;
    struct cluster_letter *l = container_of(letter, struct cluster_letter, letter);
    switch (l->kind) {
    case LETTER_INTEREST:
        cluster_note_interest(c, l);
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
        cluster_on_node_letter(c, l);
        break;
    case LETTER_NOT_PERMITTED:
        note_not_permitted(c, l);
        break;
    case LETTER_SERVE:
        cluster_serve_now(c);
        break;
    case LETTER_LEAVE:
        cluster_leave_now(c);
        break;
    case LETTER_STOP:
        if (c->connected)
            cluster_tell_all(c, WIRE_BYE);
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
    cluster_confirm_what_is_sure(c);
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
        atomic_store(&c->state, BUS_AWAY);
    post_event(c, connected ? LETTER_CONNECTED : LETTER_LOST_CONNECTION);
}

static void on_nats_over(void *ctx)
{
    post_event(ctx, LETTER_OVER);
}

static void on_not_permitted(void *ctx, const char *what)
{
    size_t len = strlen(what);
    struct cluster_letter *l = mem_zalloc(sizeof(*l) + len + 1);
    l->kind = LETTER_NOT_PERMITTED;
    memcpy(l->text, what, len);
    cluster_post(ctx, l);
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
                                 .not_permitted = on_not_permitted,
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
    buf_fini(&c->roster.workers.sources);
    buf_fini(&c->roster.nodes.sources);
    buf_fini(&c->scratch);
    buf_fini(&c->prefix);
    pthread_mutex_destroy(&c->roster_lock);
    pthread_mutex_destroy(&c->start_lock);
    pthread_cond_destroy(&c->started);
    mem_free(c);
}

static enum err wait_until_up(struct cluster *c, char *why, size_t why_len)
{
    const struct timespec until = deadline_in_ms(c->o.wait_ms);
    int r = 0;
    pthread_mutex_lock(&c->start_lock);
    while (!c->was_up && !c->id_is_taken && r == 0)
        r = pthread_cond_timedwait(&c->started, &c->start_lock, &until);
    bool up = c->was_up && !c->id_is_taken, taken = c->id_is_taken;
    const char *why_not = c->why_not;
    pthread_mutex_unlock(&c->start_lock);
    if (up)
        return ERR_OK;
    if (taken)
        snprintf(why, why_len,
                 "another node has drawn the same id, once in four thousand million "
                 "times: start again");
    else
        snprintf(why, why_len, "NATS cannot be used: %s (waited %lld s)",
                 why_not ? why_not : nats_last_error(atomic_load(&c->nats)),
                 (long long)c->o.wait_ms / 1000);
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
    c->roles = o->roles & ~(unsigned)MEMBER_HOLDS_SOCKETS;
    c->reopen_wait_ms = CLUSTER_REOPEN_MIN_MS;
    buf_printf(&c->prefix, "%s.", o->prefix);
    atomic_init(&c->state, BUS_AWAY);
    pthread_mutex_init(&c->roster_lock, NULL);
    pthread_mutex_init(&c->start_lock, NULL);
    deadline_cond_init(&c->started);
    members_init(&c->members);
    cluster_interest_init(c);
    enum err e = cluster_check(o, why, why_len);
    if (e)
        goto fail;
    e = ERR_SYS;
    if (getrandom(&c->incarnation, sizeof(c->incarnation), 0) < 0 ||
        inbox_new(&c->inbox, INBOX_LETTERS)) {
        snprintf(why, why_len, "no descriptor left");
        goto fail;
    }
    if (loop_init(&c->loop, c->inbox, read_letter, c)) {
        inbox_free(c->inbox);
        c->inbox = NULL;
        snprintf(why, why_len, "no descriptor left");
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

enum err cluster_check(const struct cluster_options *o, char *why, size_t why_len)
{
    const struct nats_options no = {
        .servers = o->servers, .creds = o->creds, .ca_file = o->ca_file};
    return nats_check(&no, why, why_len);
}

void cluster_serve(struct cluster *c)
{
    post_event(c, LETTER_SERVE);
}

void cluster_leave(struct cluster *c)
{
    post_event(c, LETTER_LEAVE);
}

void cluster_stop(struct cluster *c)
{
    if (!c)
        return;
    post_event(c, LETTER_STOP);
    pthread_join(c->thread, NULL);
    release(c);
}
