/* fetch.h - the body behind an http(s) address, for a thread that may wait for it. */
#ifndef REMOTE_FETCH_H
#define REMOTE_FETCH_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"

struct fetch_options {
    const char *url;
    size_t bytes_max;
    long wait_ms;        /* for all of it */
    bool (*stops)(void); /* asked ten times a second: true ends the wait; NULL: nobody does */
};

/* Whether it is an http(s) address. */
bool fetch_is_url(const char *text);

/* Appends the body of the answer to a GET. Only status 200 is one; redirections are not followed.
 * ERR_SYS: there was none, or over bytes_max; ERR_AWAY: `stops` said so. `why` gets a few words
 * (without the address, which may hold a password); nothing is appended then. */
enum err fetch_get(struct buf *out, const struct fetch_options *o, char *why, size_t why_len);

#endif
