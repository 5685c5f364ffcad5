/* dev.h - what --dev adds: a word of welcome, and tokens for whoever asks. */
#ifndef DEV_H
#define DEV_H
#include "config.h"
#include "edge/server.h"

/* Prints a token and the commands that show a message arriving. False: it has been said why not. */
bool dev_print_help(const struct config *c, const struct server_options *o, struct str private_pem,
                    const char *program);

/* POST /v1/dev/token: what `gusher token` would have made (api_make_token); `pem`: struct buf, the
 * private key. */
enum err dev_make_token(void *pem, const struct api_token *t, double now_s, struct buf *out,
                        char *why, size_t why_len);

#endif
