/* Pushes to many that are given later: whatever happens in between, each socket gets all that is
 * for it, once and in order. */
#include "hub/lag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/names.h"
#include "hub_check.h"
#include "mem_count.h"
#include "prng.h"

enum { SOCKETS = 10, CHANNELS = 3, USERS = 3, BULK_MIN = 3 };

struct client {
    struct hub_socket socket;
    bool joined;
    struct buf got, expected;
    size_t n_checked; /* bytes of got that are known to be right */
};

static struct client clients[SOCKETS];
static struct hub *hub;

static struct prng *stalls; /* sockets stall and drain while something is queued for them */

static void write_first(struct hub_socket *s)
{
    if (stalls && prng_below(stalls, 3) == 0)
        hub_set_stalled(hub, s, prng_below(stalls, 2));
}

static struct client *client_of(struct hub_socket *s)
{
    return container_of(s, struct client, socket);
}

static void deliver(void *ctx, struct hub_socket *s, struct blob *b, bool bulk)
{
    (void)ctx;
    (void)bulk;
    write_first(s);
    buf_str(&client_of(s)->got, str_make(b->bytes, b->len));
}

static void take_range(struct hub_socket *s, const struct blob_range *r)
{
    buf_str(&client_of(s)->got, str_make(r->blob->bytes + r->from, r->to - r->from));
}

static void deliver_range(void *ctx, struct hub_socket *s, const struct blob_range *r)
{
    (void)ctx;
    write_first(s);
    take_range(s, r);
}

static void encode_text(struct buf *out, unsigned encoder, struct str data)
{
    buf_printf(out, "%u:", encoder);
    buf_str(out, data);
    buf_char(out, ';');
}

static struct blob *encode(void *ctx, unsigned encoder, const struct msg *m)
{
    (void)ctx;
    struct buf text = BUF_INIT;
    encode_text(&text, encoder, m->data);
    struct blob *b = blob_of(buf_as_str(&text));
    buf_fini(&text);
    return b;
}

static void interest(void *ctx, const struct hub_name *name, bool on)
{
    (void)ctx;
    (void)name;
    (void)on;
}

static int set_up(void **unused)
{
    (void)unused;
    const struct hub_host host = {NULL, deliver, deliver_range, encode, interest};
    const struct hub_options options = {
        .subscriptions_max = CHANNELS, .name_max = 100, .bulk_min = BULK_MIN};
    memset(clients, 0, sizeof(clients));
    hub = hub_new(&host, &options);
    return 0;
}

static void check_client(struct client *c)
{
    size_t n_new = c->got.len - c->n_checked;
    assert_true(c->got.len <= c->expected.len);
    assert_true(!n_new ||
                memcmp(c->got.p + c->n_checked, c->expected.p + c->n_checked, n_new) == 0);
    c->n_checked = c->got.len;
}

static void expect_all(struct client *c)
{
    check_client(c);
    assert_int_equal(c->got.len, c->expected.len);
}

static void leave(struct client *c)
{
    hub_leave(hub, &c->socket);
    c->joined = false;
    expect_all(c);
    buf_fini(&c->got);
    buf_fini(&c->expected);
    c->n_checked = 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < SOCKETS; i++) {
        if (clients[i].joined)
            leave(&clients[i]);
    }
    hub_free(hub);
    return 0;
}

static void join(struct client *c, const char *user, unsigned encoder)
{
    struct buf list = BUF_INIT;
    names_add(&list, STR("*"));
    hub_join(hub, &c->socket, STR("app"), str_of(user),
             grants_get(hub_grants_pool(hub), buf_as_str(&list), STR_EMPTY), encoder);
    buf_fini(&list);
    c->joined = true;
}

static void push(enum msg_kind kind, const char *target, struct str data)
{
    struct msg *m = msg_new(kind, STR("app"), str_of(target), STR("e"), data);
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct client *c = &clients[i];
        if (c->joined &&
            (kind == MSG_USER ? c->socket.user && str_eq(hub_user_of(&c->socket), str_of(target))
                              : hub_is_subscribed(&c->socket, str_of(target))))
            encode_text(&c->expected, c->socket.encoder, data);
    }
    hub_dispatch(hub, m);
    msg_unref(m);
}

