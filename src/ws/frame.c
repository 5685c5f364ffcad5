#include "ws/frame.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    HEADER_IN_MAX = 14, /* two bytes, eight of length, four of mask */
    MASK_LEN = 4,
    REASON_MAX = WS_CONTROL_MAX - 2,
    KEEP_MIN = 128, /* bytes: what a cut message allocates first */
};

struct head {
    enum ws_op op;
    bool final, compressed;
    unsigned size;                /* bytes of the header itself */
    uint64_t len;                 /* payload bytes */
    unsigned char mask[MASK_LEN]; /* begins with the byte for the next payload byte */
};

struct ws_partial {
    enum ws_op op; /* of the message; WS_CONTINUATION while none has begun */
    bool in_frame; /* `head` is read, `left` bytes of its payload are not */
    bool compressed;
    bool given; /* nothing is partial any more: all of this goes at the next call */
    unsigned char header_len, control_len;
    uint32_t utf8; /* state of utf8_feed */
    struct head head;
    uint64_t left;
    char *data; /* owned: what has come of the message, unmasked */
    size_t data_len, data_cap;
    unsigned char header[HEADER_IN_MAX]; /* a header that is cut */
    char control[WS_CONTROL_MAX];        /* a control frame that is cut */
};

void ws_reader_init(struct ws_reader *r)
{
    *r = (struct ws_reader){0};
}

void ws_reader_fini(struct ws_reader *r)
{
    if (r->partial)
        mem_free(r->partial->data);
    mem_free(r->partial);
    r->partial = NULL;
}

static struct ws_partial *partial_of(struct ws_reader *r)
{
    if (!r->partial)
        r->partial = mem_zalloc(sizeof *r->partial);
    return r->partial;
}

bool ws_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum err failed(struct ws_message *out, enum ws_code code, struct str reason)
{
    *out = (struct ws_message){.op = WS_CLOSE, .data = reason, .code = (uint16_t)code};
    return ERR_PROTO;
}

static enum err broken(struct ws_message *out, struct str reason)
{
    return failed(out, WS_PROTOCOL_ERROR, reason);
}

static enum err not_utf8(struct ws_message *out)
{
    return failed(out, WS_INVALID_DATA, STR("text is not UTF-8"));
}

static bool is_control(enum ws_op op)
{
    return op >= WS_CLOSE;
}

static uint64_t big_endian(const unsigned char *p, unsigned len)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < len; i++)
        n = n << 8 | p[i];
    return n;
}

/* Judges the first `n` bytes of a frame. It looks at each byte as soon as it is there, and only
 * at those before it: so it does not matter how the input was cut. `message` is the operation of
 * the message that has begun, WS_CONTINUATION if none has; `room` is what it may still take. */
static enum err read_header(struct head *h, const unsigned char *p, size_t n, bool from_server,
                            bool deflate, enum ws_op message, size_t room, struct ws_message *out)
{
    unsigned mask_len = from_server ? 0 : MASK_LEN;
    if (n < 1)
        return ERR_AGAIN;
    h->final = p[0] & 0x80;
    h->op = p[0] & 0x0f;
    h->compressed = p[0] & WS_COMPRESSED;
    if (p[0] & 0x30 || (h->compressed && (!deflate || is_control(h->op))))
        return broken(out, STR("reserved bits are set"));
    switch (h->op) {
    case WS_CONTINUATION:
        if (message == WS_CONTINUATION)
            return broken(out, STR("continuation of nothing"));
        if (h->compressed)
            return broken(out, STR("reserved bits are set"));
        break;
    case WS_TEXT:
    case WS_BINARY:
        if (message != WS_CONTINUATION)
            return broken(out, STR("new message within a message"));
        break;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        if (!h->final)
            return broken(out, STR("fragmented control frame"));
        break;
    default:
        return broken(out, STR("unknown opcode"));
    }

    if (n < 2)
        return ERR_AGAIN;
    bool masked = p[1] & 0x80;
    if (masked == from_server)
        return broken(out, masked ? STR("frame is masked") : STR("frame is not masked"));
    h->len = p[1] & 0x7f;
    if (is_control(h->op) && h->len > WS_CONTROL_MAX)
        return broken(out, STR("control frame is too long"));
    unsigned extended = h->len == 126 ? 2 : h->len == 127 ? 8 : 0;
    if (extended) {
        if (n < 2 + extended)
            return ERR_AGAIN;
        h->len = big_endian(p + 2, extended);
        /* The shortest form is a must (section 5.2). */
        if (h->len < (extended == 2 ? 126u : 65536u))
            return broken(out, STR("length is not minimal"));
        if (h->len >> 63)
            return broken(out, STR("length is out of range"));
    }
    if (!is_control(h->op) && h->len > room)
        return failed(out, WS_TOO_BIG, STR("message is too big"));

    h->size = 2 + extended + mask_len;
    if (n < h->size)
        return ERR_AGAIN;
    memset(h->mask, 0, MASK_LEN); /* a frame without a mask is one with a mask of zeros */
    memcpy(h->mask, p + 2 + extended, mask_len);
    return ERR_OK;
}

