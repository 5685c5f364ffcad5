#include "bus/cluster.h"
#include <pthread.h>
#include <stdatomic.h>
#include "base/names.h"
#include "bus/wire.h"
#include "nats_server.h"

#define PREFIX "test"
#define APP    STR("app")

enum {
    WORKERS = 2,
    MEMBERS = 4,
    SLAVE = MEMBER_HOLDS_SOCKETS,
    MASTER = MEMBER_PUBLISHES,
    WAIT_MS = 10000,
    STRANGER = 77, /* a node that is a client of the test's and speaks by hand */
};

static unsigned port;
static pid_t server;

/* ---- a member, and what its node was told ---- */

struct gone {
    uint32_t node;
    bool left;
};

struct member_rig {
    struct cluster *cluster;
    char servers[200]; /* read as long as the member lives */
    struct bus_backend bus;
    struct buf scratch;
    uint64_t seq; /* of the last interest */
    pthread_mutex_t lock;
    struct buf messages; /* of each: "KIND app target event data\n" */
    unsigned n_messages, n_lost, n_questions, n_parts, n_away;
    uint64_t sure[WORKERS];     /* confirmed */
    struct buf gone;            /* struct gone each */
    struct bus_question *asked; /* the last one; a reference */
    uint32_t asked_worker, asked_cursor;
    struct buf part_bytes; /* of all parts */
    struct bus_part part;  /* the last one */
    unsigned part_worker;
    struct buf notes; /* each with a newline */
    unsigned n_notes;
    unsigned n_standing; /* notes for who comes */
};

static struct member_rig members[MEMBERS];

static void on_deliver(void *ctx, struct msg *m)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    buf_printf(&r->messages, "%d %.*s %.*s %.*s %.*s\n", (int)m->kind, (int)m->app.len, m->app.p,
               (int)m->target.len, m->target.p, (int)m->event.len, m->event.p, (int)m->data.len,
               m->data.p);
    r->n_messages++;
    pthread_mutex_unlock(&r->lock);
}

static void on_question(void *ctx, struct bus_question *q, uint32_t worker, uint32_t cursor)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    if (r->asked)
        bus_question_unref(r->asked);
    r->asked = bus_question_ref(q);
    r->asked_worker = worker;
    r->asked_cursor = cursor;
    r->n_questions++;
    pthread_mutex_unlock(&r->lock);
}

static void on_part(void *ctx, unsigned worker, const struct bus_part *p)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    buf_str(&r->part_bytes, p->bytes);
    r->part = *p;
    r->part_worker = worker;
    r->n_parts++;
    pthread_mutex_unlock(&r->lock);
}

static enum err on_note(void *ctx, enum bus_note kind, struct str note)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    buf_str(&r->notes, kind == BUS_NOTE_BAN ? STR("ban ") : STR(""));
    buf_str(&r->notes, note);
    buf_char(&r->notes, '\n');
    r->n_notes++;
    pthread_mutex_unlock(&r->lock);
    return ERR_OK;
}

/* What still counts for those who come. */
static void on_newcomer(void *ctx, cluster_give_fn *give, void *give_ctx)
{
    struct member_rig *r = ctx;
    char text[40];
    pthread_mutex_lock(&r->lock);
    unsigned n = r->n_standing;
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < n; i++) {
        int len = snprintf(text, sizeof(text), "standing %u", i);
        give(give_ctx, BUS_NOTE_BAN, str_make(text, (size_t)len));
    }
}

static void on_confirmed(void *ctx, unsigned worker, uint64_t seq)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    r->sure[worker] = seq;
    pthread_mutex_unlock(&r->lock);
}

static void on_gone(void *ctx, uint32_t node, bool left)
{
    struct member_rig *r = ctx;
    const struct gone gone = {node, left};
    pthread_mutex_lock(&r->lock);
    buf_add(&r->gone, &gone, sizeof(gone));
    pthread_mutex_unlock(&r->lock);
}

static void on_away(void *ctx)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    r->n_away++;
    pthread_mutex_unlock(&r->lock);
}

static void on_lost(void *ctx)
{
    struct member_rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    r->n_lost++;
    pthread_mutex_unlock(&r->lock);
}

static bool serves_later; /* whoever is started */

static enum err try_start(struct member_rig *r, const struct cluster_options *o, char *why,
                          size_t why_len)
{
    const struct cluster_local local = {.ctx = r,
                                        .deliver = on_deliver,
                                        .question = on_question,
                                        .part = on_part,
                                        .note = on_note,
                                        .newcomer = on_newcomer,
                                        .confirmed = on_confirmed,
                                        .gone = on_gone,
                                        .away = on_away,
                                        .lost = on_lost};
    enum err e = cluster_start(&r->cluster, o, &local, why, why_len);
    if (!e && !serves_later)
        cluster_serve(r->cluster);
    return e;
}

static struct cluster_options options_of(uint32_t node, unsigned roles)
{
    return (struct cluster_options){.servers = peer_url("nats://127.0.0.1:PORT", port),
                                    .prefix = PREFIX,
                                    .node = node,
                                    .n_workers = WORKERS,
                                    .roles = roles,
                                    .wait_ms = WAIT_MS};
}

static struct member_rig *start_with(unsigned i, struct cluster_options o)
{
    struct member_rig *r = &members[i];
    char why[256] = "";
    snprintf(r->servers, sizeof(r->servers), "%s", o.servers);
    o.servers = r->servers;
    if (try_start(r, &o, why, sizeof(why)))
        fail_msg("%s", why);
    r->bus = cluster_backend(r->cluster);
    return r;
}

/* Member number i is node i + 1. */
static struct member_rig *start(unsigned i, unsigned roles)
{
    return start_with(i, options_of(i + 1, roles));
}

static void stop(struct member_rig *r)
{
    cluster_stop(r->cluster);
    r->cluster = NULL;
}

static void start_server(void)
{
    server = nats_server_start(port, NULL);
}

