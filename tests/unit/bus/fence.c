#include "bus/fence.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SELF = 1 };

static struct fence fence;
static struct members members;
static struct buf sent; /* "<node>:<number> " since the last look */

static void send_fence(void *ctx, uint32_t node, uint64_t number)
{
    assert_ptr_equal(ctx, &sent);
    buf_printf(&sent, "%u:%u ", node, (unsigned)number);
}

static int set_up(void **unused)
{
    (void)unused;
    fence_init(&fence, SELF, send_fence, &sent);
    members_init(&members);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    assert_int_equal(sent.len, 0);
    fence_fini(&fence);
    members_fini(&members);
    buf_fini(&sent);
    return 0;
}

static void expect_sent(const char *expected)
{
    if (!str_eq(buf_as_str(&sent), str_of(expected)))
        fail_msg("sent '%.*s', expected '%s'", (int)sent.len, sent.p, expected);
    buf_clear(&sent);
}

/* A master or slave is at `server`. */
static void come(uint32_t node, unsigned roles, const char *server)
{
    members_heard(&members, node, 1, roles, 1, str_of(server), 0);
}

static void publisher(uint32_t node, const char *server)
{
    come(node, MEMBER_PUBLISHES, server);
}

static void is_quiet_at_first(void **unused)
{
    (void)unused;
    assert_false(fence.flying);
    assert_false(fence_back(&fence, SELF, 0));
    assert_false(fence_back(&fence, SELF, 1));
    assert_false(fence_review(&fence, &members));
    fence_drop(&fence);
    assert_false(fence.flying);
}

/* All are at our server: what is behind our subscriptions there is behind them for all. */
static void asks_itself_alone_at_one_server(void **unused)
{
    (void)unused;
    for (unsigned round = 1; round <= 3; round++) {
        char expected[16];
        snprintf(expected, sizeof expected, "1:%u ", round);
        publisher(10 * round, "A");
        fence_start(&fence, &members, "A");
        expect_sent(expected);
        assert_true(fence.flying);
        assert_int_equal(fence.number, round);
        /* None but ourselves was asked. */
        assert_false(fence_back(&fence, 10, round));
        assert_true(fence_back(&fence, SELF, round));
        assert_false(fence.flying);
        assert_false(fence_back(&fence, SELF, round)); /* once */
    }
}

static void asks_one_behind_each_server(void **unused)
{
    (void)unused;
    publisher(2, "A");
    publisher(3, "B");
    publisher(4, "B");
    come(5, MEMBER_HOLDS_SOCKETS, "C"); /* nobody publishes there */
    come(6, MEMBER_HOLDS_SOCKETS | MEMBER_PUBLISHES, "D");
    come(7, 0, "E");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 3:1 6:1 ");
    assert_false(fence_back(&fence, 6, 1));
    assert_false(fence_back(&fence, 4, 1)); /* was not asked */
    assert_false(fence_back(&fence, 5, 1));
    assert_false(fence_back(&fence, 6, 1)); /* again: counts once */
    assert_false(fence_back(&fence, SELF, 1));
    assert_true(fence.flying);
    assert_true(fence_back(&fence, 3, 1));
    assert_false(fence.flying);
}

