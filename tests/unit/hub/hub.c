#include "hub/hub.h"
#include "base/names.h"
#include "base/mem.h"
#include "hub_check.h"
#include "names_text.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum {
    SUBSCRIPTIONS_MAX = 6,
    SUBSCRIPTIONS_ALL = 17,
    NAME_MAX_BYTES = 5000,
    SOCKETS = 12,
    NODE = 0x01020304,
    WORKER = 7
};

/* ---- a host that notes what it is asked ---- */

struct client {
    struct hub_socket socket;
    unsigned index;
    bool joined;
    struct buf got; /* what was delivered: "<encoding>;" one after the other */
};

static struct client clients[SOCKETS];
static struct hub *hub;
static unsigned n_encoded[HUB_ENCODERS_MAX], n_delivered;
static void (*at_deliver)(struct hub_socket *s);

static struct {
    uint64_t hash;
    unsigned changes;
    bool on;
} interests[64];
static unsigned n_interests;

static unsigned n_bulk;

static void deliver(void *ctx, struct hub_socket *s, struct blob *b, bool bulk)
{
    struct client *c = container_of(s, struct client, socket);
    assert_ptr_equal(ctx, clients);
    assert_true(c->joined);
    n_bulk += bulk;
    buf_str(&c->got, str_make(b->bytes, b->len));
    n_delivered++;
    if (at_deliver)
        at_deliver(s);
}

static void deliver_range(void *ctx, struct hub_socket *s, const struct blob_range *r)
{
    struct client *c = container_of(s, struct client, socket);
    assert_ptr_equal(ctx, clients);
    assert_true(c->joined);
    buf_str(&c->got, str_make(r->blob->bytes + r->from, r->to - r->from));
}

/* Gives all sockets what they are due. */
static void give_all_due(void)
{
    struct hub_due due[3];
    for (unsigned n; (n = hub_due(hub, due, 3, SIZE_MAX));) {
        for (unsigned i = 0; i < n; i++) {
            for (unsigned k = 0; k < due[i].n; k++)
                deliver_range(clients, due[i].socket, &due[i].ranges[k]);
        }
    }
}

static struct blob *encode(void *ctx, unsigned encoder, const struct msg *m)
{
    static const char *const kinds[] = {"channel", "user", "socket", "add", "reload"};
    assert_ptr_equal(ctx, clients);
    n_encoded[encoder]++;
    struct buf text = BUF_INIT;
    buf_printf(&text, "%u:%s:", encoder, kinds[m->kind]);
    if (m->kind == MSG_RELOAD) {
        char *names = names_sorted(m->data);
        buf_str(&text, str_of(names));
        free(names);
    } else {
        buf_str(&text, m->data);
    }
    buf_char(&text, ';');
    struct blob *b = blob_of(buf_as_str(&text));
    buf_fini(&text);
    return b;
}

static void note_interest(void *ctx, const struct hub_name *name, bool on)
{
    uint64_t hash = hub_name_hash(name);
    unsigned i = 0;
    assert_ptr_equal(ctx, clients);
    while (i < n_interests && interests[i].hash != hash)
        i++;
    if (i == n_interests) {
        assert_true(on);
        assert_in_range(n_interests, 0, 63);
        interests[n_interests++].hash = hash;
        interests[i].changes = 0;
    } else {
        assert_int_not_equal(interests[i].on, on); /* each change once */
    }
    interests[i].on = on;
    interests[i].changes++;
}

static bool is_interesting(uint64_t hash)
{
    for (unsigned i = 0; i < n_interests; i++) {
        if (interests[i].hash == hash)
            return interests[i].on;
    }
    return false;
}

static unsigned count_interests(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_interests; i++)
        n += interests[i].on;
    return n;
}

static int set_up_with(uint64_t subscriptions_all)
{
    const struct hub_host host = {clients, deliver, deliver_range, encode, note_interest};
    const struct hub_options options = {.node = NODE,
                                        .worker = WORKER,
                                        .subscriptions_max = SUBSCRIPTIONS_MAX,
                                        .subscriptions_all = subscriptions_all,
                                        .name_max = NAME_MAX_BYTES,
                                        .bulk_min = UINT32_MAX};
    memset(clients, 0, sizeof clients);
    memset(n_encoded, 0, sizeof n_encoded);
    n_delivered = n_interests = 0;
    at_deliver = NULL;
    for (unsigned i = 0; i < SOCKETS; i++)
        clients[i].index = i;
    hub = hub_new(&host, &options);
    return 0;
}

static int set_up(void **unused)
{
    (void)unused;
    return set_up_with(0);
}

static int set_up_small(void **unused)
{
    (void)unused;
    return set_up_with(SUBSCRIPTIONS_ALL);
}

static void leave(unsigned i)
{
    hub_leave(hub, &clients[i].socket);
    clients[i].joined = false;
    memset(&clients[i].socket, 0xdd, sizeof clients[i].socket);
}

static int tear_down(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < SOCKETS; i++) {
        if (clients[i].joined)
            leave(i);
        buf_fini(&clients[i].got);
    }
    assert_int_equal(count_interests(), 0);
    hub_free(hub);
    return 0;
}

