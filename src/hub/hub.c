#include "hub/hub.h"
#include <assert.h>
#include "base/hash_set.h"
#include "base/mem.h"
#include "base/names.h"
#include "hub/lag.h"

/* ---- coming and going ---- */

struct str hub_subscription(const struct hub_socket *s, uint32_t i)
{
    return channel_name(s->subs[i].channel);
}

struct grants_pool *hub_grants_pool(struct hub *h)
{
    return &h->grants;
}

/* Nothing secret: two sockets of one slot, one after the other, only must not look alike. The
 * generator is splitmix64, seeded by the kernel. */
static uint16_t random16(struct hub *h)
{
    uint64_t z = h->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint16_t)(z >> 48);
}

void hub_join(struct hub *h, struct hub_socket *s, struct str app, struct str user,
              struct grants *grants, unsigned encoder)
{
    assert(encoder < HUB_ENCODERS_MAX);
    *s = (struct hub_socket){.grants = grants, .encoder = (uint8_t)encoder, .salt = random16(h)};
    s->app = table_app_make(h, app);
    s->app->n_sockets++;
    s->number = slots_add(&h->sockets, s);
    counter_add(&h->stats.sockets, 1);
    if (user.len) {
        s->user = table_user_make(h, s->app, user);
        s->next_of_user = s->user->sockets;
        if (s->next_of_user)
            s->next_of_user->prev_of_user = s;
        s->user->sockets = s;
    }
}

void hub_leave(struct hub *h, struct hub_socket *s)
{
    while (s->n_subs)
        table_unsubscribe(h, s, s->n_subs - 1);
    if (s->user) {
        if (s->prev_of_user)
            s->prev_of_user->next_of_user = s->next_of_user;
        else
            s->user->sockets = s->next_of_user;
        if (s->next_of_user)
            s->next_of_user->prev_of_user = s->prev_of_user;
        table_user_drop(h, s->user);
    }
    slots_remove(&h->sockets, s->number);
    counter_add(&h->stats.sockets, (uint64_t)-1);
    s->app->n_sockets--;
    table_app_drop(h, s->app);
    grants_unref(&h->grants, s->grants);
}

const struct hub_stats *hub_stats(const struct hub *h)
{
    return &h->stats;
}

struct hub_socket *hub_each(const struct hub *h, uint32_t *place)
{
    return slots_each(&h->sockets, place);
}

struct hub_socket *hub_find(const struct hub *h, uint64_t number)
{
    return slots_get(&h->sockets, number);
}

struct hub_socket *hub_find_id(const struct hub *h, struct str app, struct str id)
{
    struct hub_address at;
    if (hub_address_parse(&at, id) || at.node != h->options.node || at.worker != h->options.worker)
        return NULL;
    struct hub_socket *s = slots_get(&h->sockets, at.number);
    return s && s->salt == at.salt && str_eq(app_key(s->app), app) ? s : NULL;
}

struct hub_socket *hub_sockets_of(const struct hub *h, struct str app, struct str user)
{
    struct hub_app *a = table_app(h, app);
    struct hub_user *u = a ? table_user(a, user) : NULL;
    return u ? u->sockets : NULL;
}

struct str hub_app_of(const struct hub_socket *s)
{
    return app_key(s->app);
}

struct str hub_user_of(const struct hub_socket *s)
{
    return s->user ? user_id(s->user) : STR_EMPTY;
}

/* ---- subscribing ---- */

static void subscribe(struct hub *h, struct hub_socket *s, struct str name)
{
    struct hub_channel *c = table_channel_make(h, s->app, name);
    if (table_find_sub(s, c) == UINT32_MAX)
        table_subscribe(h, s, c);
}

static uint32_t find_subscription(const struct hub_socket *s, struct str channel)
{
    struct hub_channel *c = table_channel(s->app, channel);
    return c ? table_find_sub(s, c) : UINT32_MAX;
}

bool hub_is_subscribed(const struct hub_socket *s, struct str channel)
{
    return find_subscription(s, channel) != UINT32_MAX;
}

void hub_drop(struct hub *h, struct hub_socket *s, struct str channel)
{
    uint32_t place = find_subscription(s, channel);
    if (place != UINT32_MAX)
        table_unsubscribe(h, s, place);
}

void hub_set_full(struct hub *h, bool is_full)
{
    h->is_full = is_full;
}

static bool has_room(const struct hub *h, uint64_t n)
{
    uint64_t max = h->options.subscriptions_all;
    return !h->is_full && (!max || counter_read(&h->stats.subscriptions) + n <= max);
}

static enum err refuse(struct counter *c)
{
    counter_add(c, 1);
    return ERR_LIMIT;
}

enum err hub_subscribe(struct hub *h, struct hub_socket *s, struct str channel)
{
    if (!grants_allow(s->grants, channel))
        return ERR_DENIED;
    if (channel.len > h->options.name_max)
        return refuse(&h->stats.long_names);
    bool is_one_too_many = s->n_subs >= h->options.subscriptions_max || !has_room(h, 1);
    if (is_one_too_many && !hub_is_subscribed(s, channel))
        return refuse(&h->stats.too_many);
    subscribe(h, s, channel);
    return ERR_OK;
}

/* How many of the names the socket would be subscribed to anew. */
static uint32_t count_new(const struct hub_socket *s, struct str channels)
{
    struct hash_set seen = {0};
    uint32_t n = 0;
    for (struct str name; names_next(&channels, &name);) {
        if (!hub_is_subscribed(s, name))
            n += hash_set_add(&seen, hash_wide(name, hash_own_seed()));
    }
    hash_set_fini(&seen);
    return n;
}

