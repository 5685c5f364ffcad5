#include "auth/trust.h"
#include "base/mem.h"

struct trust *trust_new(struct keys *keys, struct master_keys *master_keys)
{
    struct trust *t = mem_zalloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    t->keys = keys;
    t->master_keys = master_keys;
    return t;
}

struct trust *trust_ref(struct trust *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void trust_unref(struct trust *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    keys_free(t->keys);
    master_keys_free(t->master_keys);
    mem_free(t);
}
