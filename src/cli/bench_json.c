#include <inttypes.h>
#include "base/json.h"
#include "cli/bench_report.h"

/* Members are written with their comma in front; `first` spares it. */

static void add_u64(struct buf *out, const char *name, uint64_t n)
{
    buf_printf(out, ",\"%s\":%" PRIu64, name, n);
}

static void add_double(struct buf *out, const char *name, double v)
{
    buf_printf(out, ",\"%s\":%.6f", name, v);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    json_quote(out, str_of(text));
}

static void add_ratio(struct buf *out, const char *name, double above, double below)
{
    if (below > 0)
        add_double(out, name, above / below);
    else
        buf_printf(out, ",\"%s\":null", name);
}

static void add_bool(struct buf *out, const char *name, bool is)
{
    buf_printf(out, ",\"%s\":%s", name, is ? "true" : "false");
}

static void add_times(struct buf *out, const char *name, const struct bench_hist *h)
{
    buf_printf(out, ",\"%s\":{\"count\":%" PRIu64, name, h->n);
    add_double(out, "min", (double)h->min / 1e6);
    add_double(out, "mean", bench_hist_mean(h) / 1e6);
    add_double(out, "p50", (double)bench_hist_at(h, .5) / 1e6);
    add_double(out, "p90", (double)bench_hist_at(h, .9) / 1e6);
    add_double(out, "p99", (double)bench_hist_at(h, .99) / 1e6);
    add_double(out, "p999", (double)bench_hist_at(h, .999) / 1e6);
    add_double(out, "max", (double)h->max / 1e6);
    buf_char(out, '}');
}

static void add_faults(struct buf *out, const char *name, const struct bench_faults *f)
{
    bool first = true;
    buf_printf(out, ",\"%s\":[", name);
    for (int i = 0; i < BENCH_FAULTS; i++) {
        if (!f->kinds[i].n)
            continue;
        buf_printf(out, "%s{\"kind\":\"%s\"", first ? "" : ",", bench_fault_name(i));
        add_u64(out, "count", f->kinds[i].n);
        add_text(out, "example", f->kinds[i].example);
        buf_char(out, '}');
        first = false;
    }
    buf_char(out, ']');
}

static void add_options(struct buf *out, const struct bench_result *r)
{
    buf_str(out, STR(",\"options\":{\"slave\":"));
    json_quote(out, str_of(r->slave));
    add_text(out, "master", r->master);
    add_text(out, "app", r->app);
    add_text(out, "auth", r->auth);
    add_text(out, "body", r->body);
    add_u64(out, "connections", r->connections);
    add_u64(out, "channels", r->channels);
    add_u64(out, "users", r->users);
    add_u64(out, "publishers", r->publishers);
    add_u64(out, "rate", r->rate);
    add_u64(out, "payload", r->payload);
    add_u64(out, "duration_s", r->duration_s);
    add_u64(out, "warmup_s", r->warmup_s);
    buf_char(out, '}');
}

static void add_connect(struct buf *out, const struct bench_result *r)
{
    buf_printf(out, ",\"connect\":{\"asked\":%" PRIu64, r->connections);
    add_u64(out, "ready", r->connect.ready);
    add_u64(out, "failed", bench_faults_n(&r->connect.faults));
    add_double(out, "seconds", r->connect.seconds);
    add_ratio(out, "per_second", (double)r->connect.ready, r->connect.seconds);
    add_times(out, "took_ms", &r->connect.took);
    add_faults(out, "failures", &r->connect.faults);
    buf_char(out, '}');
}