static void check(void)
{
    const char *wrong = hub_check(hub);
    if (wrong)
        fail_msg("%s", wrong);
}

static struct hub_socket *join_with(unsigned i, const char *app, const char *user,
                                    const char *channels, unsigned encoder)
{
    struct buf list = names_of(channels);
    struct grants *g = grants_get(hub_grants_pool(hub), buf_as_str(&list), STR_EMPTY);
    hub_join(hub, &clients[i].socket, str_of(app), str_of(user), g, encoder);
    clients[i].joined = true;
    buf_clear(&clients[i].got);
    buf_fini(&list);
    check();
    return &clients[i].socket;
}

static struct hub_socket *join(unsigned i, const char *app, const char *user, const char *channels)
{
    return join_with(i, app, user, channels, 0);
}

static enum err subscribe(unsigned i, const char *channel)
{
    enum err e = hub_subscribe(hub, &clients[i].socket, str_of(channel));
    check();
    return e;
}

static enum err subscribe_all(unsigned i, const char *channels)
{
    struct buf list = names_of(channels);
    enum err e = hub_subscribe_all(hub, &clients[i].socket, buf_as_str(&list));
    buf_fini(&list);
    check();
    return e;
}

static enum err unsubscribe(unsigned i, const char *channel)
{
    enum err e = hub_unsubscribe(hub, &clients[i].socket, str_of(channel));
    check();
    return e;
}

static void dispatch_bytes(enum msg_kind kind, const char *app, struct str target, struct str data)
{
    struct msg *m = msg_new(kind, str_of(app), target, STR("event"), data);
    hub_dispatch(hub, m);
    msg_unref(m);
    check();
}

static void dispatch(enum msg_kind kind, const char *app, const char *target, const char *data)
{
    dispatch_bytes(kind, app, str_of(target), str_of(data));
}

static void reload(const char *app, const char *user, const char *channels)
{
    struct buf list = names_of(channels);
    dispatch_bytes(MSG_RELOAD, app, str_of(user), buf_as_str(&list));
    buf_fini(&list);
}

/* What client `i` got since the last look. */
static void expect_got(unsigned i, const char *expected)
{
    struct buf *got = &clients[i].got;
    if (!str_eq(buf_as_str(got), str_of(expected)))
        fail_msg("client %u got '%.*s', expected '%s'", i, (int)got->len, got->p, expected);
    buf_clear(got);
}

static void expect_answer(enum hub_question_kind kind, const char *app, const char *channel,
                          const char *expected)
{
    const struct hub_question q = {.kind = kind, .app = str_of(app), .channel = str_of(channel)};
    struct buf names = BUF_INIT;
    assert_int_equal(hub_answer(hub, &q, false, HUB_CURSOR_BEGIN, SIZE_MAX, &names),
                     HUB_CURSOR_END);
    char *text = names_sorted(buf_as_str(&names));
    assert_string_equal(text, expected);
    free(text);
    buf_fini(&names);
}

static bool listens(const char *app, const char *channel)
{
    return is_interesting(hub_channel_hash(str_of(app), str_of(channel)));
}

static bool listens_user(const char *app, const char *user)
{
    return is_interesting(hub_user_hash(str_of(app), str_of(user)));
}

/* ---- coming and going ---- */

static void is_online_from_join_to_leave(void **unused)
{
    (void)unused;
    expect_answer(HUB_USERS, "app", "", "");
    join(0, "app", "ann", "*;");
    expect_answer(HUB_USERS, "app", "", "ann;");
    join(1, "app", "bob", "*;");
    join(2, "app", "ann", "*;");
    join(3, "app", "", "*;");
    expect_answer(HUB_USERS, "app", "", "ann;bob;");
    leave(0);
    check();
    expect_answer(HUB_USERS, "app", "", "ann;bob;");
    leave(2);
    check();
    expect_answer(HUB_USERS, "app", "", "bob;");
    leave(1);
    check();
    expect_answer(HUB_USERS, "app", "", "");
    leave(3);
    assert_int_equal(hub->apps.n, 0);
}

static void leaves_with_all_it_had(void **unused)
{
    (void)unused;
    join(0, "app", "ann", "*;");
    join(1, "app", "bob", "*;");
    assert_int_equal(subscribe_all(0, "a;b;c;"), ERR_OK);
    assert_int_equal(subscribe_all(1, "c;b;"), ERR_OK);
    expect_answer(HUB_CHANNELS, "app", "", "a;b;c;");
    leave(0);
    check();
    expect_answer(HUB_CHANNELS, "app", "", "b;c;");
    expect_answer(HUB_USERS_OF_CHANNEL, "app", "c", "bob;");
    dispatch(MSG_CHANNEL, "app", "a", "1");
    dispatch(MSG_CHANNEL, "app", "c", "2");
    dispatch(MSG_USER, "app", "ann", "3");
    expect_got(1, "0:channel:2;");
    expect_got(0, "");
}

static void walks_while_sockets_leave(void **unused)
{
    (void)unused;
    uint32_t place = 0;
    unsigned met = 0;
    for (unsigned i = 0; i < SOCKETS; i++)
        join(i, "app", i % 2 ? "u" : "", "*;");
    for (struct hub_socket *s; (s = hub_each(hub, &place)); met++) {
        leave(container_of(s, struct client, socket)->index);
        check();
    }
    assert_int_equal(met, SOCKETS);
}