static int set_up(void **unused)
{
    (void)unused;
    port = peer_free_port();
    memset(members, 0, sizeof(members));
    for (unsigned i = 0; i < MEMBERS; i++)
        pthread_mutex_init(&members[i].lock, NULL);
    start_server();
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    for (struct member_rig *r = members; r < members + MEMBERS; r++) {
        stop(r);
        if (r->asked)
            bus_question_unref(r->asked);
        buf_fini(&r->scratch);
        buf_fini(&r->messages);
        buf_fini(&r->gone);
        buf_fini(&r->part_bytes);
        buf_fini(&r->notes);
        pthread_mutex_destroy(&r->lock);
    }
    peer_kill(&server);
    return 0;
}

/* ---- what workers do, and looks at what came of it ---- */

static void listen_to(struct member_rig *r, unsigned worker, bool is_user, struct str name, bool on)
{
    const struct hub_name n = {.is_user = is_user, .app = APP, .name = name};
    cluster_interest(r->cluster, worker, ++r->seq, &n, on);
}

static enum err publish(struct member_rig *r, enum msg_kind kind, struct str target,
                        struct str data)
{
    struct msg *m = msg_new(kind, APP, target, STR("e"), data);
    enum err e = r->bus.publish(r->bus.ctx, m, false, &r->scratch);
    msg_unref(m);
    r->bus.flush(r->bus.ctx);
    return e;
}

static uint64_t sure_of(struct member_rig *r, unsigned worker)
{
    pthread_mutex_lock(&r->lock);
    uint64_t seq = r->sure[worker];
    pthread_mutex_unlock(&r->lock);
    return seq;
}

static unsigned so_far(struct member_rig *r, const unsigned *n)
{
    pthread_mutex_lock(&r->lock);
    unsigned copy = *n;
    pthread_mutex_unlock(&r->lock);
    return copy;
}

enum how { NOT_GONE, SILENT, LEFT };

/* How it was told last. */
static enum how gone_how(struct member_rig *r, uint32_t node)
{
    enum how how = NOT_GONE;
    struct gone g;
    pthread_mutex_lock(&r->lock);
    for (size_t at = 0; at < r->gone.len; at += sizeof(g)) {
        memcpy(&g, r->gone.p + at, sizeof(g));
        if (g.node == node)
            how = g.left ? LEFT : SILENT;
    }
    pthread_mutex_unlock(&r->lock);
    return how;
}

static bool is_gone(struct member_rig *r, uint32_t node)
{
    return gone_how(r, node) != NOT_GONE;
}

static void forget_gone(struct member_rig *r)
{
    pthread_mutex_lock(&r->lock);
    buf_clear(&r->gone);
    pthread_mutex_unlock(&r->lock);
}

static bool is_up(struct member_rig *r)
{
    return r->bus.state(r->bus.ctx) == BUS_UP;
}

struct roster {
    unsigned n, n_missing;
    unsigned workers[8]; /* by node, as far as it is below that; STRANGER is at 0 */
};

static struct roster roster_of(struct member_rig *r)
{
    struct buf list = BUF_INIT;
    struct roster roster = {0};
    r->bus.sources(r->bus.ctx, HUB_CHANNELS, &list, &roster.n_missing);
    roster.n = (unsigned)(list.len / sizeof(struct bus_source));
    for (unsigned i = 0; i < roster.n; i++) {
        struct bus_source s;
        memcpy(&s, list.p + i * sizeof(s), sizeof(s));
        unsigned at = s.node == STRANGER ? 0 : s.node;
        assert_in_range(at, 0, 7);
        assert_int_equal(s.worker, roster.workers[at]);
        roster.workers[at]++;
    }
    buf_fini(&list);
    return roster;
}

/* All that came in, to the letter. */
static void expect_messages(struct member_rig *r, const char *expected)
{
    pthread_mutex_lock(&r->lock);
    buf_char(&r->messages, 0);
    char *got = strdup(r->messages.p);
    buf_clear(&r->messages);
    pthread_mutex_unlock(&r->lock);
    assert_string_equal(got, expected);
    free(got);
}

/* ---- a node that speaks by hand ---- */

static void say_on(natsConnection *nc, const char *subject, const struct wire *w)
{
    struct buf bytes = BUF_INIT;
    wire_write(&bytes, w);
    assert_int_equal(natsConnection_Publish(nc, subject, bytes.p, (int)bytes.len), NATS_OK);
    assert_int_equal(natsConnection_Flush(nc), NATS_OK);
    buf_fini(&bytes);
}

static void say(natsConnection *nc, enum wire_kind kind)
{
    const struct wire w = {.kind = kind,
                           .node = STRANGER,
                           .incarnation = 5,
                           .roles = SLAVE,
                           .n_workers = 3,
                           .server = STR("elsewhere")};
    say_on(nc, PREFIX ".h", &w);
}

/* The next letter of this kind from that node on a subscription. */
static void expect_letter(natsSubscription *sub, enum wire_kind kind, uint32_t from)
{
    for (bool found = false; !found;) {
        struct wire w;
        natsMsg *msg = nats_server_next(sub);
        struct str bytes = {natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)};
        assert_int_equal(wire_read(&w, bytes), ERR_OK);
        found = w.kind == kind && w.node == from;
        natsMsg_Destroy(msg);
    }
}

/* ---- beginning and end ---- */

