#include "edge/interest.h"
#include <assert.h>
#include <stdatomic.h>
#include "base/mem.h"

struct interest {
    _Atomic uint64_t masks[INTEREST_PLACES];
};

struct interest *interest_new(void)
{
    return mem_zalloc(sizeof(struct interest));
}

void interest_free(struct interest *i)
{
    mem_free(i);
}

void interest_change(struct interest *i, struct interest_counts *mine, unsigned worker,
                     uint64_t name_hash, bool on)
{
    uint64_t place = name_hash % INTEREST_PLACES, bit = 1ull << worker;
    if (on && mine->n[place]++ == 0)
        atomic_fetch_or(&i->masks[place], bit);
    if (!on) {
        assert(mine->n[place]);
        if (--mine->n[place] == 0)
            atomic_fetch_and(&i->masks[place], ~bit);
    }
}

uint64_t interest_mask(const struct interest *i, uint64_t name_hash)
{
    return atomic_load(&i->masks[name_hash % INTEREST_PLACES]);
}
