#include "auth/trust.h"
#include "base/mem.h"

struct trust *trust_new(void)
{
    struct trust *t = mem_zalloc(sizeof(*t));
    atomic_init(&t->refs, 1);
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
    claims_rules_fini(&t->rules);
    origins_free(t->origins);
    master_keys_free(t->master_keys);
    mem_free(t);
}

enum err trust_verify(struct claims **out, const struct trust *t, struct str jwt, double now_s)
{
    return jwt_verify(out, t->keys, jwt, &t->rules, now_s);
}
