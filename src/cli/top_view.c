#include "cli/top_view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH = 21, LINE_MAX_BYTES = 512 };

/* ---- samples ---- */

/* The next "name value" of a text; comments are passed over. */
static bool next_sample(struct str *text, struct str *name, double *value)
{
    while (text->len) {
        struct str line = str_cut(text, '\n');
        if (!line.len || line.p[0] == '#')
            continue;
        char number[40];
        size_t blank = line.len;
        while (blank && line.p[blank - 1] != ' ')
            blank--;
        if (blank < 2 || line.len - blank >= sizeof(number))
            continue;
        memcpy(number, line.p + blank, line.len - blank);
        number[line.len - blank] = 0;
        *name = str_make(line.p, blank - 1);
        *value = strtod(number, NULL);
        return true;
    }
    return false;
}

static double sample(struct str text, struct str wanted)
{
    struct str name;
    double value;
    while (next_sample(&text, &name, &value)) {
        if (str_eq(name, wanted))
            return value;
    }
    return 0;
}

double top_sample(struct str text, const char *name)
{
    return sample(text, str_of(name));
}

/* By how much a counter rises in a second. A process that was started anew begins at 0. */
static double rate(const struct top_node *n, struct str name)
{
    double seconds = n->now.at_s - n->before.at_s;
    double risen = sample(n->now.text, name) - sample(n->before.text, name);
    return n->before.text.len && seconds > 0 && risen > 0 ? risen / seconds : 0;
}

/* The sum of the rates of all samples of a name, whatever their labels. */
static double rate_of_all(const struct top_node *n, const char *family)
{
    struct str rest = n->now.text, name;
    double value, sum = 0;
    while (next_sample(&rest, &name, &value)) {
        if (str_starts(name, str_of(family)) &&
            (name.len == strlen(family) || name.p[strlen(family)] == '{'))
            sum += rate(n, name);
    }
    return sum;
}

/* A quantile of what a histogram took in between both readings, as the bound of its bucket, in
 * milliseconds; 0: nothing came. */
static double quantile_ms(const struct top_node *n, const char *histogram, double q)
{
    char prefix[128], count[128];
    snprintf(prefix, sizeof(prefix), "%s_bucket{le=\"", histogram);
    snprintf(count, sizeof(count), "%s_count", histogram);
    double all = sample(n->now.text, str_of(count)) - sample(n->before.text, str_of(count));
    struct str rest = n->now.text, name;
    double value, bound = 0;
    if (all <= 0 || !n->before.text.len)
        return 0;
    while (next_sample(&rest, &name, &value)) {
        if (!str_starts(name, str_of(prefix)))
            continue;
        double below = value - sample(n->before.text, name);
        if (name.p[strlen(prefix)] != '+')
            bound = strtod(name.p + strlen(prefix), NULL);
        if (below >= q * all)
            break;
    }
    return bound * 1000;
}

/* ---- numbers in few characters ---- */

static const char *shorten(char out[16], double n, double step, const char *units)
{
    while (n >= step * 10 && units[1]) {
        n /= step;
        units++;
    }
    snprintf(out, 16, n < 10 && n != (double)(long)n ? "%.1f%.1s" : "%.0f%.1s", n,
             *units == ' ' ? "" : units);
    return out;
}

static const char *count(char out[16], double n)
{
    return shorten(out, n, 1000, " kMGT");
}

static const char *bytes(char out[16], double n)
{
    return shorten(out, n, 1024, " KMGT");
}

static const char *ms(char out[16], double n)
{
    snprintf(out, 16, n == 0 ? "-" : n < 10 ? "%.2g" : "%.0f", n);
    return out;
}

/* ---- the picture ---- */

static void add_line(struct buf *out, const char *line, unsigned columns)
{
    size_t len = strlen(line);
    buf_add(out, line, len < columns ? len : columns);
    buf_char(out, '\n');
}

struct row {
    double websockets, subscriptions, publishes, deliveries, sent, queue, cpu, memory;
};

