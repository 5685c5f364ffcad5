/* ban_file.h - keeps bans over a restart: a line for each change, a note (auth/bans.h) as
 * base64url. */
#ifndef EDGE_BAN_FILE_H
#define EDGE_BAN_FILE_H
#include <stddef.h>
#include "auth/bans.h"

struct ban_file;

/* What the file says is in force in `bans` from now on; then it is written anew, without what is
 * over. A file that is not there is made. ERR_SYS, ERR_PROTO, ERR_FULL: `why` gets one sentence. */
enum err ban_file_open(struct ban_file **out, const char *path, struct bans *bans, int64_t now_s,
                       char *why, size_t why_len);
void ban_file_free(struct ban_file *f); /* NULL is fine */

/* Adds a change; any thread. What cannot be kept is told in the log, and waits for ban_file_mend.
 */
void ban_file_keep(struct ban_file *f, const struct ban *ban);

/* Tries again what could not be kept; any thread, now and then. */
void ban_file_mend(struct ban_file *f);

#endif
