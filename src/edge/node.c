#include "edge/node.h"
#include <stdlib.h>
#include <sys/random.h>
#include "base/mem.h"

enum err node_init(struct node *n, unsigned n_workers)
{
    *n = (struct node){.n_workers = n_workers};
    if (getrandom(&n->id, sizeof(n->id), 0) < 0)
        return ERR_SYS;
    n->interest = interest_new();
    for (unsigned i = 0; i < n_workers; i++) {
        if (inbox_new(&n->inboxes[i], NODE_INBOX_LETTERS)) {
            node_fini(n);
            return ERR_SYS;
        }
    }
    return ERR_OK;
}

void mail_free(struct mail *m)
{
    if (m->msg)
        msg_unref(m->msg);
    if (m->question)
        bus_question_unref(m->question);
    buf_fini(&m->part);
    mem_free(m);
}

static unsigned throw_away(void *reader, struct letter *l)
{
    (void)reader;
    mail_free(container_of(l, struct mail, letter));
    return 0;
}

void node_fini(struct node *n)
{
    for (unsigned i = 0; i < n->n_workers; i++) {
        if (n->inboxes[i])
            inbox_read(n->inboxes[i], 1, throw_away, NULL);
        inbox_free(n->inboxes[i]);
        n->inboxes[i] = NULL;
    }
    interest_free(n->interest);
    n->interest = NULL;
}

static struct mail *mail_new(enum mail_kind kind)
{
    struct mail *m = mem_zalloc(sizeof(*m));
    m->kind = kind;
    return m;
}

void node_send(struct node *n, unsigned worker, struct mail *m)
{
    inbox_post_always(n->inboxes[worker], &m->letter);
}

static uint64_t receivers(const struct node *n, const struct msg *m)
{
    struct hub_address to;
    switch (m->kind) {
    case MSG_CHANNEL:
        return interest_mask(n->interest, hub_channel_hash(m->app, m->target));
    case MSG_USER:
    case MSG_ADD:
    case MSG_RELOAD:
        return interest_mask(n->interest, hub_user_hash(m->app, m->target));
    case MSG_SOCKET:
        if (hub_address_parse(&to, m->target) || to.node != n->id || to.worker >= n->n_workers)
            return 0;
        return 1ull << to.worker;
    }
    return 0;
}

static size_t msg_bytes(const struct msg *m)
{
    return sizeof(*m) + m->app.len + m->target.len + m->event.len + m->data.len;
}

void node_msg_read(struct node *n, unsigned worker, const struct msg *m)
{
    atomic_fetch_sub_explicit(&n->unread_bytes[worker], msg_bytes(m), memory_order_relaxed);
}

/* All receivers or none: a message that some got and its publisher believes refused would come
 * twice. Posts between this look and ours may pass the cap by a few. */
static bool all_have_room(const struct node *n, uint64_t workers)
{
    for (uint64_t left = workers; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (!inbox_has_room(n->inboxes[i], 1) ||
            atomic_load_explicit(&n->unread_bytes[i], memory_order_relaxed) > NODE_INBOX_BYTES)
            return false;
    }
    return true;
}

static enum err publish(void *ctx, struct msg *msg, bool begun)
{
    struct node *n = ctx;
    uint64_t workers = receivers(n, msg);
    if (!begun && !all_have_room(n, workers))
        return ERR_FULL;
    for (uint64_t left = workers; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        struct mail *m = mail_new(MAIL_MSG);
        m->msg = msg_ref(msg);
        atomic_fetch_add_explicit(&n->unread_bytes[i], msg_bytes(msg), memory_order_relaxed);
        node_send(n, i, m);
    }
    return ERR_OK;
}

static enum err ask(void *ctx, struct bus_question *q, unsigned *n_parts)
{
    struct node *n = ctx;
    uint64_t all = n->n_workers == 64 ? UINT64_MAX : (1ull << n->n_workers) - 1;
    if (!all_have_room(n, all))
        return ERR_FULL;
    *n_parts = n->n_workers;
    for (unsigned i = 0; i < n->n_workers; i++) {
        struct mail *m = mail_new(MAIL_QUESTION);
        m->question = bus_question_ref(q);
        node_send(n, i, m);
    }
    return ERR_OK;
}

struct bus_backend node_backend(struct node *n)
{
    return (struct bus_backend){.ctx = n, .publish = publish, .ask = ask};
}