/* ---- subscribing ---- */

static void subscribes_what_is_permitted(void **unused)
{
    (void)unused;
    join(0, "app", "ann", "news;app*;");
    assert_int_equal(subscribe(0, "news"), ERR_OK);
    assert_int_equal(subscribe(0, "apple"), ERR_OK);
    assert_int_equal(subscribe(0, "app"), ERR_DENIED);
    assert_int_equal(subscribe(0, "News"), ERR_DENIED);
    assert_int_equal(subscribe(0, ""), ERR_DENIED);
    dispatch(MSG_CHANNEL, "app", "news", "1");
    dispatch(MSG_CHANNEL, "app", "apple", "2");
    dispatch(MSG_CHANNEL, "app", "app", "3");
    dispatch(MSG_CHANNEL, "app", "app*", "4");
    expect_got(0, "0:channel:1;0:channel:2;");

    /* Again is fine, and still one copy. */
    assert_int_equal(subscribe(0, "news"), ERR_OK);
    dispatch(MSG_CHANNEL, "app", "news", "5");
    expect_got(0, "0:channel:5;");

    assert_int_equal(unsubscribe(0, "news"), ERR_OK);
    assert_int_equal(unsubscribe(0, "news"), ERR_OK);
    assert_int_equal(unsubscribe(0, "app*"), ERR_OK); /* a permitted name, not a rule here */
    assert_int_equal(unsubscribe(0, "other"), ERR_DENIED);
    dispatch(MSG_CHANNEL, "app", "news", "6");
    dispatch(MSG_CHANNEL, "app", "apple", "7");
    expect_got(0, "0:channel:7;");
}

static void subscribes_all_or_nothing(void **unused)
{
    (void)unused;
    join(0, "app", "", "a;b;c*;");
    assert_int_equal(subscribe_all(0, "a;b;no;"), ERR_DENIED);
    assert_int_equal(clients[0].socket.n_subs, 0);
    expect_answer(HUB_CHANNELS, "app", "", "");
    assert_int_equal(n_interests, 0);
    assert_int_equal(subscribe_all(0, ""), ERR_OK);
    assert_int_equal(subscribe_all(0, "a;cd;a;cd;"), ERR_OK);
    expect_answer(HUB_CHANNELS, "app", "", "a;cd;");
    dispatch(MSG_CHANNEL, "app", "a", "1");
    expect_got(0, "0:channel:1;");
    assert_int_equal(subscribe_all(0, "b;no;"), ERR_DENIED);
    expect_answer(HUB_CHANNELS, "app", "", "a;cd;");
}

static void limits_subscriptions(void **unused)
{
    (void)unused;
    join(0, "app", "", "*;");
    assert_int_equal(subscribe_all(0, "1;2;3;4;5;6;7;"), ERR_LIMIT);
    assert_int_equal(clients[0].socket.n_subs, 0);
    assert_int_equal(subscribe_all(0, "1;2;3;4;5;6;"), ERR_OK);
    assert_int_equal(subscribe(0, "7"), ERR_LIMIT);
    assert_int_equal(subscribe(0, "6"), ERR_OK); /* has it already */
    expect_answer(HUB_CHANNELS, "app", "", "1;2;3;4;5;6;");
    assert_int_equal(unsubscribe(0, "3"), ERR_OK);
    assert_int_equal(subscribe_all(0, "7;8;"), ERR_LIMIT);
    assert_int_equal(subscribe(0, "7"), ERR_OK);
    expect_answer(HUB_CHANNELS, "app", "", "1;2;4;5;6;7;");
    /* The limit is each socket's own; another channel's being there makes no difference. */
    join(1, "app", "", "*;");
    assert_int_equal(subscribe_all(1, "1;2;3;4;5;6;"), ERR_OK);
    assert_int_equal(subscribe(1, "7"), ERR_LIMIT);
}

static void limits_all_subscriptions_together(void **unused)
{
    (void)unused;
    join(0, "app", "", "*;");
    join(1, "app", "", "*;");
    assert_int_equal(subscribe_all(0, "1;2;3;4;5;"), ERR_OK);
    assert_int_equal(subscribe_all(1, "1;2;3;4;5;6;"), ERR_OK);
    hub_set_full(hub, true);
    assert_int_equal(subscribe(0, "6"), ERR_LIMIT);
    assert_int_equal(subscribe_all(0, "5;6;"), ERR_LIMIT);
    /* What it has it may name again. */
    assert_int_equal(subscribe(0, "5"), ERR_OK);
    assert_int_equal(subscribe_all(0, "1;2;"), ERR_OK);
    hub_set_full(hub, false);
    assert_int_equal(subscribe(0, "6"), ERR_OK);
    assert_int_equal(unsubscribe(0, "6"), ERR_OK);
    join(2, "app", "", "*;");
    assert_int_equal(subscribe_all(2, "1;2;3;4;5;"), ERR_OK); /* 16 of SUBSCRIPTIONS_ALL */
    assert_int_equal(subscribe_all(2, "5;6;"), ERR_OK);
    assert_int_equal(subscribe(0, "6"), ERR_LIMIT);
    assert_int_equal(unsubscribe(1, "1"), ERR_OK);
    assert_int_equal(subscribe(0, "6"), ERR_OK);
}

