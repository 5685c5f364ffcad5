/* deflate.h - compressed messages (permessage-deflate, RFC 7692).
 *
 * Neither side keeps anything from message to message ("no context takeover"): so a message is
 * compressed once for all sockets, one compressor serves all of a thread's connections, and a quiet
 * connection costs nothing. */
#ifndef WS_DEFLATE_H
#define WS_DEFLATE_H
#include "base/buf.h"
#include "base/err.h"

/* What a Sec-WebSocket-Extensions header offers (RFC 7692 section 7.1): the value to answer with,
 * static; empty when nothing of it is for us. */
struct str ws_deflate_answer(struct str offers);

struct ws_deflate; /* one thread's; its memory (about 300 KiB) comes with the first use */

struct ws_deflate *ws_deflate_new(void);
void ws_deflate_free(struct ws_deflate *d);

/* Appends the payload compressed (section 7.2.1). */
void ws_deflate(struct ws_deflate *d, struct str payload, struct buf *out);

/* Appends the payload that `data` was made of (section 7.2.2). ERR_LIMIT: it has more than `max`
 * bytes; no more than that is ever written. ERR_PROTO: no such data. */
enum err ws_inflate(struct ws_deflate *d, struct str data, size_t max, struct buf *out);

#endif
