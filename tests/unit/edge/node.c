#include "edge/node.h"
#include "base/mem.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>
#include <limits.h>

enum { WORKERS = 4 };

static struct node node;
static struct bus_backend backend;
static struct interest_counts *counts[WORKERS];

static int set_up(void **unused)
{
    (void)unused;
    if (node_init(&node, WORKERS))
        return -1;
    backend = node_backend(&node);
    for (unsigned w = 0; w < WORKERS; w++)
        counts[w] = calloc(1, sizeof *counts[w]);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    node_fini(&node);
    for (unsigned w = 0; w < WORKERS; w++)
        free(counts[w]);
    return 0;
}

/* What a worker read: the kinds and messages of its letters. */
struct reading {
    unsigned worker, n, n_kept;
    struct mail *mail[8]; /* the first ones; release: drop_reading */
};

static unsigned read_one(void *ctx, struct letter *l)
{
    struct reading *r = ctx;
    struct mail *m = container_of(l, struct mail, letter);
    r->n++;
    if (m->kind == MAIL_MSG)
        node_msg_read(&node, r->worker, m->msg);
    if (r->n_kept < 8)
        r->mail[r->n_kept++] = m;
    else
        mail_free(m);
    return 1;
}

static struct reading read_mail(unsigned worker)
{
    struct reading r = {.worker = worker};
    inbox_read(node.inboxes[worker], UINT_MAX, read_one, &r);
    return r;
}

static void drop_reading(struct reading *r)
{
    for (unsigned i = 0; i < r->n_kept; i++)
        mail_free(r->mail[i]);
}

/* Reads all inboxes; bit w: worker w had just one letter, with this message. */
static unsigned who_got(const struct msg *m)
{
    unsigned got = 0;
    for (unsigned w = 0; w < WORKERS; w++) {
        struct reading r = read_mail(w);
        assert_in_range(r.n, 0, 1);
        if (r.n) {
            assert_int_equal(r.mail[0]->kind, MAIL_MSG);
            assert_ptr_equal(r.mail[0]->msg, m);
            got |= 1u << w;
        }
        drop_reading(&r);
    }
    return got;
}

static enum err publish(struct msg *m)
{
    return backend.publish(backend.ctx, m, false, NULL);
}

/* Publishes; who got it? The message is released. */
static unsigned publish_new(enum msg_kind kind, struct str app, struct str target)
{
    struct msg *m = msg_new(kind, app, target, STR("e"), STR("1"));
    assert_int_equal(publish(m), ERR_OK);
    unsigned got = who_got(m);
    assert_int_equal(m->refs, 1);
    msg_unref(m);
    return got;
}

static void listen_to(unsigned worker, uint64_t hash, bool on)
{
    interest_change(node.interest, counts[worker], worker, hash, on);
}

static void delivers_to_who_listens(void **unused)
{
    (void)unused;
    struct str app = STR("app");
    listen_to(0, hub_channel_hash(app, STR("a")), true);
    listen_to(2, hub_channel_hash(app, STR("a")), true);
    listen_to(3, hub_channel_hash(app, STR("b")), true);
    listen_to(1, hub_user_hash(app, STR("a")), true);
    assert_int_equal(publish_new(MSG_CHANNEL, app, STR("a")), 5);
    assert_int_equal(publish_new(MSG_CHANNEL, app, STR("b")), 8);
    assert_int_equal(publish_new(MSG_CHANNEL, app, STR("c")), 0);
    assert_int_equal(publish_new(MSG_CHANNEL, STR("other"), STR("a")), 0);
    /* All that is for a user goes by the user. */
    assert_int_equal(publish_new(MSG_USER, app, STR("a")), 2);
    assert_int_equal(publish_new(MSG_ADD, app, STR("a")), 2);
    assert_int_equal(publish_new(MSG_RELOAD, app, STR("a")), 2);
    assert_int_equal(publish_new(MSG_KICK_USER, app, STR("a")), 2);
    assert_int_equal(publish_new(MSG_KICK_USER, app, STR("b")), 0);
    /* Anybody may have been opened by it. */
    assert_int_equal(publish_new(MSG_KICK_TOKEN, app, STR("a")), (1 << WORKERS) - 1);
    assert_int_equal(publish_new(MSG_KICK_APP, app, STR("")), (1 << WORKERS) - 1);
    assert_int_equal(publish_new(MSG_USER, app, STR("b")), 0);
    listen_to(0, hub_channel_hash(app, STR("a")), false);
    assert_int_equal(publish_new(MSG_CHANNEL, app, STR("a")), 4);
}

