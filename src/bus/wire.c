#include "bus/wire.h"
#include <endian.h>
#include <stddef.h>

enum { HEAD_BYTES = 3, FIELD_HEAD_BYTES = 5 };

/* Tags stay what they are for ever. */
enum field_type { TEXT, U32, U64, FLAG };

static const struct field {
    uint8_t tag;
    enum field_type type;
    uint16_t offset;
} fields[] = {
    {1, U32, offsetof(struct wire, node)},          {2, U32, offsetof(struct wire, worker)},
    {3, U64, offsetof(struct wire, number)},        {4, U32, offsetof(struct wire, msg_kind)},
    {5, TEXT, offsetof(struct wire, app)},          {6, TEXT, offsetof(struct wire, target)},
    {7, TEXT, offsetof(struct wire, event)},        {8, TEXT, offsetof(struct wire, data)},
    {9, U32, offsetof(struct wire, question_kind)}, {10, U32, offsetof(struct wire, page_bytes)},
    {11, FLAG, offsetof(struct wire, count_only)},  {12, U64, offsetof(struct wire, seed)},
    {13, TEXT, offsetof(struct wire, channel)},     {14, TEXT, offsetof(struct wire, pattern)},
    {15, U32, offsetof(struct wire, from_worker)},  {16, U32, offsetof(struct wire, cursor)},
    {17, FLAG, offsetof(struct wire, follows)},     {18, U64, offsetof(struct wire, incarnation)},
    {19, U32, offsetof(struct wire, roles)},        {20, U32, offsetof(struct wire, n_workers)},
    {21, TEXT, offsetof(struct wire, server)},
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

static uint64_t number_of(const struct wire *w, const struct field *f)
{
    const char *at = (const char *)w + f->offset;
    switch (f->type) {
    case U32:
        return *(const uint32_t *)at;
    case U64:
        return *(const uint64_t *)at;
    case FLAG:
        return *(const bool *)at;
    case TEXT:
        break;
    }
    return 0;
}

static void add_field(struct buf *out, uint8_t tag, struct str bytes)
{
    char head[FIELD_HEAD_BYTES] = {(char)tag};
    uint32_t len = htobe32((uint32_t)bytes.len);
    memcpy(head + 1, &len, sizeof(len));
    buf_add(out, head, sizeof(head));
    buf_str(out, bytes);
}

void wire_write(struct buf *out, const struct wire *w)
{
    char head[HEAD_BYTES] = {'G', WIRE_VERSION, (char)w->kind};
    buf_add(out, head, sizeof(head));
    for (const struct field *f = fields; f < fields + N_FIELDS; f++) {
        if (f->type == TEXT) {
            const struct str *text = (const void *)((const char *)w + f->offset);
            if (text->len)
                add_field(out, f->tag, *text);
        } else if (number_of(w, f)) {
            uint64_t n = htobe64(number_of(w, f));
            add_field(out, f->tag, str_make((const char *)&n, sizeof(n)));
        }
    }
}

static const struct field *field_of(uint8_t tag)
{
    /* Tags are numbered from 1 on, without a gap. */
    return tag >= 1 && tag <= N_FIELDS ? &fields[tag - 1] : NULL;
}

static enum err read_field(struct wire *w, const struct field *f, struct str bytes)
{
    char *at = (char *)w + f->offset;
    uint64_t n;
    if (f->type == TEXT) {
        *(struct str *)at = bytes;
        return ERR_OK;
    }
    if (bytes.len != sizeof(n))
        return ERR_PROTO;
    memcpy(&n, bytes.p, sizeof(n));
    n = be64toh(n);
    if (n > UINT32_MAX && f->type != U64)
        return ERR_PROTO;
    if (f->type == U64)
        *(uint64_t *)at = n;
    else if (f->type == U32)
        *(uint32_t *)at = (uint32_t)n;
    else
        *(bool *)at = n != 0;
    return ERR_OK;
}

enum err wire_read(struct wire *out, struct str bytes)
{
    if (bytes.len < HEAD_BYTES || bytes.p[0] != 'G')
        return ERR_PROTO;
    if (bytes.p[1] != WIRE_VERSION || (uint8_t)bytes.p[2] >= WIRE_KINDS || !bytes.p[2])
        return ERR_LIMIT;
    *out = (struct wire){.kind = (enum wire_kind)bytes.p[2],
                         .app = STR_EMPTY,
                         .target = STR_EMPTY,
                         .event = STR_EMPTY,
                         .data = STR_EMPTY,
                         .channel = STR_EMPTY,
                         .pattern = STR_EMPTY,
                         .server = STR_EMPTY};
    for (size_t at = HEAD_BYTES; at < bytes.len;) {
        uint32_t len;
        if (bytes.len - at < FIELD_HEAD_BYTES)
            return ERR_PROTO;
        uint8_t tag = (uint8_t)bytes.p[at];
        memcpy(&len, bytes.p + at + 1, sizeof(len));
        len = be32toh(len);
        at += FIELD_HEAD_BYTES;
        if (len > bytes.len - at)
            return ERR_PROTO;
        const struct field *f = field_of(tag);
        if (!f && tag >= WIRE_NEEDED)
            return ERR_LIMIT;
        if (f && read_field(out, f, str_make(bytes.p + at, len)))
            return ERR_PROTO;
        at += len;
    }
    return ERR_OK;
}
