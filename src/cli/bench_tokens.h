/* bench_tokens.h - a JWT for each user of `gusher bench`, signed before anything is measured: a
 * signature costs the generator ten times what a connection costs the server. */
#ifndef CLI_BENCH_TOKENS_H
#define CLI_BENCH_TOKENS_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

struct bench_tokens {
    struct buf *items; /* owned; item i is that of user i */
    unsigned n;
};

struct bench_tokens_options {
    const char *app;
    const char *channels; /* the permission of all of them: a name with stars */
    unsigned n;           /* users: bench-0, bench-1, … */
    double now_s;         /* unix time */
};

/* Signs with as many threads as there are cores. ERR_PROTO, ERR_SYS: `why` gets one sentence. */
enum err bench_tokens_make(struct bench_tokens *t, const struct bench_tokens_options *o,
                           struct str private_pem, char *why, size_t why_len);
void bench_tokens_fini(struct bench_tokens *t); /* fine when zeroed */

#endif
