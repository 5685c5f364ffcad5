/* address.c - socket ids: UUIDs (RFC 9562 version 4 by their dress) that say where the socket is.
 *
 * Of the 122 free bits 32 name the node, 10 the worker, 64 the slot and its round, and 16 are
 * random. Nothing in an id is secret; it is only never used twice. */
#include "hub/table.h"

static const char digits[] = "0123456789abcdef";

static bool is_dash_place(unsigned at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

void hub_socket_id(const struct hub *h, const struct hub_socket *s, char out[HUB_SOCKET_ID_LEN])
{
    uint32_t node = h->options.node;
    uint32_t slot = (uint32_t)s->number, round = (uint32_t)(s->number >> 32);
    uint16_t worker = h->options.worker, salt = s->salt;
    const uint8_t bytes[16] = {
        (uint8_t)(node >> 24),
        (uint8_t)(node >> 16),
        (uint8_t)(node >> 8),
        (uint8_t)node,
        (uint8_t)(salt >> 8),
        (uint8_t)salt,
        (uint8_t)(0x40 | round >> 28),
        (uint8_t)(round >> 20),
        (uint8_t)(0x80 | (worker >> 4 & 0x3f)),
        (uint8_t)((worker & 15) << 4 | (round >> 16 & 15)),
        (uint8_t)(round >> 8),
        (uint8_t)round,
        (uint8_t)(slot >> 24),
        (uint8_t)(slot >> 16),
        (uint8_t)(slot >> 8),
        (uint8_t)slot,
    };
    unsigned at = 0;
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        if (is_dash_place(at))
            out[at++] = '-';
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
}

enum err hub_address_parse(struct hub_address *out, struct str id)
{
    uint8_t b[16];
    unsigned n = 0;
    if (id.len != HUB_SOCKET_ID_LEN)
        return ERR_PROTO;
    for (unsigned at = 0; at < HUB_SOCKET_ID_LEN;) {
        if (is_dash_place(at)) {
            if (id.p[at++] != '-')
                return ERR_PROTO;
            continue;
        }
        int high = str_hex_digit(id.p[at]), low = str_hex_digit(id.p[at + 1]);
        if (high < 0 || low < 0)
            return ERR_PROTO;
        b[n++] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    if (b[6] >> 4 != 4 || b[8] >> 6 != 2)
        return ERR_PROTO;
    uint32_t round = (uint32_t)(b[6] & 15) << 28 | (uint32_t)b[7] << 20 |
                     (uint32_t)(b[9] & 15) << 16 | (uint32_t)b[10] << 8 | b[11];
    uint32_t slot = (uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15];
    *out = (struct hub_address){
        .node = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3],
        .salt = (uint16_t)(b[4] << 8 | b[5]),
        .worker = (uint16_t)((b[8] & 0x3f) << 4 | b[9] >> 4),
        .number = (uint64_t)round << 32 | slot,
    };
    return ERR_OK;
}