/* ---- the fan-out ---- */

static void delivers_in_order(void **unused)
{
    (void)unused;
    join(0, "app", "ann", "*;");
    join(1, "app", "bob", "*;");
    subscribe_all(0, "a;b;");
    subscribe_all(1, "b;");
    dispatch(MSG_CHANNEL, "app", "a", "1");
    dispatch(MSG_CHANNEL, "app", "b", "2");
    dispatch(MSG_USER, "app", "ann", "3");
    dispatch(MSG_CHANNEL, "app", "b", "4");
    dispatch(MSG_CHANNEL, "app", "a", "5");
    expect_got(0, "0:channel:1;0:channel:2;0:user:3;0:channel:4;0:channel:5;");
    expect_got(1, "0:channel:2;0:channel:4;");
}

static void gives_a_push_to_many_later(void **unused)
{
    (void)unused;
    n_bulk = 0;
    hub->options.bulk_min = 4;
    for (unsigned i = 0; i < 4; i++) {
        dispatch(MSG_CHANNEL, "app", "a", "1");
        join(i, "app", "ann", "*;");
        subscribe(i, "a");
    }
    expect_got(0, "0:channel:1;0:channel:1;0:channel:1;");
    expect_got(3, "");
    dispatch(MSG_USER, "app", "ann", "2");
    assert_int_equal(n_bulk, 0);
    expect_got(3, "0:user:2;");
    unsigned n_encodings = n_encoded[0];
    dispatch(MSG_CHANNEL, "app", "a", "3");
    dispatch(MSG_CHANNEL, "app", "a", "4");
    assert_int_equal(n_encoded[0], n_encodings + 2);
    expect_got(3, "");
    give_all_due();
    expect_got(3, "0:channel:3;0:channel:4;");
    /* With one eager subscriber too few are left that could wait. */
    subscribe(0, "b");
    dispatch(MSG_CHANNEL, "app", "a", "5");
    assert_int_equal(n_bulk, 4);
    expect_got(3, "0:channel:5;");
}

static void encodes_once_for_each_encoder(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < SOCKETS; i++) {
        join_with(i, "app", "ann", "*;", i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : HUB_ENCODERS_MAX - 1);
        subscribe(i, "a");
    }
    dispatch(MSG_CHANNEL, "app", "a", "x");
    assert_int_equal(n_delivered, SOCKETS);
    for (unsigned i = 0; i < HUB_ENCODERS_MAX; i++)
        assert_int_equal(n_encoded[i], i == 0 || i == 1 || i == HUB_ENCODERS_MAX - 1);
    expect_got(0, "0:channel:x;");
    expect_got(1, "1:channel:x;");
    expect_got(2, "7:channel:x;");
    dispatch(MSG_USER, "app", "ann", "y");
    dispatch(MSG_ADD, "app", "ann", "z");
    assert_int_equal(n_encoded[1], 3);
    /* Nobody listens: nothing is encoded. */
    dispatch(MSG_CHANNEL, "app", "b", "x");
    dispatch(MSG_CHANNEL, "other", "a", "x");
    dispatch(MSG_USER, "app", "bob", "x");
    assert_int_equal(n_encoded[0] + n_encoded[1] + n_encoded[HUB_ENCODERS_MAX - 1], 9);
}

static void keeps_apps_apart(void **unused)
{
    (void)unused;
    join(0, "one", "ann", "*;");
    join(1, "two", "ann", "*;");
    subscribe(0, "news");
    subscribe(1, "news");
    dispatch(MSG_CHANNEL, "one", "news", "1");
    dispatch(MSG_USER, "two", "ann", "2");
    dispatch(MSG_ADD, "one", "ann", "3");
    reload("two", "ann", "none;");
    expect_got(0, "0:channel:1;0:add:3;");
    expect_got(1, "0:user:2;0:reload:none;;");
    expect_answer(HUB_CHANNELS, "one", "", "news;");
    expect_answer(HUB_CHANNELS, "two", "", "");
    assert_int_equal(hub_subscribe(hub, &clients[0].socket, STR("x")), ERR_OK);
    assert_int_equal(hub_subscribe(hub, &clients[1].socket, STR("x")), ERR_DENIED);
}

static void takes_any_bytes_as_names(void **unused)
{
    (void)unused;
    char name[NAME_MAX_BYTES + 1];
    memset(name, 'n', sizeof name);
    join(0, "app", "ann", "*;");
    struct str names[] = {STR(""), STR("\0"), STR("a\0b"), STR("\xff\xfe"),
                          str_make(name, NAME_MAX_BYTES)};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(hub_subscribe(hub, &clients[0].socket, names[i]), ERR_OK);
        assert_true(is_interesting(hub_channel_hash(STR("app"), names[i])));
    }
    check();
    for (unsigned i = 0; i < 5; i++) {
        dispatch_bytes(MSG_CHANNEL, "app", names[i], STR("x"));
        expect_got(0, "0:channel:x;");
    }
    dispatch_bytes(MSG_CHANNEL, "app", str_make(name, NAME_MAX_BYTES - 1), STR("x"));
    expect_got(0, "");
    /* None longer than that, by itself or among others. */
    struct buf list = BUF_INIT;
    names_add(&list, STR("new"));
    names_add(&list, str_make(name, sizeof name));
    assert_int_equal(hub_subscribe(hub, &clients[0].socket, str_make(name, sizeof name)),
                     ERR_LIMIT);
    assert_int_equal(hub_subscribe_all(hub, &clients[0].socket, buf_as_str(&list)), ERR_LIMIT);
    assert_false(is_interesting(hub_channel_hash(STR("app"), STR("new"))));
    assert_int_equal(clients[0].socket.n_subs, 5);
    buf_fini(&list);
}

