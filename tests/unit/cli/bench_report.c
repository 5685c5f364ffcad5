#include "cli/bench_report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"

static struct bench_result *r;
static struct buf out;

/* Ten subscribers, five pushes, all is well. */
static int fill(void **unused)
{
    (void)unused;
    r = calloc(1, sizeof *r);
    r->slave = "ws://h:1/<gcs>&\"";
    r->master = "http://h:2";
    r->app = "de\"mo";
    r->auth = "jwt";
    r->body = "form";
    r->connections = r->users = 10;
    r->channels = 1;
    r->publishers = 2;
    r->payload = 128;
    r->duration_s = 1;
    r->connect.ready = 10;
    r->connect.seconds = 0.5;
    r->publish.posted = r->publish.answers[200] = 5;
    r->publish.seconds = 1;
    r->deliver.expected = r->deliver.received = 50;
    r->deliver.seconds = 2;
    for (unsigned i = 1; i <= 50; i++)
        bench_hist_add(&r->deliver.latency, i * 1000000);
    for (unsigned i = 0; i < 10; i++)
        bench_hist_add(&r->connect.took, 5000);
    bench_hist_add(&r->publish.took, 2000000000);
    r->client_cpu_s = 0.001;
    r->wall_s = 2;
    return 0;
}

static int release(void **unused)
{
    (void)unused;
    free(r);
    buf_fini(&out);
    return 0;
}

static const char *text_of(void)
{
    buf_char(&out, 0);
    out.len--;
    return out.p;
}

/* ---- the judgement ---- */

static void judge(bool ok, const char *sentences)
{
    buf_clear(&out);
    assert_int_equal(bench_result_judge(r, &out), ok);
    assert_string_equal(text_of(), sentences);
}

static void nothing_wrong_has_no_sentence(void **unused)
{
    (void)unused;
    judge(true, "");
}

static void what_is_missing_fails(void **unused)
{
    (void)unused;
    r->deliver.received = 48;
    judge(false, "2 of 50 deliveries are missing.\n");
    r->deliver.received = 50;
    r->deliver.duplicated = 1;
    judge(false, "1 deliveries came twice.\n");
    r->deliver.duplicated = 0;
    r->deliver.out_of_order = 3;
    judge(false, "3 deliveries came out of order.\n");
}

static void connecting_that_failed_fails(void **unused)
{
    (void)unused;
    r->connect.ready = 7;
    bench_faults_add(&r->connect.faults, BENCH_FAULT_HANDSHAKE, "401 token error");
    bench_faults_add(&r->connect.faults, BENCH_FAULT_HANDSHAKE, "401 another");
    bench_faults_add(&r->connect.faults, BENCH_FAULT_REFUSED, "");
    judge(false, "Connecting failed: 1 times nobody listens there.\n"
                 "Connecting failed: 2 times the WebSocket handshake was refused (401 token "
                 "error).\n");
}

static void a_subscriber_that_was_lost_fails(void **unused)
{
    (void)unused;
    bench_faults_add(&r->deliver.closed, BENCH_FAULT_CLOSED, "1008 too slow");
    judge(false, "A subscriber was lost: 1 times the server closed it (1008 too slow).\n");
}

/* A close reason is the peer's: it must not steer the terminal, nor be cut within a character. */
static void what_a_peer_said_is_made_printable(void **unused)
{
    (void)unused;
    struct bench_faults f = {0};
    bench_faults_add(&f, BENCH_FAULT_CLOSED,
                     "1008 \x1b[31mr\xc3\xa9"
                     "d\x07\x7f \xff\xc3 \xc2\x9b"
                     "1m");
    assert_string_equal(f.kinds[BENCH_FAULT_CLOSED].example, "1008 ?[31mr\xc3\xa9"
                                                             "d?? ?? ??1m");
    char text[301] = "";
    for (unsigned i = 0; i < 150; i++)
        memcpy(text + 2 * i, "\xc3\xa9", 3);
    bench_faults_add(&f, BENCH_FAULT_AUTH, text);
    assert_int_equal(strlen(f.kinds[BENCH_FAULT_AUTH].example),
                     sizeof(f.kinds[BENCH_FAULT_AUTH].example) - 2);
}

static void a_busy_server_is_told_and_does_not_fail(void **unused)
{
    (void)unused;
    r->publish.answers[503] = 4;
    judge(true, "4 pushes were answered 503: the server was too busy.\n");
    r->publish.answers[404] = 1;
    judge(false, "4 pushes were answered 503: the server was too busy.\n"
                 "1 pushes were answered 404.\n");
}

