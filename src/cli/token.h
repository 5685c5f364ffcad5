/* token.h - what `gusher token` makes: a JWT to try a server with. No I/O, no clock. */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* As the flags give them; main.c reads the file. NULL stands for the empty string. */
struct token_options {
    const char *key_file, *app, *user;
    const char *const *channels; /* permissions */
    unsigned n_channels;
    const char *const *remotes; /* remote commands that are allowed */
    unsigned n_remotes;
    long life_s; /* 0: no exp */
};

/* Appends the compact JWT for `o`, issued at unix time `now_s` and signed with `private_pem`.
 * ERR_PROTO: the key is no good, or an argument is not UTF-8 or negative; ERR_LIMIT: no server
 * would take so big a token; ERR_SYS: it could not be signed. Then `why` gets one sentence. */
enum err token_make(struct buf *out, const struct token_options *o, struct str private_pem,
                    double now_s, char *why, size_t why_len);

/* Appends what token_make signs: the claims as JSON. Nothing is checked. */
void token_claims(struct buf *out, const struct token_options *o, double now_s);

#endif
