/* jobs.c - jobs: their memory, rows of them, and what they look like outside. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include "base/json_sort.h"
#include "base/mem.h"
#include "remote/backend.h"

static struct str copy(char **at, struct str s)
{
    char *to = *at;
    if (s.len)
        memcpy(to, s.p, s.len);
    *at += s.len;
    return str_make(to, s.len);
}

struct remote_job *remote_job_new(struct str app, struct str remote, struct str user,
                                  struct str socket, struct str uid, struct str payload)
{
    size_t len = app.len + remote.len + user.len + socket.len + uid.len + payload.len;
    struct remote_job *job = mem_alloc(sizeof(*job) + len);
    *job = (struct remote_job){.text_len = len};
    char *at = job->text;
    job->app = copy(&at, app);
    job->remote = copy(&at, remote);
    job->user = copy(&at, user);
    job->socket = copy(&at, socket);
    job->uid = copy(&at, uid);
    job->payload = copy(&at, payload);
    return job;
}

void remote_job_free(struct remote_job *job)
{
    mem_free(job);
}

/* ---- rows ---- */

void remote_jobs_add(struct remote_jobs *l, struct remote_job *job)
{
    job->prev = l->last;
    job->next = NULL;
    *(l->last ? &l->last->next : &l->first) = job;
    l->last = job;
    l->n++;
}

void remote_jobs_add_first(struct remote_jobs *l, struct remote_job *job)
{
    job->prev = NULL;
    job->next = l->first;
    *(l->first ? &l->first->prev : &l->last) = job;
    l->first = job;
    l->n++;
}

void remote_jobs_remove(struct remote_jobs *l, struct remote_job *job)
{
    assert(l->n);
    *(job->prev ? &job->prev->next : &l->first) = job->next;
    *(job->next ? &job->next->prev : &l->last) = job->prev;
    job->prev = job->next = NULL;
    l->n--;
}

struct remote_job *remote_jobs_take(struct remote_jobs *l)
{
    struct remote_job *job = l->first;
    if (job)
        remote_jobs_remove(l, job);
    return job;
}

void remote_jobs_expire(struct remote_sink *s, struct remote_jobs *l)
{
    while (l->first && l->first->due_ms <= s->loop.now_ms) {
        remote_complain(s, "remote_late", STR("timeout"));
        remote_finish(s, remote_jobs_take(l), ERR_TIMEOUT);
    }
}

void remote_jobs_watch(struct remote_sink *s, struct timer *t, const struct remote_jobs *a,
                       const struct remote_jobs *b)
{
    const struct remote_job *first = a->first;
    if (b && b->first && (!first || b->first->due_ms < first->due_ms))
        first = b->first;
    if (first)
        timer_set(&s->loop.timers, t, first->due_ms);
    else
        timer_stop(&s->loop.timers, t);
}

/* ---- outside ---- */

static void add_member(struct buf *out, struct str name, struct str text)
{
    buf_str(out, name);
    json_quote(out, text);
}

void remote_body(struct buf *out, const struct remote_job *job, bool as_original)
{
    add_member(out, STR("{\"user_id\":"), job->user);
    add_member(out, STR(",\"socket_id\":"), job->socket);
    add_member(out, STR(",\"uid\":"), job->uid);
    add_member(out, STR(",\"app_key\":"), job->app);
    if (!as_original)
        add_member(out, STR(",\"remote\":"), job->remote);
    buf_str(out, STR(",\"data\":"));
    struct json payload;
    if (as_original && json_parse(&payload, job->payload) == ERR_OK)
        json_write_sorted(out, payload);
    else
        buf_str(out, job->payload);
    buf_char(out, '}');
}

static void draw(void *to, size_t len)
{
    ssize_t n = getrandom(to, len, 0);
    assert(n == (ssize_t)len); /* up to 256 bytes come whole */
    (void)n;
}

void remote_random_key(char out[REMOTE_KEY_LEN + 1])
{
    unsigned char b[16];
    draw(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (unsigned i = 0, at = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        snprintf(out + at, 3, "%02x", b[i]);
        at += 2;
    }
}

int64_t remote_backoff_ms(unsigned attempt, int64_t min, int64_t max)
{
    int64_t ms = max;
    if (attempt < 16 && min << attempt < max)
        ms = min << attempt;
    uint32_t chance;
    draw(&chance, sizeof(chance));
    return ms / 2 + (int64_t)(chance % (uint32_t)(ms - ms / 2 + 1));
}
