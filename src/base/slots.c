#include "base/slots.h"
#include <assert.h>
#include <stddef.h>
#include "base/mem.h"

enum { SLOT_END = UINT32_MAX };

struct slot {
    void *thing;    /* NULL: free */
    uint32_t round; /* how often the slot was used; the upper half of the number */
    uint32_t next_free;
};

void slots_init(struct slots *s)
{
    *s = (struct slots){.free_head = SLOT_END};
}

void slots_fini(struct slots *s)
{
    mem_free(s->slots);
    slots_init(s);
}

uint64_t slots_add(struct slots *s, void *thing)
{
    uint32_t i = s->free_head;
    if (i != SLOT_END) {
        s->free_head = s->slots[i].next_free;
    } else {
        if (s->n == s->cap) {
            s->cap = s->cap ? s->cap + s->cap / 2 : 16;
            s->slots = mem_realloc(s->slots, s->cap * sizeof(*s->slots));
        }
        i = s->n++;
        s->slots[i].round = 0;
    }
    s->slots[i].thing = thing;
    if (++s->slots[i].round == 0)
        s->slots[i].round = 1; /* so that no number is SLOTS_NONE */
    return (uint64_t)s->slots[i].round << 32 | i;
}

static struct slot *find(const struct slots *s, uint64_t number)
{
    uint32_t i = (uint32_t)number;
    if (i >= s->n || s->slots[i].round != number >> 32 || !s->slots[i].thing)
        return NULL;
    return &s->slots[i];
}

void *slots_get(const struct slots *s, uint64_t number)
{
    struct slot *slot = find(s, number);
    return slot ? slot->thing : NULL;
}

void slots_remove(struct slots *s, uint64_t number)
{
    struct slot *slot = find(s, number);
    assert(slot);
    slot->thing = NULL;
    slot->next_free = s->free_head;
    s->free_head = (uint32_t)number;
}

void *slots_each(const struct slots *s, uint32_t *place)
{
    while (*place < s->n) {
        void *thing = s->slots[(*place)++].thing;
        if (thing)
            return thing;
    }
    return NULL;
}
