#include "ws/deflate.h"
#include <assert.h>
#include <limits.h>
#include <zlib.h>
#include "base/mem.h"

enum {
    WINDOW_BITS = -15, /* raw: no header, no checksum */
    LEVEL = 3,
    MEMORY_LEVEL = 8,
    STEP = 16 * 1024, /* bytes that are made room for at once */
};

/* What ends a message's last block, and is left out on the wire. */
static const unsigned char block_end[] = {0, 0, 0xff, 0xff};

struct ws_deflate {
    z_stream out, in;
    bool has_out, has_in;
};

static void *take(void *ctx, unsigned n, unsigned size)
{
    (void)ctx;
    return mem_alloc((size_t)n * size);
}

static void give_back(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

struct ws_deflate *ws_deflate_new(void)
{
    struct ws_deflate *d = mem_zalloc(sizeof(*d));
    d->out.zalloc = d->in.zalloc = take;
    d->out.zfree = d->in.zfree = give_back;
    return d;
}

void ws_deflate_free(struct ws_deflate *d)
{
    if (!d)
        return;
    if (d->has_out)
        deflateEnd(&d->out);
    if (d->has_in)
        inflateEnd(&d->in);
    mem_free(d);
}

static void set_input(z_stream *z, const void *p, size_t len)
{
    assert(len <= UINT_MAX);
    z->next_in = (void *)p; /* zlib does not write to it */
    z->avail_in = (unsigned)len;
}

void ws_deflate(struct ws_deflate *d, struct str payload, struct buf *out)
{
    z_stream *z = &d->out;
    size_t begin = out->len;
    int r = d->has_out
                ? deflateReset(z)
                : deflateInit2(z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    assert(r == Z_OK);
    d->has_out = true;
    set_input(z, payload.p, payload.len);
    do {
        z->next_out = (void *)buf_reserve(out, STEP);
        z->avail_out = STEP;
        r = deflate(z, Z_SYNC_FLUSH);
        assert(r == Z_OK || r == Z_BUF_ERROR);
        out->len += STEP - z->avail_out;
    } while (!z->avail_out);
    assert(!z->avail_in && out->len - begin >= sizeof(block_end));
    out->len -= sizeof(block_end);
}

/* Appends what comes out of the input that is set; ERR_OK: all of that is used up. */
static enum err inflate_on(z_stream *z, size_t begin, size_t max, struct buf *out)
{
    for (;;) {
        /* A byte more than allowed shows that there is more. */
        size_t room = max - (out->len - begin) + 1;
        unsigned step = room < STEP ? (unsigned)room : STEP;
        z->next_out = (void *)buf_reserve(out, step);
        z->avail_out = step;
        int r = inflate(z, Z_SYNC_FLUSH);
        out->len += step - z->avail_out;
        if (out->len - begin > max) {
            out->len = begin + max;
            return ERR_LIMIT;
        }
        if (r == Z_STREAM_END)
            return ERR_OK; /* what may follow is padding (section 7.2.3.5) */
        if (r != Z_OK && r != Z_BUF_ERROR)
            return ERR_PROTO;
        if (z->avail_out)
            return ERR_OK;
    }
}

enum err ws_inflate(struct ws_deflate *d, struct str data, size_t max, struct buf *out)
{
    z_stream *z = &d->in;
    size_t begin = out->len;
    int r = d->has_in ? inflateReset(z) : inflateInit2(z, WINDOW_BITS);
    assert(r == Z_OK);
    d->has_in = true;
    set_input(z, data.p, data.len);
    enum err e = inflate_on(z, begin, max, out);
    if (e)
        return e;
    set_input(z, block_end, sizeof(block_end));
    return inflate_on(z, begin, max, out);
}

/* ---- negotiation ---- */

/* One offer while it is read. */
struct offer {
    bool server_no_context, client_no_context, server_bits, client_bits;
};

/* A parameter's value: a number of window bits, 8 to 15, perhaps in quotes. 0: none. */
static unsigned window_bits(struct str value)
{
    if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
        value = str_make(value.p + 1, value.len - 2);
    if (value.len == 1 && (value.p[0] == '8' || value.p[0] == '9'))
        return (unsigned)(value.p[0] - '0');
    if (value.len == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5')
        return 10 + (unsigned)(value.p[1] - '0');
    return 0;
}

static bool once(bool *seen)
{
    bool is_first = !*seen;
    *seen = true;
    return is_first;
}

/* False: the offer is not for us. */
static bool take_parameter(struct offer *o, struct str parameter)
{
    bool has_value = memchr(parameter.p, '=', parameter.len);
    struct str value = parameter, name = str_trim(str_cut(&value, '='));
    value = str_trim(value);
    if (str_eq_nocase(name, STR("server_no_context_takeover")))
        return once(&o->server_no_context) && !has_value;
    if (str_eq_nocase(name, STR("client_no_context_takeover")))
        return once(&o->client_no_context) && !has_value;
    if (str_eq_nocase(name, STR("client_max_window_bits")))
        return once(&o->client_bits) && (!has_value || window_bits(value));
    /* What is shared has the full window. */
    if (str_eq_nocase(name, STR("server_max_window_bits")))
        return once(&o->server_bits) && window_bits(value) == 15;
    return false;
}

static bool is_for_us(struct str offer, struct offer *o)
{
    *o = (struct offer){0};
    if (!str_eq_nocase(str_trim(str_cut(&offer, ';')), STR("permessage-deflate")))
        return false;
    while (offer.len) {
        struct str parameter = str_trim(str_cut(&offer, ';'));
        if (!parameter.len || !take_parameter(o, parameter))
            return false;
    }
    return true;
}

struct str ws_deflate_answer(struct str offers)
{
    struct offer o;
    while (offers.len) {
        if (is_for_us(str_cut(&offers, ','), &o))
            return o.server_bits ? STR("permessage-deflate; server_no_context_takeover; "
                                       "client_no_context_takeover; server_max_window_bits=15")
                                 : STR("permessage-deflate; server_no_context_takeover; "
                                       "client_no_context_takeover");
    }
    return STR_EMPTY;
}
