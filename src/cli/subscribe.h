/* subscribe.h - `gusher subscribe`: a WebSocket client that prints what arrives, a line each. */
#ifndef CLI_SUBSCRIBE_H
#define CLI_SUBSCRIBE_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct subscribe_options {
    const char *url;     /* ws://HOST:PORT/PATH/APP, or wss:// */
    const char *ca_file; /* who vouches for a wss server; NULL: the system's authorities */
    const char *token;   /* a JWT or a ticket */
    const char *const *channels;
    unsigned n_channels;
    bool json; /* each message as {"channel","event","data"} on one line, instead of as it came */
};

/* Connects, subscribes and prints messages on standard output until the server closes (ERR_OK) or
 * something fails (ERR_SYS, ERR_PROTO, ERR_DENIED: `why` gets one sentence). */
enum err subscribe_run(const struct subscribe_options *o, char *why, size_t why_len);

#endif