/* The id of a socket says whose it is. */
static struct buf socket_id(uint32_t of_node, unsigned worker)
{
    struct buf id = BUF_INIT;
    buf_printf(&id, "%08x-0000-4000-%02x%x0-000000000001", of_node, 0x80 | worker >> 4,
               worker & 15);
    return id;
}

static void delivers_to_the_worker_of_a_socket(void **unused)
{
    (void)unused;
    for (unsigned w = 0; w < 40; w++) {
        struct buf id = socket_id(node.id, w), elsewhere = socket_id(node.id + 1, w);
        struct hub_address a;
        assert_int_equal(hub_address_parse(&a, buf_as_str(&id)), ERR_OK);
        assert_int_equal(a.worker, w);
        assert_int_equal(publish_new(MSG_SOCKET, STR("app"), buf_as_str(&id)),
                         w < WORKERS ? 1u << w : 0);
        assert_int_equal(publish_new(MSG_SOCKET, STR("app"), buf_as_str(&elsewhere)), 0);
        buf_fini(&id);
        buf_fini(&elsewhere);
    }
    assert_int_equal(publish_new(MSG_SOCKET, STR("app"), STR("no id")), 0);
    assert_int_equal(publish_new(MSG_SOCKET, STR("app"), STR_EMPTY), 0);
}

static void asks_every_worker(void **unused)
{
    (void)unused;
    struct bus_question *q = mem_zalloc(sizeof *q);
    atomic_init(&q->refs, 1);
    assert_int_equal(backend.ask(backend.ctx, q, NULL), ERR_OK);
    assert_int_equal(q->refs, 1 + WORKERS);
    for (unsigned w = 0; w < WORKERS; w++) {
        struct reading r = read_mail(w);
        assert_int_equal(r.n, 1);
        assert_int_equal(r.mail[0]->kind, MAIL_QUESTION);
        assert_ptr_equal(r.mail[0]->question, q);
        assert_int_equal(r.mail[0]->cursor, HUB_CURSOR_BEGIN);
        drop_reading(&r);
    }
    assert_int_equal(q->refs, 1);
    bus_question_unref(q);
}

/* Who is to answer, and how one of them is asked for a further page. */
static void asks_one_for_more(void **unused)
{
    (void)unused;
    struct buf list = BUF_INIT;
    unsigned n_missing = 7;
    backend.sources(backend.ctx, HUB_CHANNELS, &list, &n_missing);
    assert_int_equal(backend.node, node.id);
    assert_int_equal(n_missing, 0);
    assert_int_equal(list.len, WORKERS * sizeof(struct bus_source));
    const struct bus_source *sources = (const void *)list.p;
    struct bus_question *q = mem_zalloc(sizeof *q);
    atomic_init(&q->refs, 1);
    for (unsigned w = 0; w < WORKERS; w++) {
        assert_int_equal(sources[w].node, node.id);
        assert_int_equal(sources[w].worker, w);
        backend.more(backend.ctx, q, sources[w], 100 + w, NULL);
        assert_int_equal(q->refs, 2);
        for (unsigned other = 0; other < WORKERS; other++) {
            struct reading r = read_mail(other);
            assert_int_equal(r.n, other == w);
            if (r.n) {
                assert_int_equal(r.mail[0]->kind, MAIL_QUESTION);
                assert_ptr_equal(r.mail[0]->question, q);
                assert_int_equal(r.mail[0]->cursor, 100 + w);
            }
            drop_reading(&r);
        }
    }
    bus_question_unref(q);
    buf_fini(&list);
}

/* A process that is alone is never away, and takes what is as long as it likes. */
static void is_up_by_itself(void **unused)
{
    (void)unused;
    assert_int_equal(backend.state(backend.ctx), BUS_UP);
    assert_int_equal(backend.message_max(backend.ctx), SIZE_MAX);
    assert_null(backend.flush);
}

