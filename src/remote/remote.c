#include "remote/remote.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include "base/log.h"
#include "base/mem.h"
#include "remote/backend.h"

#define LOG_AREA LOG_REMOTE

enum { COMPLAINT_MS = 1000, AWAY_MS = 30000, JOB_COST = 64 };

void remote_finish(struct remote_sink *s, struct remote_job *job, enum err e)
{
    atomic_fetch_sub(&s->n_bytes, job->text_len);
    atomic_fetch_sub(&s->n_jobs, 1);
    s->done(s->ctx, job, e);
}

void remote_complain(struct remote_sink *s, const char *event, struct str code)
{
    if (s->complained_ms && s->loop.now_ms - s->complained_ms < COMPLAINT_MS) {
        s->n_unsaid++;
        return;
    }
    LOG(LOG_WARN, event, LOG_STR("code", code), LOG_INT("failures_unsaid", s->n_unsaid));
    s->complained_ms = s->loop.now_ms;
    s->n_unsaid = 0;
}

void remote_away(struct remote_sink *s, const char *why, int code)
{
    if (s->away_said_ms && s->loop.now_ms - s->away_said_ms < AWAY_MS)
        return;
    LOG(LOG_WARN, "remote_away", LOG_CSTR("why", why), LOG_INT("code", code));
    s->away_said_ms = s->loop.now_ms;
}

void remote_connected(struct remote_sink *s, const char *kind)
{
    LOG(LOG_INFO, "remote_connected", LOG_CSTR("kind", kind));
    s->away_said_ms = 0;
}

enum err remote_submit(struct remote_sink *s, struct remote_job *job)
{
    /* Reserved before it is looked at: two submitters may not both take the last place. */
    unsigned n = atomic_fetch_add(&s->n_jobs, 1);
    size_t bytes = atomic_fetch_add(&s->n_bytes, job->text_len);
    if (n >= s->jobs_max || bytes + job->text_len > s->bytes_max) {
        atomic_fetch_sub(&s->n_bytes, job->text_len);
        atomic_fetch_sub(&s->n_jobs, 1);
        return ERR_FULL;
    }
    job->sink = s;
    job->note.kind = REMOTE_JOB;
    inbox_post_always(s->inbox, &job->letter);
    return ERR_OK;
}

/* ---- the thread ---- */

static unsigned read_letter(void *reader, struct letter *l)
{
    struct remote_sink *s = reader;
    struct remote_note *note = container_of(l, struct remote_note, letter);
    struct remote_job *job;
    switch (note->kind) {
    case REMOTE_JOB:
        job = container_of(note, struct remote_job, note);
        job->since_ms = s->loop.now_ms;
        /* The job may be answered, and gone, when take returns. */
        unsigned cost = JOB_COST + (unsigned)job->text_len;
        s->backend->take(s, job);
        return cost;
    case REMOTE_STOP:
        mem_free(note);
        loop_stop(&s->loop);
        break;
    case REMOTE_NEWS:
        s->backend->news(s, note);
        break;
    }
    return JOB_COST;
}

static void end_turn(void *ctx)
{
    struct remote_sink *s = ctx;
    s->backend->turn(s);
}

static void *run(void *arg)
{
    struct remote_sink *s = arg;
    s->backend->start(s);
    loop_run(&s->loop);
    s->backend->stop(s);
    /* News that came after the last turn. Jobs were posted before the note that stopped us. */
    inbox_empty(s->inbox, read_letter, s);
    return NULL;
}

/* Signals are for the main thread; a peer that closes is an error of write, not a signal. */
static bool start_thread(struct remote_sink *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int r = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = r;
    return r == 0;
}

/* ---- beginning and end ---- */

static const struct remote_backend *backend_of(struct str url)
{
    static const struct {
        struct str scheme;
        const struct remote_backend *backend;
    } known[] = {
        {STR("redis://"), &remote_redis}, {STR("http://"), &remote_http},
        {STR("https://"), &remote_http},  {STR("nats://"), &remote_nats},
        {STR("tls://"), &remote_nats},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (str_starts(url, known[i].scheme))
            return known[i].backend;
    return NULL;
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value ? value : otherwise;
}

enum err remote_new(struct remote_sink **out, const struct remote_options *o, char *why,
                    size_t why_len)
{
    const struct remote_backend *backend = backend_of(str_of(o->url));
    if (!backend) {
        snprintf(why, why_len,
                 "the address of a sink must begin with redis://, http://, https://, nats:// or "
                 "tls://");
        return ERR_PROTO;
    }
    struct remote_sink *s = mem_zalloc(sizeof(*s));
    s->backend = backend;
    s->jobs_max = or_default(o->jobs_max, REMOTE_JOBS_MAX);
    s->wait_ms = or_default(o->wait_ms, REMOTE_WAIT_MS);
    s->answer_ms = or_default(o->answer_ms, REMOTE_ANSWER_MS);
    s->http_ms = or_default(o->http_ms, REMOTE_HTTP_MS);
    s->bytes_max = o->bytes_max ? o->bytes_max : REMOTE_BYTES_MAX;
    s->done = o->done;
    s->ctx = o->ctx;
    enum err e = ERR_SYS;
    bool has_loop = false;
    if (inbox_new(&s->inbox, s->jobs_max) || loop_init(&s->loop, s->inbox, read_letter, s))
        goto no_room;
    has_loop = true;
    loop_at_end(&s->loop, end_turn, s);
    e = backend->open(s, o, why, why_len);
    if (e)
        goto fail;
    if (!start_thread(s)) {
        e = ERR_SYS;
        goto no_room;
    }
    *out = s;
    return ERR_OK;

no_room:
    snprintf(why, why_len, "no descriptor or thread left (errno %d)", errno);
fail:
    if (s->own)
        backend->close(s);
    if (has_loop)
        loop_fini(&s->loop);
    inbox_free(s->inbox);
    mem_free(s);
    return e;
}

void remote_free(struct remote_sink *s)
{
    if (!s)
        return;
    struct remote_note *stop = mem_zalloc(sizeof(*stop));
    stop->kind = REMOTE_STOP;
    inbox_post_always(s->inbox, &stop->letter);
    pthread_join(s->thread, NULL);
    assert(atomic_load(&s->n_jobs) == 0);
    s->backend->close(s);
    loop_fini(&s->loop);
    inbox_free(s->inbox);
    mem_free(s);
}
