#include "edge/metrics.h"
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "bus/seat.h"
#include "edge/worker.h"
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

/* ---- sums over the workers ---- */

typedef const struct counter *counter_of(const struct worker *w, unsigned i);

static uint64_t sum(const struct node *n, counter_of *of, unsigned i)
{
    uint64_t all = 0;
    for (unsigned w = 0; w < n->n_workers; w++)
        all += counter_read(of(n->workers[w], i));
    return all;
}

static const struct counter *conns(const struct worker *w, unsigned i)
{
    (void)i;
    return &w->stats.conns;
}

static const struct counter *accepted(const struct worker *w, unsigned i)
{
    (void)i;
    return &w->stats.accepted;
}

static const struct counter *sockets(const struct worker *w, unsigned i)
{
    (void)i;
    return &hub_stats(w->hub)->sockets;
}

static const struct counter *subscriptions(const struct worker *w, unsigned i)
{
    (void)i;
    return &hub_stats(w->hub)->subscriptions;
}

static const struct counter *delivered(const struct worker *w, unsigned i)
{
    (void)i;
    return &hub_stats(w->hub)->delivered;
}

static const struct counter *refused(const struct worker *w, unsigned i)
{
    const struct hub_stats *s = hub_stats(w->hub);
    return i ? &s->long_names : &s->too_many;
}

static const struct counter *bytes(const struct worker *w, unsigned i)
{
    return i ? &w->net.stats.sent : &w->net.stats.received;
}

static const struct counter *queues(const struct worker *w, unsigned i)
{
    (void)i;
    return &w->net.stats.queues;
}

static const struct counter *closes(const struct worker *w, unsigned i)
{
    return &w->stats.closes[i];
}

static const struct counter *replies(const struct worker *w, unsigned i)
{
    return &w->stats.replies[i];
}

static const struct counter *publishes(const struct worker *w, unsigned i)
{
    return &bus_seat_stats(w->seat)->published[i];
}

static const struct counter *refused_publishes(const struct worker *w, unsigned i)
{
    (void)i;
    return &bus_seat_stats(w->seat)->refused;
}

/* ---- histograms ---- */

typedef const struct histogram *histogram_of(const struct worker *w);

static const struct histogram *turns(const struct worker *w)
{
    return &w->loop.turns;
}

static const struct histogram *writes(const struct worker *w)
{
    return &w->stats.publish_to_write;
}

static void histogram(struct buf *out, const struct node *n, const char *name, const char *help,
                      histogram_of *of)
{
    uint64_t below = 0, sum_us = 0;
    family(out, name, "histogram", help);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        for (unsigned w = 0; w < n->n_workers; w++)
            below += counter_read(&of(n->workers[w])->buckets[b]);
        char bound[16] = "+Inf";
        if (b < HISTOGRAM_BUCKETS - 1)
            snprintf(bound, sizeof(bound), "%g", histogram_bounds_us[b] / 1e6);
        buf_printf(out, "%s_bucket{le=\"%s\"} %llu\n", name, bound, (unsigned long long)below);
    }
    for (unsigned w = 0; w < n->n_workers; w++)
        sum_us += counter_read(&of(n->workers[w])->sum_us);
    buf_printf(out, "%s_count %llu\n%s_sum %.6f\n", name, (unsigned long long)below, name,
               (double)sum_us / 1e6);
}

/* ---- the process ---- */

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

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
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    family(out, "process_cpu_seconds", "counter", "CPU time of all threads.");
    buf_printf(out, "process_cpu_seconds_total %lld.%06ld\n", (long long)cpu.tv_sec,
               cpu.tv_nsec / 1000);
    gauge(out, "process_resident_memory_bytes", "Memory in use.", resident_bytes());
    gauge(out, "process_open_fds", "Descriptors in use.", open_descriptors());
    gauge(out, "process_start_time_seconds", "Unix time of the start.", (uint64_t)n->began_s);
    family(out, "gusher_build", "info", "What runs here.");
    buf_printf(out, "gusher_build_info{version=\"%s\"} 1\n", GUSHER_VERSION);
}

/* ---- all of it ---- */

