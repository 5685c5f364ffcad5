/* bans.h - users and tokens (by their jti) that are kept out of an app until a given time.
 *
 * Every node has all of them: what one is told it passes on to the others as a note, and who comes
 * gets the notes of those who were there. Of two notes of one ban the later counts, whichever comes
 * first; one that was lifted is remembered as such as long as it would have lasted. No I/O, no
 * clock. */
#ifndef AUTH_BANS_H
#define AUTH_BANS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum ban_kind { BAN_USER, BAN_TOKEN };

enum {
    BANS_MAX = 100000,   /* at once; then new ones are refused */
    BAN_NAME_MAX = 4096, /* bytes of app and name together */
    BAN_YEARS_MAX = 10,  /* how far in the future one may end */
    BAN_NOTE_MAX = BAN_NAME_MAX + 64,
};

struct bans; /* any thread */

struct ban {
    enum ban_kind kind;
    struct str app, name; /* the user, or the token's jti */
    int64_t until_s;      /* unix seconds */
    int64_t set_ms;       /* unix milliseconds: when it was said */
    bool lifted;
};

struct bans *bans_new(void);
void bans_free(struct bans *b);

/* Appends the note of a ban. */
void ban_write_note(struct buf *out, const struct ban *ban);

/* Takes a note, which may be any bytes; *ban borrows from it. ERR_OK: it is in force from now on,
 * and new; ERR_EXPIRED: it was known, or is over, or there is a later one; ERR_PROTO: malformed;
 * ERR_FULL: BANS_MAX. */
enum err bans_take_note(struct bans *b, struct str note, int64_t now_s, struct ban *ban);

/* Fills in what is known of the ban of this kind and name, until_s, set_ms and lifted; false:
 * nothing is. Who changes it must be later than that, whatever his clock says. */
bool bans_find(struct bans *b, struct ban *ban);

/* Whether this user, or this token, is kept out. Either may be "". */
bool bans_keep_out(struct bans *b, struct str app, struct str user, struct str jti, int64_t now_s);

/* Calls found(ctx, ban) for each that is not over, lifted ones included; bans are not to be changed
 * meanwhile. */
typedef void bans_found_fn(void *ctx, const struct ban *ban);
void bans_each(struct bans *b, int64_t now_s, bans_found_fn *found, void *ctx);

#endif
