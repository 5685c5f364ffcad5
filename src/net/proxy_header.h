/* proxy_header.h - the PROXY protocol, versions 1 and 2: what a proxy in front of us says about
 * whose connection it is, ahead of all else. Pure. */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include "base/err.h"
#include "base/str.h"

enum {
    PROXY_HEADER_V1_MAX = 107, /* bytes of a line, CRLF included */
    PROXY_HEADER_MAX = 536,    /* of either version: room for 508 bytes of further fields */
};

struct proxy_header {
    size_t len;                      /* bytes of the header */
    bool has_address;                /* false: the connection is the proxy's own, or unknown */
    struct sockaddr_storage address; /* the client's, with its port */
};

/* ERR_AGAIN: there must be more of it; ERR_PROTO: it is none, or broken; ERR_LIMIT: longer than
 * PROXY_HEADER_MAX. */
enum err proxy_header_read(struct proxy_header *out, struct str bytes);

#endif