static void connections(struct buf *out, const struct node *n)
{
    gauge(out, "gusher_connections", "Connections, of HTTP and WebSocket.", sum(n, conns, 0));
    counter(out, "gusher_accepted", "Connections that came.", sum(n, accepted, 0));
    gauge(out, "gusher_websockets", "WebSockets.", sum(n, sockets, 0));
    gauge(out, "gusher_subscriptions", "Subscriptions of all WebSockets.",
          sum(n, subscriptions, 0));
    family(out, "gusher_closes", "counter", "WebSockets that ended, by reason (docs/PROTOCOL.md).");
    for (unsigned i = 0; i < REASONS; i++)
        labelled(out, "gusher_closes_total", "reason", reasons[i].word, sum(n, closes, i));
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

static void http(struct buf *out, const struct node *n)
{
    family(out, "gusher_http_replies", "counter", "Answers to requests, by status.");
    for (unsigned i = 100; i < WORKER_STATUSES; i++) {
        uint64_t so_far = sum(n, replies, i);
        if (so_far || is_usual(i))
            buf_printf(out, "gusher_http_replies_total{status=\"%u\"} %llu\n", i,
                       (unsigned long long)so_far);
    }
    family(out, "gusher_refusals", "counter",
           "What was refused for a limit (docs/SECURITY.md), by its option.");
    for (unsigned i = 0; n->stores.gate && i < GATE_LIMITS; i++)
        labelled(out, "gusher_refusals_total", "limit", gate_limit_name(i),
                 gate_refused(n->stores.gate, i));
    labelled(out, "gusher_refusals_total", "limit", "max-subscriptions", sum(n, refused, 0));
    labelled(out, "gusher_refusals_total", "limit", "max-name", sum(n, refused, 1));
}

static void messages(struct buf *out, const struct node *n)
{
    static const char *const kinds[MSG_KINDS] = {
        [MSG_CHANNEL] = "channel",     [MSG_USER] = "user",
        [MSG_SOCKET] = "socket",       [MSG_ADD] = "add",
        [MSG_RELOAD] = "reload",       [MSG_KICK_SOCKET] = "kick_socket",
        [MSG_KICK_USER] = "kick_user", [MSG_KICK_TOKEN] = "kick_token",
        [MSG_KICK_APP] = "kick_app"};
    family(out, "gusher_publishes", "counter", "Messages that backends gave this node, by kind.");
    for (unsigned i = 0; i < MSG_KINDS; i++)
        labelled(out, "gusher_publishes_total", "kind", kinds[i], sum(n, publishes, i));
    counter(out, "gusher_publishes_refused", "Messages that the bus did not take.",
            sum(n, refused_publishes, 0));
    counter(out, "gusher_deliveries", "Messages, once for each WebSocket that they were for.",
            sum(n, delivered, 0));
    counter(out, "gusher_received_bytes", "Bytes from peers, without TLS.", sum(n, bytes, 0));
    counter(out, "gusher_sent_bytes", "Bytes to peers, without TLS.", sum(n, bytes, 1));
    gauge(out, "gusher_send_queue_bytes", "Memory of what waits to be sent.", sum(n, queues, 0));
}

/* What workers have not read yet. */
static void inboxes(struct buf *out, const struct node *n)
{
    uint64_t unread = 0;
    for (unsigned w = 0; w < n->n_workers; w++)
        unread += atomic_load_explicit(&n->unread_bytes[w], memory_order_relaxed);
    gauge(out, "gusher_inbox_bytes", "Messages that workers have not read yet.", unread);
}

void metrics_write(struct buf *out, const struct node *n)
{
    connections(out, n);
    http(out, n);
    messages(out, n);
    inboxes(out, n);
    histogram(out, n, "gusher_publish_to_write_seconds",
              "From a message's coming to this node until a worker has written it.", writes);
    histogram(out, n, "gusher_loop_turn_seconds",
              "How long a worker's turns took: nobody else is served meanwhile.", turns);
    const struct bus_backend bus = node_backend((struct node *)n);
    gauge(out, "gusher_bus_up", "1 while messages reach all nodes.", bus.state(bus.ctx) == BUS_UP);
    process(out, n);
    buf_str(out, STR("# EOF\n"));
}