static void reaches_every_socket_of_a_user(void **unused)
{
    (void)unused;
    join(0, "app", "ann", "");
    join(1, "app", "ann", "*;");
    join(2, "app", "bob", "*;");
    join(3, "app", "", "*;");
    dispatch(MSG_USER, "app", "ann", "1");
    dispatch(MSG_USER, "app", "", "2"); /* anonymous users have no name to be addressed by */
    expect_got(0, "0:user:1;");
    expect_got(1, "0:user:1;");
    expect_got(2, "");
    expect_got(3, "");
    leave(0);
    dispatch(MSG_USER, "app", "ann", "3");
    expect_got(1, "0:user:3;");
}

static void reaches_one_socket_by_its_id(void **unused)
{
    (void)unused;
    char id[HUB_SOCKET_ID_LEN], other[HUB_SOCKET_ID_LEN];
    struct hub_socket *s = join(0, "app", "ann", "");
    join(1, "app", "ann", "");
    hub_socket_id(hub, s, id);
    hub_socket_id(hub, &clients[1].socket, other);
    assert_memory_not_equal(id, other, sizeof id);
    dispatch_bytes(MSG_SOCKET, "app", str_make(id, sizeof id), STR("1"));
    expect_got(0, "0:socket:1;");
    expect_got(1, "");

    dispatch_bytes(MSG_SOCKET, "other", str_make(id, sizeof id), STR("2"));
    dispatch(MSG_SOCKET, "app", "no id", "2");
    for (unsigned i = 0; i < sizeof id; i++) {
        char changed[HUB_SOCKET_ID_LEN];
        memcpy(changed, id, sizeof id);
        changed[i] = id[i] == '1' ? '2' : '1';
        dispatch_bytes(MSG_SOCKET, "app", str_make(changed, sizeof changed), STR("2"));
    }
    expect_got(0, "");
    expect_got(1, "");

    /* The next socket in the slot is another one. */
    leave(0);
    dispatch_bytes(MSG_SOCKET, "app", str_make(id, sizeof id), STR("3"));
    join(0, "app", "ann", "");
    dispatch_bytes(MSG_SOCKET, "app", str_make(id, sizeof id), STR("3"));
    expect_got(0, "");
    expect_got(1, "");
}

/* ---- changing grants ---- */

static void all_may_subscribe_to_new(struct hub_socket *s)
{
    (void)s;
    for (unsigned i = 0; i < 3; i++)
        assert_true(grants_allow(clients[i].socket.grants, STR("new")));
}

static void adds_before_it_tells(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        join(i, "app", "ann", i ? "a;b*;" : "");
    join(3, "app", "bob", "");
    assert_int_equal(subscribe(1, "a"), ERR_OK);
    at_deliver = all_may_subscribe_to_new;
    dispatch(MSG_ADD, "app", "ann", "new");
    dispatch(MSG_ADD, "app", "ann", "new"); /* told again, added once */
    at_deliver = NULL;
    for (unsigned i = 0; i < 3; i++) {
        expect_got(i, "0:add:new;0:add:new;");
        char *list = names_sorted(grants_channels(clients[i].socket.grants));
        assert_string_equal(list, i ? "a;b*;new;" : "new;");
        free(list);
        assert_int_equal(clients[i].socket.n_subs, i == 1); /* subscribes nothing */
        assert_int_equal(subscribe(i, "new"), ERR_OK);
    }
    expect_got(3, "");
    assert_int_equal(subscribe(3, "new"), ERR_DENIED);
    assert_ptr_equal(clients[1].socket.grants, clients[2].socket.grants);
}

static void reloads_before_it_tells(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        join(i, "app", "ann", "*;");
    join(3, "app", "bob", "*;");
    subscribe_all(0, "apple;new;pear;app;");
    subscribe_all(1, "pear;");
    subscribe_all(3, "pear;");
    at_deliver = all_may_subscribe_to_new;
    reload("app", "ann", "app*;new;");
    at_deliver = NULL;
    for (unsigned i = 0; i < 3; i++)
        expect_got(i, "0:reload:app*;new;;");
    expect_got(3, "");

    /* What the new list permits stays, the rest has ended. */
    assert_int_equal(clients[0].socket.n_subs, 2);
    assert_int_equal(clients[1].socket.n_subs, 0);
    expect_answer(HUB_CHANNELS, "app", "", "apple;new;pear;");
    expect_answer(HUB_USERS_OF_CHANNEL, "app", "pear", "bob;");
    dispatch(MSG_CHANNEL, "app", "pear", "1");
    dispatch(MSG_CHANNEL, "app", "apple", "2");
    expect_got(0, "0:channel:2;");
    expect_got(1, "");
    expect_got(3, "0:channel:1;");
    assert_int_equal(subscribe(1, "pear"), ERR_DENIED);
    assert_int_equal(subscribe(1, "apple"), ERR_OK);

    reload("app", "ann", "*;");
    assert_int_equal(clients[0].socket.n_subs, 2);
    reload("app", "ann", "");
    assert_int_equal(clients[0].socket.n_subs + clients[1].socket.n_subs, 0);
    /* A new connection has the list it came with. */
    join(4, "app", "ann", "*;");
    assert_int_equal(subscribe(4, "pear"), ERR_OK);
}

