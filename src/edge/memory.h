/* memory.h - how much memory there may be, and how much is used: by the control groups that this
 * process is in, and by itself.
 *
 * Of a group counts what the kernel cannot take back without effort: not the file pages that
 * nobody uses. A limit of a group above counts as well, with what all in it use. */
#ifndef EDGE_MEMORY_H
#define EDGE_MEMORY_H
#include <stdbool.h>
#include <stdint.h>

struct memory_use {
    uint64_t used, limit; /* bytes */
    char of[128];         /* whose limit it is */
};

/* Reads the files below `root` ("" or, for tests, a folder with proc and sys) anew. `max` is a
 * limit for this process alone; 0: none. The use that is nearest to its limit; false: no limit is
 * known. */
bool memory_look(const char *root, uint64_t max, struct memory_use *out);

#endif
