#include "hub/msg.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { KICK_DATA_MAX = 125 };

struct msg *msg_new(enum msg_kind kind, struct str app, struct str target, struct str event,
                    struct str data)
{
    struct msg *m = mem_alloc(sizeof(*m) + app.len + target.len + event.len + data.len);
    char *at = (char *)(m + 1);
    atomic_init(&m->refs, 1);
    m->kind = kind;
    m->came_us = 0;
    m->app = str_put(&at, app);
    m->target = str_put(&at, target);
    m->event = str_put(&at, event);
    m->data = str_put(&at, data);
    return m;
}

bool msg_kick_is_valid(struct str data)
{
    if (data.len < 2 || data.len > KICK_DATA_MAX)
        return false;
    unsigned code = (unsigned)(unsigned char)data.p[0] << 8 | (unsigned char)data.p[1];
    return code >= 4000 && code <= 4999 && utf8_valid(str_make(data.p + 2, data.len - 2));
}

struct msg *msg_ref(struct msg *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void msg_unref(struct msg *m)
{
    /* Whoever frees must have seen all that the others did with it. */
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        mem_free(m);
}
