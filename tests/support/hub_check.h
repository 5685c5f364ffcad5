/* hub_check.h - what must hold in the tables of a hub at any moment. */
#ifndef TESTS_HUB_CHECK_H
#define TESTS_HUB_CHECK_H
#include "hub/lag.h"
#include <stddef.h>

static inline const char *hub_check_socket(const struct hub *h, const struct hub_socket *s)
{
    if (slots_get(&h->sockets, s->number) != s)
        return "a socket is not found by its number";
    if (table_app(h, app_key(s->app)) != s->app)
        return "the app of a socket is not in the hub";
    if (s->n_subs > s->cap_subs || (s->n_subs == 0) != (s->subs == NULL))
        return "the array of a socket's subscriptions has a wrong size";
    for (uint32_t i = 0; i < s->n_subs; i++) {
        const struct hub_channel *c = s->subs[i].channel;
        if (c->app != s->app || table_channel(s->app, channel_name(c)) != c)
            return "a subscription leads to a channel that is not of the app";
        if (s->subs[i].place >= c->n || c->subscribers[s->subs[i].place].socket != s ||
            c->subscribers[s->subs[i].place].place != i)
            return "the two places of a subscription do not know each other";
        for (uint32_t j = 0; j < i; j++) {
            if (s->subs[j].channel == c)
                return "a socket is subscribed twice";
        }
    }
    return NULL;
}

static inline const char *hub_check_lag(const struct hub_channel *c)
{
    uint32_t n_eager = 0, n_lagging = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct hub_subscriber *r = &c->subscribers[i];
        const struct hub_socket *s = r->socket;
        if (r->lacks == LAG_EAGER) {
            uint32_t at = s->subs[r->place].eager;
            if (at >= c->n_eager || c->eager[at] != i)
                return "an eager subscriber is not in the list of them";
            n_eager++;
            continue;
        }
        if (s->n_subs != 1 || s->stalled || s->encoder != c->encoder)
            return "a subscriber is lazy that may not be";
        if (c->lag && r->lacks != c->lag->tail.end) {
            if (tail_lag(r->lacks, c->lag->tail.end) > c->lag->tail.n)
                return "a subscriber lacks what is not in the tail any more";
            n_lagging++;
        } else if (!c->lag && r->lacks != c->end) {
            return "a subscriber lacks something, and there is no tail";
        }
    }
    if (n_eager != c->n_eager || n_eager > c->cap_eager)
        return "a channel counts its eager subscribers wrong";
    if (c->lag && (c->lag->channel != c || n_lagging != c->lag->n_lagging))
        return "a channel counts wrong who lags";
    return NULL;
}

static inline const char *hub_check_app(const struct hub_app *a, uint64_t *n_subscribers,
                                        uint32_t *n_of_users)
{
    uint32_t place = 0;
    for (const struct hub_channel *c; (c = map_each(&a->channels, &place));) {
        if (c->app != a || c->n == 0 || c->n > c->cap)
            return "a channel is empty or in the wrong app";
        const char *wrong = hub_check_lag(c);
        if (wrong)
            return wrong;
        *n_subscribers += c->n;
    }
    place = 0;
    for (const struct hub_user *u; (u = map_each(&a->users, &place));) {
        const struct hub_socket *before = NULL;
        if (u->app != a || !u->sockets || !u->id_len)
            return "a user has no socket, no name or a wrong app";
        for (const struct hub_socket *s = u->sockets; s; before = s, s = s->next_of_user) {
            if (s->user != u || s->prev_of_user != before)
                return "the list of a user's sockets is broken";
            ++*n_of_users;
        }
    }
    return NULL;
}

/* NULL, or what is wrong. */
static inline const char *hub_check(const struct hub *h)
{
    uint64_t n_subscribers = 0, n_subs = 0;
    uint32_t n_of_users = 0, n_with_user = 0, n_sockets = 0, n_of_apps = 0, place = 0;
    for (const struct hub_app *a; (a = map_each(&h->apps, &place));) {
        const char *wrong = hub_check_app(a, &n_subscribers, &n_of_users);
        if (wrong)
            return wrong;
        if (!a->n_sockets)
            return "an app has no socket";
        n_of_apps += a->n_sockets;
    }
    place = 0;
    for (const struct hub_socket *s; (s = hub_each(h, &place));) {
        const char *wrong = hub_check_socket(h, s);
        if (wrong)
            return wrong;
        n_subs += s->n_subs;
        n_with_user += s->user != NULL;
        n_sockets++;
    }
    if (n_subs != n_subscribers)
        return "channels hold sockets that are gone";
    if (n_with_user != n_of_users)
        return "users hold sockets that are gone";
    return n_sockets == n_of_apps ? NULL : "apps count their sockets wrong";
}

#endif
