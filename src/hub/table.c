#include "hub/table.h"
#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>
#include "base/mem.h"
#include "hub/lag.h"

static struct str app_map_key(const void *item)
{
    return app_key(item);
}

static struct str channel_map_key(const void *item)
{
    return channel_name(item);
}

static struct str user_map_key(const void *item)
{
    return user_id(item);
}

/* Kind, app and name in one hash; the app's length keeps "a"+"bc" and "ab"+"c" apart. */
static uint64_t name_hash(char kind, struct str app, struct str name)
{
    char small[256];
    size_t len = 1 + sizeof(app.len) + app.len + name.len;
    char *all = len <= sizeof(small) ? small : mem_alloc(len);
    char *at = all;
    *at++ = kind;
    memcpy(at, &app.len, sizeof(app.len));
    at += sizeof(app.len);
    memcpy(at, app.p, app.len);
    at += app.len;
    if (name.len)
        memcpy(at, name.p, name.len);
    uint64_t hash = hash_bytes(str_make(all, len));
    if (all != small)
        mem_free(all);
    return hash;
}

uint64_t hub_channel_hash(struct str app, struct str channel)
{
    return name_hash('c', app, channel);
}

uint64_t hub_user_hash(struct str app, struct str user)
{
    return name_hash('u', app, user);
}

uint64_t hub_name_hash(const struct hub_name *n)
{
    return name_hash(n->is_user ? 'u' : 'c', n->app, n->name);
}

struct hub *hub_new(const struct hub_host *host, const struct hub_options *o)
{
    struct hub *h = mem_zalloc(sizeof(*h));
    h->host = *host;
    h->options = *o;
    assert(o->worker < HUB_WORKERS_MAX && o->bulk_min);
    if (getrandom(&h->random, sizeof(h->random), 0) < 0)
        abort();
    map_init(&h->apps, app_map_key);
    slots_init(&h->sockets);
    grants_pool_init(&h->grants);
    return h;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    assert(h->apps.n == 0);
    map_fini(&h->apps);
    slots_fini(&h->sockets);
    grants_pool_fini(&h->grants);
    mem_free(h);
}

struct hub_app *table_app(const struct hub *h, struct str key)
{
    return map_get(&h->apps, key);
}

struct hub_channel *table_channel(const struct hub_app *a, struct str name)
{
    return map_get(&a->channels, name);
}

struct hub_user *table_user(const struct hub_app *a, struct str id)
{
    return map_get(&a->users, id);
}

/* A zeroed struct of `size` whose last member, a flexible array at offset `head`, holds the
 * name. The array may begin before the struct ends: in its padding. */
static void *with_name(size_t size, size_t head, struct str name)
{
    char *p = mem_zalloc(head + name.len > size ? head + name.len : size);
    if (name.len)
        memcpy(p + head, name.p, name.len);
    return p;
}

struct hub_app *table_app_make(struct hub *h, struct str key)
{
    struct hub_app *a = table_app(h, key);
    if (a)
        return a;
    a = with_name(sizeof(struct hub_app), offsetof(struct hub_app, key), key);
    a->key_len = (uint32_t)key.len;
    map_init(&a->channels, channel_map_key);
    map_init(&a->users, user_map_key);
    map_put(&h->apps, a);
    return a;
}

static void tell_interest(struct hub *h, bool is_user, const struct hub_app *a, struct str name,
                          bool on)
{
    const struct hub_name n = {.is_user = is_user, .app = app_key(a), .name = name};
    h->host.interest(h->host.ctx, &n, on);
}

struct hub_channel *table_channel_make(struct hub *h, struct hub_app *a, struct str name)
{
    struct hub_channel *c = table_channel(a, name);
    if (c)
        return c;
    c = with_name(sizeof(struct hub_channel), offsetof(struct hub_channel, name), name);
    c->app = a;
    c->name_len = (uint32_t)name.len;
    map_put(&a->channels, c);
    tell_interest(h, false, a, name, true);
    return c;
}

