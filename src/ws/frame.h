/* frame.h - WebSocket frames in and out of bytes (RFC 6455 section 5).
 *
 * The reader is fed what a server receives, in pieces of any size, and gives whole messages
 * and control frames in order. A message that lies whole in the input is unmasked in place and
 * not copied; only a message that is cut keeps memory, until it is whole. */
#ifndef WS_FRAME_H
#define WS_FRAME_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum ws_op {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* Close codes we send or know (RFC 6455 section 7.4.1). */
enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED = 1003,
    WS_NO_STATUS = 1005, /* never on the wire: a close frame without a code, */
    WS_NO_CLOSE = 1006,  /* and an end without a close frame */
    WS_INVALID_DATA = 1007,
    WS_POLICY = 1008,
    WS_TOO_BIG = 1009,
    WS_INTERNAL = 1011,
    WS_TRY_LATER = 1013,
};

enum {
    WS_COMPRESSED = 0x40, /* in the place of an operation, with it: the frame begins a compressed
                           * message (RFC 7692 section 6) */
    WS_CONTROL_MAX = 125, /* payload bytes of a control frame */
    WS_HEADER_MAX = 10,   /* bytes of a header that a server sends */
};

struct ws_partial; /* a message that is not whole yet */

struct ws_reader {              /* every connection has one, so it is small */
    struct ws_partial *partial; /* owned; NULL between messages */
};

struct ws_rules {       /* the same for all messages of a connection */
    size_t message_max; /* bytes a message may have over all its fragments, data or not */
    bool deflate;       /* compressed messages are agreed upon */
};

struct ws_message {
    enum ws_op op;   /* WS_TEXT, WS_BINARY, WS_CLOSE, WS_PING or WS_PONG */
    struct str data; /* unmasked; valid until the next call. Text is checked UTF-8.
                      * WS_CLOSE: the reason, checked UTF-8. Compressed data is not checked */
    uint16_t code;   /* WS_CLOSE: the code, checked; WS_NO_STATUS if there was none */
    bool compressed;
};

void ws_reader_init(struct ws_reader *r);
void ws_reader_fini(struct ws_reader *r);

/* Takes the next whole message or control frame out of the bytes at *p (`*len` of them;
 * both advance; the bytes are unmasked in place).
 * ERR_OK: *out is set. ERR_AGAIN: all input is used up, nothing whole yet.
 * ERR_PROTO: the peer broke the protocol: *out has the close code to send in `code` and a
 * short reason in `data` (static); the reader must not be fed again.
 * Codes: WS_PROTOCOL_ERROR, WS_INVALID_DATA (text or reason not UTF-8, noticed as soon as the
 * bytes show it), WS_TOO_BIG (noticed at the frame header, before its payload). */
enum err ws_read(struct ws_reader *r, char **p, size_t *len, const struct ws_rules *rules,
                 struct ws_message *out);

/* The same for a client: frames must not be masked. */
enum err ws_read_from_server(struct ws_reader *r, char **p, size_t *len,
                             const struct ws_rules *rules, struct ws_message *out);

/* Writes the header of an unmasked, final frame with `len` payload bytes; returns its size. `op`:
 * enum ws_op, with WS_COMPRESSED or without. */
unsigned ws_frame_header(char out[WS_HEADER_MAX], unsigned op, uint64_t len);

/* Appends a whole close frame; a reason over 123 bytes is cut at a character. */
void ws_frame_close(struct buf *out, uint16_t code, struct str reason);

/* May a peer send this code in a close frame (RFC 6455 section 7.4)? */
bool ws_code_valid(unsigned code);

#endif