static void unmask(char *p, size_t len, const unsigned char mask[MASK_LEN])
{
    uint64_t mask8;
    memcpy(&mask8, mask, MASK_LEN);
    memcpy((char *)&mask8 + MASK_LEN, mask, MASK_LEN);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t eight;
        memcpy(&eight, p + i, 8);
        eight ^= mask8;
        memcpy(p + i, &eight, 8);
    }
    for (; i < len; i++)
        p[i] ^= (char)mask[i % MASK_LEN];
}

/* Turns the mask to the byte that comes `len` bytes later. */
static void mask_advance(unsigned char mask[MASK_LEN], size_t len)
{
    unsigned char old[MASK_LEN];
    memcpy(old, mask, MASK_LEN);
    for (unsigned i = 0; i < MASK_LEN; i++)
        mask[i] = old[(i + len) % MASK_LEN];
}

static enum err give_control(struct ws_message *out, enum ws_op op, struct str data)
{
    uint16_t code = 0;
    if (op == WS_CLOSE && !data.len) {
        code = WS_NO_STATUS;
    } else if (op == WS_CLOSE) {
        if (data.len < 2)
            return broken(out, STR("close code is cut"));
        code = (uint16_t)big_endian((const unsigned char *)data.p, 2);
        if (!ws_code_valid(code))
            return broken(out, STR("close code is not allowed"));
        data.p += 2;
        data.len -= 2;
        if (!utf8_valid(data))
            return failed(out, WS_INVALID_DATA, STR("close reason is not UTF-8"));
    }
    *out = (struct ws_message){.op = op, .data = data, .code = code};
    return ERR_OK;
}

/* Appends to the message. Memory doubles with what really came, whatever was announced, and
 * stops at `most`, which the message will not exceed. */
static void keep(struct ws_partial *m, const char *p, size_t len, size_t most)
{
    size_t need = m->data_len + len;
    if (m->data_cap < need) {
        size_t cap = m->data_cap > most / 2 ? most : m->data_cap * 2;
        if (cap < KEEP_MIN)
            cap = KEEP_MIN < most ? KEEP_MIN : most;
        if (cap < need)
            cap = need;
        m->data = mem_realloc(m->data, cap);
        m->data_cap = cap;
    }
    if (len)
        memcpy(m->data + m->data_len, p, len);
    m->data_len = need;
}

/* Takes what is there of the payload of the frame in `m->head`; ERR_AGAIN if that was all and
 * no message is whole by it. */
static enum err read_payload(struct ws_partial *m, char **p, size_t *len, size_t message_max,
                             struct ws_message *out)
{
    struct head *h = &m->head;
    size_t taken = *len < m->left ? *len : (size_t)m->left;
    char *data = *p;
    unmask(data, taken, h->mask);
    mask_advance(h->mask, taken);
    *p += taken;
    *len -= taken;
    m->left -= taken;
    bool frame_ends = !m->left;

    if (is_control(h->op)) {
        struct str whole = {data, taken};
        if (m->control_len || !frame_ends) {
            if (taken)
                memcpy(m->control + m->control_len, data, taken);
            m->control_len += (unsigned char)taken;
            whole = str_make(m->control, m->control_len);
        }
        if (!frame_ends)
            return ERR_AGAIN;
        m->in_frame = false;
        m->control_len = 0;
        m->given = m->op == WS_CONTINUATION;
        return give_control(out, h->op, whole);
    }

    if (m->op == WS_TEXT && !m->compressed && !utf8_feed(&m->utf8, str_make(data, taken)))
        return not_utf8(out);
    /* The last frame says how long the message becomes; before it only the limit is known. */
    size_t most = m->data_len + taken + (size_t)m->left;
    if (!h->final && most < message_max)
        most = message_max;
    keep(m, data, taken, most);
    if (!frame_ends)
        return ERR_AGAIN;
    m->in_frame = false;
    if (!h->final)
        return ERR_AGAIN;
    if (m->op == WS_TEXT && !m->compressed && m->utf8 != UTF8_WHOLE)
        return not_utf8(out);
    m->given = true;
    *out = (struct ws_message){.op = m->op,
                               .data = str_make(m->data ? m->data : "", m->data_len),
                               .compressed = m->compressed};
    return ERR_OK;
}