enum err hub_subscribe_all(struct hub *h, struct hub_socket *s, struct str channels)
{
    uint64_t n = 0, max = h->options.subscriptions_max;
    struct str rest = channels, name;
    for (; names_next(&rest, &name); n++) {
        if (!grants_allow(s->grants, name))
            return ERR_DENIED;
        if (name.len > h->options.name_max)
            return refuse(&h->stats.long_names);
    }
    /* All or nothing is decided before the first change; counting what is new only near the limit.
     */
    bool may_be_too_many = s->n_subs + n > max || !has_room(h, n);
    uint32_t n_new = may_be_too_many ? count_new(s, channels) : 0;
    if (may_be_too_many && n_new && (s->n_subs + n_new > max || !has_room(h, n_new)))
        return refuse(&h->stats.too_many);
    while (names_next(&channels, &name))
        subscribe(h, s, name);
    return ERR_OK;
}

enum err hub_unsubscribe(struct hub *h, struct hub_socket *s, struct str channel)
{
    if (!grants_allow(s->grants, channel))
        return ERR_DENIED;
    hub_drop(h, s, channel);
    return ERR_OK;
}

static void exchange_grants(struct hub *h, struct hub_socket *s, struct grants *g)
{
    grants_unref(&h->grants, s->grants);
    s->grants = g;
}

void hub_set_grants(struct hub *h, struct hub_socket *s, struct grants *g, struct buf *revoked)
{
    exchange_grants(h, s, g);
    for (uint32_t i = s->n_subs; i-- > 0;) {
        struct str name = channel_name(s->subs[i].channel);
        if (grants_allow(g, name))
            continue;
        if (revoked)
            names_add(revoked, name);
        table_unsubscribe(h, s, i);
    }
}

/* ---- the fan-out ---- */

/* Each encoding of one message, made when the first socket that takes it is met. */
struct encodings {
    struct blob *of[HUB_ENCODERS_MAX];
    uint32_t n_delivered;
};

static struct blob *encoded(struct hub *h, struct encodings *e, unsigned encoder,
                            const struct msg *m)
{
    struct blob **b = &e->of[encoder];
    if (!*b)
        *b = h->host.encode(h->host.ctx, encoder, m);
    return *b;
}

static void deliver(struct hub *h, struct encodings *e, struct hub_socket *s, const struct msg *m,
                    bool bulk)
{
    lag_catch_up(h, s);
    h->host.deliver(h->host.ctx, s, encoded(h, e, s->encoder, m), bulk);
    e->n_delivered++;
}

static void drop_encodings(struct encodings *e)
{
    for (unsigned i = 0; i < HUB_ENCODERS_MAX; i++) {
        if (e->of[i])
            blob_unref(e->of[i]);
    }
}

static void change_grants(struct hub *h, struct hub_socket *s, const struct msg *m)
{
    if (m->kind == MSG_ADD) {
        exchange_grants(h, s, grants_with(&h->grants, s->grants, m->data));
        return;
    }
    hub_set_grants(h, s, grants_reloaded(&h->grants, s->grants, m->data), NULL);
}

static void to_user(struct hub *h, struct hub_app *a, const struct msg *m, struct encodings *e)
{
    struct hub_user *u = table_user(a, m->target);
    if (!u)
        return;
    /* All that belongs to the user has changed before the first socket is told. */
    if (m->kind != MSG_USER) {
        for (struct hub_socket *s = u->sockets; s; s = s->next_of_user)
            change_grants(h, s, m);
    }
    for (struct hub_socket *s = u->sockets; s; s = s->next_of_user) {
        counter_add(&h->stats.delivered, 1);
        deliver(h, e, s, m, false);
    }
}

static void to_channel(struct hub *h, struct hub_app *a, const struct msg *m, struct encodings *e)
{
    struct hub_channel *c = table_channel(a, m->target);
    if (!c)
        return;
    counter_add(&h->stats.delivered, c->n);
    bool bulk = c->n >= h->options.bulk_min;
    if (lag_n_lazy(c) < h->options.bulk_min) {
        for (uint32_t i = 0; i < c->n; i++)
            deliver(h, e, c->subscribers[i].socket, m, bulk);
        return;
    }
    e->n_delivered += 1 + lag_append(h, c, encoded(h, e, c->encoder, m));
    /* From the last to the first: who drains meanwhile is eager no longer, and the last one takes
     * his place. */
    for (uint32_t i = c->n_eager; i-- > 0;)
        deliver(h, e, c->subscribers[c->eager[i]].socket, m, bulk);
}

static void to_socket(struct hub *h, const struct msg *m, struct encodings *e)
{
    struct hub_socket *s = hub_find_id(h, m->app, m->target);
    if (!s)
        return;
    counter_add(&h->stats.delivered, 1);
    deliver(h, e, s, m, false);
}

uint32_t hub_dispatch(struct hub *h, const struct msg *m)
{
    struct hub_app *a = table_app(h, m->app);
    struct encodings e = {{0}, 0};
    if (!a)
        return 0;
    switch (m->kind) {
    case MSG_CHANNEL:
        to_channel(h, a, m, &e);
        break;
    case MSG_USER:
    case MSG_ADD:
    case MSG_RELOAD:
        to_user(h, a, m, &e);
        break;
    case MSG_SOCKET:
        to_socket(h, m, &e);
        break;
    default:
        assert(!"a kick");
    }
    drop_encodings(&e);
    return e.n_delivered;
}
