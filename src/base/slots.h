/* slots.h - numbers that stand for things which may be gone by the time one asks.
 *
 * What is answered later is found by its number, never by pointer: a number is not used again
 * until 2^32 others have stood in its slot. */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H
#include <stdint.h>

struct slot;

struct slots {
    struct slot *slots;
    uint32_t n, cap, free_head;
};

#define SLOTS_NONE 0 /* no thing ever has this number */

void slots_init(struct slots *s);
void slots_fini(struct slots *s);
uint64_t slots_add(struct slots *s, void *thing);
void *slots_get(const struct slots *s, uint64_t number); /* NULL: gone */
void slots_remove(struct slots *s, uint64_t number);

/* Walks all things: *place starts at 0; NULL at the end. Things may be removed meanwhile. */
void *slots_each(const struct slots *s, uint32_t *place);

#endif