static void keeps_the_order(void **unused)
{
    (void)unused;
    listen_to(1, hub_channel_hash(STR("app"), STR("a")), true);
    for (unsigned i = 0; i < 6; i++) {
        char data[4];
        snprintf(data, sizeof data, "%u", i);
        struct msg *m = msg_new(MSG_CHANNEL, STR("app"), STR("a"), STR("e"), str_of(data));
        assert_int_equal(publish(m), ERR_OK);
        msg_unref(m);
    }
    struct reading r = read_mail(1);
    assert_int_equal(r.n, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(r.mail[i]->msg->data.p[0], '0' + i);
    drop_reading(&r);
}

static void fill(unsigned worker)
{
    while (inbox_has_room(node.inboxes[worker], 1)) {
        struct mail *m = mem_zalloc(sizeof *m);
        m->kind = MAIL_PART;
        node_send(&node, worker, m);
    }
}

/* When one of the receivers is far behind, none gets it: a publisher that tries again would send
 * it twice to the others. */
static void refuses_for_all_when_one_is_full(void **unused)
{
    (void)unused;
    for (unsigned w = 0; w < WORKERS; w++)
        listen_to(w, hub_channel_hash(STR("app"), STR("a")), true);
    listen_to(0, hub_channel_hash(STR("app"), STR("b")), true);
    fill(2);
    struct msg *all = msg_new(MSG_CHANNEL, STR("app"), STR("a"), STR("e"), STR("1"));
    struct msg *one = msg_new(MSG_CHANNEL, STR("app"), STR("b"), STR("e"), STR("1"));
    struct bus_question *q = mem_zalloc(sizeof *q);
    atomic_init(&q->refs, 1);
    assert_int_equal(publish(all), ERR_FULL);
    assert_int_equal(backend.ask(backend.ctx, q, NULL), ERR_FULL);
    assert_int_equal(all->refs, 1);
    assert_int_equal(q->refs, 1);
    /* Whom the full one does not concern is served. */
    assert_int_equal(publish(one), ERR_OK);
    struct reading r = read_mail(2);
    assert_int_equal(r.n, NODE_INBOX_LETTERS);
    drop_reading(&r);
    assert_int_equal(who_got(one), 1);
    assert_int_equal(publish(all), ERR_OK);
    assert_int_equal(who_got(all), 15);
    msg_unref(all);
    msg_unref(one);
    bus_question_unref(q);
}

/* Few large messages fill an inbox as well. */
static void counts_the_bytes_that_wait(void **unused)
{
    (void)unused;
    enum { BIG = 16 << 20 };
    char *data = calloc(1, BIG);
    listen_to(0, hub_channel_hash(STR("app"), STR("a")), true);
    listen_to(1, hub_channel_hash(STR("app"), STR("a")), true);
    listen_to(1, hub_channel_hash(STR("app"), STR("b")), true);
    struct msg *big = msg_new(MSG_CHANNEL, STR("app"), STR("a"), STR("e"), str_make(data, BIG));
    struct msg *small = msg_new(MSG_CHANNEL, STR("app"), STR("b"), STR("e"), STR("1"));
    unsigned taken = 0;
    while (taken < 1000 && publish(big) == ERR_OK)
        taken++;
    assert_int_equal(taken, NODE_INBOX_BYTES / BIG);
    assert_int_equal(publish(small), ERR_FULL);

    /* One of the two has read: it takes its own again, but not what is for both. */
    struct reading r = read_mail(1);
    assert_int_equal(r.n, taken);
    drop_reading(&r);
    assert_int_equal(publish(small), ERR_OK);
    assert_int_equal(publish(big), ERR_FULL);
    r = read_mail(0);
    drop_reading(&r);
    assert_int_equal(publish(big), ERR_OK);
    for (unsigned w = 0; w < 2; w++) {
        r = read_mail(w);
        assert_int_equal(r.n, 1 + w);
        drop_reading(&r);
        assert_int_equal(node.unread_bytes[w], 0);
    }
    assert_int_equal(big->refs, 1);
    msg_unref(big);
    msg_unref(small);
    free(data);
}

/* ---- what the cluster hands over ---- */

/* Reads the one letter that waits in this worker's inbox; release: mail_free. */
static struct mail *only_mail(unsigned worker, enum mail_kind kind)
{
    struct reading r = read_mail(worker);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.mail[0]->kind, kind);
    return r.mail[0];
}

