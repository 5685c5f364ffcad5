/* master_keys.h - who may call the master: bearer keys (RFC 6750), of which only hashes are kept.
 *
 * A keys file has a line for each key: its name, "sha256:" and the hash of the key in hexadecimal
 * digits, the apps it is for ("*": all) and its rights, each list with commas and no blanks.
 * Blank lines and lines that begin with '#' say nothing. */
#ifndef AUTH_MASTER_KEYS_H
#define AUTH_MASTER_KEYS_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum master_right {                     /* bits */
                    MASTER_PUBLISH = 1, /* pushes */
                    MASTER_QUERY = 2,   /* who is online, which channels live, what a JWT says */
                    MASTER_ADMIN = 4,   /* what users may listen to */
};

enum {
    MASTER_KEYS_MAX = 1000,         /* in one file */
    MASTER_KEYS_FILE_MAX = 1 << 20, /* bytes of it */
    MASTER_KEY_NAME_MAX = 64,       /* bytes */
    MASTER_KEY_BYTES_MAX = 256,     /* of a key that somebody shows */
};

struct master_keys; /* immutable; any thread */
struct master_key;

/* Reads a keys file. ERR_PROTO, ERR_LIMIT: `why` gets one sentence, with the line and without what
 * stands in it. */
enum err master_keys_parse(struct master_keys **out, struct str text, char *why, size_t why_len);
void master_keys_free(struct master_keys *k);

/* The key with the hash of `secret`, found in a time that does not depend on which one it is, or
 * on how much of it is right; NULL: there is none. */
const struct master_key *master_keys_find(const struct master_keys *k, struct str secret);

bool master_key_has_right(const struct master_key *k, enum master_right right);
bool master_key_has_all_apps(const struct master_key *k);
bool master_key_has_app(const struct master_key *k, struct str app);
struct str master_key_name(const struct master_key *k);

/* Makes a key: appends its secret, and the line for a keys file (with a line feed). `apps` and
 * `rights` as there. ERR_PROTO: the file would not take that line, `why` says what is wrong with
 * it; ERR_SYS: no randomness. */
enum err master_key_make(struct buf *secret, struct buf *line, struct str name, struct str apps,
                         struct str rights, char *why, size_t why_len);

#endif