static void a_node_alone_settles(void **unused)
{
    (void)unused;
    int64_t before = peer_clock_ms();
    struct member_rig *r = start(0, SLAVE | MASTER);
    assert_in_range(peer_clock_ms() - before, CLUSTER_SETTLE_MS, WAIT_MS);
    assert_true(is_up(r));
    assert_int_equal(r->bus.node, 1);
    size_t max = r->bus.message_max(r->bus.ctx);
    assert_in_range(max, (1 << 20) - 1024, 1 << 20);
    struct roster roster = roster_of(r);
    assert_int_equal(roster.n, WORKERS);
    assert_int_equal(roster.workers[1], WORKERS);
    assert_int_equal(roster.n_missing, 0);
    /* The longest message is one that NATS takes. */
    listen_to(r, 0, false, STR("c"), true);
    WAIT_UNTIL(sure_of(r, 0) == 1);
    struct buf data = BUF_INIT;
    size_t len = max - APP.len - 2;
    memset(buf_reserve(&data, len), '1', len);
    data.len = len;
    assert_int_equal(publish(r, MSG_CHANNEL, STR("c"), buf_as_str(&data)), ERR_OK);
    WAIT_UNTIL(so_far(r, &r->n_messages) == 1);
    buf_fini(&data);
    before = peer_clock_ms();
    stop(r);
    assert_true(peer_clock_ms() - before < 3000);
}

static void does_not_wait_for_ever(void **unused)
{
    (void)unused;
    char why[256] = "";
    struct cluster_options o = options_of(1, SLAVE);
    peer_kill(&server);
    o.wait_ms = 300;
    int64_t before = peer_clock_ms();
    assert_int_equal(try_start(&members[0], &o, why, sizeof(why)), ERR_TIMEOUT);
    assert_in_range(peer_clock_ms() - before, 300, 8000);
    assert_non_null(strstr(why, "NATS"));
    assert_null(members[0].cluster);
    o.servers = "http://127.0.0.1";
    assert_int_equal(try_start(&members[0], &o, why, sizeof(why)), ERR_PROTO);
    assert_null(members[0].cluster);
}

static void *start_slave(void *why)
{
    struct cluster_options o = options_of(1, SLAVE);
    struct member_rig *r = &members[0];
    snprintf(r->servers, sizeof(r->servers), "%s", o.servers);
    o.servers = r->servers;
    return try_start(r, &o, why, 256) ? NULL : r;
}

static void starts_when_the_server_does(void **unused)
{
    (void)unused;
    char why[256] = "";
    pthread_t thread;
    void *started = NULL;
    peer_kill(&server);
    /* Somebody who hangs up: so it has tried in vain before the server comes. */
    int fd = peer_socket(port, true);
    assert_true(fd >= 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, start_slave, why), 0);
    close(accept(fd, NULL, NULL));
    close(fd);
    start_server();
    pthread_join(thread, &started);
    assert_ptr_equal(started, &members[0]);
}

static void a_node_id_is_taken_once(void **unused)
{
    (void)unused;
    char why[256] = "";
    struct member_rig *first = start(0, SLAVE);
    const struct cluster_options o = options_of(1, SLAVE);
    /* Unless the machine stands still just while it settles. */
    for (unsigned tries = 0; !try_start(&members[1], &o, why, sizeof(why)); tries++) {
        assert_true(tries < 3);
        stop(&members[1]);
    }
    assert_non_null(strstr(why, "the same id")); /* not that it has waited too long */
    /* The first one does not mind. */
    WAIT_UNTIL(is_up(first));
    start(1, SLAVE);
    WAIT_UNTIL(roster_of(first).n == 2 * WORKERS);
}

/* ---- who is there ---- */

static void members_come_and_go(void **unused)
{
    (void)unused;
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE);
    WAIT_UNTIL(roster_of(master).n == WORKERS);
    assert_int_equal(roster_of(master).workers[2], WORKERS);
    struct member_rig *b = start(2, SLAVE);
    /* Whoever is up knows the others. */
    assert_int_equal(roster_of(b).n, 2 * WORKERS);
    WAIT_UNTIL(roster_of(master).n == 2 * WORKERS && roster_of(a).n == 2 * WORKERS);
    /* Its farewell is heard at once, not when it has been silent long enough. */
    natsConnection *nc = nats_server_client(port);
    natsSubscription *sub = nats_server_listen(nc, PREFIX ".h");
    stop(b);
    expect_letter(sub, WIRE_BYE, 3);
    WAIT_UNTIL(is_gone(master, 3) && is_gone(a, 3));
    assert_int_equal(gone_how(master, 3), LEFT);
    WAIT_UNTIL(roster_of(master).n == WORKERS && roster_of(a).n == WORKERS);
    assert_int_not_equal(gone_how(master, 2), LEFT);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
}

static void a_silent_node_is_gone(void **unused)
{
    (void)unused;
    struct member_rig *r = start(0, MASTER);
    natsConnection *nc = nats_server_client(port);
    natsSubscription *to_stranger = nats_server_listen(nc, PREFIX ".n.0000004d");
    say(nc, WIRE_HELLO);
    expect_letter(to_stranger, WIRE_WELCOME, 1);
    WAIT_UNTIL(roster_of(r).n == 3);
    assert_int_equal(roster_of(r).workers[0], 3);
    /* As long as it beats it is there; a beat that this machine has held up does not count. */
    int64_t last = peer_clock_ms(), before;
    for (unsigned beats = 0; beats < 6;) {
        before = last;
        last = peer_clock_ms();
        say(nc, WIRE_BEAT);
        WAIT_UNTIL(peer_clock_ms() - last >= MEMBERS_BEAT_MS);
        if (peer_clock_ms() - before < MEMBERS_DEAD_MS) {
            assert_false(is_gone(r, STRANGER));
            beats++;
        } else {
            forget_gone(r);
        }
    }
    WAIT_UNTIL(is_gone(r, STRANGER));
    assert_true(peer_clock_ms() - last >= MEMBERS_DEAD_MS - 50);
    assert_int_equal(gone_how(r, STRANGER), SILENT);
    assert_int_equal(roster_of(r).n, 0);
    natsSubscription_Destroy(to_stranger);
    natsConnection_Destroy(nc);
}

