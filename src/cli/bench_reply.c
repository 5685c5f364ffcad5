#include "cli/bench_reply.h"
#include <stdio.h>
#include "base/str.h"

void bench_reply_init(struct bench_reply *r, size_t body_max)
{
    *r = (struct bench_reply){.body_max = body_max};
}

void bench_reply_fini(struct bench_reply *r)
{
    buf_fini(&r->head);
    buf_fini(&r->body);
}

void bench_reply_clear(struct bench_reply *r)
{
    r->part = BENCH_REPLY_HEAD;
    r->status = 0;
    r->closes = false;
    r->left = 0;
    buf_clear(&r->head);
    buf_clear(&r->body);
}

/* ---- the head ---- */

static bool read_number(struct str text, unsigned base, uint64_t *out)
{
    uint64_t n = 0;
    if (!text.len || text.len > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = str_hex_digit(text.p[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return false;
        n = n * base + (unsigned)digit;
    }
    *out = n;
    return true;
}

static enum err read_status(struct bench_reply *r, struct str line)
{
    uint64_t status;
    if (line.len < 12 || !str_starts(line, STR("HTTP/1.")) || line.p[8] != ' ' ||
        !read_number(str_make(line.p + 9, 3), 10, &status) || status < 100)
        return ERR_PROTO;
    r->status = (unsigned)status;
    r->closes = line.p[7] == '0';
    return ERR_OK;
}

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

static enum err read_header(struct bench_reply *r, struct framing *f, struct str line)
{
    struct str name = str_cut(&line, ':'), value = str_trim(line);
    if (str_eq_nocase(name, STR("content-length"))) {
        f->has_length = read_number(value, 10, &f->length);
        return f->has_length ? ERR_OK : ERR_PROTO;
    }
    if (str_eq_nocase(name, STR("transfer-encoding")))
        f->chunked = str_has_token(value, STR("chunked"));
    else if (str_eq_nocase(name, STR("connection")))
        r->closes = str_has_token(value, STR("close")) ||
                    (r->closes && !str_has_token(value, STR("keep-alive")));
    return ERR_OK;
}

/* Judges a whole head: where does the body end? */
static enum err read_head(struct bench_reply *r, struct str head)
{
    struct framing f = {0};
    struct str line = str_trim(str_cut(&head, '\n'));
    enum err e = read_status(r, line);
    while (!e && head.len) {
        line = str_trim(str_cut(&head, '\n'));
        if (line.len)
            e = read_header(r, &f, line);
    }
    if (e)
        return e;
    if (r->status < 200 || r->status == 204 || r->status == 304)
        f = (struct framing){.has_length = true};
    r->left = f.length;
    r->part = f.chunked      ? BENCH_REPLY_CHUNK_SIZE
              : f.has_length ? BENCH_REPLY_BODY
                             : BENCH_REPLY_TO_THE_END;
    r->closes = r->closes || r->part == BENCH_REPLY_TO_THE_END;
    return ERR_OK;
}

/* Takes input up to and with `end` into r->head, whole when ERR_OK. */
static enum err take_until(struct bench_reply *r, struct str end, const char **p, size_t *len)
{
    size_t before = r->head.len;
    size_t n = *len < BENCH_REPLY_HEAD_MAX ? *len : BENCH_REPLY_HEAD_MAX;
    buf_add(&r->head, *p, n);
    size_t from = before >= end.len - 1 ? before - (end.len - 1) : 0; /* it may lie across */
    const char *found = memmem(r->head.p + from, r->head.len - from, end.p, end.len);
    size_t whole = found ? (size_t)(found - r->head.p) + end.len : r->head.len;
    if (whole > BENCH_REPLY_HEAD_MAX)
        return ERR_LIMIT;
    size_t used = whole - before;
    r->head.len = whole;
    *p += used;
    *len -= used;
    return found ? ERR_OK : whole == BENCH_REPLY_HEAD_MAX ? ERR_LIMIT : ERR_AGAIN;
}

/* ---- the body ---- */

/* Passes what has come of `left` bytes, keeping the first ones. */
static void take_body(struct bench_reply *r, const char **p, size_t *len)
{
    size_t n = r->left < *len ? (size_t)r->left : *len;
    size_t room = r->body_max > r->body.len ? r->body_max - r->body.len : 0;
    buf_add(&r->body, *p, n < room ? n : room);
    *p += n;
    *len -= n;
    r->left -= n;
}

static enum err read_chunk_size(struct bench_reply *r)
{
    struct str line = buf_as_str(&r->head);
    line = str_trim(str_cut(&line, ';')); /* extensions mean nothing to us */
    if (!read_number(line, 16, &r->left))
        return ERR_PROTO;
    r->part = r->left ? BENCH_REPLY_CHUNK : BENCH_REPLY_TRAILER;
    buf_clear(&r->head);
    return ERR_AGAIN;
}

/* One step in the present part; ERR_AGAIN also when another part has begun. */
static enum err step(struct bench_reply *r, const char **p, size_t *len)
{
    enum err e;
    switch (r->part) {
    case BENCH_REPLY_HEAD:
        e = take_until(r, STR("\r\n\r\n"), p, len);
        if (!e)
            e = read_head(r, buf_as_str(&r->head));
        if (e || r->status == 101)
            return e;
        buf_clear(&r->head);
        if (r->status < 200) {
            bench_reply_clear(r);
            return ERR_AGAIN;
        }
        return r->part == BENCH_REPLY_BODY && !r->left ? ERR_OK : ERR_AGAIN;
    case BENCH_REPLY_BODY:
        take_body(r, p, len);
        return r->left ? ERR_AGAIN : ERR_OK;
    case BENCH_REPLY_CHUNK_SIZE:
        e = take_until(r, STR("\n"), p, len);
        return e ? e : read_chunk_size(r);
    case BENCH_REPLY_CHUNK:
        take_body(r, p, len);
        if (!r->left)
            r->part = BENCH_REPLY_CHUNK_END;
        return ERR_AGAIN;
    case BENCH_REPLY_CHUNK_END:
        e = take_until(r, STR("\n"), p, len);
        if (e)
            return e;
        buf_clear(&r->head);
        r->part = BENCH_REPLY_CHUNK_SIZE;
        return ERR_AGAIN;
    case BENCH_REPLY_TRAILER:
        e = take_until(r, STR("\n"), p, len);
        if (e)
            return e;
        bool last = !str_trim(buf_as_str(&r->head)).len;
        buf_clear(&r->head);
        return last ? ERR_OK : ERR_AGAIN;
    case BENCH_REPLY_TO_THE_END:
        r->left = *len;
        take_body(r, p, len);
        return ERR_AGAIN;
    }
    return ERR_PROTO;
}

enum err bench_reply_read(struct bench_reply *r, const char **p, size_t *len)
{
    while (*len) {
        enum err e = step(r, p, len);
        if (e != ERR_AGAIN)
            return e;
    }
    return ERR_AGAIN;
}

bool bench_reply_ends_with_connection(const struct bench_reply *r)
{
    return r->part == BENCH_REPLY_TO_THE_END;
}

void bench_reply_describe(const struct bench_reply *r, char *out, size_t out_len)
{
    struct str body = buf_as_str(&r->body);
    struct str line = str_trim(str_cut(&body, '\n'));
    int len = line.len > 100 ? 100 : (int)line.len;
    snprintf(out, out_len, "%u%s%.*s", r->status, len ? " " : "", len, line.p);
    /* It goes to a terminal, and who sent it is not known. */
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    }
}