static void pushes_without_an_answer_fail(void **unused)
{
    (void)unused;
    r->publish.unanswered = 2;
    judge(false, "2 pushes were not answered: whether they were sent is open.\n");
    r->publish.unanswered = 0;
    r->publish.answers[200] = r->deliver.expected = r->deliver.received = 0;
    judge(false, ""); /* none was taken at all */
}

static void a_rate_that_was_not_kept_is_told(void **unused)
{
    (void)unused;
    r->rate = r->publish.due = 9;
    judge(true,
          "4 of 9 messages that were due were never posted: the server, or so few publishers, "
          "did not keep up; their delay is in no figure.\n");
}

static void ends_before_the_time_are_told(void **unused)
{
    (void)unused;
    r->interrupted = true;
    judge(true, "Interrupted: the figures are those until then.\n");
    r->interrupted = false;
    r->early_end = "there is no subscriber left";
    judge(false, "Measuring ended early: there is no subscriber left.\n");
}

static void connecting_alone_needs_no_pushes(void **unused)
{
    (void)unused;
    memset(&r->publish, 0, sizeof r->publish);
    memset(&r->deliver, 0, sizeof r->deliver);
    judge(false, "");
    r->duration_s = 0;
    judge(true, "");
}

/* ---- text ---- */

static void expect_duration(uint64_t ns, const char *text)
{
    buf_clear(&out);
    bench_add_duration(&out, ns);
    assert_string_equal(text_of(), text);
}

static void writes_durations(void **unused)
{
    (void)unused;
    expect_duration(0, "0.00 µs");
    expect_duration(1234, "1.23 µs");
    expect_duration(999999, "1000 µs");
    expect_duration(1000000, "1.00 ms");
    expect_duration(12345678, "12.3 ms");
    expect_duration(123456789, "123 ms");
    expect_duration(65000000000, "65.0 s");
}

static void writes_counts(void **unused)
{
    (void)unused;
    const struct {
        uint64_t n;
        const char *text;
    } counts[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}};
    for (unsigned i = 0; i < 4; i++) {
        buf_clear(&out);
        bench_add_count(&out, counts[i].n);
        assert_string_equal(text_of(), counts[i].text);
    }
}

static void expect_line(const char *line)
{
    if (!strstr(out.p, line))
        fail_msg("no \"%s\" in:\n%s", line, out.p);
}

static void writes_the_report(void **unused)
{
    (void)unused;
    r->server.n = 1;
    r->server.cpu_s = 0.005;
    r->server.user_s = 0.002;
    r->server.system_s = 0.003;
    r->server.connect_cpu_s = 0.001;
    r->server.rss_before = 1000;
    r->server.rss_connected = 1005;
    bench_report_text(&out, r);
    text_of();
    expect_line("\n  10 connections of 10 users on 1 channel, by jwt\n");
    expect_line("\nconnect    10 of 10 subscribed in 0.50 s: 20 a second\n");
    expect_line("\npublish    5 posted, 5 a second; 200: 5\n");
    expect_line("\ndeliver    50 of 50, 25 a second; lost 0, twice 0, out of order 0, strange 0\n");
    expect_line("\nlatency    from the post: p50 25.0 ms ");
    expect_line("\nserver     100.000 µs CPU a delivery (user 0.00 s, system 0.00 s, ");
    expect_line("100.0 µs CPU and 0.50 KiB a connection; RSS 1,000 KiB before, 1,005 connected");
    expect_line("\ngenerator  20.000 µs CPU a delivery, 0 % of a core\n");
    expect_line("\nNothing failed.\n");
}

/* ---- JSON ---- */

/* The text of a member, by the names on the way to it: "deliver.latency_ms.p50". */
static struct str member(struct json object, const char *path)
{
    struct str rest = str_of(path);
    while (rest.len) {
        struct str name = str_cut(&rest, '.');
        if (!json_get(object, name, &object))
            fail_msg("there is no %s", path);
    }
    return object.text;
}

static void expect_member(const char *path, const char *text)
{
    struct json object;
    assert_int_equal(json_parse(&object, buf_as_str(&out)), ERR_OK);
    struct str got = member(object, path);
    if (!str_eq(got, str_of(text)))
        fail_msg("%s is %.*s, not %s", path, (int)got.len, got.p, text);
}

