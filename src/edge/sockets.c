#include "edge/sockets.h"
#include <inttypes.h>
#include "base/json.h"
#include "base/names.h"
#include "edge/ws_own.h"

/* ---- one socket ---- */

/* A list of which only the beginning is told: `next` gives its names. */
struct telling {
    struct buf *out;
    unsigned n;
    size_t bytes;
};

static void tell(struct telling *t, struct str name)
{
    if (t->n >= SOCKETS_NAMES_MAX || t->bytes + name.len > SOCKETS_NAMES_BYTES_MAX)
        return;
    if (t->n++)
        buf_char(t->out, ',');
    t->bytes += name.len;
    json_quote(t->out, name);
}

static void write_names(struct buf *out, const char *what, struct str list)
{
    struct telling t = {.out = out};
    buf_printf(out, ",\"n_%s\":%u,\"%s\":[", what, names_count(list), what);
    for (struct str name; names_next(&list, &name);)
        tell(&t, name);
    buf_char(out, ']');
}

static void write_subscriptions(struct buf *out, const struct hub_socket *s)
{
    struct telling t = {.out = out};
    buf_printf(out, ",\"n_subscriptions\":%" PRIu32 ",\"subscriptions\":[", s->n_subs);
    for (uint32_t i = 0; i < s->n_subs && i < SOCKETS_NAMES_MAX; i++)
        tell(&t, hub_subscription(s, i));
    buf_char(out, ']');
}

static void write_socket(struct worker *w, const struct hub_socket *s, struct buf *out)
{
    const struct conn *c = &container_of(s, const struct ws_conn, socket)->conn;
    char id[HUB_SOCKET_ID_LEN], address[ADDRESSES_TEXT];
    hub_socket_id(w->hub, s, id);
    addresses_write(&w->addresses, s->number, c->io.fd, address);
    buf_printf(out, "{\"socket_id\":\"%.*s\",\"user_id\":", HUB_SOCKET_ID_LEN, id);
    json_quote(out, hub_user_of(s));
    buf_printf(out, ",\"node\":\"%08" PRIx32 "\",\"address\":\"%s\",\"since\":%" PRIu32,
               w->node->id, address, s->since_s);
    buf_printf(out, ",\"queue_bytes\":%" PRIu32 ",\"queue_messages\":%u", c->queued_bytes,
               conn_queued(c));
    write_subscriptions(out, s);
    write_names(out, "grants", grants_channels(s->grants));
    write_names(out, "remotes", grants_remotes(s->grants));
    buf_char(out, '}');
}

static void add_socket(struct worker *w, const struct hub_socket *s, struct buf *out)
{
    struct buf text = BUF_INIT;
    write_socket(w, s, &text);
    names_add(out, buf_as_str(&text));
    buf_fini(&text);
}

/* ---- a page of them ---- */

static bool is_asked_for(const struct hub_question *q, const struct hub_socket *s)
{
    if (!str_eq(hub_app_of(s), q->app))
        return false;
    switch (q->kind) {
    case HUB_SOCKETS_OF_USER:
        return str_eq(hub_user_of(s), q->channel);
    case HUB_SOCKETS_OF_CHANNEL:
        return hub_is_subscribed(s, q->channel);
    default:
        return true;
    }
}

/* Most users have few: then nobody else's are looked at. False: too many for that. */
static bool add_few(struct worker *w, const struct hub_question *q, size_t page_bytes,
                    struct buf *out)
{
    const struct hub_socket *first = hub_sockets_of(w->hub, q->app, q->channel);
    unsigned n = 0;
    for (const struct hub_socket *s = first; s && n <= SOCKETS_NAMES_MAX; s = s->next_of_user)
        n++;
    if (n > SOCKETS_NAMES_MAX || n * (size_t)1024 > page_bytes)
        return false;
    for (const struct hub_socket *s = first; s; s = s->next_of_user)
        add_socket(w, s, out);
    return true;
}

static uint32_t scan(struct worker *w, const struct hub_question *q, uint32_t cursor,
                     size_t page_bytes, struct buf *out)
{
    for (unsigned n = 0; n < SOCKETS_LOOKS && out->len < page_bytes; n++) {
        const struct hub_socket *s = hub_each(w->hub, &cursor);
        if (!s)
            return HUB_CURSOR_END;
        if (is_asked_for(q, s))
            add_socket(w, s, out);
    }
    return cursor;
}

uint32_t sockets_page(struct worker *w, const struct hub_question *q, uint32_t cursor,
                      size_t page_bytes, struct buf *out)
{
    if (q->kind == HUB_SOCKET) {
        const struct hub_socket *s = hub_find_id(w->hub, q->app, q->channel);
        if (s)
            add_socket(w, s, out);
        return HUB_CURSOR_END;
    }
    if (q->kind == HUB_SOCKETS_OF_USER && cursor == HUB_CURSOR_BEGIN &&
        add_few(w, q, page_bytes, out))
        return HUB_CURSOR_END;
    return scan(w, q, cursor, page_bytes, out);
}