struct hub_user *table_user_make(struct hub *h, struct hub_app *a, struct str id)
{
    struct hub_user *u = table_user(a, id);
    if (u)
        return u;
    u = with_name(sizeof(struct hub_user), offsetof(struct hub_user, id), id);
    u->app = a;
    u->id_len = (uint32_t)id.len;
    map_put(&a->users, u);
    tell_interest(h, true, a, id, true);
    return u;
}

void table_channel_drop(struct hub *h, struct hub_channel *c)
{
    if (c->n)
        return;
    tell_interest(h, false, c->app, channel_name(c), false);
    map_remove(&c->app->channels, c);
    lag_drop(h, c);
    mem_free(c->eager);
    mem_free(c->subscribers);
    mem_free(c);
}

void table_user_drop(struct hub *h, struct hub_user *u)
{
    if (u->sockets)
        return;
    tell_interest(h, true, u->app, user_id(u), false);
    map_remove(&u->app->users, u);
    mem_free(u);
}

void table_app_drop(struct hub *h, struct hub_app *a)
{
    if (a->n_sockets)
        return;
    assert(!a->channels.n && !a->users.n);
    map_remove(&h->apps, a);
    map_fini(&a->channels);
    map_fini(&a->users);
    mem_free(a);
}

uint32_t table_find_sub(const struct hub_socket *s, const struct hub_channel *c)
{
    /* The shorter of the two arrays; either may be long, hardly ever both. */
    if (s->n_subs <= c->n) {
        for (uint32_t i = 0; i < s->n_subs; i++) {
            if (s->subs[i].channel == c)
                return i;
        }
    } else {
        for (uint32_t i = 0; i < c->n; i++) {
            if (c->subscribers[i].socket == s)
                return c->subscribers[i].place;
        }
    }
    return UINT32_MAX;
}

void table_subscribe(struct hub *h, struct hub_socket *s, struct hub_channel *c)
{
    if (s->n_subs == s->cap_subs) {
        s->cap_subs = s->cap_subs ? s->cap_subs * 2 : 1;
        s->subs = mem_realloc(s->subs, s->cap_subs * sizeof(*s->subs));
    }
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap + c->cap / 2 + 1 : 1;
        c->subscribers = mem_realloc(c->subscribers, c->cap * sizeof(*c->subscribers));
    }
    s->subs[s->n_subs] = (struct hub_sub){.channel = c, .place = c->n};
    c->subscribers[c->n++] = (struct hub_subscriber){.socket = s, .place = s->n_subs++};
    counter_add(&h->stats.subscriptions, 1);
    if (s->n_subs == 2)
        lag_review(h, s); /* the first one */
    lag_came(h, c, c->n - 1);
}

void table_unsubscribe(struct hub *h, struct hub_socket *s, uint32_t place)
{
    struct hub_channel *c = s->subs[place].channel;
    uint32_t there = s->subs[place].place;

    counter_add(&h->stats.subscriptions, (uint64_t)-1);
    lag_goes(h, c, there);
    struct hub_subscriber last = c->subscribers[--c->n];
    if (there != c->n) {
        c->subscribers[there] = last;
        last.socket->subs[last.place].place = there;
        lag_moved(h, c, there);
    }
    struct hub_sub moved = s->subs[--s->n_subs];
    if (place != s->n_subs) {
        s->subs[place] = moved;
        moved.channel->subscribers[moved.place].place = place;
    }
    /* Memory follows what is used, so that a quiet hub is a small one. */
    if (c->cap > 16 && c->n < c->cap / 4) {
        c->cap /= 2;
        c->subscribers = mem_realloc(c->subscribers, c->cap * sizeof(*c->subscribers));
    }
    if (s->n_subs == 0) {
        mem_free(s->subs);
        s->subs = NULL;
        s->cap_subs = 0;
    }
    lag_review(h, s);
    table_channel_drop(h, c);
}