static void writes_json(void **unused)
{
    (void)unused;
    r->deliver.received = 49;
    bench_faults_add(&r->deliver.closed, BENCH_FAULT_CLOSED, "a \"word\"");
    bench_report_json(&out, r);
    expect_member("gusher_bench", "1");
    expect_member("ok", "false");
    expect_member("remarks",
                  "[\"1 of 50 deliveries are missing.\",\"A subscriber was lost: 1 times the "
                  "server closed it (a \\\"word\\\").\"]");
    expect_member("options.app", "\"de\\\"mo\"");
    expect_member("connect.per_second", "20.000000");
    expect_member("connect.took_ms.p50", "0.005000");
    expect_member("publish.due", "null");
    expect_member("publish.answers", "{\"200\":5}");
    expect_member("publish.answer_ms.max", "2000.000000");
    expect_member("deliver.lost", "1");
    expect_member("deliver.latency_ms.count", "50");
    expect_member("deliver.latency_ms.max", "50.000000");
    expect_member("deliver.failures",
                  "[{\"kind\":\"closed\",\"count\":1,\"example\":\"a \\\"word\\\"\"}]");
    expect_member("server", "null");
    expect_member("generator.cpu_s", "0.001000");
}

static void json_of_nothing_has_nulls(void **unused)
{
    (void)unused;
    memset(&r->connect, 0, sizeof r->connect);
    memset(&r->publish, 0, sizeof r->publish);
    memset(&r->deliver, 0, sizeof r->deliver);
    r->server.n = 1;
    r->rate = 3;
    bench_report_json(&out, r);
    expect_member("connect.per_second", "null");
    expect_member("publish.due", "0");
    expect_member("publish.answers", "{}");
    expect_member("deliver.latency_ms.p999", "0.000000");
    expect_member("server.cpu_us_per_delivery", "null");
    expect_member("server.rss_kib_per_connection", "null");
}

/* ---- SVG ---- */

/* That it is well-formed as far as we write it: what begins also ends, and nothing is unescaped. */
static void expect_well_formed(const char *p)
{
    const char *open[16];
    unsigned depth = 0;
    while ((p = strpbrk(p, "<&"))) {
        if (*p == '&') {
            assert_true(!strncmp(p, "&lt;", 4) || !strncmp(p, "&amp;", 5) ||
                        !strncmp(p, "&quot;", 6));
            p++;
            continue;
        }
        const char *end = strchr(p, '>');
        assert_non_null(end);
        if (p[1] == '/') {
            assert_true(depth > 0);
            depth--;
            size_t len = strcspn(open[depth], " >");
            assert_int_equal(strncmp(open[depth], p + 2, len), 0);
        } else if (end[-1] != '/') {
            assert_true(depth < 16);
            open[depth++] = p + 1;
        }
        p = end;
    }
    assert_int_equal(depth, 0);
}

static void draws_the_curve(void **unused)
{
    (void)unused;
    bench_report_svg(&out, r);
    expect_well_formed(text_of());
    expect_line("prefers-color-scheme: dark");
    expect_line("ws://h:1/&lt;gcs>&amp;&quot;");
    expect_line(">p50 25.0 ms</text>");
    expect_line(">p90 45.1 ms</text>");
    expect_line(">1 ms</text>");  /* the bottom */
    expect_line(">50 ms</text>"); /* the top */
    expect_line(">99 %</text>");
    expect_line(">max 50.0 ms</text>");
    assert_null(strstr(out.p, "nan"));
    assert_null(strstr(out.p, "<script"));
    const char *points = strstr(out.p, "points=\"");
    assert_non_null(points);
    assert_int_equal(strncmp(points + 8, "84.0,396.0 ", 11), 0); /* from the lower left corner */
    assert_non_null(strstr(points, " 816.0,84.0\"/>"));          /* to the upper right one */
}

static void draws_any_latencies(void **unused)
{
    (void)unused;
    const uint64_t values[] = {0, 1, 999, 1000, 1000000000000, UINT64_MAX};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        bench_hist_clear(&r->deliver.latency);
        bench_hist_add(&r->deliver.latency, values[i]);
        buf_clear(&out);
        bench_report_svg(&out, r);
        expect_well_formed(text_of());
        assert_null(strstr(out.p, "nan"));
        assert_null(strstr(out.p, "inf"));
    }
    bench_hist_clear(&r->deliver.latency);
    buf_clear(&out);
    bench_report_svg(&out, r);
    expect_well_formed(text_of());
    expect_line("Nothing was delivered.");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fill, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_wrong_has_no_sentence),
        TEST(what_is_missing_fails),
        TEST(connecting_that_failed_fails),
        TEST(a_subscriber_that_was_lost_fails),
        TEST(what_a_peer_said_is_made_printable),
        TEST(a_busy_server_is_told_and_does_not_fail),
        TEST(pushes_without_an_answer_fail),
        TEST(a_rate_that_was_not_kept_is_told),
        TEST(ends_before_the_time_are_told),
        TEST(connecting_alone_needs_no_pushes),
        TEST(writes_durations),
        TEST(writes_counts),
        TEST(writes_the_report),
        TEST(writes_json),
        TEST(json_of_nothing_has_nulls),
        TEST(draws_the_curve),
        TEST(draws_any_latencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