static void keeps_remotes_through_reloads(void **unused)
{
    (void)unused;
    struct buf remotes = names_of("cmd;");
    hub_join(hub, &clients[0].socket, STR("app"), STR("ann"),
             grants_get(hub_grants_pool(hub), STR_EMPTY, buf_as_str(&remotes)), 0);
    clients[0].joined = true;
    buf_fini(&remotes);
    reload("app", "ann", "a;");
    dispatch(MSG_ADD, "app", "ann", "b");
    assert_true(grants_allow_remote(clients[0].socket.grants, STR("cmd")));
    assert_false(grants_allow_remote(clients[0].socket.grants, STR("a")));
}

static void ends_what_other_grants_do_not_permit(void **unused)
{
    (void)unused;
    join(0, "app", "ann", "*;");
    join(1, "app", "ann", "*;");
    subscribe_all(0, "apple;new;pear;");
    subscribe_all(1, "pear;");
    struct buf list = names_of("app*;"), remotes = names_of("cmd;"), revoked = BUF_INIT;
    hub_set_grants(hub, &clients[0].socket,
                   grants_get(hub_grants_pool(hub), buf_as_str(&list), buf_as_str(&remotes)),
                   &revoked);
    check();
    char *text = names_sorted(buf_as_str(&revoked));
    assert_string_equal(text, "new;pear;");
    free(text);
    assert_int_equal(clients[0].socket.n_subs, 1);
    assert_true(hub_is_subscribed(&clients[0].socket, STR("apple")));
    assert_true(grants_allow_remote(clients[0].socket.grants, STR("cmd")));
    assert_false(listens("app", "new")); /* nobody else did */
    assert_true(listens("app", "pear"));
    /* Others of the user keep what they have, and nobody is told: that is the host's. */
    assert_int_equal(clients[1].socket.n_subs, 1);
    expect_got(0, "");
    expect_got(1, "");
    buf_fini(&list);
    buf_fini(&remotes);
    buf_fini(&revoked);
}

/* ---- interest ---- */

static void announces_each_name_once(void **unused)
{
    (void)unused;
    join(0, "app", "ann", "*;");
    assert_true(listens_user("app", "ann"));
    assert_false(listens("app", "ann"));
    join(1, "app", "ann", "*;");
    join(2, "app", "", "*;");
    assert_int_equal(count_interests(), 1);
    subscribe(0, "a");
    assert_true(listens("app", "a"));
    assert_false(listens("ap", "pa"));
    subscribe(0, "a");
    subscribe_all(1, "a;b;");
    subscribe(2, "a");
    assert_int_equal(count_interests(), 3);
    unsubscribe(0, "a");
    leave(2);
    assert_true(listens("app", "a"));
    unsubscribe(1, "a");
    assert_false(listens("app", "a"));
    leave(0);
    assert_true(listens_user("app", "ann"));
    reload("app", "ann", "");
    assert_false(listens("app", "b"));
    leave(1);
    assert_int_equal(count_interests(), 0);
    for (unsigned i = 0; i < n_interests; i++)
        assert_int_equal(interests[i].changes, 2);
}