/* Its own farewell is for a node, too. */
static void a_farewell_is_believed(void **unused)
{
    (void)unused;
    struct member_rig *r = start(0, MASTER);
    natsConnection *nc = nats_server_client(port);
    say(nc, WIRE_BEAT);
    WAIT_UNTIL(roster_of(r).n == 3);
    say(nc, WIRE_BYE);
    WAIT_UNTIL(is_gone(r, STRANGER));
    assert_int_equal(gone_how(r, STRANGER), LEFT);
    assert_int_equal(roster_of(r).n, 0);
    natsConnection_Destroy(nc);
}

/* Its workers do not run yet. */
static void who_does_not_serve_yet_is_not_asked(void **unused)
{
    (void)unused;
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE);
    serves_later = true;
    struct member_rig *b = start(2, SLAVE);
    serves_later = false;
    WAIT_UNTIL(roster_of(master).n == WORKERS && roster_of(a).n == WORKERS);
    assert_int_equal(roster_of(master).n_missing, 0);
    cluster_serve(b->cluster);
    WAIT_UNTIL(roster_of(master).n == 2 * WORKERS);
}

/* Whoever greets again has lost its connection, and what was asked over that. */
static void who_greets_again_is_not_waited_for(void **unused)
{
    (void)unused;
    struct member_rig *r = start(0, MASTER);
    natsConnection *nc = nats_server_client(port);
    say(nc, WIRE_HELLO);
    say(nc, WIRE_BEAT);
    WAIT_UNTIL(roster_of(r).n == 3);
    assert_false(is_gone(r, STRANGER));
    say(nc, WIRE_HELLO);
    WAIT_UNTIL(is_gone(r, STRANGER));
    assert_int_equal(gone_how(r, STRANGER), SILENT);
    assert_int_equal(roster_of(r).n, 3); /* it is there, and is asked */
    forget_gone(r);
    say(nc, WIRE_HELLO);
    say(nc, WIRE_BEAT);
    say(nc, WIRE_BYE);
    WAIT_UNTIL(is_gone(r, STRANGER));
    assert_int_equal(gone_how(r, STRANGER), LEFT); /* the greeting went on: no news */
    natsConnection_Destroy(nc);
}

/* Nobody waits for its answers any longer, but it is there. */
static void who_is_leaving_is_not_asked(void **unused)
{
    (void)unused;
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE), *b = start(2, SLAVE);
    WAIT_UNTIL(roster_of(master).n == 2 * WORKERS);
    listen_to(a, 0, false, STR("c"), true);
    WAIT_UNTIL(sure_of(a, 0) == 1);
    cluster_leave(a->cluster);
    WAIT_UNTIL(roster_of(master).n == WORKERS && roster_of(b).n == WORKERS);
    assert_int_equal(roster_of(master).workers[3], WORKERS);
    assert_int_equal(roster_of(master).n_missing, 0);
    WAIT_UNTIL(is_gone(master, 2));
    assert_int_equal(gone_how(master, 2), LEFT);
    /* Its sockets hear what is pushed as long as they are open. */
    assert_int_equal(publish(master, MSG_CHANNEL, STR("c"), STR("1")), ERR_OK);
    WAIT_UNTIL(so_far(a, &a->n_messages) == 1);
    forget_gone(master);
    stop(a);
    WAIT_UNTIL(is_gone(master, 2));
    assert_int_equal(gone_how(master, 2), LEFT);
}

/* After an outage whoever was known is waited for, but not for ever. */
static void settling_waits_for_who_was_known(void **unused)
{
    (void)unused;
    struct member_rig *r = start(0, MASTER);
    natsConnection *nc = nats_server_client(port);
    say(nc, WIRE_BEAT);
    WAIT_UNTIL(roster_of(r).n == 3);
    natsConnection_Destroy(nc);
    peer_kill(&server);
    WAIT_UNTIL(is_gone(r, STRANGER));
    assert_false(is_up(r));
    struct roster away = roster_of(r);
    assert_true(away.n == 0 && away.n_missing == 1);
    forget_gone(r);
    int64_t before = peer_clock_ms();
    start_server();
    WAIT_UNTIL(is_up(r));
    assert_in_range(peer_clock_ms() - before, CLUSTER_SETTLE_MAX_MS, WAIT_MS);
    assert_true(is_gone(r, STRANGER));
    assert_int_equal(roster_of(r).n, 0);
    assert_int_equal(roster_of(r).n_missing, 0);
}

static void prefixes_keep_clusters_apart(void **unused)
{
    (void)unused;
    struct member_rig *here = start(0, SLAVE | MASTER);
    struct cluster_options o = options_of(2, SLAVE | MASTER);
    o.prefix = PREFIX "2";
    struct member_rig *there = start_with(1, o);
    listen_to(here, 0, false, STR("c"), true);
    listen_to(there, 0, false, STR("c"), true);
    WAIT_UNTIL(sure_of(here, 0) == 1 && sure_of(there, 0) == 1);
    assert_int_equal(publish(here, MSG_CHANNEL, STR("c"), STR("1")), ERR_OK);
    assert_int_equal(publish(there, MSG_CHANNEL, STR("c"), STR("2")), ERR_OK);
    WAIT_UNTIL(so_far(here, &here->n_messages) && so_far(there, &there->n_messages));
    expect_messages(here, "0 app c e 1\n");
    expect_messages(there, "0 app c e 2\n");
    assert_int_equal(roster_of(here).n, WORKERS);
    assert_int_equal(roster_of(there).n, WORKERS);
}

/* ---- messages ---- */