/* Some of those who are due; false: nobody was. */
static bool give_some(unsigned max)
{
    struct hub_due due[SOCKETS];
    unsigned n = hub_due(hub, due, max, SIZE_MAX);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_ptr_not_equal(due[i].socket, due[k].socket);
        for (unsigned k = 0; k < due[i].n; k++)
            take_range(due[i].socket, &due[i].ranges[k]);
        write_first(due[i].socket);
    }
    return n > 0;
}

static void give_all(void)
{
    while (give_some(2))
        ;
    for (unsigned i = 0; i < SOCKETS; i++)
        expect_all(&clients[i]);
    assert_null(hub->first_lag);
}

static void check(void)
{
    const char *wrong = hub_check(hub);
    if (wrong)
        fail_msg("%s", wrong);
    for (unsigned i = 0; i < SOCKETS; i++)
        check_client(&clients[i]);
}

/* One thing that happens; one frame of `big` is a long one. */
static void step(struct prng *r, unsigned number, unsigned big)
{
    static const char *const channels[] = {"a", "b", "c"}, *const users[] = {"", "ann", "bob"};
    struct client *c = &clients[prng_below(r, SOCKETS)];
    const char *channel = channels[prng_below(r, 4) ? 0 : prng_below(r, CHANNELS)];
    char data[8192];
    int len = snprintf(data, sizeof(data), "%u", number);
    unsigned what = prng_below(r, 40);
    if (!c->joined) {
        join(c, users[prng_below(r, USERS)], prng_below(r, 10) == 0);
    } else if (what == 0) {
        leave(c);
    } else if (what < 8) {
        hub_subscribe(hub, &c->socket, str_of(channel));
    } else if (what < 12) {
        hub_unsubscribe(hub, &c->socket, str_of(channel));
    } else if (what < 14) {
        hub_set_stalled(hub, &c->socket, prng_below(r, 2));
    } else if (what < 16) {
        /* Of the host's own. */
        hub_catch_up(hub, &c->socket);
        buf_str(&c->got, STR("own;"));
        buf_str(&c->expected, STR("own;"));
    } else if (what < 18) {
        push(MSG_USER, users[1 + prng_below(r, USERS - 1)], str_make(data, (size_t)len));
    } else if (what < 34) {
        if (prng_below(r, big) == 0) {
            len = (int)sizeof(data);
            memset(data, 'a' + (int)(number % 26), sizeof(data));
        }
        push(MSG_CHANNEL, channel, str_make(data, (size_t)len));
    } else if (prng_below(r, big) > 0) {
        give_some(1 + prng_below(r, SOCKETS - 1));
    }
}

static void gives_each_all_in_order(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct prng r = {seed}, nested = {seed};
        stalls = seed % 3 ? &nested : NULL;
        for (unsigned i = 0; i < 4000; i++) {
            step(&r, i, seed % 2 ? 8 : 1); /* 1: all big, and given now and then */
            check();
            if (prng_below(&r, 100) == 0)
                give_all();
        }
        give_all();
        for (unsigned i = 0; i < SOCKETS; i++) {
            buf_clear(&clients[i].got);
            clients[i].n_checked = 0;
            buf_clear(&clients[i].expected);
        }
    }
    stalls = NULL;
}

static void subscribe_all(void)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        join(&clients[i], "", 0);
        assert_int_equal(hub_subscribe(hub, &clients[i].socket, STR("a")), ERR_OK);
    }
}

/* What comes while the walk is under way joins what those ahead of it still lack. */
static void joins_what_comes_meanwhile(void **unused)
{
    (void)unused;
    struct hub_due due[SOCKETS];
    subscribe_all();
    push(MSG_CHANNEL, "a", STR("1"));
    assert_true(give_some(4));
    push(MSG_CHANNEL, "a", STR("2"));
    assert_int_equal(hub_due(hub, due, SOCKETS, SIZE_MAX),
                     SOCKETS - 4); /* a batch ends with its pass */
    for (unsigned i = 0; i < SOCKETS - 4; i++) {
        assert_int_equal(due[i].n, 1);
        assert_int_equal(due[i].ranges[0].to - due[i].ranges[0].from, 8);
        deliver_range(NULL, due[i].socket, due[i].ranges);
    }
    assert_int_equal(hub_due(hub, due, SOCKETS, SIZE_MAX), 4);
    for (unsigned i = 0; i < 4; i++)
        deliver_range(NULL, due[i].socket, due[i].ranges);
    give_all();
}

