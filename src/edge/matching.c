#include "edge/matching.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/names.h"
#include "net/loop.h"

struct job {
    struct job *next;
    struct bus_question *question;
    struct buf names; /* all, */
    struct str rest;  /* those not matched yet, */
    struct buf part;  /* those that did match */
    int64_t give_up_ms;
};

struct queue {
    struct job *first, **end;
    unsigned n;
};

struct matching {
    matching_names_fn *names;
    matching_done_fn *done;
    void *ctx;
    struct queue at_work; /* in the order of their turns */
    struct queue waiting; /* without names yet */
};

static void put_last(struct queue *q, struct job *j)
{
    j->next = NULL;
    *q->end = j;
    q->end = &j->next;
    q->n++;
}

static struct job *take_first(struct queue *q)
{
    struct job *j = q->first;
    if (!j)
        return NULL;
    q->first = j->next;
    if (!q->first)
        q->end = &q->first;
    q->n--;
    return j;
}

struct matching *matching_new(matching_names_fn *names, matching_done_fn *done, void *ctx)
{
    struct matching *m = mem_zalloc(sizeof(*m));
    m->names = names;
    m->done = done;
    m->ctx = ctx;
    m->at_work.end = &m->at_work.first;
    m->waiting.end = &m->waiting.first;
    return m;
}

static void job_free(struct job *j)
{
    bus_question_unref(j->question);
    buf_fini(&j->names);
    buf_fini(&j->part);
    mem_free(j);
}

static void queue_free(struct queue *q)
{
    for (struct job *j; (j = take_first(q));)
        job_free(j);
}

void matching_free(struct matching *m)
{
    if (!m)
        return;
    queue_free(&m->at_work);
    queue_free(&m->waiting);
    mem_free(m);
}

enum err matching_add(struct matching *m, struct bus_question *q, int64_t give_up_ms)
{
    if (m->at_work.n + m->waiting.n == MATCHING_MAX)
        return ERR_FULL;
    struct job *j = mem_zalloc(sizeof(*j));
    j->question = bus_question_ref(q);
    j->give_up_ms = give_up_ms;
    put_last(&m->waiting, j);
    return ERR_OK;
}

static void add_match(struct job *j, struct str name)
{
    if (j->question->count_only) {
        struct hash128 hash = hash_wide(name, j->question->q.seed);
        buf_add(&j->part, &hash, sizeof(hash));
    } else {
        names_add(&j->part, name);
    }
}

/* True: the job is finished. */
static bool match_some(struct job *j, int64_t until_us)
{
    struct str name;
    while (names_next(&j->rest, &name)) {
        if (pattern_match(j->question->pattern, name))
            add_match(j, name);
        /* After each one: a look takes 30 ns, a single name may take milliseconds. */
        if (loop_clock_us() >= until_us)
            return !j->rest.len;
    }
    return true;
}

/* Whose turn it is; NULL: nobody waits. One more gets its names meanwhile, if there is room. */
static struct job *next_job(struct matching *m, int64_t now_ms)
{
    if (m->waiting.n && m->at_work.n < MATCHING_AT_ONCE) {
        struct job *j = take_first(&m->waiting);
        if (now_ms >= j->give_up_ms)
            return j;
        m->names(m->ctx, j->question, &j->names);
        j->rest = buf_as_str(&j->names);
        put_last(&m->at_work, j);
    }
    return take_first(&m->at_work);
}

bool matching_run(struct matching *m, int64_t now_ms)
{
    if (!m->at_work.n && !m->waiting.n)
        return false;
    int64_t now_us = loop_clock_us(), until_us = now_us + MATCHING_SLICE_US;
    for (struct job *j; now_us < until_us && (j = next_job(m, now_ms)); now_us = loop_clock_us()) {
        if (now_ms >= j->give_up_ms) {
            job_free(j);
        } else if (match_some(j, now_us + MATCHING_TURN_US)) {
            m->done(m->ctx, j->question, &j->part);
            job_free(j);
        } else {
            put_last(&m->at_work, j);
        }
    }
    return m->at_work.n || m->waiting.n;
}
