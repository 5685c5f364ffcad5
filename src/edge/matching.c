#include "edge/matching.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/names.h"
#include "net/loop.h"

enum {
    LOOK_BYTES = 1024, /* of names, between two looks at the clock: */
    NAME_BYTES = 32,   /* the work of a name counts as so many more */
};

struct job {
    struct job *next;
    struct bus_question *question;
    uint32_t cursor;  /* of the next page */
    struct buf names; /* of this page: all, */
    struct str rest;  /* those not matched yet, */
    struct buf part;  /* and of all pages those that did match */
    int64_t give_up_ms;
};

struct matching {
    matching_names_fn *names;
    matching_done_fn *done;
    void *ctx;
    struct job *first, **end; /* in the order of their turns */
    unsigned n;
    int64_t ended_us; /* the last slice, while there are jobs */
};

static void put_last(struct matching *m, struct job *j)
{
    j->next = NULL;
    *m->end = j;
    m->end = &j->next;
    m->n++;
}

static struct job *take_first(struct matching *m)
{
    struct job *j = m->first;
    if (!j)
        return NULL;
    m->first = j->next;
    if (!m->first)
        m->end = &m->first;
    m->n--;
    return j;
}

struct matching *matching_new(matching_names_fn *names, matching_done_fn *done, void *ctx)
{
    struct matching *m = mem_zalloc(sizeof(*m));
    m->names = names;
    m->done = done;
    m->ctx = ctx;
    m->end = &m->first;
    return m;
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
    for (struct job *j; (j = take_first(m));)
        job_free(j);
    mem_free(m);
}

enum err matching_add(struct matching *m, struct bus_question *q, int64_t give_up_ms)
{
    if (m->n == MATCHING_MAX)
        return ERR_FULL;
    struct job *j = mem_zalloc(sizeof(*j));
    j->question = bus_question_ref(q);
    j->cursor = HUB_CURSOR_BEGIN;
    j->give_up_ms = give_up_ms;
    put_last(m, j);
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

/* The next name; false: that was the last one. */
static bool next_name(struct matching *m, struct job *j, struct str *name)
{
    while (!names_next(&j->rest, name)) {
        if (j->cursor == HUB_CURSOR_END)
            return false;
        buf_clear(&j->names);
        j->cursor = m->names(m->ctx, j->question, j->cursor, &j->names);
        j->rest = buf_as_str(&j->names);
    }
    return true;
}

/* True: the job is finished. */
static bool match_some(struct matching *m, struct job *j, int64_t until_us)
{
    struct str name;
    size_t work = 0;
    while (next_name(m, j, &name)) {
        if (pattern_match(j->question->pattern, name))
            add_match(j, name);
        work += name.len + NAME_BYTES;
        if (work < LOOK_BYTES)
            continue;
        work = 0;
        if (loop_clock_us() >= until_us)
            return !j->rest.len && j->cursor == HUB_CURSOR_END;
    }
    return true;
}

bool matching_run(struct matching *m, int64_t now_ms)
{
    if (!m->n)
        return false;
    int64_t now_us = loop_clock_us(), slice_us = now_us - m->ended_us;
    if (slice_us < MATCHING_SLICE_US || !m->ended_us)
        slice_us = MATCHING_SLICE_US;
    if (slice_us > MATCHING_SLICE_MAX_US)
        slice_us = MATCHING_SLICE_MAX_US;
    int64_t until_us = now_us + slice_us;
    for (struct job *j; now_us < until_us && (j = take_first(m)); now_us = loop_clock_us()) {
        if (now_ms >= j->give_up_ms) {
            job_free(j);
        } else if (match_some(m, j, now_us + MATCHING_TURN_US)) {
            m->done(m->ctx, j->question, &j->part);
            job_free(j);
        } else {
            put_last(m, j);
        }
    }
    m->ended_us = m->n ? now_us : 0;
    return m->n;
}
