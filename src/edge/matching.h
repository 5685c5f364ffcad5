/* matching.h - questions with a pattern, answered a slice at a time.
 *
 * An expression may take milliseconds for one long name, and an app may have a hundred thousand
 * channels: so a worker walks the names a page at a time, MATCHING_SLICE_US a turn, and serves its
 * sockets in between. When these keep it busy it matches for as long as they took, up to
 * MATCHING_SLICE_MAX_US: half of its time. Questions take turns of MATCHING_TURN_US, so that a
 * quick one does not wait for a slow one. */
#ifndef EDGE_MATCHING_H
#define EDGE_MATCHING_H
#include "base/buf.h"
#include "bus/seat.h"

enum {
    MATCHING_SLICE_US = 100,
    MATCHING_SLICE_MAX_US = 2000,
    MATCHING_TURN_US = 50,
    MATCHING_PAGE_BYTES = 4096,
    MATCHING_MAX = 4096, /* questions */
};

struct matching; /* one worker's */

/* Called with the names that match (or their wide hashes, when only counted): the answer to `q`.
 * Channels that came or went meanwhile may be in it or not; a name may be in it twice. May take
 * over part's memory. */
typedef void matching_done_fn(void *ctx, const struct bus_question *q, struct buf *part);

/* Appends a page of the names among which `q` is to be answered (names.h), from `cursor` on, and
 * returns the cursor of the next; as hub_answer. */
typedef uint32_t matching_names_fn(void *ctx, const struct bus_question *q, uint32_t cursor,
                                   struct buf *names);

struct matching *matching_new(matching_names_fn *names, matching_done_fn *done, void *ctx);
void matching_free(struct matching *m); /* unfinished questions stay unanswered */

/* Begins to answer `q` (a reference is taken). After `give_up_ms` nobody waits for it any more.
 * ERR_FULL: MATCHING_MAX. */
enum err matching_add(struct matching *m, struct bus_question *q, int64_t give_up_ms);

/* One slice; `now_ms` as for matching_add. False: nothing is left to do. */
bool matching_run(struct matching *m, int64_t now_ms);

#endif
