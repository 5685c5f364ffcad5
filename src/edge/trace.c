#include "edge/trace.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/utf8.h"

/* Records stand one behind the other, in multiples of 8 bytes. One that does not fit before the
 * ring's end begins at its start; a `bytes` with nothing more fills the gap. */
struct record {
    uint32_t bytes; /* all of it */
    uint32_t n;     /* 0: a gap */
    int64_t at_ms;
    uint64_t number;
    uint32_t app; /* the low half of its hash */
    uint16_t salt;
    uint8_t word_len, text_len;
    char text[]; /* both */
};

enum { GAP_BYTES = 8 };

void trace_fini(struct trace *t)
{
    mem_free(t->bytes);
    *t = (struct trace){0};
}

static struct record *at(const struct trace *t, uint32_t place)
{
    return (struct record *)(t->bytes + place);
}

static uint32_t behind(const struct trace *t, uint32_t place, uint32_t bytes)
{
    return (place + bytes) % t->cap;
}

static void drop_oldest(struct trace *t)
{
    uint32_t bytes = at(t, t->head)->bytes;
    t->head = behind(t, t->head, bytes);
    t->used -= bytes;
}

/* What is there moves to the beginning of a larger ring: the oldest first, without a gap. */
static void grow(struct trace *t)
{
    uint32_t cap = t->cap ? 2 * t->cap : TRACE_BYTES_BEGIN, used = 0;
    char *bytes = mem_alloc(cap);
    for (uint32_t done = 0, place = t->head; done < t->used;) {
        const struct record *r = at(t, place);
        uint32_t len = r->bytes;
        if (r->n) {
            memcpy(bytes + used, r, len);
            used += len;
        }
        done += len;
        place = behind(t, place, len);
    }
    mem_free(t->bytes);
    t->bytes = bytes;
    t->cap = cap;
    t->head = 0;
    t->used = used;
}

/* Room for `bytes` in one piece; the gap before it, if there has to be one, is in the ring already.
 */
static struct record *make_room(struct trace *t, uint32_t bytes)
{
    for (;;) {
        uint32_t end = t->cap ? behind(t, t->head, t->used) : 0;
        uint32_t to_end = t->cap - end, gap = to_end < bytes ? to_end : 0;
        if (t->cap && t->used + gap + bytes <= t->cap) {
            if (gap) {
                memcpy(t->bytes + end, &(uint32_t[]){gap, 0}, GAP_BYTES);
                t->used += gap;
                end = 0;
            }
            t->used += bytes;
            return at(t, end);
        }
        if (t->cap < TRACE_BYTES)
            grow(t);
        else
            drop_oldest(t);
    }
}

static uint32_t key_of(struct str app)
{
    return (uint32_t)hash_wide(app, hash_own_seed()).lo;
}

/* Whole characters of it. */
static struct str cut(struct str text, size_t max)
{
    if (text.len <= max)
        return text;
    text.len = max;
    while (text.len && !utf8_valid(text))
        text.len--;
    return text;
}

void trace_note(struct trace *t, const struct trace_socket *s, int64_t now_ms, struct str word,
                struct str text)
{
    word = cut(word, TRACE_WORD_MAX);
    text = cut(text, TRACE_TEXT_MAX);
    uint32_t bytes = (uint32_t)(sizeof(struct record) + word.len + text.len + 7) & ~7u;
    struct record *r = make_room(t, bytes);
    if (!++t->n_noted)
        t->n_noted = 1;
    *r = (struct record){.bytes = bytes,
                         .n = t->n_noted,
                         .at_ms = now_ms,
                         .number = s->number,
                         .app = key_of(s->app),
                         .salt = s->salt,
                         .word_len = (uint8_t)word.len,
                         .text_len = (uint8_t)text.len};
    memcpy(r->text, word.p, word.len);
    memcpy(r->text + word.len, text.p, text.len);
}

static bool may_note(struct trace_share *share, int64_t now_ms)
{
    const int64_t most = (int64_t)TRACE_BURST * TRACE_EACH_MS;
    /* A clock that was set back would keep it waiting. */
    if (share->calm_ms < now_ms || share->calm_ms > now_ms + most)
        share->calm_ms = now_ms;
    if (share->calm_ms + TRACE_EACH_MS > now_ms + most)
        return false;
    share->calm_ms += TRACE_EACH_MS;
    return true;
}

void trace_note_answer(struct trace *t, const struct trace_socket *s, int64_t now_ms,
                       struct str word, struct str text)
{
    struct trace_share *share = &t->shares[s->number % TRACE_SHARES];
    bool may = may_note(share, now_ms);
    if (share->number != s->number)
        share->n_left_out = 0;
    share->number = s->number;
    if (!may) {
        share->n_left_out++;
        return;
    }
    if (share->n_left_out) {
        char n[16];
        snprintf(n, sizeof(n), "%u", share->n_left_out);
        share->n_left_out = 0;
        trace_note(t, s, now_ms, STR("left_out"), str_of(n));
    }
    trace_note(t, s, now_ms, word, text);
}

static void tell(const struct record *r, struct buf *out)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "{\"n\":%u,\"time\":%lld,\"event\":", r->n, (long long)r->at_ms);
    json_quote(&text, str_make(r->text, r->word_len));
    buf_str(&text, STR(",\"detail\":"));
    json_quote(&text, str_make(r->text + r->word_len, r->text_len));
    buf_char(&text, '}');
    names_add(out, buf_as_str(&text));
    buf_fini(&text);
}

/* The next record at `*done` bytes behind the oldest that is of this socket; NULL at the end. */
static const struct record *next(const struct trace *t, const struct trace_socket *s, uint32_t app,
                                 int64_t since_ms, uint32_t *done)
{
    while (*done < t->used) {
        const struct record *r = at(t, behind(t, t->head, *done));
        *done += r->bytes;
        if (r->n && r->number == s->number && r->salt == s->salt && r->app == app &&
            r->at_ms >= since_ms)
            return r;
    }
    return NULL;
}

void trace_tell(const struct trace *t, const struct trace_socket *s, int64_t now_ms,
                struct buf *out)
{
    const uint32_t app = key_of(s->app);
    const int64_t since_ms = now_ms - TRACE_KEEP_MS;
    uint32_t n = 0, done = 0;
    while (next(t, s, app, since_ms, &done))
        n++;
    done = 0;
    for (const struct record *r; (r = next(t, s, app, since_ms, &done));) {
        if (n-- <= TRACE_TOLD_MAX)
            tell(r, out);
    }
}
