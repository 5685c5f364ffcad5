/* url.h - the address of a sink: scheme://[user:password@]host[:port][/path] (RFC 3986). */
#ifndef REMOTE_URL_H
#define REMOTE_URL_H
#include "base/err.h"
#include "base/str.h"

enum { REMOTE_URL_PART_MAX = 256 };

struct remote_url { /* each part decoded, NUL-terminated, "" when it is not there */
    char user[REMOTE_URL_PART_MAX], password[REMOTE_URL_PART_MAX], host[REMOTE_URL_PART_MAX];
    char path[REMOTE_URL_PART_MAX]; /* without the first slash */
    unsigned port;                  /* 0: none was given */
    bool has_login;
};

/* ERR_PROTO: a part is malformed or too long, the host is missing, or `url` does not begin with
 * `scheme` (as "redis://"). *out may be half written then. */
enum err remote_url_parse(struct remote_url *out, struct str url, struct str scheme);

#endif
