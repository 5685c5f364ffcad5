#include <inttypes.h>
#include <stdio.h>
#include "cli/bench_report.h"

void bench_add_count(struct buf *out, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buf_char(out, ',');
        buf_char(out, digits[i]);
    }
}

void bench_add_many(struct buf *out, uint64_t n, const char *thing)
{
    bench_add_count(out, n);
    buf_printf(out, n == 1 ? " %s" : " %ss", thing);
}

void bench_add_duration(struct buf *out, uint64_t ns)
{
    static const struct {
        double ns;
        const char *unit;
    } units[] = {{1e3, "µs"}, {1e6, "ms"}, {1e9, "s"}};
    unsigned i = ns < 1000000 ? 0 : ns < 1000000000 ? 1 : 2;
    double v = (double)ns / units[i].ns;
    buf_printf(out, "%.*f %s", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[i].unit);
}

static double per_second(uint64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

static void add_latency(struct buf *out, const struct bench_hist *h)
{
    static const struct {
        const char *name;
        double q;
    } lines[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p99.9", .999}, {"max", 1}};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        buf_printf(out, i ? "   %s " : "%s ", lines[i].name);
        bench_add_duration(out, bench_hist_at(h, lines[i].q));
    }
    buf_char(out, '\n');
}

static void add_rate(struct buf *out, const char *before, double rate, const char *behind)
{
    buf_str(out, str_of(before));
    bench_add_count(out, (uint64_t)(rate + 0.5));
    buf_str(out, str_of(behind));
}

static void add_work(struct buf *out, const struct bench_result *r)
{
    buf_printf(out, "gusher bench: %s, app \"%s\"\n  ", r->slave, r->app);
    bench_add_many(out, r->connections, "connection");
    buf_str(out, STR(" of "));
    bench_add_many(out, r->users, "user");
    buf_str(out, STR(" on "));
    bench_add_many(out, r->channels, "channel");
    buf_printf(out, ", by %s\n", r->auth);
    if (!r->duration_s)
        return;
    buf_str(out, STR("  "));
    bench_add_many(out, r->publishers, "publisher");
    buf_printf(out, " at %s, ", r->master);
    if (r->rate)
        add_rate(out, "", (double)r->rate, " messages a second");
    else
        buf_str(out, STR("as fast as they are answered"));
    buf_printf(out, ", %" PRIu64 " bytes, %s bodies, %" PRIu64 " s\n", r->payload, r->body,
               r->duration_s);
}

static void add_connect(struct buf *out, const struct bench_result *r)
{
    buf_str(out, STR("\nconnect    "));
    bench_add_count(out, r->connect.ready);
    buf_str(out, STR(" of "));
    bench_add_count(out, r->connections);
    buf_printf(out, " subscribed in %.2f s", r->connect.seconds);
    add_rate(out, ": ", per_second(r->connect.ready, r->connect.seconds), " a second\n");
    if (r->connect.took.n) {
        buf_str(out, STR("           "));
        add_latency(out, &r->connect.took);
    }
}

static void add_publish(struct buf *out, const struct bench_result *r)
{
    buf_str(out, STR("publish    "));
    bench_add_count(out, r->publish.posted);
    add_rate(out, " posted, ", per_second(r->publish.posted, r->publish.seconds), " a second;");
    for (int i = 0; i < BENCH_STATUSES; i++) {
        if (r->publish.answers[i]) {
            buf_printf(out, " %d: ", i);
            bench_add_count(out, r->publish.answers[i]);
        }
    }
    if (r->publish.unanswered) {
        buf_str(out, STR(" none: "));
        bench_add_count(out, r->publish.unanswered);
    }
    buf_str(out, STR("\n           answered after "));
    add_latency(out, &r->publish.took);
}

static void add_deliver(struct buf *out, const struct bench_result *r)
{
    const struct {
        const char *name;
        uint64_t n;
    } wrong[] = {{"lost", bench_result_lost(r)},
                 {"twice", r->deliver.duplicated},
                 {"out of order", r->deliver.out_of_order},
                 {"strange", r->deliver.strange}};
    buf_str(out, STR("deliver    "));
    bench_add_count(out, r->deliver.received);
    buf_str(out, STR(" of "));
    bench_add_count(out, r->deliver.expected);
    add_rate(out, ", ", per_second(r->deliver.received, r->deliver.seconds), " a second;");
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        buf_printf(out, i ? ", %s " : " %s ", wrong[i].name);
        bench_add_count(out, wrong[i].n);
    }
    buf_str(out, r->rate ? STR("\nlatency    from when it was due: ")
                         : STR("\nlatency    from the post: "));
    add_latency(out, &r->deliver.latency);
}

static void add_server(struct buf *out, const struct bench_result *r)
{
    double cpu_s = r->server.cpu_s;
    double grown = (double)r->server.rss_connected - (double)r->server.rss_before;
    if (!r->server.n || r->server.gone) {
        if (r->server.gone)
            buf_str(out, STR("server     its process ended\n"));
        return;
    }
    buf_str(out, STR("server     "));
    if (r->deliver.received)
        buf_printf(out,
                   "%.3f µs CPU a delivery (user %.2f s, system %.2f s, %.0f %% of a core)\n%s",
                   cpu_s * 1e6 / (double)r->deliver.received, r->server.user_s, r->server.system_s,
                   r->wall_s > 0 ? 100 * cpu_s / r->wall_s : 0, "           ");
    if (r->connect.ready)
        buf_printf(out, "%.1f µs CPU and %.2f KiB a connection; ",
                   r->server.connect_cpu_s * 1e6 / (double)r->connect.ready,
                   grown / (double)r->connect.ready);
    buf_str(out, STR("RSS "));
    bench_add_count(out, r->server.rss_before);
    buf_str(out, STR(" KiB before, "));
    bench_add_count(out, r->server.rss_connected);
    buf_str(out, STR(" connected, "));
    bench_add_count(out, r->server.rss_after);
    buf_str(out, STR(" at the end\n"));
}

static void add_client(struct buf *out, const struct bench_result *r)
{
    if (r->deliver.received)
        buf_printf(out, "generator  %.3f µs CPU a delivery, %.0f %% of a core\n",
                   r->client_cpu_s * 1e6 / (double)r->deliver.received,
                   r->wall_s > 0 ? 100 * r->client_cpu_s / r->wall_s : 0);
}

void bench_report_text(struct buf *out, const struct bench_result *r)
{
    struct buf sentences = BUF_INIT;
    bool ok = bench_result_judge(r, &sentences);
    add_work(out, r);
    add_connect(out, r);
    if (r->publish.posted) {
        add_publish(out, r);
        add_deliver(out, r);
    }
    add_server(out, r);
    add_client(out, r);
    buf_char(out, '\n');
    buf_str(out, buf_as_str(&sentences));
    buf_str(out, ok ? STR("Nothing failed.\n") : STR("Something failed.\n"));
    buf_fini(&sentences);
}
