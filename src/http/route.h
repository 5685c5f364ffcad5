/* route.h - which handler a path belongs to: segment by segment, case-sensitively, split at the
 * raw slashes and then percent-decoded, so that "%2F" is a slash inside a segment. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H
#include "base/buf.h"
#include "base/err.h"
#include "http/parse.h"

enum { ROUTE_SEGMENTS_MAX = 8, ROUTE_PARAMS_MAX = 4 };

struct route {
    enum http_method method; /* HTTP_M_GET also answers HEAD */
    const char *pattern;     /* "push/{}/{}/{}": literals and {} for any one segment; "ui/" too */
    const void *handler;     /* the caller's */
};

struct route_match {
    const struct route *route;
    struct str params[ROUTE_PARAMS_MAX]; /* what stood at each {}, decoded, in `text` */
    unsigned n_params;
    unsigned allowed; /* a bit per enum http_method that some route has for this path */
    struct buf text;  /* owned; release: route_match_fini */
};

/* Finds the first of `n` routes that fits `path` below `prefix` ("" or "/api", no slash at its
 * end). ERR_NOT_FOUND: no route has this path; ERR_DENIED: some have, for other methods;
 * ERR_PROTO: a broken percent escape. *m is to be released in every case. */
enum err route_find(struct route_match *m, const struct route *routes, unsigned n,
                    struct str prefix, enum http_method method, struct str path);
void route_match_fini(struct route_match *m);

#endif