static void expect_no_mail(void)
{
    for (unsigned w = 0; w < WORKERS; w++)
        assert_int_equal(read_mail(w).n, 0);
}

/* Delivers; who got it? The message is released. */
static unsigned deliver_new(enum msg_kind kind, struct str app, struct str target)
{
    struct cluster_local local = node_local(&node);
    struct msg *m = msg_new(kind, app, target, STR("e"), STR("1"));
    local.deliver(local.ctx, m);
    unsigned got = who_got(m);
    assert_int_equal(m->refs, 1); /* borrowed */
    msg_unref(m);
    return got;
}

static void delivers_what_the_cluster_brings(void **unused)
{
    (void)unused;
    struct str app = STR("app");
    listen_to(0, hub_channel_hash(app, STR("a")), true);
    listen_to(2, hub_channel_hash(app, STR("a")), true);
    listen_to(1, hub_user_hash(app, STR("a")), true);
    assert_int_equal(deliver_new(MSG_CHANNEL, app, STR("a")), 5);
    assert_int_equal(deliver_new(MSG_CHANNEL, app, STR("b")), 0);
    assert_int_equal(deliver_new(MSG_CHANNEL, STR("other"), STR("a")), 0);
    assert_int_equal(deliver_new(MSG_USER, app, STR("a")), 2);
    assert_int_equal(deliver_new(MSG_ADD, app, STR("a")), 2);
    assert_int_equal(deliver_new(MSG_RELOAD, app, STR("a")), 2);
    for (unsigned w = 0; w < WORKERS + 2; w++) {
        struct buf id = socket_id(node.id, w), elsewhere = socket_id(node.id + 1, w);
        assert_int_equal(deliver_new(MSG_SOCKET, app, buf_as_str(&id)), w < WORKERS ? 1u << w : 0);
        assert_int_equal(deliver_new(MSG_SOCKET, app, buf_as_str(&elsewhere)), 0);
        buf_fini(&id);
        buf_fini(&elsewhere);
    }
}

/* A worker far behind misses messages, and is told so once until it has heard it. What others get
 * does not depend on it: the publisher is on another node and is told nothing. */
static void tells_a_full_worker_what_it_lost(void **unused)
{
    (void)unused;
    struct cluster_local local = node_local(&node);
    struct msg *m = msg_new(MSG_CHANNEL, STR("app"), STR("a"), STR("e"), STR("1"));
    listen_to(0, hub_channel_hash(STR("app"), STR("a")), true);
    listen_to(2, hub_channel_hash(STR("app"), STR("a")), true);
    for (unsigned round = 0; round < 2; round++) {
        fill(2);
        for (unsigned i = 0; i < 5; i++)
            local.deliver(local.ctx, m);
        struct reading r = read_mail(0);
        assert_int_equal(r.n, 5);
        drop_reading(&r);
        assert_true(node.lost[2]);
        assert_false(node.lost[0] || node.lost[1] || node.lost[3]);
        r = read_mail(2);
        /* The letters it had, and one that tells. */
        assert_int_equal(r.n, NODE_INBOX_LETTERS + 1);
        drop_reading(&r);
        assert_int_equal(m->refs, 1);

        /* There is room again: messages come, but it has not said that it heard. */
        local.deliver(local.ctx, m);
        assert_int_equal(who_got(m), 5);
        fill(2);
        local.deliver(local.ctx, m);
        r = read_mail(2);
        assert_int_equal(r.n, NODE_INBOX_LETTERS);
        drop_reading(&r);
        assert_int_equal(who_got(m), 1);
        /* Now it has. */
        node.lost[2] = false;
    }
    msg_unref(m);
}

