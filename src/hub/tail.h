/* tail.h - the last frames of a channel, kept once for all who have not been given them yet.
 *
 * Frames have numbers that count up and wrap (30 bits). They stand one behind the other in chunks,
 * so what a subscriber lacks is one range of bytes, or a few. Pure. */
#ifndef HUB_TAIL_H
#define HUB_TAIL_H
#include <stdbool.h>
#include "hub/hub.h"

enum {
    TAIL_CHUNK_BYTES = 32 * 1024,
    TAIL_COPY_MAX = 4096,      /* longer frames are not copied into a chunk */
    TAIL_BYTES_MAX = 1 << 20,  /* of all its frames, */
    TAIL_FRAMES_MAX = 4096,    /* and how many; one more is too many */
    TAIL_RANGES = HUB_RANGES,  /* given at once */
    TAIL_NUMBERS = 0x3fffffff, /* the mask of a number */
};

struct tail_frame {
    struct blob *chunk; /* a reference */
    uint32_t from, to;
};

struct tail {                  /* zeroed is empty */
    struct tail_frame *frames; /* a ring */
    uint32_t cap, head, n;
    uint32_t end; /* the number that the next frame will have */
    size_t bytes;
    struct blob *chunk; /* that is appended to; a reference */
    uint32_t chunk_room;
    /* What was found for the last subscriber: the next one lacks the same, mostly. */
    uint32_t found_from, found_end, found_next;
    unsigned n_found;
    struct blob_range found[TAIL_RANGES];
};

/* How many frames there are from number `from` on. */
static inline uint32_t tail_lag(uint32_t from, uint32_t end)
{
    return (end - from) & TAIL_NUMBERS;
}

void tail_fini(struct tail *t);

bool tail_is_full(const struct tail *t);
/* `frame` is copied, or a reference to it taken. */
void tail_append(struct tail *t, struct blob *frame);

/* Lets go of what comes before number `from`. */
void tail_trim(struct tail *t, uint32_t from);

/* The ranges from number `from` (which is there) on; *next is the number behind them: the tail's
 * end unless there are more than TAIL_RANGES. They are valid until the tail is changed. */
unsigned tail_ranges(struct tail *t, uint32_t from, const struct blob_range **ranges,
                     uint32_t *next);

#endif