static void delivers_in_order_to_who_listens(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE), *b = start(2, SLAVE);
    struct buf expected = BUF_INIT;
    listen_to(a, 0, false, STR("one"), true);
    listen_to(a, 1, false, STR("two"), true);
    listen_to(b, 0, false, STR("two"), true);
    WAIT_UNTIL(sure_of(a, 0) == 1 && sure_of(a, 1) == 2 && sure_of(b, 0) == 1);
    for (unsigned i = 0; i < N; i++) {
        char text[16];
        struct str data = str_make(text, (size_t)snprintf(text, sizeof(text), "%u", i));
        assert_int_equal(publish(master, MSG_CHANNEL, STR("one"), data), ERR_OK);
        assert_int_equal(publish(master, MSG_CHANNEL, STR("nobody"), data), ERR_OK);
        buf_printf(&expected, "0 app one e %u\n", i);
    }
    assert_int_equal(publish(master, MSG_CHANNEL, STR("two"), STR("{}")), ERR_OK);
    WAIT_UNTIL(so_far(a, &a->n_messages) == N + 1);
    WAIT_UNTIL(so_far(b, &b->n_messages) == 1);
    buf_str(&expected, STR("0 app two e {}\n"));
    buf_char(&expected, 0);
    expect_messages(a, expected.p);
    expect_messages(b, "0 app two e {}\n");
    assert_int_equal(so_far(master, &master->n_messages), 0);
    buf_fini(&expected);
}

static void what_is_for_users_and_sockets_arrives(void **unused)
{
    (void)unused;
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE), *b = start(2, SLAVE);
    /* A socket of node 3. */
    struct str socket = STR("00000003-0000-4000-8000-000000000001"), unknown = STR("no socket id");
    struct hub_address address;
    assert_int_equal(hub_address_parse(&address, socket), ERR_OK);
    assert_int_equal(address.node, 3);
    listen_to(a, 1, true, STR("ann"), true);
    WAIT_UNTIL(sure_of(a, 1) == 1);
    assert_int_equal(publish(master, MSG_USER, STR("ann"), STR("1")), ERR_OK);
    assert_int_equal(publish(master, MSG_ADD, STR("ann"), STR("news")), ERR_OK);
    assert_int_equal(publish(master, MSG_SOCKET, socket, STR("2")), ERR_OK);
    assert_int_equal(publish(master, MSG_SOCKET, unknown, STR("3")), ERR_OK);
    WAIT_UNTIL(so_far(a, &a->n_messages) == 2 && so_far(b, &b->n_messages) == 1);
    expect_messages(a, "1 app ann e 1\n3 app ann e news\n");
    expect_messages(b, "2 app 00000003-0000-4000-8000-000000000001 e 2\n");
}

/* Every time: a confirmation is a promise. */
static void what_is_confirmed_is_heard(void **unused)
{
    (void)unused;
    enum { N = 100 };
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE);
    for (unsigned i = 1; i <= N; i++) {
        char text[16];
        struct str name = str_make(text, (size_t)snprintf(text, sizeof(text), "%u", i));
        listen_to(a, i % WORKERS, false, name, true);
        WAIT_UNTIL(sure_of(a, i % WORKERS) == i);
        assert_int_equal(publish(master, MSG_CHANNEL, name, STR("1")), ERR_OK);
    }
    WAIT_UNTIL(so_far(a, &a->n_messages) == N);
}

/* The subject is given up a while after the last listener: the server tells. */
static void nobody_listens_any_more(void **unused)
{
    (void)unused;
    struct member_rig *r = start(0, SLAVE | MASTER);
    natsConnection *nc = nats_server_client(port);
    natsStatus s = NATS_OK;
    listen_to(r, 0, false, STR("c"), true);
    listen_to(r, 1, false, STR("c"), true);
    listen_to(r, 0, false, STR("c"), false);
    WAIT_UNTIL(sure_of(r, 0) == 3 && sure_of(r, 1) == 2);
    assert_int_equal(publish(r, MSG_CHANNEL, STR("c"), STR("1")), ERR_OK);
    WAIT_UNTIL(so_far(r, &r->n_messages) == 1);
    listen_to(r, 1, false, STR("c"), false);
    int64_t before = peer_clock_ms();
    while (s != NATS_NO_RESPONDERS) {
        natsMsg *reply = NULL;
        assert_true(peer_clock_ms() - before < WAIT_MS);
        s = natsConnection_RequestString(&reply, nc, PREFIX ".c.app.c", "not a letter", 100);
        natsMsg_Destroy(reply);
    }
    assert_in_range(peer_clock_ms() - before, 1500, WAIT_MS);
    natsConnection_Destroy(nc);
}

static void what_is_malformed_is_passed_over(void **unused)
{
    (void)unused;
    struct member_rig *r = start(0, SLAVE | MASTER);
    static const char *const subjects[] = {PREFIX ".h", PREFIX ".q", PREFIX ".t",
                                           PREFIX ".n.00000001", PREFIX ".c.app.c"};
    const struct wire strange[] = {
        {.kind = WIRE_MSG, .node = 9, .msg_kind = 99, .app = APP, .target = STR("c")},
        {.kind = WIRE_MSG, .node = 9, .msg_kind = MSG_RELOAD, .app = APP, .data = STR("no names")},
        {.kind = WIRE_MSG, .node = 9, .msg_kind = MSG_KICK_APP, .app = APP, .data = STR("")},
        {.kind = WIRE_MSG,
         .node = 9,
         .msg_kind = MSG_KICK_USER,
         .app = APP,
         .data = STR("\003\350")},
        {.kind = WIRE_QUESTION, .node = 9, .question_kind = 99, .app = APP},
        {.kind = WIRE_QUESTION, .node = 9, .app = APP, .pattern = STR("(")},
        {.kind = WIRE_MORE, .node = 9, .app = APP, .from_worker = WORKERS},
        {.kind = WIRE_PART, .node = 9, .worker = WORKERS},
    };
    natsConnection *nc = nats_server_client(port);
    listen_to(r, 0, false, STR("c"), true);
    WAIT_UNTIL(sure_of(r, 0) == 1);
    for (unsigned s = 0; s < sizeof(subjects) / sizeof(*subjects); s++) {
        assert_int_equal(natsConnection_PublishString(nc, subjects[s], ""), NATS_OK);
        assert_int_equal(natsConnection_PublishString(nc, subjects[s], "GGGGGGGG"), NATS_OK);
        for (unsigned i = 0; i < sizeof(strange) / sizeof(*strange); i++)
            say_on(nc, subjects[s], &strange[i]);
    }
    assert_int_equal(publish(r, MSG_CHANNEL, STR("c"), STR("1")), ERR_OK);
    WAIT_UNTIL(so_far(r, &r->n_messages) == 1);
    expect_messages(r, "0 app c e 1\n");
    assert_int_equal(so_far(r, &r->n_questions), 0);
    assert_int_equal(so_far(r, &r->n_parts), 0);
    assert_true(is_up(r));
    natsConnection_Destroy(nc);
}