/* Reads the header of the next frame into *h. What is cut of it is kept until the rest comes. */
static enum err next_header(struct ws_reader *r, struct head *h, char **p, size_t *len,
                            bool from_server, const struct ws_rules *rules, struct ws_message *out)
{
    struct ws_partial *m = r->partial;
    enum ws_op message = m ? m->op : WS_CONTINUATION;
    size_t have = m ? m->data_len : 0;
    size_t room = have < rules->message_max ? rules->message_max - have : 0;
    enum err e;
    if (!m || !m->header_len) {
        e = read_header(h, (const unsigned char *)*p, *len, from_server, rules->deflate, message,
                        room, out);
        if (e == ERR_OK) {
            *p += h->size;
            *len -= h->size;
        }
        if (e != ERR_AGAIN || !*len)
            return e;
        m = partial_of(r);
        memcpy(m->header, *p, *len);
        m->header_len = (unsigned char)*len;
        *p += *len;
        *len = 0;
        return ERR_AGAIN;
    }
    while (*len) {
        m->header[m->header_len++] = (unsigned char)*(*p)++;
        --*len;
        e = read_header(h, m->header, m->header_len, from_server, rules->deflate, message, room,
                        out);
        if (e == ERR_OK)
            m->header_len = 0;
        if (e != ERR_AGAIN)
            return e;
    }
    return ERR_AGAIN;
}

static enum err read_message(struct ws_reader *r, char **p, size_t *len, bool from_server,
                             const struct ws_rules *rules, struct ws_message *out)
{
    if (r->partial && r->partial->given)
        ws_reader_fini(r);
    for (;;) {
        struct ws_partial *m = r->partial;
        enum err e;
        if (!m || !m->in_frame) {
            struct head h;
            e = next_header(r, &h, p, len, from_server, rules, out);
            if (e)
                return e;
            m = r->partial;

            /* The common case, a frame that is all there, needs no memory. */
            if (h.len <= *len && (is_control(h.op) || (h.final && h.op != WS_CONTINUATION))) {
                struct str data = {*p, (size_t)h.len};
                unmask(*p, data.len, h.mask);
                *p += data.len;
                *len -= data.len;
                if (m)
                    m->given = m->op == WS_CONTINUATION;
                if (is_control(h.op))
                    return give_control(out, h.op, data);
                if (h.op == WS_TEXT && !h.compressed && !utf8_valid(data))
                    return not_utf8(out);
                *out = (struct ws_message){.op = h.op, .data = data, .compressed = h.compressed};
                return ERR_OK;
            }

            m = partial_of(r);
            m->head = h;
            m->left = h.len;
            m->in_frame = true;
            if (h.op == WS_TEXT || h.op == WS_BINARY) {
                m->op = h.op;
                m->compressed = h.compressed;
            }
        }
        e = read_payload(m, p, len, rules->message_max, out);
        if (e != ERR_AGAIN || !*len)
            return e;
    }
}

enum err ws_read(struct ws_reader *r, char **p, size_t *len, const struct ws_rules *rules,
                 struct ws_message *out)
{
    return read_message(r, p, len, false, rules, out);
}

enum err ws_read_from_server(struct ws_reader *r, char **p, size_t *len,
                             const struct ws_rules *rules, struct ws_message *out)
{
    return read_message(r, p, len, true, rules, out);
}

unsigned ws_frame_header(char out[WS_HEADER_MAX], unsigned op, uint64_t len)
{
    unsigned char *h = (unsigned char *)out;
    h[0] = (unsigned char)(0x80 | op);
    unsigned extended = len < 126 ? 0 : len < 65536 ? 2 : 8;
    h[1] = (unsigned char)(extended == 0 ? len : extended == 2 ? 126 : 127);
    for (unsigned i = 0; i < extended; i++)
        h[2 + i] = (unsigned char)(len >> 8 * (extended - 1 - i));
    return 2 + extended;
}

void ws_frame_close(struct buf *out, uint16_t code, struct str reason)
{
    if (code == WS_NO_STATUS) {
        out->len += ws_frame_header(buf_reserve(out, WS_HEADER_MAX), WS_CLOSE, 0);
        return;
    }
    if (reason.len > REASON_MAX) {
        reason.len = REASON_MAX;
        while (reason.len && ((unsigned char)reason.p[reason.len] & 0xc0) == 0x80)
            reason.len--;
    }
    out->len += ws_frame_header(buf_reserve(out, WS_HEADER_MAX), WS_CLOSE, 2 + reason.len);
    buf_char(out, (char)(code >> 8));
    buf_char(out, (char)(code & 0xff));
    buf_str(out, reason);
}
