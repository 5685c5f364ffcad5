/* Kicks close whom they are meant for, and nobody else, some a turn. */
#include "edge/kicks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/hash.h"

enum { MANY = 3 * KICKS_CLOSED };

struct peer {
    struct hub_socket socket;
    bool is_there, is_ending;
    char token; /* of the token that has opened it */
    unsigned n_kicked;
};

static struct hub *hub;
static struct kicks *kicks;
static struct peer peers[MANY];
static unsigned n_kicked;

static void ignore_interest(void *ctx, const struct hub_name *name, bool on)
{
    (void)ctx, (void)name, (void)on;
}

static void leave(struct peer *p)
{
    hub_leave(hub, &p->socket);
    p->is_there = false;
}

static bool kick(void *ctx, struct hub_socket *s, struct str payload)
{
    struct peer *p = (struct peer *)((char *)s - offsetof(struct peer, socket));
    assert_ptr_equal(ctx, peers);
    assert_true(str_eq(payload, STR("\017\242why")));
    assert_true(p->is_there);
    if (p->is_ending)
        return false;
    leave(p);
    p->n_kicked++;
    n_kicked++;
    return true;
}

static bool is_of_token(void *ctx, const struct hub_socket *s, struct str jti)
{
    const struct peer *p = (const struct peer *)((const char *)s - offsetof(struct peer, socket));
    assert_ptr_equal(ctx, peers);
    return jti.len == 1 && p->token == jti.p[0];
}

static int set_up(void **unused)
{
    (void)unused;
    const struct hub_host host = {.interest = ignore_interest};
    const struct hub_options options = {.node = 7,
                                        .worker = 3,
                                        .subscriptions_max = 100,
                                        .name_max = 1024,
                                        .bulk_min = HUB_BULK_MIN};
    hub = hub_new(&host, &options);
    kicks = kicks_new(hub, kick, is_of_token, peers);
    memset(peers, 0, sizeof peers);
    n_kicked = 0;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < MANY; i++) {
        if (peers[i].is_there)
            leave(&peers[i]);
    }
    kicks_free(kicks);
    hub_free(hub);
    return 0;
}

static struct peer *join(unsigned i, const char *app, const char *user, char token)
{
    struct peer *p = &peers[i];
    hub_join(hub, &p->socket, str_of(app), str_of(user),
             grants_get(hub_grants_pool(hub), STR_EMPTY, STR_EMPTY), 0);
    p->is_there = true;
    p->token = token;
    return p;
}

static void add(enum msg_kind kind, const char *app, struct str target)
{
    struct msg *m = msg_new(kind, str_of(app), target, STR_EMPTY, STR("\017\242why"));
    kicks_add(kicks, m);
    msg_unref(m);
}

static unsigned run_all(void)
{
    unsigned turns = 0, before = n_kicked;
    for (bool more = true; more; turns++) {
        more = kicks_run(kicks);
        assert_true(n_kicked - before <= KICKS_CLOSED);
        before = n_kicked;
    }
    return turns;
}

static void one_socket_by_its_id(void **unused)
{
    (void)unused;
    char id[HUB_SOCKET_ID_LEN];
    struct peer *ann = join(0, "app", "ann", 0), *other = join(1, "app", "ann", 0);
    hub_socket_id(hub, &ann->socket, id);
    add(MSG_KICK_SOCKET, "other", str_make(id, sizeof id));
    add(MSG_KICK_SOCKET, "app", STR("no id"));
    assert_int_equal(n_kicked, 0);
    add(MSG_KICK_SOCKET, "app", str_make(id, sizeof id));
    assert_int_equal(ann->n_kicked, 1);
    add(MSG_KICK_SOCKET, "app", str_make(id, sizeof id));
    /* Its place is taken by another one, whose id is another one. */
    join(0, "app", "bob", 0);
    add(MSG_KICK_SOCKET, "app", str_make(id, sizeof id));
    assert_true(peers[0].is_there && other->is_there);
    assert_int_equal(n_kicked, 1);
    assert_false(kicks_run(kicks));
}

static void all_sockets_of_a_user(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < MANY; i++)
        join(i, i % 3 == 2 ? "other" : "app", i % 3 == 1 ? "bob" : "ann", 0);
    add(MSG_KICK_USER, "app", STR("ann"));
    add(MSG_KICK_USER, "app", STR("nobody"));
    add(MSG_KICK_USER, "nowhere", STR("ann"));
    run_all();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(peers[i].n_kicked, i % 3 == 0);
}

static void all_of_an_app_some_a_turn(void **unused)
{
    (void)unused;
    join(0, "other", "ann", 0);
    for (unsigned i = 1; i < MANY; i++)
        join(i, "app", i % 2 ? "ann" : "", 0);
    add(MSG_KICK_APP, "app", STR_EMPTY);
    assert_int_equal(n_kicked, 0);
    assert_true(kicks_run(kicks));
    assert_int_equal(n_kicked, KICKS_CLOSED);
    assert_true(run_all() >= MANY / KICKS_CLOSED - 1);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(peers[i].n_kicked, i > 0);
}

static void all_that_a_token_has_opened(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < MANY; i++)
        join(i, i % 4 == 3 ? "other" : "app", "ann", i % 2 ? 'x' : 'y');
    add(MSG_KICK_TOKEN, "app", STR("x"));
    run_all();
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(peers[i].n_kicked, i % 4 == 1);
}

/* Those who are ending anyway are neither closed again nor waited for. */
static void passes_over_who_is_ending(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < MANY; i++)
        join(i, "app", "ann", 0)->is_ending = i > 0;
    add(MSG_KICK_USER, "app", STR("ann"));
    assert_false(kicks_run(kicks));
    assert_int_equal(n_kicked, 1);
    for (unsigned i = 0; i <= KICKS_WAITING; i++)
        add(MSG_KICK_USER, "app", STR("ann")); /* the first of them at once, to its end */
    add(MSG_KICK_APP, "app", STR_EMPTY);
    while (kicks_run(kicks))
        ;
    assert_int_equal(n_kicked, 1);
}

static void so_many_wait(void **unused)
{
    (void)unused;
    join(0, "app", "ann", 0);
    for (unsigned i = 0; i < KICKS_WAITING; i++)
        add(MSG_KICK_APP, i ? "nowhere" : "app", STR_EMPTY);
    assert_int_equal(n_kicked, 0);
    add(MSG_KICK_APP, "nowhere", STR_EMPTY);
    assert_int_equal(n_kicked, 1);
    assert_int_equal(run_all(), KICKS_WAITING);
}

#define WITH_KICKS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH_KICKS(one_socket_by_its_id),
        WITH_KICKS(all_sockets_of_a_user),
        WITH_KICKS(all_of_an_app_some_a_turn),
        WITH_KICKS(all_that_a_token_has_opened),
        WITH_KICKS(so_many_wait),
        WITH_KICKS(passes_over_who_is_ending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
