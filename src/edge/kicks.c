#include "edge/kicks.h"
#include "base/mem.h"

struct job {
    struct job *next;
    struct msg *msg;
    uint32_t place; /* of hub_each: all before it have been looked at */
};

struct kicks {
    struct hub *hub;
    kick_fn *kick;
    kick_token_fn *is_of_token;
    void *ctx;
    struct job *first, **end;
    unsigned n;
};

struct kicks *kicks_new(struct hub *hub, kick_fn *kick, kick_token_fn *is_of_token, void *ctx)
{
    struct kicks *k = mem_zalloc(sizeof(*k));
    *k = (struct kicks){.hub = hub, .kick = kick, .is_of_token = is_of_token, .ctx = ctx};
    k->end = &k->first;
    return k;
}

static void drop_first(struct kicks *k)
{
    struct job *j = k->first;
    k->first = j->next;
    if (!k->first)
        k->end = &k->first;
    k->n--;
    msg_unref(j->msg);
    mem_free(j);
}

void kicks_free(struct kicks *k)
{
    if (!k)
        return;
    while (k->first)
        drop_first(k);
    mem_free(k);
}

static void kick_socket(struct kicks *k, const struct msg *m)
{
    struct hub_socket *s = hub_find_id(k->hub, m->app, m->target);
    if (s)
        k->kick(k->ctx, s, m->data);
}

/* Whoever is closed leaves the list of his user, but the one behind him stays. Only who is closed
 * counts: each call comes further. */
static bool kick_user(struct kicks *k, const struct msg *m, unsigned max)
{
    struct hub_socket *s = hub_sockets_of(k->hub, m->app, m->target), *next;
    for (; s && max > 0; s = next) {
        next = s->next_of_user;
        max -= k->kick(k->ctx, s, m->data);
    }
    return !s;
}

static bool is_meant(const struct kicks *k, const struct hub_socket *s, const struct msg *m)
{
    return str_eq(hub_app_of(s), m->app) &&
           (m->kind == MSG_KICK_APP || k->is_of_token(k->ctx, s, m->target));
}

static bool kick_among_all(struct kicks *k, struct job *j, unsigned max)
{
    struct hub_socket *s = NULL;
    for (unsigned looked = 0; max > 0 && looked < KICKS_LOOKED; looked++) {
        s = hub_each(k->hub, &j->place);
        if (!s)
            return true;
        if (is_meant(k, s, j->msg))
            max -= k->kick(k->ctx, s, j->msg->data);
    }
    return false;
}

/* True: the job is done. */
static bool work(struct kicks *k, struct job *j)
{
    if (j->msg->kind == MSG_KICK_USER)
        return kick_user(k, j->msg, KICKS_CLOSED);
    return kick_among_all(k, j, KICKS_CLOSED);
}

void kicks_add(struct kicks *k, struct msg *m)
{
    if (m->kind == MSG_KICK_SOCKET) {
        kick_socket(k, m);
        return;
    }
    if (k->n == KICKS_WAITING) {
        while (!work(k, k->first))
            ;
        drop_first(k);
    }
    struct job *j = mem_zalloc(sizeof(*j));
    j->msg = msg_ref(m);
    *k->end = j;
    k->end = &j->next;
    k->n++;
}

bool kicks_run(struct kicks *k)
{
    if (!k->first)
        return false;
    if (work(k, k->first))
        drop_first(k);
    return k->first;
}
