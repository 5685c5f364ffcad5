/* redis.c - a sink that appends to Redis lists: RPUSH app@remote, pipelined, in the order of
 * submission. */
#include <hiredis/async.h>
#include <stdio.h>
#include <sys/epoll.h>
#include "base/mem.h"
#include "remote/backend.h"
#include "remote/url.h"

enum {
    PORT = 6379,
    /* Commands on their way. What is on its way when a connection breaks is of unknown fate, what
     * waits is not: so not everything is sent at once. */
    PIPELINE_MAX = 1024,
    PIPELINE_BYTES_MAX = 4 << 20,
};

struct redis {
    struct remote_sink *sink;
    struct remote_url url;
    redisAsyncContext *ac; /* NULL: no connection and none under way */
    struct io io;
    bool watched; /* io is in the loop */
    bool ready;   /* greeted, and may take jobs */
    unsigned attempt;
    struct timer connect, hello, due;
    struct remote_jobs waiting, sent;
    size_t sent_bytes;
};

/* ---- hiredis's events on our loop ---- */

static void on_io(struct io *io, uint32_t events)
{
    struct redis *r = container_of(io, struct redis, io);
    redisAsyncContext *ac = r->ac;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        redisAsyncHandleRead(ac);
    /* A new connection is only made by a timer, so another pointer can but be NULL. */
    if (r->ac == ac && (events & EPOLLOUT))
        redisAsyncHandleWrite(ac);
}

static void watch(struct redis *r, uint32_t events)
{
    struct loop *l = &r->sink->loop;
    if (r->watched)
        loop_change(l, &r->io, events);
    else if (events)
        r->watched = loop_add(l, &r->io, events) == ERR_OK;
}

static void add_read(void *ctx)
{
    struct redis *r = ctx;
    watch(r, (r->watched ? r->io.events : 0) | EPOLLIN);
}

static void del_read(void *ctx)
{
    struct redis *r = ctx;
    watch(r, (r->watched ? r->io.events : 0) & ~(uint32_t)EPOLLIN);
}

static void add_write(void *ctx)
{
    struct redis *r = ctx;
    watch(r, (r->watched ? r->io.events : 0) | EPOLLOUT);
}

static void del_write(void *ctx)
{
    struct redis *r = ctx;
    watch(r, (r->watched ? r->io.events : 0) & ~(uint32_t)EPOLLOUT);
}

/* Called once for every context, however it ends, after what was sent on it was answered with
 * NULL. */
static void on_gone(void *ctx)
{
    struct redis *r = ctx;
    struct remote_sink *s = r->sink;
    if (r->watched)
        loop_remove(&s->loop, &r->io);
    r->watched = r->ready = false;
    r->ac = NULL;
    timer_stop(&s->loop.timers, &r->hello);
    int64_t wait = remote_backoff_ms(r->attempt++, REMOTE_BACKOFF_MIN_MS, REMOTE_BACKOFF_MAX_MS);
    timer_set(&s->loop.timers, &r->connect, s->loop.now_ms + wait);
}

/* ---- connecting ---- */

/* The first word of an error reply, as "WRONGTYPE". The rest may repeat arguments: a payload, or
 * a password. */
static struct str error_code(const redisReply *reply)
{
    struct str rest = str_make(reply->str, reply->len);
    return str_cut(&rest, ' ');
}

static void on_hello(redisAsyncContext *ac, void *answer, void *last)
{
    struct redis *r = ac->data;
    const redisReply *reply = answer;
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        remote_complain(r->sink, "remote_redis_refused", error_code(reply));
        remote_away(r->sink, "refused", 0);
        redisAsyncFree(ac);
    } else if (last) {
        timer_stop(&r->sink->loop.timers, &r->hello);
        r->ready = true;
        r->attempt = 0;
        remote_connected(r->sink, "redis");
    }
}

/* PING is more than a greeting: a server that is full, loading or locked says so here, and no job
 * is lost on it. */
static void on_connect(const redisAsyncContext *connected, int status)
{
    redisAsyncContext *ac = (redisAsyncContext *)connected;
    struct redis *r = ac->data;
    if (status != REDIS_OK) {
        remote_away(r->sink, "cannot connect", 0);
        return; /* on_gone follows */
    }
    redisEnableKeepAlive(&ac->c);
    if (r->url.user[0])
        redisAsyncCommand(ac, on_hello, NULL, "AUTH %s %s", r->url.user, r->url.password);
    else if (r->url.has_login)
        redisAsyncCommand(ac, on_hello, NULL, "AUTH %s", r->url.password);
    if (r->url.path[0])
        redisAsyncCommand(ac, on_hello, NULL, "SELECT %s", r->url.path);
    redisAsyncCommand(ac, on_hello, r, "PING");
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct redis *r = ac->data;
    if (status != REDIS_OK)
        remote_away(r->sink, "disconnected", 0);
}

