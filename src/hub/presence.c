/* presence.c - the hub's answers to who is there and what is live, a page at a time. */
#include <assert.h>
#include "base/names.h"
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

uint32_t hub_answer(struct hub *h, const struct hub_question *q, bool hashes, uint32_t cursor,
                    size_t page_bytes, struct buf *out)
{
    assert(page_bytes); /* each page must come further */
    size_t full = page_bytes > SIZE_MAX - out->len ? SIZE_MAX : out->len + page_bytes;
    struct page p = {.out = out, .full = full, .hashes = hashes, .seed = q->seed};
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
    }
    return HUB_CURSOR_END;
}
