#include "edge/metrics.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "edge/worker.h"
#include "edge/sums.h"
#include "net/descriptors.h"

/* ---- one family of samples ---- */

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void sample(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void labelled(struct buf *out, const char *name, const char *label, const char *value,
                     uint64_t n)
{
    buf_printf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)n);
}

/* A counter's samples have a suffix that its family has not. */
static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
    family(out, name, "counter", help);
    buf_printf(out, "%s_total %llu\n", name, (unsigned long long)value);
}

static void gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    family(out, name, "gauge", help);
    sample(out, name, value);
}

static void histogram(struct buf *out, const char *name, const char *help,
                      const struct sums_histogram *h)
{
    uint64_t below = 0;
    family(out, name, "histogram", help);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        below += h->buckets[b];
        char bound[16] = "+Inf";
        if (b < HISTOGRAM_BUCKETS - 1)
            snprintf(bound, sizeof(bound), "%g", histogram_bounds_us[b] / 1e6);
        buf_printf(out, "%s_bucket{le=\"%s\"} %llu\n", name, bound, (unsigned long long)below);
    }
    buf_printf(out, "%s_count %llu\n%s_sum %.6f\n", name, (unsigned long long)below, name,
               (double)h->sum_us / 1e6);
}

/* ---- the process ---- */

/* To read the folder takes a microsecond for each of them and more, and a worker's sockets would
 * wait. The kernel says the number as the folder's size since Linux 6.2. */
static uint64_t open_descriptors(void)
{
    struct stat folder;
    bool knows = stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0;
    return knows ? (uint64_t)folder.st_size : descriptors_used();
}

static void process(struct buf *out, const struct node *n)
{
    int64_t cpu_us = sums_cpu_us();
    family(out, "process_cpu_seconds", "counter", "CPU time of all threads.");
    buf_printf(out, "process_cpu_seconds_total %lld.%06lld\n", (long long)(cpu_us / 1000000),
               (long long)(cpu_us % 1000000));
    gauge(out, "process_resident_memory_bytes", "Memory in use.", sums_resident_bytes());
    gauge(out, "process_open_fds", "Descriptors in use.", open_descriptors());
    gauge(out, "process_start_time_seconds", "Unix time of the start.", (uint64_t)n->began_s);
    family(out, "gusher_build", "info", "What runs here.");
    buf_printf(out, "gusher_build_info{version=\"%s\"} 1\n", GUSHER_VERSION);
}

/* ---- all of it ---- */

static void connections(struct buf *out, const struct sums *s)
{
    gauge(out, "gusher_connections", "Connections, of HTTP and WebSocket.", s->conns);
    counter(out, "gusher_accepted", "Connections that came.", s->accepted);
    gauge(out, "gusher_websockets", "WebSockets.", s->sockets);
    gauge(out, "gusher_subscriptions", "Subscriptions of all WebSockets.", s->subscriptions);
    family(out, "gusher_closes", "counter", "WebSockets that ended, by reason (docs/PROTOCOL.md).");
    for (unsigned i = 0; i < REASONS; i++)
        labelled(out, "gusher_closes_total", "reason", reasons[i].word, s->closes[i]);
}

/* Of a status that is usual a sample is there from the start, so that its first rise is seen. */
static bool is_usual(unsigned status)
{
    static const unsigned usual[] = {200, 204, 400, 401, 403, 404, 405, 408,
                                     413, 414, 429, 431, 500, 503, 504};
    for (unsigned i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (usual[i] == status)
            return true;
    }
    return false;
}

static void http(struct buf *out, const struct node *n, const struct sums *s)
{
    family(out, "gusher_http_replies", "counter", "Answers to requests, by status.");
    for (unsigned i = 100; i < WORKER_STATUSES; i++) {
        if (s->replies[i] || is_usual(i))
            buf_printf(out, "gusher_http_replies_total{status=\"%u\"} %llu\n", i,
                       (unsigned long long)s->replies[i]);
    }
    family(out, "gusher_refusals", "counter",
           "What was refused for a limit (docs/SECURITY.md), by its option.");
    for (unsigned i = 0; n->stores.gate && i < GATE_LIMITS; i++)
        labelled(out, "gusher_refusals_total", "limit", gate_limit_name(i),
                 gate_refused(n->stores.gate, i));
    labelled(out, "gusher_refusals_total", "limit", "max-subscriptions", s->too_many);
    labelled(out, "gusher_refusals_total", "limit", "max-name", s->long_names);
}

static void messages(struct buf *out, const struct sums *s)
{
    static const char *const kinds[MSG_KINDS] = {
        [MSG_CHANNEL] = "channel",     [MSG_USER] = "user",
        [MSG_SOCKET] = "socket",       [MSG_ADD] = "add",
        [MSG_RELOAD] = "reload",       [MSG_KICK_SOCKET] = "kick_socket",
        [MSG_KICK_USER] = "kick_user", [MSG_KICK_TOKEN] = "kick_token",
        [MSG_KICK_APP] = "kick_app"};
    family(out, "gusher_publishes", "counter", "Messages that backends gave this node, by kind.");
    for (unsigned i = 0; i < MSG_KINDS; i++)
        labelled(out, "gusher_publishes_total", "kind", kinds[i], s->publishes[i]);
    counter(out, "gusher_publishes_refused", "Messages that the bus did not take.",
            s->publishes_refused);
    counter(out, "gusher_deliveries", "Messages, once for each WebSocket that they were for.",
            s->delivered);
    counter(out, "gusher_received_bytes", "Bytes from peers, without TLS.", s->received);
    counter(out, "gusher_sent_bytes", "Bytes to peers, without TLS.", s->sent);
    gauge(out, "gusher_send_queue_bytes", "Memory of what waits to be sent.", s->queues);
}

void metrics_write(struct buf *out, const struct node *n)
{
    struct sums s;
    sums_take(&s, n);
    connections(out, &s);
    http(out, n, &s);
    messages(out, &s);
    gauge(out, "gusher_inbox_bytes", "Messages that workers have not read yet.", s.inboxes);
    histogram(out, "gusher_publish_to_write_seconds",
              "From a message's coming to this node until a worker has written it.",
              &s.publish_to_write);
    histogram(out, "gusher_loop_turn_seconds",
              "How long a worker's turns took: nobody else is served meanwhile.", &s.turns);
    const struct bus_backend bus = node_backend((struct node *)n);
    gauge(out, "gusher_bus_up", "1 while messages reach all nodes.", bus.state(bus.ctx) == BUS_UP);
    process(out, n);
    buf_str(out, STR("# EOF\n"));
}