static void hashes_names_apart(void **unused)
{
    (void)unused;
    static const char *const pairs[][2] = {
        {"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a", "b"}, {"ab", ""},
    };
    uint64_t seen[12];
    for (unsigned i = 0; i < 6; i++) {
        seen[2 * i] = hub_channel_hash(str_of(pairs[i][0]), str_of(pairs[i][1]));
        seen[2 * i + 1] = hub_user_hash(str_of(pairs[i][0]), str_of(pairs[i][1]));
    }
    for (unsigned i = 0; i < 12; i++) {
        for (unsigned j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

/* ---- against a plain model ---- */

/* A client as the model sees it: arrays of flags. */
static const char *const apps[] = {"one", "two"};
static const char *const users[] = {"", "ann", "bob", "eve"};
static const char *const channels[] = {"a", "b", "ab", "abc", "b1", "b2", "c", ""};
/* Permissions a socket may have: each permits these channels. */
static const struct {
    const char *permission;
    unsigned permits; /* bit i: channels[i] */
} permissions[] = {{"*", 0xff}, {"a", 0x01}, {"b*", 0x30},  {"a*", 0x0c},
                   {"", 0x80},  {"c", 0x40}, {"*b*", 0x08}, {"nothing", 0}};
enum { APPS = 2, USERS = 4, CHANNELS = 8, PERMISSIONS = 8 };

struct modelled {
    unsigned app, user, permitted; /* bits of permissions[] */
    unsigned subs;                 /* bits of channels[] */
};
static struct modelled models[SOCKETS];

static unsigned allowed(unsigned permitted)
{
    unsigned may = 0;
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        if (permitted >> i & 1)
            may |= permissions[i].permits;
    }
    return may;
}

static struct buf list_permissions(unsigned permitted)
{
    struct buf list = BUF_INIT;
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        if (permitted >> i & 1)
            names_add(&list, str_of(permissions[i].permission));
    }
    return list;
}

static void model_subscribe_all(unsigned i, struct prng *r)
{
    struct modelled *m = &models[i];
    struct buf list = BUF_INIT;
    unsigned wanted = 0, n = prng_below(r, 5);
    for (unsigned k = 0; k < n; k++) {
        unsigned channel = prng_below(r, CHANNELS);
        wanted |= 1u << channel;
        names_add(&list, str_of(channels[channel]));
    }
    enum err expected = ERR_OK;
    if (wanted & ~allowed(m->permitted))
        expected = ERR_DENIED;
    else if (__builtin_popcount(m->subs | wanted) > SUBSCRIPTIONS_MAX)
        expected = ERR_LIMIT;
    else
        m->subs |= wanted;
    assert_int_equal(hub_subscribe_all(hub, &clients[i].socket, buf_as_str(&list)), expected);
    buf_fini(&list);
}

static void model_subscribe(unsigned i, unsigned channel)
{
    struct modelled *m = &models[i];
    enum err expected = ERR_OK;
    if (!(allowed(m->permitted) >> channel & 1))
        expected = ERR_DENIED;
    else if (!(m->subs >> channel & 1) && __builtin_popcount(m->subs) == SUBSCRIPTIONS_MAX)
        expected = ERR_LIMIT;
    else
        m->subs |= 1u << channel;
    assert_int_equal(hub_subscribe(hub, &clients[i].socket, str_of(channels[channel])), expected);
}

static void model_unsubscribe(unsigned i, unsigned channel)
{
    struct modelled *m = &models[i];
    bool may = allowed(m->permitted) >> channel & 1;
    assert_int_equal(hub_unsubscribe(hub, &clients[i].socket, str_of(channels[channel])),
                     may ? ERR_OK : ERR_DENIED);
    if (may)
        m->subs &= ~(1u << channel);
}

static void model_message(struct prng *r, unsigned number)
{
    unsigned app = prng_below(r, APPS), user = prng_below(r, USERS);
    unsigned channel = prng_below(r, CHANNELS), permission = prng_below(r, PERMISSIONS);
    unsigned permitted = prng_below(r, 1 << PERMISSIONS);
    enum msg_kind kind = (enum msg_kind)prng_below(r, 5);
    struct buf list = BUF_INIT;
    char data[20], id[HUB_SOCKET_ID_LEN];
    struct str text = str_of(data), target = str_of(users[user]);
    unsigned chosen = SOCKETS;
    snprintf(data, sizeof data, "%u", number);
    text = str_of(data);
    if (kind == MSG_CHANNEL) {
        target = str_of(channels[channel]);
    } else if (kind == MSG_ADD) {
        text = str_of(permissions[permission].permission);
    } else if (kind == MSG_RELOAD) {
        list = list_permissions(permitted);
        text = buf_as_str(&list);
    } else if (kind == MSG_SOCKET) {
        chosen = prng_below(r, SOCKETS);
        if (!clients[chosen].joined)
            return;
        hub_socket_id(hub, &clients[chosen].socket, id);
        target = str_make(id, sizeof id);
    }
    for (unsigned i = 0; i < SOCKETS; i++)
        buf_clear(&clients[i].got);
    struct msg *msg = msg_new(kind, str_of(apps[app]), target, STR("e"), text);
    hub_dispatch(hub, msg);
    give_all_due();
    msg_unref(msg);
    buf_fini(&list);

    for (unsigned i = 0; i < SOCKETS; i++) {
        struct modelled *m = &models[i];
        bool is_user = user && m->user == user;
        bool gets = kind == MSG_CHANNEL  ? m->subs >> channel & 1
                    : kind == MSG_SOCKET ? i == chosen
                                         : is_user;
        if (!clients[i].joined || m->app != app)
            gets = false;
        struct str got = buf_as_str(&clients[i].got);
        bool once = got.len && memchr(got.p, ';', got.len);
        assert_int_equal(gets, once);
        if (gets && kind <= MSG_SOCKET)
            assert_ptr_equal(memchr(got.p, ';', got.len), got.p + got.len - 1);
        if (gets && kind == MSG_ADD)
            m->permitted |= 1u << permission;
        if (gets && kind == MSG_RELOAD) {
            m->permitted = permitted;
            m->subs &= allowed(permitted);
        }
    }
}

static void compare_subscriptions(void)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        if (!clients[i].joined)
            continue;
        assert_int_equal(clients[i].socket.n_subs, __builtin_popcount(models[i].subs));
        for (uint32_t k = 0; k < clients[i].socket.n_subs; k++) {
            struct str name = channel_name(clients[i].socket.subs[k].channel);
            unsigned channel = 0;
            while (!str_eq(name, str_of(channels[channel])))
                channel++;
            assert_true(models[i].subs >> channel & 1);
        }
    }
}

