#include "edge/gate.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/log.h"

#define S 1000000ll /* microseconds */

static struct sockaddr_storage ip(const char *text)
{
    struct sockaddr_storage a;
    assert_true(networks_read_ip(&a, str_of(text)));
    return a;
}

static struct gate *gate_of(struct gate_options o)
{
    networks_add(&o.exempt, STR("127.0.0.0/8"));
    networks_add(&o.trusted, STR("10.0.0.0/8"));
    networks_add(&o.proxies, STR("10.1.0.0/16"));
    return gate_new(&o);
}

static struct visitor visitor(const struct gate *g, const char *text)
{
    const struct sockaddr_storage a = ip(text);
    return gate_visitor(g, &a);
}

static void knows_whose_word_counts(void **unused)
{
    (void)unused;
    struct gate *g = gate_of((struct gate_options){0});
    struct visitor ann = visitor(g, "1.2.3.4"), proxy = visitor(g, "10.0.0.1");
    assert_int_not_equal(ann.address, 0);
    assert_false(ann.is_proxy);
    assert_int_equal(visitor(g, "127.0.0.7").address, 0);
    assert_int_equal(proxy.address, 0);
    assert_true(proxy.is_proxy);
    assert_int_equal(gate_forwarded(g, STR("6.6.6.6, 1.2.3.4, 10.0.0.2")).address, ann.address);
    /* What is exempt is so behind a proxy, too; nobody named is nobody. */
    assert_int_equal(gate_forwarded(g, STR("127.0.0.1")).address, 0);
    assert_int_equal(gate_forwarded(g, STR_EMPTY).address, 0);
    struct visitor inner = gate_forwarded(g, STR("10.0.0.9"));
    assert_int_equal(inner.address, 0);
    assert_false(inner.is_proxy);
    const struct sockaddr_storage with = ip("10.1.0.1"), without = ip("10.2.0.1");
    assert_true(gate_awaits_header(g, &with));
    assert_false(gate_awaits_header(g, &without));
    gate_free(g);
}

static void says_which_limit_it_was(void **unused)
{
    (void)unused;
    struct gate *g = gate_of((struct gate_options){.limits = {.most = {3, 2, 1, 2}}});
    const struct sockaddr_storage a = ip("1.1.1.1"), b = ip("1.1.1.2"), home = ip("127.0.0.1");
    struct visitor va = gate_visitor(g, &a), vb = gate_visitor(g, &b), vh = gate_visitor(g, &home);
    assert_int_equal(gate_enter(g, va, &a), 0);
    assert_int_equal(gate_enter(g, va, &a), 0);
    assert_int_equal(gate_enter(g, va, &a), 429);
    assert_int_equal(gate_enter(g, vh, &home), 0);
    assert_int_equal(gate_enter(g, vb, &b), 503);
    gate_leave(g, vh);
    assert_int_equal(gate_enter(g, vb, &b), 0);
    assert_int_equal(gate_refused(g, LIMIT_OF_ADDRESS), 1);
    assert_int_equal(gate_refused(g, LIMIT_CONNECTIONS), 1);

    /* Behind a proxy whose connection it is turns out later. */
    gate_leave(g, vb);
    struct visitor proxy = visitor(g, "10.0.0.1");
    const struct sockaddr_storage p = ip("10.0.0.1");
    assert_int_equal(gate_enter(g, proxy, &p), 0);
    assert_int_equal(gate_become(g, va), 429);
    gate_leave(g, va);
    assert_int_equal(gate_become(g, va), 0);
    gate_leave(g, va);

    assert_null(gate_socket_came(g, STR("app"), STR("ann")));
    assert_string_equal(gate_socket_came(g, STR("app"), STR("ann")),
                        "too many connections of this user\n");
    assert_null(gate_socket_came(g, STR("other"), STR("ann")));
    /* Nobody is not one user. */
    assert_null(gate_socket_came(g, STR("app"), STR_EMPTY));
    assert_string_equal(gate_socket_came(g, STR("app"), STR_EMPTY),
                        "too many connections of this app\n");
    /* What the app refused does not count for the user. */
    assert_string_equal(gate_socket_came(g, STR("app"), STR("bob")),
                        "too many connections of this app\n");
    gate_socket_left(g, STR("app"), STR_EMPTY);
    assert_null(gate_socket_came(g, STR("app"), STR("bob")));
    gate_socket_left(g, STR("app"), STR("ann"));
    assert_null(gate_socket_came(g, STR("app"), STR("ann")));
    gate_free(g);
}

static unsigned commands_at(struct gate *g, uint32_t *clock, int64_t now_us)
{
    unsigned n = 0;
    while (n < 1000 && gate_command(g, clock, now_us))
        n++;
    return n;
}

static void gives_each_connection_its_pace(void **unused)
{
    (void)unused;
    struct gate *g = gate_of((struct gate_options){.commands_per_s = 10, .commands_burst = 30});
    /* At any time of the clock, which wraps after 18 hours. */
    for (int64_t hours = 0; hours < 24 * 3; hours++) {
        int64_t now = hours * 3600 * S + 123457;
        uint32_t one = gate_clock(now), other = one;
        assert_int_equal(commands_at(g, &one, now), 30);
        assert_int_equal(commands_at(g, &one, now + S / 10), 1);
        assert_int_equal(commands_at(g, &one, now + S), 9);
        assert_int_equal(commands_at(g, &other, now + S), 30);
        /* Who is quiet for long may do no more at once for it. */
        gate_wind(&one, now + 4 * 3600 * S);
        gate_wind(&one, now + 8 * 3600 * S);
        gate_wind(&one, now + 12 * 3600 * S);
        assert_int_equal(commands_at(g, &one, now + 12 * 3600 * S), 30);
    }
    gate_free(g);
    g = gate_of((struct gate_options){0});
    uint32_t clock = gate_clock(0);
    assert_int_equal(commands_at(g, &clock, 0), 1000);
    gate_free(g);
    /* A burst of more than the clock can be ahead is cut to what it can. */
    g = gate_of((struct gate_options){.commands_per_s = 1, .commands_burst = 1000000});
    clock = gate_clock(0);
    for (unsigned i = 0; i < 16000; i++)
        assert_true(gate_command(g, &clock, 0));
    for (unsigned i = 0; i < 2000; i++)
        gate_command(g, &clock, 0);
    assert_false(gate_command(g, &clock, 0));
    gate_free(g);
}

static void tells_how_long_to_wait(void **unused)
{
    (void)unused;
    struct gate *g = gate_of((struct gate_options){.limits = {.per_s = {2, 0}, .burst = {3, 0}}});
    struct visitor v = visitor(g, "1.1.1.1"), home = visitor(g, "127.0.0.1");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gate_take(g, LIMIT_HANDSHAKES, v, 7 * S), 0);
    assert_int_equal(gate_take(g, LIMIT_HANDSHAKES, v, 7 * S), 500);
    assert_int_equal(gate_take(g, LIMIT_HANDSHAKES, v, 7 * S + S / 2), 0);
    assert_int_equal(gate_take(g, LIMIT_COMMANDS, v, 7 * S), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(gate_take(g, LIMIT_HANDSHAKES, home, 7 * S), 0);
    assert_int_equal(gate_refused(g, LIMIT_COUNTS + LIMIT_HANDSHAKES), 1);
    gate_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_whose_word_counts),
        cmocka_unit_test(says_which_limit_it_was),
        cmocka_unit_test(gives_each_connection_its_pace),
        cmocka_unit_test(tells_how_long_to_wait),
    };
    log_setup(LOG_SILENT, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
