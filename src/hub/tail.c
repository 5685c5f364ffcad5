#include "hub/tail.h"
#include <assert.h>
#include "base/mem.h"

enum { FRAMES_MIN = 16 };

static struct tail_frame *at(const struct tail *t, uint32_t i)
{
    return &t->frames[(t->head + i) & (t->cap - 1)];
}

static void drop_first(struct tail *t)
{
    struct tail_frame *f = at(t, 0);
    t->bytes -= f->to - f->from;
    blob_unref(f->chunk);
    t->head = (t->head + 1) & (t->cap - 1);
    t->n--;
}

void tail_fini(struct tail *t)
{
    while (t->n)
        drop_first(t);
    if (t->chunk)
        blob_unref(t->chunk);
    mem_free(t->frames);
    *t = (struct tail){0};
}

bool tail_is_full(const struct tail *t)
{
    return t->n == TAIL_FRAMES_MAX || t->bytes >= TAIL_BYTES_MAX;
}

static void grow(struct tail *t)
{
    uint32_t cap = t->cap ? 2 * t->cap : FRAMES_MIN;
    struct tail_frame *frames = mem_alloc(cap * sizeof(*frames));
    for (uint32_t i = 0; i < t->n; i++)
        frames[i] = *at(t, i);
    mem_free(t->frames);
    t->frames = frames;
    t->cap = cap;
    t->head = 0;
}

/* Copies the frame behind the last one. */
static struct tail_frame put_in_chunk(struct tail *t, const struct blob *frame)
{
    if (t->chunk_room < frame->len) {
        if (t->chunk)
            blob_unref(t->chunk);
        t->chunk = blob_new(TAIL_CHUNK_BYTES);
        t->chunk->len = 0;
        t->chunk_room = TAIL_CHUNK_BYTES;
    }
    struct blob *chunk = t->chunk;
    memcpy(chunk->bytes + chunk->len, frame->bytes, frame->len);
    chunk->len += frame->len;
    t->chunk_room -= frame->len;
    return (struct tail_frame){blob_ref(chunk), chunk->len - frame->len, chunk->len};
}

void tail_append(struct tail *t, struct blob *frame)
{
    if (t->n == t->cap)
        grow(t);
    *at(t, t->n) = frame->len > TAIL_COPY_MAX ? (struct tail_frame){blob_ref(frame), 0, frame->len}
                                              : put_in_chunk(t, frame);
    t->n++;
    t->bytes += frame->len;
    t->end = (t->end + 1) & TAIL_NUMBERS;
}

void tail_trim(struct tail *t, uint32_t from)
{
    uint32_t keep = tail_lag(from, t->end);
    while (t->n > keep)
        drop_first(t);
}

static void find(struct tail *t, uint32_t from)
{
    uint32_t i = t->n - tail_lag(from, t->end);
    t->n_found = 0;
    for (; i < t->n; i++) {
        const struct tail_frame *f = at(t, i);
        struct blob_range *last = t->n_found ? &t->found[t->n_found - 1] : NULL;
        if (last && last->blob == f->chunk && last->to == f->from) {
            last->to = f->to;
            continue;
        }
        if (t->n_found == TAIL_RANGES)
            break;
        t->found[t->n_found++] = (struct blob_range){f->chunk, f->from, f->to};
    }
    t->found_from = from;
    t->found_end = t->end;
    t->found_next = (t->end - (t->n - i)) & TAIL_NUMBERS;
}

unsigned tail_ranges(struct tail *t, uint32_t from, const struct blob_range **ranges,
                     uint32_t *next)
{
    assert(tail_lag(from, t->end) <= t->n);
    if (!t->n_found || t->found_from != from || t->found_end != t->end)
        find(t, from);
    *ranges = t->found;
    *next = t->found_next;
    return t->n_found;
}
