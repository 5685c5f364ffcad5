/* table.h - the hub's inner tables: apps, channels, users. For the files of hub/ alone. */
#ifndef HUB_TABLE_H
#define HUB_TABLE_H
#include "hub/hub.h"

struct hub_channel;

/* A subscription stands in two arrays, and each entry knows where the other one is: both ways of
 * leaving cost the same, however many there are. */
struct hub_sub { /* in the socket's array */
    struct hub_channel *channel;
    uint32_t place; /* in channel->subscribers */
    uint32_t eager; /* in channel->eager, if it is (lag.h) */
};

struct hub_subscriber { /* in the channel's array, dense: the fan-out walks it */
    struct hub_socket *socket;
    uint32_t place; /* in socket->subs */
    uint32_t lacks; /* the number of the next frame it is to be given, or LAG_EAGER */
};

struct hub_channel {
    struct hub_app *app;
    struct hub_subscriber *subscribers;
    uint32_t n, cap;
    struct hub_lag *lag; /* NULL: nobody lacks anything */
    uint32_t *eager;     /* places of those who are given each frame at once */
    uint32_t n_eager, cap_eager;
    uint32_t end; /* the number of the next frame, while `lag` is NULL */
    uint32_t name_len;
    uint8_t encoder; /* of those who are lazy, if any */
    char name[];
};

struct hub_user {
    struct hub_app *app;
    struct hub_socket *sockets;
    uint32_t mark; /* the last question that has counted it */
    uint32_t id_len;
    char id[];
};

struct hub_app {
    struct map channels, users;
    uint32_t n_sockets;
    uint32_t key_len;
    char key[];
};

struct hub {
    struct hub_host host;
    struct hub_options options;
    struct map apps;
    struct slots sockets;
    struct grants_pool grants;
    struct hub_lag *first_lag, *last_lag; /* channels; whose turn it is first */
    uint32_t mark;                        /* the number of the last question */
    uint64_t random;
    struct hub_stats stats;
    bool is_full;
};

static inline struct str channel_name(const struct hub_channel *c)
{
    return str_make(c->name, c->name_len);
}

static inline struct str user_id(const struct hub_user *u)
{
    return str_make(u->id, u->id_len);
}

static inline struct str app_key(const struct hub_app *a)
{
    return str_make(a->key, a->key_len);
}

struct hub_app *table_app(const struct hub *h, struct str key); /* NULL: not there */
struct hub_channel *table_channel(const struct hub_app *a, struct str name);
struct hub_user *table_user(const struct hub_app *a, struct str id);

/* The same, made when not there; interest is announced. */
struct hub_app *table_app_make(struct hub *h, struct str key);
struct hub_channel *table_channel_make(struct hub *h, struct hub_app *a, struct str name);
struct hub_user *table_user_make(struct hub *h, struct hub_app *a, struct str id);

/* Gone when nobody is left in them; interest is withdrawn. */
void table_channel_drop(struct hub *h, struct hub_channel *c);
void table_user_drop(struct hub *h, struct hub_user *u);
void table_app_drop(struct hub *h, struct hub_app *a);

/* The place of `c` in s->subs, or UINT32_MAX. */
uint32_t table_find_sub(const struct hub_socket *s, const struct hub_channel *c);
void table_subscribe(struct hub *h, struct hub_socket *s, struct hub_channel *c);
/* Ends the subscription at this place of s->subs (the last one moves there). */
void table_unsubscribe(struct hub *h, struct hub_socket *s, uint32_t place);

#endif
