/* presence.c - the hub's answers to who is there and what is live, a page at a time. */
#include <assert.h>
#include <stdlib.h>
#include "base/names.h"
#include "hub/census.h"
#include "hub/table.h"

struct page {
    struct buf *out;
    size_t full; /* the length of `out` that ends the page */
    bool hashes;
    uint64_t seed;
};

static void add(struct page *p, struct str name)
{
    if (p->hashes) {
        struct hash128 hash = hash_wide(name, p->seed);
        buf_add(p->out, &hash, sizeof(hash));
    } else {
        names_add(p->out, name);
    }
}

static void add_channel(void *page, void *item)
{
    struct str name = channel_name(item);
    if (name.len)
        add(page, name);
}

static void add_user(void *page, void *item)
{
    add(page, user_id(item));
}

/* ---- names with numbers ---- */

enum { FIND_LOOKS = 4096 }; /* names or sockets that a page looks at, about */

struct finding {
    struct buf *out;
    struct str text; /* that a name contains */
    uint32_t n_looks;
};

static void find(struct finding *f, struct str name, uint32_t n)
{
    const struct census_record r = {.app = name, .connections = n};
    if (str_contains(name, f->text))
        census_add(f->out, &r);
    f->n_looks++;
}

static void find_channel(void *finding, void *item)
{
    const struct hub_channel *c = item;
    if (c->name_len)
        find(finding, channel_name(c), c->n);
}

static void find_user(void *finding, void *item)
{
    struct finding *f = finding;
    const struct hub_user *u = item;
    uint32_t n = 0;
    for (const struct hub_socket *s = u->sockets; s; s = s->next_of_user)
        n++;
    find(f, user_id(u), n);
    f->n_looks += n;
}

static uint32_t scan_for(const struct map *m, map_found_fn *found, const struct hub_question *q,
                         uint32_t cursor, const struct page *p)
{
    struct finding f = {.out = p->out, .text = q->channel};
    do {
        cursor = map_scan(m, cursor, found, &f);
    } while (cursor && p->out->len < p->full && f.n_looks < FIND_LOOKS);
    return cursor ? cursor : HUB_CURSOR_END;
}

static uint32_t scan(const struct map *m, map_found_fn *found, uint32_t cursor, struct page *p)
{
    do {
        cursor = map_scan(m, cursor, found, p);
    } while (cursor && p->out->len < p->full);
    /* Never HUB_CURSOR_END by itself: that would take 2^32 places. */
    return cursor ? cursor : HUB_CURSOR_END;
}

/* From the last subscriber to the first: who leaves has the last one, seen already, move to its
 * place, so nobody is passed over. The cursor is how many are left. */
static uint32_t scan_subscribers(struct hub *h, struct hub_channel *c, uint32_t cursor,
                                 struct page *p)
{
    /* A user with several sockets counts once a page: marked with this page's number. */
    uint32_t mark = ++h->mark ? h->mark : ++h->mark; /* 0 is the mark of new users */
    uint32_t i = cursor == HUB_CURSOR_BEGIN || cursor > c->n ? c->n : cursor;
    while (i > 0 && p->out->len < p->full) {
        struct hub_user *u = c->subscribers[--i].socket->user;
        if (u && u->mark != mark) {
            u->mark = mark;
            add(p, user_id(u));
        }
    }
    return i ? i : HUB_CURSOR_END;
}

/* ---- the census ---- */

enum {
    CENSUS_SOCKETS = 4096,    /* of one page: sorting them takes half a millisecond */
    CENSUS_RECORD_BYTES = 12, /* of a record, beside users and app */
};

/* Those of one app stand together, and of one user of it. */
static int compare_sockets(const void *a, const void *b)
{
    const struct hub_socket *x = *(struct hub_socket *const *)a,
                            *y = *(struct hub_socket *const *)b;
    if (x->app != y->app)
        return (uintptr_t)x->app < (uintptr_t)y->app ? -1 : 1;
    return ((uintptr_t)x->user > (uintptr_t)y->user) - ((uintptr_t)x->user < (uintptr_t)y->user);
}

/* Writes the records of the app that the first socket is of; returns how many sockets are. */
static uint32_t write_app(struct hub_socket *const *sockets, uint32_t n, uint64_t seed,
                          struct buf *out)
{
    struct str app = hub_app_of(sockets[0]);
    uint64_t seed_of_app = census_seed(app, seed);
    struct hash128 users[CENSUS_USERS_MAX];
    struct census_record r = {.app = app};
    uint32_t i = 0;
    while (r.connections < n && sockets[r.connections]->app == sockets[0]->app)
        r.connections++;
    const uint32_t of_app = r.connections;
    do {
        for (r.n_users = 0; i < of_app && r.n_users < CENSUS_USERS_MAX; i++) {
            const struct hub_user *u = sockets[i]->user;
            if (u && (!i || sockets[i - 1]->user != u))
                users[r.n_users++] = census_user(user_id(u), seed_of_app);
        }
        r.users = str_make((const char *)users, r.n_users * sizeof(*users));
        census_add(out, &r);
        r.connections = 0; /* told already */
    } while (i < of_app);
    return of_app;
}

/* By sockets, not by apps and users: so is the cursor one number, and whoever stays is met once. */
static uint32_t scan_sockets(struct hub *h, uint32_t cursor, struct page *p)
{
    struct hub_socket *sockets[CENSUS_SOCKETS];
    const struct hub_app *last = NULL;
    size_t bytes = p->out->len; /* at most */
    uint32_t n = 0;
    while (n < CENSUS_SOCKETS && bytes < p->full) {
        struct hub_socket *s = hub_each(h, &cursor);
        if (!s) {
            cursor = HUB_CURSOR_END;
            break;
        }
        bytes += sizeof(struct hash128);
        if (s->app != last)
            bytes += CENSUS_RECORD_BYTES + s->app->key_len;
        last = s->app;
        sockets[n++] = s;
    }
    qsort(sockets, n, sizeof(sockets[0]), compare_sockets);
    for (uint32_t i = 0; i < n;)
        i += write_app(sockets + i, n - i, p->seed, p->out);
    return cursor;
}

uint32_t hub_answer(struct hub *h, const struct hub_question *q, bool hashes, uint32_t cursor,
                    size_t page_bytes, struct buf *out)
{
    assert(page_bytes); /* each page must come further */
    size_t full = page_bytes > SIZE_MAX - out->len ? SIZE_MAX : out->len + page_bytes;
    struct page p = {.out = out, .full = full, .hashes = hashes, .seed = q->seed};
    if (q->kind == HUB_CENSUS)
        return scan_sockets(h, cursor, &p);
    struct hub_app *a = table_app(h, q->app);
    struct hub_channel *c;
    if (!a)
        return HUB_CURSOR_END;
    switch (q->kind) {
    case HUB_CHANNELS:
        return scan(&a->channels, add_channel, cursor, &p);
    case HUB_USERS:
        return scan(&a->users, add_user, cursor, &p);
    case HUB_USERS_OF_CHANNEL:
        c = table_channel(a, q->channel);
        return c ? scan_subscribers(h, c, cursor, &p) : HUB_CURSOR_END;
    case HUB_FIND_CHANNELS:
        return scan_for(&a->channels, find_channel, q, cursor, &p);
    case HUB_FIND_USERS:
        return scan_for(&a->users, find_user, q, cursor, &p);
    default:
        break;
    }
    return HUB_CURSOR_END;
}