/* In any order of the answers it is complete with the last one. */
static void takes_answers_in_any_order(void **unused)
{
    (void)unused;
    static const uint32_t orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                          {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    publisher(2, "B");
    publisher(3, "C");
    for (unsigned o = 0; o < 6; o++) {
        fence_start(&fence, &members, "A");
        buf_clear(&sent);
        assert_false(fence_back(&fence, orders[o][0], o + 1));
        assert_false(fence_back(&fence, orders[o][1], o + 1));
        assert_true(fence_back(&fence, orders[o][2], o + 1));
    }
}

static void ignores_other_numbers(void **unused)
{
    (void)unused;
    publisher(2, "B");
    fence_start(&fence, &members, "A");
    assert_false(fence_back(&fence, SELF, 1));
    assert_true(fence_back(&fence, 2, 1));
    fence_start(&fence, &members, "A");
    expect_sent("1:1 2:1 1:2 2:2 ");
    static const uint64_t wrong[] = {0, 1, 3, UINT64_MAX, 0x100000002};
    for (unsigned i = 0; i < 5; i++) {
        assert_false(fence_back(&fence, SELF, wrong[i]));
        assert_false(fence_back(&fence, 2, wrong[i]));
    }
    assert_true(fence.flying);
    assert_false(fence_back(&fence, 2, 2));
    assert_true(fence_back(&fence, SELF, 2));
}

/* Whoever was asked and is gone is replaced by another one at the same server. */
static void replaces_who_is_gone(void **unused)
{
    (void)unused;
    publisher(2, "B");
    publisher(3, "B");
    come(4, MEMBER_HOLDS_SOCKETS, "B");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 2:1 ");
    assert_false(fence_review(&fence, &members)); /* nothing has changed */
    expect_sent("");
    members_remove(&members, 3); /* was not asked */
    assert_false(fence_review(&fence, &members));
    expect_sent("");
    members_remove(&members, 2);
    assert_false(fence_review(&fence, &members));
    expect_sent("4:1 "); /* whoever is behind that server will do */
    assert_false(fence_review(&fence, &members));
    expect_sent("");
    assert_false(fence_back(&fence, 2, 1)); /* it has left all the same */
    assert_false(fence_back(&fence, SELF, 1));
    assert_true(fence_back(&fence, 4, 1));
}

/* A letter that was lost does not hold it up for ever. */
static void is_sent_again_to_who_is_silent(void **unused)
{
    (void)unused;
    fence_again(&fence);
    expect_sent("");
    publisher(2, "B");
    publisher(3, "C");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 2:1 3:1 ");
    assert_false(fence_back(&fence, 2, 1));
    fence_again(&fence);
    expect_sent("1:1 3:1 ");
    assert_false(fence_back(&fence, SELF, 1));
    assert_false(fence_back(&fence, SELF, 1));
    assert_true(fence_back(&fence, 3, 1));
    fence_again(&fence);
    expect_sent("");
    assert_false(fence_back(&fence, 3, 1)); /* the answer to the first one */
}

/* One that is at another server now does not stand behind the old one any more. */
static void replaces_who_moved(void **unused)
{
    (void)unused;
    publisher(2, "B");
    publisher(3, "B");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 2:1 ");
    assert_false(fence_back(&fence, SELF, 1));
    publisher(2, "A");
    assert_false(fence_review(&fence, &members));
    expect_sent("3:1 ");
    publisher(3, "C");
    /* Nobody is there who could publish; whoever comes there finds the subscription. */
    assert_true(fence_review(&fence, &members));
    expect_sent("");
    assert_false(fence.flying);
    assert_false(fence_review(&fence, &members));
    assert_false(fence_back(&fence, 3, 1));
}

/* Who has answered may go. */
static void does_not_replace_who_has_answered(void **unused)
{
    (void)unused;
    publisher(2, "B");
    publisher(3, "B");
    publisher(4, "C");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 2:1 4:1 ");
    assert_false(fence_back(&fence, 2, 1));
    members_remove(&members, 2);
    assert_false(fence_review(&fence, &members));
    expect_sent("");
    members_remove(&members, 4);
    assert_false(fence_review(&fence, &members)); /* our own is still to come */
    expect_sent("");
    assert_true(fence_back(&fence, SELF, 1));
}

/* Our own answer is never given up: it is we who are there. */
static void waits_for_itself(void **unused)
{
    (void)unused;
    publisher(2, "A");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 ");
    members_remove(&members, 2);
    assert_false(fence_review(&fence, &members));
    assert_true(fence.flying);
    expect_sent("");
    assert_true(fence_back(&fence, SELF, 1));
}

static void does_not_come_back_when_dropped(void **unused)
{
    (void)unused;
    publisher(2, "B");
    fence_start(&fence, &members, "A");
    expect_sent("1:1 2:1 ");
    assert_false(fence_back(&fence, SELF, 1));
    fence_drop(&fence);
    assert_false(fence.flying);
    assert_false(fence_back(&fence, 2, 1));
    members_remove(&members, 2);
    assert_false(fence_review(&fence, &members));
    expect_sent("");
    /* The next one has another number and all its answers to come, at another server. */
    publisher(3, "A");
    fence_start(&fence, &members, "C");
    expect_sent("1:2 3:2 ");
    assert_false(fence_back(&fence, SELF, 1));
    assert_false(fence_back(&fence, SELF, 2));
    assert_false(fence_back(&fence, 3, 1));
    assert_true(fence_back(&fence, 3, 2));
}

/* Ids of servers are compared to their end. */
static void knows_servers_by_their_whole_id(void **unused)
{
    (void)unused;
    char ids[3][MEMBERS_SERVER_MAX] = {{0}};
    for (unsigned i = 0; i < 3; i++) {
        memset(ids[i], 'N', MEMBERS_SERVER_MAX - 1);
        ids[i][MEMBERS_SERVER_MAX - 2] = (char)('A' + i);
    }
    publisher(2, ids[1]);
    publisher(3, ids[2]);
    publisher(4, ids[0]);
    publisher(5, ids[1]);
    publisher(6, "");
    fence_start(&fence, &members, ids[0]);
    expect_sent("1:1 2:1 3:1 6:1 ");
    fence_drop(&fence);
}

static void takes_many_servers(void **unused)
{
    (void)unused;
    enum { N = FENCE_SERVERS_MAX + 44 };
    for (uint32_t i = 0; i < N; i++) {
        char server[16];
        snprintf(server, sizeof server, "server %u", i);
        publisher(10 + i, server);
    }
    fence_start(&fence, &members, "ours");
    buf_clear(&sent);
    assert_int_equal(fence.n_posts, FENCE_SERVERS_MAX);
    assert_false(fence_back(&fence, SELF, 1));
    for (uint32_t i = 0; i < FENCE_SERVERS_MAX - 1; i++)
        assert_int_equal(fence_back(&fence, 10 + i, 1), i == FENCE_SERVERS_MAX - 2);
}

#define WITH_FENCE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FENCE(is_quiet_at_first),
        WITH_FENCE(asks_itself_alone_at_one_server),
        WITH_FENCE(asks_one_behind_each_server),
        WITH_FENCE(takes_answers_in_any_order),
        WITH_FENCE(ignores_other_numbers),
        WITH_FENCE(replaces_who_is_gone),
        WITH_FENCE(is_sent_again_to_who_is_silent),
        WITH_FENCE(replaces_who_moved),
        WITH_FENCE(does_not_replace_who_has_answered),
        WITH_FENCE(waits_for_itself),
        WITH_FENCE(does_not_come_back_when_dropped),
        WITH_FENCE(knows_servers_by_their_whole_id),
        WITH_FENCE(takes_many_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
