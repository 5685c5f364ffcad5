/* handshake.h - the answer to an opening handshake (RFC 6455 section 4.2.2). */
#ifndef WS_HANDSHAKE_H
#define WS_HANDSHAKE_H
#include "base/str.h"

enum { WS_ACCEPT_LEN = 28 };

/* Base64 of the SHA-1 of key and GUID: the value of Sec-WebSocket-Accept, no NUL. */
void ws_accept(char out[WS_ACCEPT_LEN], struct str key);

#endif