static void add_publish(struct buf *out, const struct bench_result *r)
{
    bool first = true;
    buf_printf(out, ",\"publish\":{\"posted\":%" PRIu64, r->publish.posted);
    if (r->rate)
        add_u64(out, "due", r->publish.due);
    else
        buf_str(out, STR(",\"due\":null"));
    add_u64(out, "ok", bench_result_ok(r));
    add_u64(out, "refused", bench_result_refused(r));
    add_u64(out, "unanswered", r->publish.unanswered);
    buf_str(out, STR(",\"answers\":{"));
    for (int i = 0; i < BENCH_STATUSES; i++) {
        if (r->publish.answers[i])
            buf_printf(out, "%s\"%d\":%" PRIu64, first ? "" : ",", i, r->publish.answers[i]);
        first = first && !r->publish.answers[i];
    }
    buf_char(out, '}');
    add_double(out, "seconds", r->publish.seconds);
    add_ratio(out, "per_second", (double)r->publish.posted, r->publish.seconds);
    add_times(out, "answer_ms", &r->publish.took);
    add_faults(out, "failures", &r->publish.faults);
    buf_char(out, '}');
}

static void add_deliver(struct buf *out, const struct bench_result *r)
{
    buf_printf(out, ",\"deliver\":{\"expected\":%" PRIu64, r->deliver.expected);
    add_u64(out, "received", r->deliver.received);
    add_u64(out, "lost", bench_result_lost(r));
    add_u64(out, "duplicated", r->deliver.duplicated);
    add_u64(out, "out_of_order", r->deliver.out_of_order);
    add_u64(out, "strange", r->deliver.strange);
    add_u64(out, "subscribers_lost", bench_faults_n(&r->deliver.closed));
    add_double(out, "seconds", r->deliver.seconds);
    add_ratio(out, "per_second", (double)r->deliver.received, r->deliver.seconds);
    add_times(out, "latency_ms", &r->deliver.latency);
    add_faults(out, "failures", &r->deliver.closed);
    buf_char(out, '}');
}

static void add_processes(struct buf *out, const struct bench_result *r)
{
    double received = (double)r->deliver.received, ready = (double)r->connect.ready;
    buf_printf(out, ",\"generator\":{\"cpu_s\":%.6f", r->client_cpu_s);
    add_double(out, "wall_s", r->wall_s);
    add_ratio(out, "cpu_us_per_delivery", r->client_cpu_s * 1e6, received);
    buf_char(out, '}');
    if (!r->server.n || r->server.gone) {
        buf_str(out, STR(",\"server\":null"));
        return;
    }
    buf_printf(out, ",\"server\":{\"processes\":%u", r->server.n);
    add_double(out, "cpu_s", r->server.cpu_s);
    add_double(out, "user_s", r->server.user_s);
    add_double(out, "system_s", r->server.system_s);
    add_ratio(out, "cpu_us_per_delivery", r->server.cpu_s * 1e6, received);
    add_double(out, "connect_cpu_s", r->server.connect_cpu_s);
    add_ratio(out, "cpu_us_per_connection", r->server.connect_cpu_s * 1e6, ready);
    add_u64(out, "rss_before_kib", r->server.rss_before);
    add_u64(out, "rss_connected_kib", r->server.rss_connected);
    add_u64(out, "rss_after_kib", r->server.rss_after);
    add_ratio(out, "rss_kib_per_connection",
              (double)r->server.rss_connected - (double)r->server.rss_before, ready);
    buf_char(out, '}');
}

void bench_report_json(struct buf *out, const struct bench_result *r)
{
    struct buf sentences = BUF_INIT;
    bool ok = bench_result_judge(r, &sentences);
    struct str rest = buf_as_str(&sentences);
    buf_str(out, STR("{\"gusher_bench\":1,\"version\":\"" GUSHER_VERSION "\""));
    add_bool(out, "ok", ok);
    add_bool(out, "interrupted", r->interrupted);
    buf_str(out, STR(",\"remarks\":["));
    for (bool first = true; rest.len; first = false) {
        if (!first)
            buf_char(out, ',');
        json_quote(out, str_cut(&rest, '\n'));
    }
    buf_char(out, ']');
    add_options(out, r);
    add_connect(out, r);
    add_publish(out, r);
    add_deliver(out, r);
    add_processes(out, r);
    buf_str(out, STR("}\n"));
    buf_fini(&sentences);
}
