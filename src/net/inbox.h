/* inbox.h - letters for one thread, posted by any thread.
 *
 * The only road between threads: a letter changes hands, it is never shared. */
#ifndef NET_INBOX_H
#define NET_INBOX_H
#include <stdbool.h>
#include "base/err.h"

struct inbox;   /* owned by the thread that reads it */
struct letter { /* first member of whatever is sent */
    struct letter *next;
};

/* Called on the reading thread for each letter; takes ownership of `l`. Returns what carrying it
 * out cost, in a measure of the reader's own. */
typedef unsigned letter_fn(void *reader, struct letter *l);

/* Makes an inbox for at most `cap` unread letters, in *out (release: inbox_free).
 * ERR_SYS: no descriptor left, errno is set and *out untouched. */
enum err inbox_new(struct inbox **out, unsigned cap);
void inbox_free(struct inbox *b); /* no letter may be left in it */

/* Posts `l`, from any thread, without blocking. On ERR_OK the inbox owns `l`;
 * on ERR_FULL (`cap` letters wait) the caller still does. */
enum err inbox_post(struct inbox *b, struct letter *l);

/* The same for a letter that must arrive (answers, shutdown): the cap does not count. */
void inbox_post_always(struct inbox *b, struct letter *l);

/* Whether `n` more letters would be taken now. */
bool inbox_has_room(const struct inbox *b, unsigned n);

/* Reads what waits, oldest first, until the letters have cost `budget`; what is left, and what is
 * posted meanwhile, is for the next call. Returns the number of letters. Reader only. */
unsigned inbox_read(struct inbox *b, unsigned budget, letter_fn *read_one, void *reader);

/* Gives read_one all that is left, for an inbox that nobody posts to any more. */
void inbox_empty(struct inbox *b, letter_fn *read_one, void *reader);

/* Whether something waits for the reader. */
bool inbox_has_unread(struct inbox *b);

/* The reader is about to sleep on inbox_fd (readable: a letter came). True: letters wait, do not
 * sleep. After waking it calls inbox_wake, and inbox_silence if inbox_fd was readable. */
bool inbox_sleep(struct inbox *b);
void inbox_wake(struct inbox *b);
void inbox_silence(struct inbox *b);
int inbox_fd(const struct inbox *b);

#endif
