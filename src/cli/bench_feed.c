#include "cli/bench_feed.h"
#include "base/mem.h"

enum {
    KEPT_BYTES = WS_HEADER_MAX + BENCH_FEED_HEAD,
    FIN = 0x80,
    RESERVED = 0x70,
    MASKED = 0x80,
};

void bench_feed_init(struct bench_feed *f)
{
    *f = (struct bench_feed){0};
}

void bench_feed_fini(struct bench_feed *f)
{
    mem_free(f->kept);
    *f = (struct bench_feed){0};
}

/* Bytes of the header that begins with these two. */
static unsigned header_bytes(const unsigned char *p)
{
    unsigned len = p[1] & 0x7f;
    return len == 127 ? 10 : len == 126 ? 4 : 2;
}

/* Reads a whole header. ERR_PROTO: a server may not send it. */
static enum err read_header(const unsigned char *p, struct bench_frame *out)
{
    unsigned n = header_bytes(p);
    out->op = p[0] & 15;
    out->len = p[1] & 0x7f;
    if (n > 2) {
        out->len = 0;
        for (unsigned i = 2; i < n; i++)
            out->len = out->len << 8 | p[i];
    }
    bool control = out->op >= WS_CLOSE;
    if (p[0] & RESERVED || p[1] & MASKED || out->op > WS_PONG ||
        (out->op > WS_BINARY && !control) || out->len >> 63)
        return ERR_PROTO;
    return control && (out->len > WS_CONTROL_MAX || !(p[0] & FIN)) ? ERR_PROTO : ERR_OK;
}

static unsigned head_bytes(const struct bench_frame *frame)
{
    return frame->len < BENCH_FEED_HEAD ? (unsigned)frame->len : BENCH_FEED_HEAD;
}

/* Keeps input until `wanted` bytes are kept; false: there was not enough. */
static bool keep(struct bench_feed *f, unsigned wanted, const char **p, size_t *len)
{
    if (f->n_kept >= wanted)
        return true;
    size_t n = wanted - f->n_kept < *len ? wanted - f->n_kept : *len;
    memcpy(f->kept + f->n_kept, *p, n);
    f->n_kept += (uint32_t)n;
    *p += n;
    *len -= n;
    return f->n_kept == wanted;
}

/* A frame that is cut: its header, its head, and what is only passed over. */
static enum err next_cut(struct bench_feed *f, const char **p, size_t *len, struct bench_frame *out)
{
    if (!f->kept)
        f->kept = mem_alloc(KEPT_BYTES);
    const unsigned char *kept = (const unsigned char *)f->kept;
    if (!keep(f, 2, p, len) || !keep(f, header_bytes(kept), p, len))
        return ERR_AGAIN;
    enum err e = read_header(kept, out);
    if (e)
        return e;
    unsigned header = header_bytes(kept), head = head_bytes(out);
    if (!keep(f, header + head, p, len))
        return ERR_AGAIN;
    uint64_t left = out->len - head - f->skipped;
    size_t n = left < *len ? (size_t)left : *len;
    *p += n;
    *len -= n;
    f->skipped += n;
    if (n < left)
        return ERR_AGAIN;
    out->head = str_make(f->kept + header, head);
    f->n_kept = 0;
    f->skipped = 0;
    return ERR_OK;
}

enum err bench_feed_next(struct bench_feed *f, const char **p, size_t *len, struct bench_frame *out)
{
    const unsigned char *at = (const unsigned char *)*p;
    if (f->n_kept)
        return next_cut(f, p, len, out);
    if (!*len)
        return ERR_AGAIN;
    if (*len < 2 || *len < header_bytes(at))
        return next_cut(f, p, len, out);
    enum err e = read_header(at, out);
    if (e)
        return e;
    unsigned header = header_bytes(at);
    if (*len - header < out->len)
        return next_cut(f, p, len, out);
    out->head = str_make(*p + header, head_bytes(out));
    *p += header + out->len;
    *len -= header + out->len;
    return ERR_OK;
}