/* ---- NATS goes and comes back ---- */

static void refuses_while_away_and_is_whole_again(void **unused)
{
    (void)unused;
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE);
    WAIT_UNTIL(roster_of(master).n == WORKERS);
    listen_to(a, 0, false, STR("before"), true);
    WAIT_UNTIL(sure_of(a, 0) == 1);
    peer_kill(&server);
    WAIT_UNTIL(!is_up(master) && !is_up(a));
    assert_int_equal(publish(master, MSG_CHANNEL, STR("before"), STR("lost")), ERR_AWAY);
    assert_int_equal(a->bus.share(a->bus.ctx, BUS_NOTE_TICKET, STR("lost"), &a->scratch), ERR_AWAY);
    WAIT_UNTIL(is_gone(master, 2));
    assert_int_equal(gone_how(master, 2), SILENT);
    assert_int_equal(so_far(master, &master->n_away), 1);
    struct roster away = roster_of(master);
    assert_true(away.n == 0 && away.n_missing == 1);
    assert_int_equal(roster_of(a).n, WORKERS); /* itself */
    listen_to(a, 1, false, STR("meanwhile"), true);
    start_server();
    WAIT_UNTIL(is_up(master));
    assert_int_equal(sure_of(a, 0), 1);
    WAIT_UNTIL(sure_of(a, 1) == 2);
    /* Who publishes is up only when the other one listens again. */
    assert_int_equal(publish(master, MSG_CHANNEL, STR("before"), STR("1")), ERR_OK);
    assert_int_equal(publish(master, MSG_CHANNEL, STR("meanwhile"), STR("2")), ERR_OK);
    WAIT_UNTIL(so_far(a, &a->n_messages) == 2);
    expect_messages(a, "0 app before e 1\n0 app meanwhile e 2\n");
    assert_int_equal(roster_of(master).n, WORKERS);
    assert_int_equal(roster_of(master).n_missing, 0);
}

static void nothing_is_sure_while_away(void **unused)
{
    (void)unused;
    char path[40];
    struct member_rig *r = start(0, SLAVE | MASTER);
    int log = peer_catch_log(path);
    peer_freeze(server);
    listen_to(r, 0, false, STR("c"), true);
    /* A server that stands still is noticed by the beats that do not come back, long before the
     * connection is given up. */
    WAIT_UNTIL(!is_up(r));
    enum err e = publish(r, MSG_CHANNEL, STR("c"), STR("lost"));
    enum err e_note = r->bus.share(r->bus.ctx, BUS_NOTE_TICKET, STR("lost"), &r->scratch);
    WAIT_UNTIL(strstr(peer_logged(path), "bus_away"));
    assert_non_null(strstr(peer_caught_log(path, log), "NATS does not answer"));
    assert_int_equal(e, ERR_AWAY);
    assert_int_equal(e_note, ERR_AWAY);
    assert_int_equal(sure_of(r, 0), 0);
    peer_thaw(server);
    WAIT_UNTIL(is_up(r) && sure_of(r, 0) == 1);
    assert_int_equal(publish(r, MSG_CHANNEL, STR("c"), STR("1")), ERR_OK);
    WAIT_UNTIL(so_far(r, &r->n_messages) == 1);
    expect_messages(r, "0 app c e 1\n");
}

/* ---- questions and notes ---- */

static struct bus_question *question(struct member_rig *asker, bool count_only)
{
    const struct bus_ask ask = {.kind = HUB_USERS_OF_CHANNEL,
                                .app = APP,
                                .channel = STR("c"),
                                .expression = STR(""),
                                .count_only = count_only};
    return bus_question_new(&ask, asker->bus.node, 1, 4711, 99, 5000);
}

static void expect_question(struct member_rig *r, uint32_t worker, uint32_t cursor)
{
    pthread_mutex_lock(&r->lock);
    const struct bus_question *q = r->asked;
    assert_int_equal(r->asked_worker, worker);
    assert_int_equal(r->asked_cursor, cursor);
    assert_int_equal(q->node, 1);
    assert_int_equal(q->from, 1);
    assert_int_equal(q->number, 4711);
    assert_int_equal(q->page_bytes, 5000);
    assert_int_equal(q->q.kind, HUB_USERS_OF_CHANNEL);
    assert_int_equal(q->q.seed, 99);
    assert_true(str_eq(q->q.app, APP));
    assert_true(str_eq(q->q.channel, STR("c")));
    assert_null(q->pattern);
    pthread_mutex_unlock(&r->lock);
}

static void questions_reach_all_and_one(void **unused)
{
    (void)unused;
    struct member_rig *asker = start(0, SLAVE | MASTER), *a = start(1, SLAVE), *b = start(2, SLAVE),
                      *master = start(3, MASTER);
    struct bus_question *q = question(asker, false);
    assert_int_equal(asker->bus.ask(asker->bus.ctx, q, &asker->scratch), ERR_OK);
    asker->bus.flush(asker->bus.ctx);
    WAIT_UNTIL(so_far(a, &a->n_questions) == 1 && so_far(b, &b->n_questions) == 1);
    expect_question(a, CLUSTER_ALL_WORKERS, HUB_CURSOR_BEGIN);
    expect_question(b, CLUSTER_ALL_WORKERS, HUB_CURSOR_BEGIN);
    expect_question(asker, CLUSTER_ALL_WORKERS, HUB_CURSOR_BEGIN);
    asker->bus.more(asker->bus.ctx, q, (struct bus_source){3, 1}, 12345, &asker->scratch);
    asker->bus.flush(asker->bus.ctx);
    WAIT_UNTIL(so_far(b, &b->n_questions) == 2);
    expect_question(b, 1, 12345);
    asker->bus.more(asker->bus.ctx, q, (struct bus_source){1, 0}, 17, &asker->scratch);
    expect_question(asker, 0, 17);
    /* Its own is not asked twice, who holds no sockets is not asked. */
    assert_int_equal(so_far(asker, &asker->n_questions), 2);
    assert_int_equal(so_far(a, &a->n_questions), 1);
    assert_int_equal(so_far(master, &master->n_questions), 0);
    bus_question_unref(q);
}