static struct row row_of(const struct top_node *n)
{
    struct str now = n->now.text;
    return (struct row){
        .websockets = top_sample(now, "gusher_websockets"),
        .subscriptions = top_sample(now, "gusher_subscriptions"),
        .publishes = rate_of_all(n, "gusher_publishes_total"),
        .deliveries = rate(n, STR("gusher_deliveries_total")),
        .sent = rate(n, STR("gusher_sent_bytes_total")),
        .queue = top_sample(now, "gusher_send_queue_bytes") + top_sample(now, "gusher_inbox_bytes"),
        .cpu = rate(n, STR("process_cpu_seconds_total")) * 100,
        .memory = top_sample(now, "process_resident_memory_bytes"),
    };
}

static void add_row(struct buf *out, const char *name, const struct row *r, const char *late,
                    const char *bus, unsigned columns)
{
    char line[LINE_MAX_BYTES], n[8][16];
    snprintf(line, sizeof(line), "%-*.*s %7s %7s %7s %7s %7s %6s %5s %6s %6.0f %6s", NAME_WIDTH,
             NAME_WIDTH, name, count(n[0], r->websockets), count(n[1], r->subscriptions),
             count(n[2], r->publishes), count(n[3], r->deliveries), bytes(n[4], r->sent), late, bus,
             bytes(n[5], r->queue), r->cpu, bytes(n[6], r->memory));
    add_line(out, line, columns);
}

static void add_node(struct buf *out, const struct top_node *n, unsigned columns)
{
    char line[LINE_MAX_BYTES], late[16];
    if (n->trouble) {
        snprintf(line, sizeof(line), "%-*.*s %s", NAME_WIDTH, NAME_WIDTH, n->name, n->trouble);
        add_line(out, line, columns);
        return;
    }
    const struct row r = row_of(n);
    ms(late, quantile_ms(n, "gusher_publish_to_write_seconds", 0.99));
    add_row(out, n->name, &r, late, top_sample(n->now.text, "gusher_bus_up") != 0 ? "up" : "AWAY",
            columns);
}

static void add_sums(struct buf *out, const struct top_node *nodes, unsigned n, unsigned columns)
{
    struct row all = {0};
    for (unsigned i = 0; i < n; i++) {
        if (nodes[i].trouble)
            continue;
        const struct row r = row_of(&nodes[i]);
        all.websockets += r.websockets;
        all.subscriptions += r.subscriptions;
        all.publishes += r.publishes;
        all.deliveries += r.deliveries;
        all.sent += r.sent;
        all.queue += r.queue;
        all.cpu += r.cpu;
        all.memory += r.memory;
    }
    add_row(out, "all", &all, "", "", columns);
}

/* A line for each label of a counter that rises at some node: its value and the rate. */
static void add_rising(struct buf *out, const char *title, const char *family,
                       const struct top_node *nodes, unsigned n, unsigned columns)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "%-*s", NAME_WIDTH, title);
    size_t empty = line.len;
    struct str rest = n ? nodes[0].now.text : STR_EMPTY, name;
    double value;
    while (next_sample(&rest, &name, &value)) {
        double sum = 0;
        char text[16];
        if (!str_starts(name, str_of(family)) || name.p[strlen(family)] != '{')
            continue;
        for (unsigned i = 0; i < n; i++)
            sum += nodes[i].trouble ? 0 : rate(&nodes[i], name);
        struct str label = str_make(name.p + strlen(family), name.len - strlen(family));
        str_cut(&label, '"');
        label = str_cut(&label, '"');
        if (sum > 0)
            buf_printf(&line, " %.*s %s", (int)label.len, label.p, count(text, sum));
    }
    if (line.len == empty)
        buf_str(&line, STR(" -"));
    buf_char(&line, 0);
    add_line(out, line.p, columns);
    buf_fini(&line);
}

void top_draw(struct buf *out, const struct top_node *nodes, unsigned n, unsigned columns)
{
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof(line), "%-*s %7s %7s %7s %7s %7s %6s %5s %6s %6s %6s", NAME_WIDTH, "node",
             "sockets", "subscr", "pub/s", "deliv/s", "sent/s", "p99 ms", "bus", "queue", "cpu %",
             "memory");
    add_line(out, line, columns);
    for (unsigned i = 0; i < n; i++)
        add_node(out, &nodes[i], columns);
    if (n > 1)
        add_sums(out, nodes, n, columns);
    add_line(out, "", columns);
    add_rising(out, "ended a second", "gusher_closes_total", nodes, n, columns);
    add_rising(out, "refused a second", "gusher_refusals_total", nodes, n, columns);
    add_rising(out, "answers a second", "gusher_http_replies_total", nodes, n, columns);
}
