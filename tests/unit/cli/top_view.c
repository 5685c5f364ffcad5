#include "cli/top_view.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BEFORE                                                                                     \
    "# TYPE gusher_websockets gauge\n# HELP gusher_websockets x 9\n"                               \
    "gusher_websockets 5\n"                                                                        \
    "gusher_publishes_total{kind=\"channel\"} 10\n"                                                \
    "gusher_publishes_total{kind=\"user\"} 10\n"                                                   \
    "gusher_publishes_refused_total 7\n"                                                           \
    "gusher_deliveries_total 1000\n"                                                               \
    "gusher_closes_total{reason=\"gone\"} 4\n"                                                     \
    "gusher_closes_total{reason=\"slow\"} 4\n"                                                     \
    "gusher_publish_to_write_seconds_bucket{le=\"0.001\"} 100\n"                                   \
    "gusher_publish_to_write_seconds_bucket{le=\"0.01\"} 100\n"                                    \
    "gusher_publish_to_write_seconds_bucket{le=\"+Inf\"} 100\n"                                    \
    "gusher_publish_to_write_seconds_count 100\n"                                                  \
    "process_cpu_seconds_total 1.5\n# EOF\n"

#define NOW                                                                                        \
    "gusher_websockets 12345\n"                                                                    \
    "gusher_subscriptions 7\n"                                                                     \
    "gusher_publishes_total{kind=\"channel\"} 30\n"                                                \
    "gusher_publishes_total{kind=\"user\"} 20\n"                                                   \
    "gusher_publishes_refused_total 900\n"                                                         \
    "gusher_deliveries_total 3000000\n"                                                            \
    "gusher_closes_total{reason=\"gone\"} 4\n"                                                     \
    "gusher_closes_total{reason=\"slow\"} 8\n"                                                     \
    "gusher_publish_to_write_seconds_bucket{le=\"0.001\"} 190\n"                                   \
    "gusher_publish_to_write_seconds_bucket{le=\"0.01\"} 199\n"                                    \
    "gusher_publish_to_write_seconds_bucket{le=\"+Inf\"} 200\n"                                    \
    "gusher_publish_to_write_seconds_count 200\n"                                                  \
    "gusher_send_queue_bytes 2048\n"                                                               \
    "gusher_inbox_bytes 1024\n"                                                                    \
    "gusher_bus_up 1\n"                                                                            \
    "process_resident_memory_bytes 104857600\n"                                                    \
    "process_cpu_seconds_total 2.5\n# EOF\n"

static void expect(const struct top_node *nodes, unsigned n, unsigned columns, const char *expected)
{
    struct buf out = BUF_INIT;
    top_draw(&out, nodes, n, columns);
    buf_char(&out, 0);
    assert_string_equal(out.p, expected);
    buf_fini(&out);
}

static void finds_samples(void **unused)
{
    (void)unused;
    assert_true(top_sample(STR(NOW), "gusher_websockets") == 12345);
    assert_true(top_sample(STR(NOW), "gusher_closes_total{reason=\"slow\"}") == 8);
    assert_true(top_sample(STR(NOW), "gusher_closes_total") == 0);
    assert_true(top_sample(STR_EMPTY, "x") == 0);
    assert_true(top_sample(STR("x"), "x") == 0);
    assert_true(top_sample(STR(" 7\nx \nx  8"), "x") == 0);
}

static void draws_what_has_risen(void **unused)
{
    (void)unused;
    const struct top_node nodes[] = {
        {"a:1", NULL, {STR(BEFORE), 10}, {STR(NOW), 12}},
        {"b:2", "it is gone", {{NULL, 0}, 0}, {{NULL, 0}, 0}},
        /* Not read before, or started anew: nothing has risen. */
        {"c:3", NULL, {{NULL, 0}, 0}, {STR(NOW), 12}},
        {"d:4", NULL, {STR(NOW), 10}, {STR(BEFORE), 12}},
    };
    expect(nodes, 4, 200,
           "node                  sockets  subscr   pub/s deliv/s  sent/s p99 ms   bus  queue  cpu "
           "% memory\n"
           "a:1                       12k       7      15   1500k       0     10    up   3072     "
           "50   100M\n"
           "b:2                   it is gone\n"
           "c:3                       12k       7       0       0       0      -    up   3072      "
           "0   100M\n"
           "d:4                         5       0       0       0       0      -  AWAY      0      "
           "0      0\n"
           "all                       25k      14      15   1500k       0                6144     "
           "50   200M\n"
           "\n"
           "ended a second        slow 2\n"
           "refused a second      -\n"
           "answers a second      -\n");
    expect(nodes, 1, 12,
           "node        \na:1         \n\nended a seco\nrefused a se\nanswers a se\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_samples),
        cmocka_unit_test(draws_what_has_risen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
