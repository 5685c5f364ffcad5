/* client.h - what a WebSocket client writes: the opening handshake and masked frames
 * (RFC 6455 sections 4.1 and 5.3). */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ws/frame.h"

/* Appends `text`, percent-encoding all that is not unreserved (RFC 3986 section 2.3). */
void client_add_escaped(struct buf *out, struct str text);

/* Appends the request that opens a WebSocket at `path` with a token; `authority` is HOST:PORT. */
void client_add_handshake(struct buf *out, struct str path, struct str token, struct str authority);

/* Whether the head of the answer accepts that handshake. */
bool client_is_accepted(struct str head);

/* Appends a frame. ERR_SYS: the system gives no random numbers (errno). */
enum err client_add_frame(struct buf *out, enum ws_op op, struct str payload);

/* Appends the frame that subscribes to a channel. */
enum err client_add_subscribe(struct buf *out, struct str channel);

#endif
