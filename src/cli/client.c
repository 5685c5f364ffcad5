#include "cli/client.h"
#include <sys/random.h>
#include "base/json.h"
#include "ws/handshake.h"

/* RFC 6455 wants a fresh nonce so that caches do not answer; ours would not be told apart from
 * another handshake, but none of them may be cached: the address has a token in it. */
static const char key_text[] = "Z3VzaGVyIHN1YnNjcmliZQ==";

void client_add_escaped(struct buf *out, struct str text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] && strchr(plain, text.p[i]))
            buf_char(out, text.p[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)text.p[i]);
    }
}

void client_add_handshake(struct buf *out, struct str path, struct str token, struct str authority)
{
    buf_str(out, STR("GET "));
    buf_str(out, path);
    buf_str(out, memchr(path.p, '?', path.len) ? STR("&token=") : STR("?token="));
    client_add_escaped(out, token);
    buf_printf(out,
               " HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
               (int)authority.len, authority.p, key_text);
}

bool client_is_accepted(struct str head)
{
    char accept[WS_ACCEPT_LEN];
    ws_accept(accept, str_of(key_text));
    return str_starts(head, STR("HTTP/1.1 101 ")) &&
           memmem(head.p, head.len, accept, sizeof(accept));
}

enum err client_add_frame(struct buf *out, enum ws_op op, struct str payload)
{
    unsigned char mask[4];
    if (getrandom(mask, sizeof(mask), 0) < 0)
        return ERR_SYS;
    char *header = buf_reserve(out, WS_HEADER_MAX);
    unsigned n = ws_frame_header(header, op, payload.len);
    header[1] = (char)(header[1] | 0x80);
    out->len += n;
    buf_add(out, mask, sizeof(mask));
    char *to = buf_reserve(out, payload.len);
    for (size_t i = 0; i < payload.len; i++)
        to[i] = (char)(payload.p[i] ^ mask[i % 4]);
    out->len += payload.len;
    return ERR_OK;
}

enum err client_add_subscribe(struct buf *out, struct str channel)
{
    struct buf text = BUF_INIT;
    buf_str(&text, STR("{\"event\":\"gusher.subscribe\",\"data\":{\"channel\":"));
    json_quote(&text, channel);
    buf_str(&text, STR("}}"));
    enum err e = client_add_frame(out, WS_TEXT, buf_as_str(&text));
    buf_fini(&text);
    return e;
}