/* One letter each, until it is heard. */
static void sends_the_loss_as_a_letter(void **unused)
{
    (void)unused;
    struct cluster_local local = node_local(&node);
    local.lost(local.ctx);
    local.lost(local.ctx);
    for (unsigned w = 0; w < WORKERS; w++) {
        mail_free(only_mail(w, MAIL_LOST));
        assert_true(node.lost[w]);
    }
    local.lost(local.ctx);
    expect_no_mail();
    node.lost[1] = false;
    local.lost(local.ctx);
    mail_free(only_mail(1, MAIL_LOST));
    expect_no_mail();
}

/* Few large messages are as much as many small ones. */
static void counts_the_bytes_that_the_cluster_brings(void **unused)
{
    (void)unused;
    enum { BIG = 16 << 20 };
    struct cluster_local local = node_local(&node);
    char *data = calloc(1, BIG);
    listen_to(0, hub_channel_hash(STR("app"), STR("a")), true);
    struct msg *big = msg_new(MSG_CHANNEL, STR("app"), STR("a"), STR("e"), str_make(data, BIG));
    for (unsigned i = 0; i < 2 * (NODE_INBOX_BYTES / BIG); i++)
        local.deliver(local.ctx, big);
    struct reading r = read_mail(0);
    assert_int_equal(r.n, NODE_INBOX_BYTES / BIG + 1);
    drop_reading(&r);
    assert_int_equal(node.unread_bytes[0], 0);
    assert_true(node.lost[0]);
    assert_int_equal(big->refs, 1);
    msg_unref(big);
    free(data);
}

static void hands_questions_to_one_or_all(void **unused)
{
    (void)unused;
    struct cluster_local local = node_local(&node);
    struct bus_question *q = mem_zalloc(sizeof *q);
    atomic_init(&q->refs, 1);
    local.question(local.ctx, q, CLUSTER_ALL_WORKERS, HUB_CURSOR_BEGIN);
    assert_int_equal(q->refs, 1 + WORKERS);
    for (unsigned w = 0; w < WORKERS; w++) {
        struct mail *m = only_mail(w, MAIL_QUESTION);
        assert_ptr_equal(m->question, q);
        assert_int_equal(m->cursor, HUB_CURSOR_BEGIN);
        mail_free(m);
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        local.question(local.ctx, q, w, 4711 + w);
        struct mail *m = only_mail(w, MAIL_QUESTION);
        assert_ptr_equal(m->question, q);
        assert_int_equal(m->cursor, 4711 + w);
        mail_free(m);
        expect_no_mail();
    }
    local.question(local.ctx, q, WORKERS, 1); /* nobody */
    expect_no_mail();
    assert_int_equal(q->refs, 1);
    bus_question_unref(q);
}

static void hands_parts_to_who_asked(void **unused)
{
    (void)unused;
    struct cluster_local local = node_local(&node);
    char bytes[] = "some names";
    const struct bus_part p = {.from = {9, 3},
                               .number = 0x123456789a,
                               .cursor = 77,
                               .follows = true,
                               .bytes = str_of(bytes)};
    local.part(local.ctx, 2, &p);
    memset(bytes, 'x', sizeof bytes - 1); /* borrowed */
    struct mail *m = only_mail(2, MAIL_PART);
    assert_int_equal(m->part.from.node, 9);
    assert_int_equal(m->part.from.worker, 3);
    assert_int_equal(m->part.number, 0x123456789a);
    assert_int_equal(m->part.cursor, 77);
    assert_true(m->part.follows);
    assert_true(str_eq(buf_as_str(&m->bytes), STR("some names")));
    mail_free(m);
    expect_no_mail();
}

static void tells_what_is_sure_and_who_is_gone(void **unused)
{
    (void)unused;
    struct cluster_local local = node_local(&node);
    local.confirmed(local.ctx, 3, 0x100000002);
    struct mail *m = only_mail(3, MAIL_SURE);
    assert_int_equal(m->seq, 0x100000002);
    mail_free(m);
    expect_no_mail();
    local.gone(local.ctx, 0xfedcba98, true);
    for (unsigned w = 0; w < WORKERS; w++) {
        m = only_mail(w, MAIL_GONE);
        assert_int_equal(m->node, 0xfedcba98);
        assert_true(m->left);
        mail_free(m);
    }
    local.away(local.ctx);
    for (unsigned w = 0; w < WORKERS; w++)
        mail_free(only_mail(w, MAIL_AWAY));
}