/* A page that is longer than a message comes in pieces, in order. */
static void answers_come_whole(void **unused)
{
    (void)unused;
    enum { NAMES = 100000 };
    struct member_rig *asker = start(0, MASTER), *a = start(1, SLAVE);
    struct buf names = BUF_INIT, scratch = BUF_INIT;
    for (unsigned i = 0; i < NAMES; i++) {
        char text[16];
        names_add(&names, str_make(text, (size_t)snprintf(text, sizeof(text), "u%u", i)));
    }
    for (unsigned round = 0; round < 2; round++) {
        bool count_only = round;
        struct bus_question *q = question(asker, count_only);
        const struct bus_part p = {.from = {2, 1},
                                   .number = 4711,
                                   .cursor = 42,
                                   .bytes = str_make(names.p, names.len - names.len % 16)};
        const struct bus_part whole = {
            .from = {2, 1}, .number = 4711, .cursor = 42, .bytes = buf_as_str(&names)};
        const struct bus_part *sent = count_only ? &p : &whole;
        unsigned before = so_far(asker, &asker->n_parts);
        cluster_send_part(a->cluster, q, sent, &scratch);
        a->bus.flush(a->bus.ctx);
        unsigned n = (unsigned)(sent->bytes.len / CLUSTER_PIECE_MAX) + 1;
        WAIT_UNTIL(so_far(asker, &asker->n_parts) == before + n);
        pthread_mutex_lock(&asker->lock);
        assert_int_equal(asker->part_worker, 1);
        assert_int_equal(asker->part.from.node, 2);
        assert_int_equal(asker->part.from.worker, 1);
        assert_int_equal(asker->part.number, 4711);
        assert_int_equal(asker->part.cursor, 42);
        assert_false(asker->part.follows);
        assert_true(str_eq(buf_as_str(&asker->part_bytes), sent->bytes));
        buf_clear(&asker->part_bytes);
        pthread_mutex_unlock(&asker->lock);
        bus_question_unref(q);
    }
    buf_fini(&names);
    buf_fini(&scratch);
}

static void notes_reach_all_others_with_sockets(void **unused)
{
    (void)unused;
    struct member_rig *issuer = start(0, SLAVE), *a = start(1, SLAVE | MASTER),
                      *master = start(2, MASTER);
    assert_int_equal(
        issuer->bus.share(issuer->bus.ctx, BUS_NOTE_TICKET, STR("one"), &issuer->scratch), ERR_OK);
    assert_int_equal(
        issuer->bus.share(issuer->bus.ctx, BUS_NOTE_TICKET, STR("two"), &issuer->scratch), ERR_OK);
    issuer->bus.flush(issuer->bus.ctx);
    WAIT_UNTIL(so_far(a, &a->n_notes) == 2);
    assert_true(str_eq(buf_as_str(&a->notes), STR("one\ntwo\n")));
    /* What is sent behind it has come back to the issuer: its own would be there, too. */
    listen_to(issuer, 0, false, STR("c"), true);
    WAIT_UNTIL(sure_of(issuer, 0) == 1);
    assert_int_equal(so_far(issuer, &issuer->n_notes), 0);
    assert_int_equal(so_far(master, &master->n_notes), 0);
}

static void stand(struct member_rig *r, unsigned n)
{
    pthread_mutex_lock(&r->lock);
    r->n_standing = n;
    pthread_mutex_unlock(&r->lock);
}

/* Who comes hears what still counts from those who are there, before it is up; and they hear what
 * it brings. Masters, too. */
static bool has_note(struct member_rig *rig, const char *text)
{
    pthread_mutex_lock(&rig->lock);
    bool has = rig->notes.len && memmem(rig->notes.p, rig->notes.len, text, strlen(text)) != NULL;
    pthread_mutex_unlock(&rig->lock);
    return has;
}

static void who_comes_is_told_what_still_counts(void **unused)
{
    (void)unused;
    struct member_rig *slave = start(0, SLAVE);
    stand(slave, 100);
    stand(&members[1], 2);
    struct member_rig *master = start(1, MASTER);
    /* Who is greeted again, as on a slow machine, tells it again. */
    assert_true(so_far(master, &master->n_notes) >= 100);
    WAIT_UNTIL(so_far(slave, &slave->n_notes) >= 2);
    assert_true(has_note(slave, "ban standing 0\nban standing 1\n"));
    assert_false(has_note(master, "ban new\n"));
    assert_int_equal(slave->bus.share(slave->bus.ctx, BUS_NOTE_BAN, STR("new"), &slave->scratch),
                     ERR_OK);
    slave->bus.flush(slave->bus.ctx);
    WAIT_UNTIL(has_note(master, "ban new\n"));
    assert_false(has_note(slave, "ban new\n"));
    /* After an outage again. */
    unsigned at_slave = so_far(slave, &slave->n_notes),
             at_master = so_far(master, &master->n_notes);
    peer_kill(&server);
    WAIT_UNTIL(!is_up(slave) && !is_up(master));
    start_server();
    WAIT_UNTIL(is_up(slave) && is_up(master));
    WAIT_UNTIL(so_far(slave, &slave->n_notes) >= at_slave + 2 &&
               so_far(master, &master->n_notes) >= at_master + 100);
}