static void compare_names(void)
{
    unsigned expected = 0;
    for (unsigned app = 0; app < APPS; app++) {
        unsigned live = 0, online = 0;
        for (unsigned i = 0; i < SOCKETS; i++) {
            if (clients[i].joined && models[i].app == app) {
                live |= models[i].subs;
                online |= models[i].user ? 1u << models[i].user : 0;
            }
        }
        expected += (unsigned)(__builtin_popcount(live) + __builtin_popcount(online));
        for (unsigned i = 0; i < CHANNELS; i++)
            assert_int_equal(listens(apps[app], channels[i]), live >> i & 1);
        for (unsigned i = 1; i < USERS; i++)
            assert_int_equal(listens_user(apps[app], users[i]), online >> i & 1);
        const struct hub_question q = {.kind = HUB_CHANNELS, .app = str_of(apps[app])};
        struct buf names = BUF_INIT;
        assert_int_equal(hub_answer(hub, &q, false, HUB_CURSOR_BEGIN, SIZE_MAX, &names),
                         HUB_CURSOR_END);
        assert_int_equal(names_count(buf_as_str(&names)), __builtin_popcount(live & 0x7f));
        buf_fini(&names);
    }
    assert_int_equal(count_interests(), expected);
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct prng r = {seed};
        hub->options.bulk_min = seed % 2 ? UINT32_MAX : 2;
        for (unsigned step = 0; step < 5000; step++) {
            unsigned i = prng_below(&r, SOCKETS), what = prng_below(&r, 20);
            if (!clients[i].joined) {
                models[i] = (struct modelled){prng_below(&r, APPS), prng_below(&r, USERS),
                                              prng_below(&r, 1 << PERMISSIONS), 0};
                struct buf list = list_permissions(models[i].permitted);
                hub_join(hub, &clients[i].socket, str_of(apps[models[i].app]),
                         str_of(users[models[i].user]),
                         grants_get(hub_grants_pool(hub), buf_as_str(&list), STR_EMPTY),
                         prng_below(&r, 3));
                clients[i].joined = true;
                buf_fini(&list);
            } else if (what == 0) {
                leave(i);
            } else if (what < 8) {
                model_subscribe(i, prng_below(&r, CHANNELS));
            } else if (what < 11) {
                model_subscribe_all(i, &r);
            } else if (what < 16) {
                model_unsubscribe(i, prng_below(&r, CHANNELS));
            } else {
                model_message(&r, step);
            }
            check();
            compare_subscriptions();
            compare_names();
        }
        for (unsigned i = 0; i < SOCKETS; i++) {
            if (clients[i].joined)
                leave(i);
            check();
        }
        assert_int_equal(hub->apps.n, 0);
        assert_int_equal(hub->grants.known.n, 0);
    }
}

/* Memory of a channel follows its subscribers, down as well. */
static void shrinks_with_its_subscribers(void **unused)
{
    (void)unused;
    enum { MANY = 3000 };
    struct client *many = calloc(MANY, sizeof *many);
    for (unsigned i = 0; i < MANY; i++) {
        hub_join(hub, &many[i].socket, STR("app"), STR_EMPTY,
                 grants_get(hub_grants_pool(hub), str_make("\1\0\0\0*", 5), STR_EMPTY), 0);
        assert_int_equal(hub_subscribe(hub, &many[i].socket, STR("a")), ERR_OK);
    }
    struct hub_channel *c = many[0].socket.subs[0].channel;
    assert_int_equal(c->n, MANY);
    for (unsigned i = 0; i < MANY - 1; i++) {
        hub_leave(hub, &many[(i * 7919) % (MANY - 1)].socket);
        if (i % 500 == 0)
            check();
    }
    assert_int_equal(c->n, 1);
    assert_true(c->cap <= 16);
    hub_leave(hub, &many[MANY - 1].socket);
    free(many);
}

#define WITH_HUB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(is_online_from_join_to_leave),
        WITH_HUB(leaves_with_all_it_had),
        WITH_HUB(walks_while_sockets_leave),
        WITH_HUB(subscribes_what_is_permitted),
        WITH_HUB(subscribes_all_or_nothing),
        WITH_HUB(limits_subscriptions),
        cmocka_unit_test_setup_teardown(limits_all_subscriptions_together, set_up_small, tear_down),
        WITH_HUB(delivers_in_order),
        WITH_HUB(gives_a_push_to_many_later),
        WITH_HUB(encodes_once_for_each_encoder),
        WITH_HUB(keeps_apps_apart),
        WITH_HUB(takes_any_bytes_as_names),
        WITH_HUB(reaches_every_socket_of_a_user),
        WITH_HUB(reaches_one_socket_by_its_id),
        WITH_HUB(adds_before_it_tells),
        WITH_HUB(reloads_before_it_tells),
        WITH_HUB(keeps_remotes_through_reloads),
        WITH_HUB(ends_what_other_grants_do_not_permit),
        WITH_HUB(announces_each_name_once),
        WITH_HUB(hashes_names_apart),
        WITH_HUB(agrees_with_the_model),
        WITH_HUB(shrinks_with_its_subscribers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
