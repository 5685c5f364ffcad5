/* presence.c - the hub's answers to who is there and what is live. */
#include "base/names.h"
#include "hub/table.h"

typedef void found_fn(void *out, struct str name);

static void each_channel(struct hub_app *a, found_fn *found, void *out)
{
    uint32_t place = 0;
    for (struct hub_channel *c; (c = map_each(&a->channels, &place));) {
        struct str name = channel_name(c);
        if (name.len)
            found(out, name);
    }
}

static void each_user(struct hub_app *a, found_fn *found, void *out)
{
    uint32_t place = 0;
    for (struct hub_user *u; (u = map_each(&a->users, &place));)
        found(out, user_id(u));
}

static void each_user_of_channel(struct hub *h, struct hub_channel *c, found_fn *found, void *out)
{
    /* A user with several sockets counts once: marked with this question's number. */
    uint32_t mark = ++h->mark ? h->mark : ++h->mark; /* 0 is the mark of new users */
    for (uint32_t i = 0; c && i < c->n; i++) {
        struct hub_user *u = c->subscribers[i].socket->user;
        if (u && u->mark != mark) {
            u->mark = mark;
            found(out, user_id(u));
        }
    }
}

static void answer(struct hub *h, const struct hub_question *q, found_fn *found, void *out)
{
    struct hub_app *a = table_app(h, q->app);
    if (!a)
        return;
    switch (q->kind) {
    case HUB_CHANNELS:
        each_channel(a, found, out);
        break;
    case HUB_USERS:
        each_user(a, found, out);
        break;
    case HUB_USERS_OF_CHANNEL:
        each_user_of_channel(h, table_channel(a, q->channel), found, out);
        break;
    }
}

static void add_name(void *out, struct str name)
{
    names_add(out, name);
}

static void add_hash(void *out, struct str name)
{
    struct hash128 hash = hash_wide(name);
    buf_add(out, &hash, sizeof(hash));
}

void hub_answer_names(struct hub *h, const struct hub_question *q, struct buf *names)
{
    answer(h, q, add_name, names);
}

void hub_answer_hashes(struct hub *h, const struct hub_question *q, struct buf *hashes)
{
    answer(h, q, add_hash, hashes);
}