/* What a publish was answered concerns those who publish alone. */
static void who_publishes_is_told_what_was_done(void **unused)
{
    (void)unused;
    struct member_rig *one = start(0, MASTER), *two = start(1, MASTER), *slave = start(2, SLAVE);
    assert_int_equal(one->bus.share(one->bus.ctx, BUS_NOTE_DONE, STR("done"), &one->scratch),
                     ERR_OK);
    assert_int_equal(one->bus.share(one->bus.ctx, BUS_NOTE_BAN, STR("last"), &one->scratch),
                     ERR_OK);
    one->bus.flush(one->bus.ctx);
    WAIT_UNTIL(so_far(two, &two->n_notes) == 2 && so_far(slave, &slave->n_notes) == 1);
    pthread_mutex_lock(&two->lock);
    assert_true(str_eq(buf_as_str(&two->notes), STR("done\nban last\n")));
    pthread_mutex_unlock(&two->lock);
    assert_int_equal(so_far(one, &one->n_notes), 0);
}

/* Kicks of one socket or user go where these are, others to all who hold sockets. */
#define CODE "\017\242"
static void kicks_find_their_sockets(void **unused)
{
    (void)unused;
    struct member_rig *master = start(0, MASTER), *a = start(1, SLAVE), *b = start(2, SLAVE);
    struct str socket = STR("00000003-0000-4000-8000-000000000001");
    listen_to(a, 1, true, STR("ann"), true);
    WAIT_UNTIL(sure_of(a, 1) == 1);
    assert_int_equal(publish(master, MSG_KICK_USER, STR("ann"), STR(CODE "1")), ERR_OK);
    assert_int_equal(publish(master, MSG_KICK_SOCKET, socket, STR(CODE "2")), ERR_OK);
    assert_int_equal(publish(master, MSG_KICK_TOKEN, STR("jti"), STR(CODE "3")), ERR_OK);
    assert_int_equal(publish(master, MSG_KICK_APP, STR(""), STR(CODE "4")), ERR_OK);
    WAIT_UNTIL(so_far(a, &a->n_messages) == 3 && so_far(b, &b->n_messages) == 3);
    expect_messages(a, "6 app ann e " CODE "1\n7 app jti e " CODE "3\n8 app  e " CODE "4\n");
    expect_messages(b, "5 app 00000003-0000-4000-8000-000000000001 e " CODE "2\n7 app jti e " CODE
                       "3\n"
                       "8 app  e " CODE "4\n");
    assert_int_equal(so_far(master, &master->n_messages), 0);
}

/* ---- two servers ---- */

/* The subscription has to cross the route before it is sure. */
static void what_is_confirmed_is_heard_behind_another_server(void **unused)
{
    (void)unused;
    enum { N = 100 };
    unsigned other_port = peer_free_port(), route_port = peer_free_port();
    char route[64], other_url[64];
    snprintf(route, sizeof(route), "nats://127.0.0.1:%u", route_port);
    snprintf(other_url, sizeof(other_url), "nats://127.0.0.1:%u", other_port);
    peer_kill(&server);
    server = nats_server_start(port, (const char *const[]){"--cluster_name", "t", "--cluster",
                                                           route, "--no_advertise", NULL});
    pid_t other = nats_server_start(
        other_port, (const char *const[]){"--cluster_name", "t", "--cluster", "nats://127.0.0.1:-1",
                                          "--routes", route, "--no_advertise", NULL});
    struct cluster_options o = options_of(2, SLAVE);
    o.servers = other_url;
    struct member_rig *master = start(0, MASTER), *a = start_with(1, o);
    WAIT_UNTIL(roster_of(master).n == WORKERS);
    for (unsigned i = 1; i <= N; i++) {
        char text[16];
        struct str name = str_make(text, (size_t)snprintf(text, sizeof(text), "%u", i));
        listen_to(a, 0, false, name, true);
        WAIT_UNTIL(sure_of(a, 0) == i);
        assert_int_equal(publish(master, MSG_CHANNEL, name, STR("1")), ERR_OK);
    }
    WAIT_UNTIL(so_far(a, &a->n_messages) == N);
    stop(a);
    WAIT_UNTIL(is_gone(master, 2));
    peer_kill(&other);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    if (!peer_is_installed("nats-server")) {
        puts("skipped: nats-server is not installed");
        return PEER_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        WITH_SERVER(a_node_alone_settles),
        WITH_SERVER(does_not_wait_for_ever),
        WITH_SERVER(starts_when_the_server_does),
        WITH_SERVER(a_node_id_is_taken_once),
        WITH_SERVER(members_come_and_go),
        WITH_SERVER(a_silent_node_is_gone),
        WITH_SERVER(a_farewell_is_believed),
        WITH_SERVER(who_does_not_serve_yet_is_not_asked),
        WITH_SERVER(who_greets_again_is_not_waited_for),
        WITH_SERVER(who_is_leaving_is_not_asked),
        WITH_SERVER(settling_waits_for_who_was_known),
        WITH_SERVER(prefixes_keep_clusters_apart),
        WITH_SERVER(delivers_in_order_to_who_listens),
        WITH_SERVER(what_is_for_users_and_sockets_arrives),
        WITH_SERVER(what_is_confirmed_is_heard),
        WITH_SERVER(nobody_listens_any_more),
        WITH_SERVER(what_is_malformed_is_passed_over),
        WITH_SERVER(refuses_while_away_and_is_whole_again),
        WITH_SERVER(nothing_is_sure_while_away),
        WITH_SERVER(questions_reach_all_and_one),
        WITH_SERVER(answers_come_whole),
        WITH_SERVER(notes_reach_all_others_with_sockets),
        WITH_SERVER(who_comes_is_told_what_still_counts),
        WITH_SERVER(kicks_find_their_sockets),
        WITH_SERVER(who_publishes_is_told_what_was_done),
        WITH_SERVER(what_is_confirmed_is_heard_behind_another_server),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
