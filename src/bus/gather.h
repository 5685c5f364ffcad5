/* gather.h - one question while its answer comes in. For the files of bus/ alone.
 *
 * Answers come in rounds: each source that has more gives a page; when all of them have, or are
 * given up, the round's new names go to the asker as one page, and its bus_more begins the next
 * round. */
#ifndef BUS_GATHER_H
#define BUS_GATHER_H
#include "base/slots.h"
#include "bus/seat.h"

struct bus_seat {
    struct bus_backend backend;
    struct loop *loop;
    unsigned worker;
    bool published; /* something, since the last flush */
    struct buf scratch;
    struct slots gathers;
    unsigned n_gathers, n_patterns;
    size_t bytes; /* of names and hashes that gathers hold, about */
    struct bus_seat_stats stats;
};

/* All questions are answered: nothing more is known. */
void gathers_end(struct bus_seat *s);

#endif
