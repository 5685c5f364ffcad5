#include "edge/matching.h"
#include <time.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/names.h"

struct job {
    struct job *next;
    struct bus_question *question;
    struct buf names; /* all, */
    struct str rest;  /* those not matched yet, */
    struct buf part;  /* those that did match */
    int64_t give_up_ms;
};

struct matching {
    matching_done_fn *done;
    void *ctx;
    struct job *first, **end; /* in the order of their turns */
};

struct matching *matching_new(matching_done_fn *done, void *ctx)
{
    struct matching *m = mem_zalloc(sizeof(*m));
    m->done = done;
    m->ctx = ctx;
    m->end = &m->first;
    return m;
}

static struct job *take_first(struct matching *m)
{
    struct job *j = m->first;
    m->first = j->next;
    if (!m->first)
        m->end = &m->first;
    return j;
}

static void put_last(struct matching *m, struct job *j)
{
    j->next = NULL;
    *m->end = j;
    m->end = &j->next;
}

static void job_free(struct job *j)
{
    bus_question_unref(j->question);
    buf_fini(&j->names);
    buf_fini(&j->part);
    mem_free(j);
}

void matching_free(struct matching *m)
{
    if (!m)
        return;
    while (m->first)
        job_free(take_first(m));
    mem_free(m);
}

void matching_add(struct matching *m, struct bus_question *q, struct buf names, int64_t give_up_ms)
{
    struct job *j = mem_zalloc(sizeof(*j));
    j->question = bus_question_ref(q);
    j->names = names;
    j->rest = buf_as_str(&j->names);
    j->give_up_ms = give_up_ms;
    put_last(m, j);
}

static int64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
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
        if (clock_us() >= until_us)
            return !j->rest.len;
    }
    return true;
}

bool matching_run(struct matching *m, int64_t now_ms)
{
    if (!m->first)
        return false;
    int64_t now_us = clock_us(), until_us = now_us + MATCHING_SLICE_US;
    for (; m->first && now_us < until_us; now_us = clock_us()) {
        struct job *j = take_first(m);
        if (now_ms >= j->give_up_ms) {
            job_free(j);
        } else if (match_some(j, now_us + MATCHING_TURN_US)) {
            m->done(m->ctx, j->question, &j->part);
            job_free(j);
        } else {
            put_last(m, j);
        }
    }
    return m->first != NULL;
}
