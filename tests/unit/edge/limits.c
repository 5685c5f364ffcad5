#include "edge/limits.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/hash.h"

#define S 1000000ll /* microseconds */

static struct sockaddr_storage v4(const char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
    return a;
}

static struct sockaddr_storage v6(const char *text)
{
    struct sockaddr_storage a = {.ss_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
    return a;
}

static uint32_t key(const struct limits *l, struct sockaddr_storage a)
{
    uint32_t k = limits_key_of_address(l, &a);
    assert_int_not_equal(k, 0);
    return k;
}

static void tells_addresses_apart(void **unused)
{
    (void)unused;
    struct limits *l = limits_new(&(struct limits_options){0});
    assert_int_equal(key(l, v4("1.2.3.4")), key(l, v4("1.2.3.4")));
    assert_int_not_equal(key(l, v4("1.2.3.4")), key(l, v4("1.2.3.5")));
    assert_int_equal(key(l, v4("1.2.3.4")), key(l, v6("::ffff:1.2.3.4")));
    /* Whoever has one address of IPv6 has a network of them. */
    assert_int_equal(key(l, v6("2001:db8::1")), key(l, v6("2001:db8::ffff:2:1")));
    assert_int_not_equal(key(l, v6("2001:db8::1")), key(l, v6("2001:db8:0:1::1")));
    assert_int_not_equal(limits_key_of_user(l, STR("a"), STR("bc")),
                         limits_key_of_user(l, STR("ab"), STR("c")));
    assert_int_not_equal(limits_key_of_app(l, STR("a")), limits_key_of_app(l, STR("b")));
    limits_free(l);
}

static void counts_what_is_held(void **unused)
{
    (void)unused;
    const struct limits_options o = {.most = {5, 2, 3, 0}};
    struct limits *l = limits_new(&o);
    uint32_t a = key(l, v4("1.2.3.4")), b = key(l, v4("1.2.3.5"));
    for (unsigned round = 0; round < 3; round++) {
        assert_true(limits_enter(l, LIMIT_OF_ADDRESS, a));
        assert_true(limits_enter(l, LIMIT_OF_ADDRESS, a));
        assert_false(limits_enter(l, LIMIT_OF_ADDRESS, a));
        assert_false(limits_enter(l, LIMIT_OF_ADDRESS, a));
        assert_true(limits_enter(l, LIMIT_OF_ADDRESS, b));
        limits_leave(l, LIMIT_OF_ADDRESS, a);
        assert_true(limits_enter(l, LIMIT_OF_ADDRESS, a));
        limits_leave(l, LIMIT_OF_ADDRESS, a);
        limits_leave(l, LIMIT_OF_ADDRESS, a);
        limits_leave(l, LIMIT_OF_ADDRESS, b);
    }
    assert_int_equal(limits_refused_count(l, LIMIT_OF_ADDRESS), 6);
    /* The same name as user and as app: each for itself. */
    uint32_t user = limits_key_of_user(l, STR("app"), STR("ann"));
    for (unsigned i = 0; i < 3; i++)
        assert_true(limits_enter(l, LIMIT_OF_USER, user));
    assert_false(limits_enter(l, LIMIT_OF_USER, user));
    for (unsigned i = 0; i < 100; i++)
        assert_true(limits_enter(l, LIMIT_OF_APP, user)); /* no limit */
    limits_leave(l, LIMIT_OF_APP, user);
    for (unsigned i = 0; i < 5; i++)
        assert_true(limits_enter(l, LIMIT_CONNECTIONS, 0));
    assert_false(limits_enter(l, LIMIT_CONNECTIONS, 0));
    limits_leave(l, LIMIT_CONNECTIONS, 0);
    assert_true(limits_enter(l, LIMIT_CONNECTIONS, 0));
    assert_int_equal(limits_refused_count(l, LIMIT_CONNECTIONS), 1);
    limits_free(l);
}

/* A crowd of others neither uses up what one may have, nor gives him more. */
static void is_not_fooled_by_a_crowd(void **unused)
{
    (void)unused;
    enum { CROWD = 4000, MOST = 50 };
    const struct limits_options o = {.most = {[LIMIT_OF_USER] = MOST}};
    struct limits *l = limits_new(&o);
    char name[16];
    for (unsigned i = 0; i < CROWD; i++) {
        snprintf(name, sizeof name, "u%u", i);
        assert_true(limits_enter(l, LIMIT_OF_USER, limits_key_of_user(l, STR("a"), str_of(name))));
    }
    uint32_t ann = limits_key_of_user(l, STR("a"), STR("ann"));
    unsigned n = 0;
    while (limits_enter(l, LIMIT_OF_USER, ann))
        n++;
    assert_in_range(n, MOST - 5, MOST);
    limits_free(l);
}

static void rates_refill(void **unused)
{
    (void)unused;
    const struct limits_options o = {.per_s = {10, 0}, .burst = {3, 1}};
    struct limits *l = limits_new(&o);
    uint32_t a = key(l, v4("1.2.3.4")), b = key(l, v4("1.2.3.5"));
    int64_t now = 1000 * S;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, a, now), 0);
    assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, a, now), 100); /* ms until the next */
    assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, a, now + S / 20), 50);
    assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, b, now), 0);
    assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, a, now + S / 10), 0);
    assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, a, now + S / 10), 100);
    /* Rest gives the burst back, and no more than that. */
    now += 100 * S;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(limits_take(l, LIMIT_HANDSHAKES, a, now), 0);
    assert_int_not_equal(limits_take(l, LIMIT_HANDSHAKES, a, now), 0);
    assert_int_equal(limits_refused_rate(l, LIMIT_HANDSHAKES), 4);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(limits_take(l, LIMIT_COMMANDS, a, now), 0); /* no limit */
    limits_free(l);
}

enum { THREADS = 4, ROUNDS = 20000 };

static struct limits *shared;
static _Atomic int most_at_once;

static void *come_and_go(void *unused)
{
    static _Atomic int at_once;
    (void)unused;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!limits_enter(shared, LIMIT_OF_APP, 1u << 31 | 7))
            continue;
        int n = ++at_once;
        if (n > most_at_once)
            most_at_once = n;
        at_once--;
        limits_leave(shared, LIMIT_OF_APP, 1u << 31 | 7);
        limits_take(shared, LIMIT_COMMANDS, 1u << 31 | 7, i);
    }
    return NULL;
}

static void serves_many_threads(void **unused)
{
    (void)unused;
    const struct limits_options o = {
        .most = {[LIMIT_OF_APP] = 2}, .per_s = {0, 1000}, .burst = {1, 10}};
    pthread_t threads[THREADS];
    shared = limits_new(&o);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(most_at_once, 1, 2 + THREADS);
    /* All have left. */
    assert_true(limits_enter(shared, LIMIT_OF_APP, 1u << 31 | 7));
    assert_true(limits_enter(shared, LIMIT_OF_APP, 1u << 31 | 7));
    assert_false(limits_enter(shared, LIMIT_OF_APP, 1u << 31 | 7));
    limits_free(shared);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_addresses_apart),    cmocka_unit_test(counts_what_is_held),
        cmocka_unit_test(is_not_fooled_by_a_crowd), cmocka_unit_test(rates_refill),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
