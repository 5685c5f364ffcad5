/* matching.h - questions with a pattern, answered a slice at a time.
 *
 * An expression may take milliseconds for one long name, and an app may have a hundred thousand
 * channels: so a worker matches for MATCHING_SLICE_US a turn, on a copy of the names, and serves
 * its sockets in between. Questions take turns of MATCHING_TURN_US, so that a quick one does not
 * wait for a slow one; only MATCHING_AT_ONCE of them hold a copy, however many masters ask. */
#ifndef EDGE_MATCHING_H
#define EDGE_MATCHING_H
#include "base/buf.h"
#include "bus/seat.h"

enum {
    MATCHING_SLICE_US = 2000,
    MATCHING_TURN_US = 250,
    MATCHING_AT_ONCE = 16,
    MATCHING_MAX = 4096, /* questions, those that wait for their first turn included */
};

struct matching; /* one worker's */

/* Called with the names that match (or their wide hashes, when only counted): the answer to `q`.
 * May take over part's memory. */
typedef void matching_done_fn(void *ctx, const struct bus_question *q, struct buf *part);

/* Appends the names among which `q` is to be answered (names.h). */
typedef void matching_names_fn(void *ctx, const struct bus_question *q, struct buf *names);

struct matching *matching_new(matching_names_fn *names, matching_done_fn *done, void *ctx);
void matching_free(struct matching *m); /* unfinished questions stay unanswered */

/* Begins to answer `q` (a reference is taken). After `give_up_ms` nobody waits for it any more.
 * ERR_FULL: MATCHING_MAX. */
enum err matching_add(struct matching *m, struct bus_question *q, int64_t give_up_ms);

/* One slice; `now_ms` as for matching_add. False: nothing is left to do. */
bool matching_run(struct matching *m, int64_t now_ms);

#endif