/* Who is done early goes on answering until the last one is. */
static void ends_all_with_the_last_worker(void **unused)
{
    (void)unused;
    atomic_store(&node.n_serving, WORKERS);
    for (unsigned w = 0; w < WORKERS; w++) {
        expect_no_mail();
        node_served(&node);
    }
    for (unsigned w = 0; w < WORKERS; w++)
        mail_free(only_mail(w, MAIL_END));
}

/* Answers, confirmations and losses come however far behind a worker is. */
static void tells_a_full_worker_all_the_same(void **unused)
{
    (void)unused;
    struct cluster_local local = node_local(&node);
    const struct bus_part p = {.bytes = STR("x")};
    fill(1);
    local.part(local.ctx, 1, &p);
    local.confirmed(local.ctx, 1, 1);
    local.gone(local.ctx, 5, false);
    local.away(local.ctx);
    local.lost(local.ctx);
    struct reading r = read_mail(1);
    assert_int_equal(r.n, NODE_INBOX_LETTERS + 5);
    drop_reading(&r);
    for (unsigned w = 0; w < WORKERS; w++) {
        r = read_mail(w);
        drop_reading(&r);
    }
}

static void throws_unread_mail_away(void **unused)
{
    (void)unused;
    struct msg *m = msg_new(MSG_CHANNEL, STR("app"), STR("a"), STR("e"), STR("1"));
    struct bus_question *q = mem_zalloc(sizeof *q);
    struct mail *part = mem_zalloc(sizeof *part);
    atomic_init(&q->refs, 1);
    listen_to(0, hub_channel_hash(STR("app"), STR("a")), true);
    assert_int_equal(publish(m), ERR_OK);
    assert_int_equal(backend.ask(backend.ctx, q, NULL), ERR_OK);
    part->kind = MAIL_PART;
    buf_str(&part->bytes, STR("names"));
    node_send(&node, 3, part);
    node_fini(&node);
    assert_int_equal(m->refs, 1);
    assert_int_equal(q->refs, 1);
    msg_unref(m);
    bus_question_unref(q);
    assert_int_equal(node_init(&node, WORKERS), ERR_OK);
}

static void tells_when_descriptors_are_out(void **unused)
{
    (void)unused;
    struct rlimit before, tight;
    struct node other;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    /* Room for some of its inboxes, not for all. */
    tight.rlim_cur = 40;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    enum err e = node_init(&other, NODE_WORKERS_MAX);
    int why = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(e, ERR_SYS);
    assert_int_equal(why, EMFILE);
}

static void takes_as_many_workers_as_masks_have_bits(void **unused)
{
    (void)unused;
    struct node large;
    struct buf list = BUF_INIT;
    unsigned n_missing;
    assert_int_equal(node_init(&large, NODE_WORKERS_MAX), ERR_OK);
    struct bus_backend b = node_backend(&large);
    struct bus_question *q = mem_zalloc(sizeof *q);
    atomic_init(&q->refs, 1);
    b.sources(b.ctx, HUB_CHANNELS, &list, &n_missing);
    assert_int_equal(list.len, NODE_WORKERS_MAX * sizeof(struct bus_source));
    buf_fini(&list);
    assert_int_equal(b.ask(b.ctx, q, NULL), ERR_OK);
    assert_int_equal(q->refs, 1 + NODE_WORKERS_MAX);
    node_fini(&large);
    bus_question_unref(q);
}

static void keeps_notes_of_tickets(void **unused)
{
    (void)unused;
    static const char note[] = "\1\1\2\3\4\5\6\7\10\0\0\xea\x60{}";
    const struct cluster_local local = node_local(&node);
    assert_int_equal(local.note(local.ctx, BUS_NOTE_TICKET, STR("nobody redeems any here")),
                     ERR_OK);
    assert_int_equal(tickets_new_shared(&node.stores.tickets, STR("a secret of the cluster")),
                     ERR_OK);
    assert_int_equal(local.note(local.ctx, BUS_NOTE_TICKET, STR("what is this?")), ERR_PROTO);
    assert_int_equal(tickets_held(node.stores.tickets), 0);
    assert_int_equal(local.note(local.ctx, BUS_NOTE_TICKET, str_make(note, sizeof note - 1)),
                     ERR_OK);
    assert_int_equal(tickets_held(node.stores.tickets), 1);
    for (unsigned w = 0; w < WORKERS; w++)
        assert_int_equal(read_mail(w).n, 0);
    tickets_free(node.stores.tickets);
}