/* However much comes before anybody is given it, the tail is bounded. */
static void bounds_what_is_kept(void **unused)
{
    (void)unused;
    subscribe_all();
    for (unsigned i = 0; i < 2 * TAIL_FRAMES_MAX + 5; i++) {
        push(MSG_CHANNEL, "a", STR("x"));
        assert_true(hub->first_lag->tail.n <= TAIL_FRAMES_MAX);
    }
    check();
    give_all();
}

static void takes_turns_among_channels(void **unused)
{
    (void)unused;
    subscribe_all();
    for (unsigned i = 0; i < SOCKETS / 2; i++) {
        hub_unsubscribe(hub, &clients[i].socket, STR("a"));
        hub_subscribe(hub, &clients[i].socket, STR("b"));
    }
    push(MSG_CHANNEL, "a", STR("1"));
    push(MSG_CHANNEL, "b", STR("2"));
    give_some(2);
    give_some(2);
    assert_int_equal(clients[0].got.len, 4);
    assert_int_equal(clients[1].got.len, 4);
    assert_int_equal(clients[2].got.len, 0);
    give_all();
}

static void holds_nothing_when_all_have_it(void **unused)
{
    (void)unused;
    subscribe_all();
    size_t held = mem_count.bytes;
    push(MSG_CHANNEL, "a", STR("1"));
    assert_true(mem_count.bytes > held + TAIL_CHUNK_BYTES);
    while (give_some(3))
        ;
    for (unsigned i = 0; i < SOCKETS; i++) {
        expect_all(&clients[i]);
        buf_fini(&clients[i].got);
        clients[i].n_checked = 0;
        buf_fini(&clients[i].expected);
    }
    assert_int_equal(mem_count.bytes, held);
}

#define WITH_HUB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void a_batch_has_about_so_many_bytes(void **unused)
{
    (void)unused;
    struct hub_due due[SOCKETS];
    for (unsigned i = 0; i < SOCKETS; i++) {
        join(&clients[i], "", 0);
        assert_int_equal(hub_subscribe(hub, &clients[i].socket, STR("c")), ERR_OK);
    }
    push(MSG_CHANNEL, "c", STR("12345678")); /* 11 bytes with what stands around */
    unsigned sizes[] = {1, 1, 2, 6};
    const size_t bytes[] = {1, 11, 12, SIZE_MAX};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(hub_due(hub, due, SOCKETS, bytes[i]), sizes[i]);
        for (unsigned k = 0; k < sizes[i]; k++)
            take_range(due[k].socket, &due[k].ranges[0]);
    }
    give_all();
}

/* One of another encoding that was there first does not make all who come later eager. */
static void the_encoding_of_most_is_the_lazy_one(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < SOCKETS; i++) {
        join(&clients[i], "", i ? 1 : 0);
        assert_int_equal(hub_subscribe(hub, &clients[i].socket, STR("c")), ERR_OK);
        push(MSG_CHANNEL, "c", STR("x"));
        check();
    }
    const struct hub_channel *c = clients[0].socket.subs[0].channel;
    assert_int_equal(c->encoder, 1);
    assert_int_equal(c->n_eager, 1);
    push(MSG_CHANNEL, "c", STR("y"));
    check();
    give_all();
    /* The last one is back where it was when the others have gone. */
    for (unsigned i = 1; i < SOCKETS; i++)
        leave(&clients[i]);
    push(MSG_CHANNEL, "c", STR("z"));
    check();
    give_all();
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH_HUB(gives_each_all_in_order),
        WITH_HUB(joins_what_comes_meanwhile),
        WITH_HUB(bounds_what_is_kept),
        WITH_HUB(takes_turns_among_channels),
        WITH_HUB(holds_nothing_when_all_have_it),
        WITH_HUB(a_batch_has_about_so_many_bytes),
        WITH_HUB(the_encoding_of_most_is_the_lazy_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
