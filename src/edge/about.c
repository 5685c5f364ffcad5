#include "edge/about.h"
#include <inttypes.h>
#include <unistd.h>
#include "base/json.h"
#include "base/log.h"
#include "edge/sums.h"

static void write_process(struct buf *out, struct node *n)
{
    static const char *const states[] = {
        [BUS_AWAY] = "away", [BUS_SETTLING] = "settling", [BUS_UP] = "up"};
    const struct bus_backend bus = node_backend(n);
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    buf_printf(out, "{\"node\":\"%08" PRIx32 "\",\"roles\":[%s%s%s],\"host\":", n->id,
               n->roles & API_SLAVE ? "\"slave\"" : "",
               (n->roles & (API_SLAVE | API_MASTER)) == (API_SLAVE | API_MASTER) ? "," : "",
               n->roles & API_MASTER ? "\"master\"" : "");
    json_quote(out, str_of(host));
    buf_printf(out, ",\"version\":\"%s\",\"started\":%" PRId64 ",\"workers\":%u,\"bus\":\"%s\"",
               GUSHER_VERSION, n->began_s, n->n_workers, states[bus.state(bus.ctx)]);
    struct log_levels levels = log_levels();
    buf_str(out, STR(",\"log\":\""));
    log_levels_write(out, &levels);
    buf_char(out, '"');
    int64_t cpu_us = sums_cpu_us();
    buf_printf(out, ",\"resident_bytes\":%" PRIu64 ",\"cpu_seconds\":%" PRId64 ".%06" PRId64,
               sums_resident_bytes(), cpu_us / 1000000, cpu_us % 1000000);
}

static void write_traffic(struct buf *out, const struct sums *s)
{
    uint64_t publishes = 0;
    for (unsigned i = 0; i < MSG_KINDS; i++)
        publishes += s->publishes[i];
    const struct {
        const char *name;
        uint64_t n;
    } numbers[] = {{"connections", s->conns},
                   {"websockets", s->sockets},
                   {"subscriptions", s->subscriptions},
                   {"accepted", s->accepted},
                   {"publishes", publishes},
                   {"publishes_refused", s->publishes_refused},
                   {"deliveries", s->delivered},
                   {"received_bytes", s->received},
                   {"sent_bytes", s->sent},
                   {"send_queue_bytes", s->queues},
                   {"inbox_bytes", s->inboxes}};
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        buf_printf(out, ",\"%s\":%" PRIu64, numbers[i].name, numbers[i].n);
}

/* "name":n, of what is not 0. */
static void member(struct buf *out, const char *name, uint64_t n)
{
    if (n)
        buf_printf(out, "%s\"%s\":%" PRIu64, out->p[out->len - 1] == '{' ? "" : ",", name, n);
}

static void write_kinds(struct buf *out, const struct node *n, const struct sums *s)
{
    buf_str(out, STR(",\"closes\":{"));
    for (unsigned i = 0; i < REASONS; i++)
        member(out, reasons[i].word, s->closes[i]);
    buf_str(out, STR("},\"refusals\":{"));
    for (unsigned i = 0; n->stores.gate && i < GATE_LIMITS; i++)
        member(out, gate_limit_name(i), gate_refused(n->stores.gate, i));
    member(out, "max-subscriptions", s->too_many);
    member(out, "max-name", s->long_names);
    buf_char(out, '}');
}

/* Pairs of a bound in seconds and how many were below it; the last one has no bound. */
static void write_histogram(struct buf *out, const struct sums_histogram *h)
{
    uint64_t below = 0;
    buf_str(out, STR(",\"publish_to_write\":["));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        below += h->buckets[i];
        buf_printf(out, "[%g,%" PRIu64 "],", histogram_bounds_us[i] / 1e6, below);
    }
    buf_printf(out, "[null,%" PRIu64 "]]", below + h->buckets[HISTOGRAM_BUCKETS - 1]);
}

void about_write(struct buf *out, struct node *n)
{
    struct sums s;
    sums_take(&s, n);
    write_process(out, n);
    write_traffic(out, &s);
    write_kinds(out, n, &s);
    write_histogram(out, &s.publish_to_write);
    buf_char(out, '}');
}