static void keep_note(void *given, enum bus_note kind, struct str note)
{
    assert_int_equal(kind, BUS_NOTE_BAN);
    buf_str(given, note);
}

/* Whoever is kept out is closed, wherever it is, by the first note that says so. */
static void bans_are_in_force_for_all_workers(void **unused)
{
    (void)unused;
    struct buf note = BUF_INIT, given = BUF_INIT;
    const int64_t now = time(NULL);
    struct ban ban = {.kind = BAN_USER,
                      .app = STR("app"),
                      .name = STR("ann"),
                      .until_s = now + 1000,
                      .set_ms = now * 1000};
    const struct cluster_local local = node_local(&node);
    node.stores.bans = bans_new();
    ban_write_note(&note, &ban);
    assert_int_equal(local.note(local.ctx, BUS_NOTE_BAN, STR("what is this?")), ERR_PROTO);
    for (unsigned times = 0; times < 2; times++) {
        assert_int_equal(local.note(local.ctx, BUS_NOTE_BAN, buf_as_str(&note)), ERR_OK);
        for (unsigned w = 0; w < WORKERS; w++) {
            struct reading r = read_mail(w);
            assert_int_equal(r.n, times == 0);
            if (r.n) {
                const struct msg *m = r.mail[0]->msg;
                assert_int_equal(m->kind, MSG_KICK_USER);
                assert_true(str_eq(m->app, STR("app")) && str_eq(m->target, STR("ann")));
                assert_true(str_eq(m->data, STR("\017\243banned")));
                assert_true(msg_kick_is_valid(m->data));
            }
            drop_reading(&r);
        }
    }
    assert_true(bans_keep_out(node.stores.bans, STR("app"), STR("ann"), STR(""), now));
    /* Lifting closes nobody. */
    ban.lifted = true;
    ban.set_ms++;
    buf_clear(&note);
    ban_write_note(&note, &ban);
    assert_int_equal(node_take_ban(&node, buf_as_str(&note)), ERR_OK);
    assert_int_equal(read_mail(0).n, 0);
    assert_false(bans_keep_out(node.stores.bans, STR("app"), STR("ann"), STR(""), now));
    local.newcomer(local.ctx, keep_note, &given);
    assert_true(str_eq(buf_as_str(&given), buf_as_str(&note)));
    bans_free(node.stores.bans);
    buf_fini(&note);
    buf_fini(&given);
}

#define WITH_NODE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODE(delivers_to_who_listens),
        WITH_NODE(delivers_to_the_worker_of_a_socket),
        WITH_NODE(asks_every_worker),
        WITH_NODE(asks_one_for_more),
        WITH_NODE(is_up_by_itself),
        WITH_NODE(ends_all_with_the_last_worker),
        WITH_NODE(keeps_the_order),
        WITH_NODE(refuses_for_all_when_one_is_full),
        WITH_NODE(counts_the_bytes_that_wait),
        WITH_NODE(delivers_what_the_cluster_brings),
        WITH_NODE(tells_a_full_worker_what_it_lost),
        WITH_NODE(sends_the_loss_as_a_letter),
        WITH_NODE(counts_the_bytes_that_the_cluster_brings),
        WITH_NODE(hands_questions_to_one_or_all),
        WITH_NODE(hands_parts_to_who_asked),
        WITH_NODE(tells_what_is_sure_and_who_is_gone),
        WITH_NODE(tells_a_full_worker_all_the_same),
        WITH_NODE(keeps_notes_of_tickets),
        WITH_NODE(bans_are_in_force_for_all_workers),
        WITH_NODE(throws_unread_mail_away),
        WITH_NODE(tells_when_descriptors_are_out),
        WITH_NODE(takes_as_many_workers_as_masks_have_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