/* Looking a name up may take the resolver's time; only this thread waits for it. */
static void connect_now(struct redis *r)
{
    struct remote_sink *s = r->sink;
    redisAsyncContext *ac = redisAsyncConnect(r->url.host, (int)r->url.port);
    if (!ac || ac->err) {
        if (ac)
            redisAsyncFree(ac);
        remote_away(s, "cannot connect", 0);
        on_gone(r);
        return;
    }
    r->ac = ac;
    r->io = (struct io){.fn = on_io, .fd = ac->c.fd};
    ac->data = r;
    ac->ev.data = r;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = on_gone;
    timer_set(&s->loop.timers, &r->hello, s->loop.now_ms + REMOTE_CONNECT_MS);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    redisAsyncSetConnectCallback(ac, on_connect);
}

static void on_connect_timer(struct timer *t)
{
    connect_now(container_of(t, struct redis, connect));
}

static void on_hello_timer(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, hello);
    remote_away(r->sink, "no answer when connecting", 0);
    redisAsyncFree(r->ac);
}

/* ---- jobs ---- */

static void on_reply(redisAsyncContext *ac, void *answer, void *of)
{
    struct redis *r = ac->data;
    struct remote_job *job = of;
    const redisReply *reply = answer;
    remote_jobs_remove(&r->sent, job);
    r->sent_bytes -= job->text_len;
    if (!reply) {
        remote_finish(r->sink, job, ERR_AWAY);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        remote_complain(r->sink, "remote_redis_error", error_code(reply));
        remote_finish(r->sink, job, ERR_SYS);
    } else {
        remote_finish(r->sink, job, ERR_OK);
    }
}

static void send_job(struct redis *r, struct remote_job *job)
{
    struct buf key = BUF_INIT, body = BUF_INIT;
    buf_str(&key, job->app);
    buf_char(&key, '@');
    buf_str(&key, job->remote);
    remote_body(&body, job, true);
    const char *words[] = {"RPUSH", key.p, body.p};
    const size_t lens[] = {5, key.len, body.len};
    job->due_ms = r->sink->loop.now_ms + r->sink->answer_ms;
    remote_jobs_add(&r->sent, job);
    r->sent_bytes += job->text_len;
    if (redisAsyncCommandArgv(r->ac, on_reply, job, 3, words, lens) != REDIS_OK) {
        /* The context is on its way out and took nothing. */
        remote_jobs_remove(&r->sent, job);
        r->sent_bytes -= job->text_len;
        remote_finish(r->sink, job, ERR_AWAY);
    }
    buf_fini(&key);
    buf_fini(&body);
}

static void take(struct remote_sink *s, struct remote_job *job)
{
    struct redis *r = s->own;
    job->due_ms = job->since_ms + s->wait_ms;
    remote_jobs_add(&r->waiting, job);
}

static void turn(struct remote_sink *s)
{
    struct redis *r = s->own;
    while (r->ready && r->waiting.first && r->sent.n < PIPELINE_MAX &&
           r->sent_bytes < PIPELINE_BYTES_MAX)
        send_job(r, remote_jobs_take(&r->waiting));
    remote_jobs_watch(s, &r->due, &r->waiting, &r->sent);
}

static void on_due(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, due);
    remote_jobs_expire(r->sink, &r->waiting);
    /* Replies come in order: behind one that does not come, none will. */
    if (r->ac && r->sent.first && r->sent.first->due_ms <= r->sink->loop.now_ms) {
        remote_away(r->sink, "no answer", 0);
        redisAsyncFree(r->ac);
    }
}

/* ---- beginning and end ---- */

static bool is_database(const char *path)
{
    return strlen(path) <= 4 && strspn(path, "0123456789") == strlen(path);
}

static enum err open_redis(struct remote_sink *s, const struct remote_options *o, char *why,
                           size_t why_len)
{
    struct remote_url url;
    if (remote_url_parse(&url, str_of(o->url), STR("redis://")) || !is_database(url.path)) {
        snprintf(why, why_len,
                 "a Redis address looks like redis://[user:password@]HOST[:PORT][/DB]");
        return ERR_PROTO;
    }
    struct redis *r = mem_zalloc(sizeof(*r));
    r->sink = s;
    r->url = url;
    if (!r->url.port)
        r->url.port = PORT;
    r->connect.fn = on_connect_timer;
    r->hello.fn = on_hello_timer;
    r->due.fn = on_due;
    s->own = r;
    return ERR_OK;
}

static void start(struct remote_sink *s)
{
    connect_now(s->own);
}

static void stop(struct remote_sink *s)
{
    struct redis *r = s->own;
    if (r->ac)
        redisAsyncFree(r->ac);
    for (struct remote_job *job; (job = remote_jobs_take(&r->waiting));)
        remote_finish(s, job, ERR_AWAY);
}

static void close_redis(struct remote_sink *s)
{
    mem_free(s->own);
    s->own = NULL;
}

const struct remote_backend remote_redis = {
    .open = open_redis,
    .start = start,
    .take = take,
    .turn = turn,
    .stop = stop,
    .close = close_redis,
};
