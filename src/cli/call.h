/* call.h - a request to a master, for commands that make one and end. */
#ifndef CLI_CALL_H
#define CLI_CALL_H
#include "base/buf.h"
#include "base/err.h"

enum { CALL_WAIT_MS = 30 * 1000, CALL_ANSWER_MAX = 256 << 20 };

struct call {
    const char *master;  /* http(s)://HOST:PORT/PREFIX */
    const char *key;     /* what it is shown; NULL: nothing */
    const char *ca_file; /* that vouches for https; NULL: the system's certificates */
};

/* Begins the path of a request: the segments are percent-encoded, "push", "app", "c" makes
 * "/push/app/c". Ends with NULL. */
void call_path(struct buf *out, const char *first, ...) __attribute__((sentinel));

/* Appends the body of the answer. `form`: a form to POST; STR_EMPTY without p: a GET. ERR_SYS: no
 * answer; ERR_DENIED: another status than 200. `why` gets one sentence then. */
enum err call_master(struct buf *out, const struct call *c, struct str path, struct str form,
                     char *why, size_t why_len);

/* Appends NAME=VALUE, encoded, behind what is there. */
void call_add_field(struct buf *form, const char *name, struct str value);

#endif
