#include <inttypes.h>
#include <math.h>
#include "cli/bench_report.h"

enum {
    WIDTH = 840,
    HEIGHT = 460,
    LEFT = 84,
    RIGHT = 24,
    TOP = 84,
    BOTTOM = 64,
    NINES_MAX = 7,
    POINTS = 240,
};

/* What is drawn, and where. */
struct plot {
    const struct bench_hist *h;
    double nines;     /* the right end: 3 is 99.9 % */
    double low, high; /* log10 of nanoseconds at the bottom and at the top */
};

static double x_of(const struct plot *p, double nines)
{
    return LEFT + nines / p->nines * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct plot *p, double log_ns)
{
    return HEIGHT - BOTTOM - (log_ns - p->low) / (p->high - p->low) * (HEIGHT - TOP - BOTTOM);
}

static double log_of(uint64_t ns)
{
    return log10(ns ? (double)ns : 1);
}

/* The steps 1, 2 and 5 of each power of ten. */
static double step_log(int i)
{
    static const double steps[] = {1, 2, 5};
    int power = i / 3;
    return power + log10(steps[i % 3]);
}

static void fit(struct plot *p, const struct bench_hist *h)
{
    double n = log10((double)h->n); /* the last one of 1,000 is at 99.9 % */
    *p = (struct plot){.h = h, .nines = n < 2 ? 2 : n > NINES_MAX ? NINES_MAX : n};
    int low = 0, high = 0;
    while (step_log(low + 1) <= log_of(h->min))
        low++;
    while (step_log(high) < log_of(h->max))
        high++;
    p->low = step_log(low);
    p->high = step_log(high > low ? high : low + 1);
}

/* Text of ours and of options, as XML. */
static void add_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            buf_str(out, STR("&lt;"));
            break;
        case '&':
            buf_str(out, STR("&amp;"));
            break;
        case '"':
            buf_str(out, STR("&quot;"));
            break;
        default:
            buf_char(out, (unsigned char)*text < ' ' ? ' ' : *text);
        }
    }
}

static void add_head(struct buf *out)
{
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
               "height=\"%d\" role=\"img\" aria-labelledby=\"t d\">\n",
               WIDTH, HEIGHT, WIDTH, HEIGHT);
    buf_str(out, STR("<style>\n"
                     "  svg { background: #ffffff; font: 13px system-ui, sans-serif; }\n"
                     "  text { fill: #24292f; }\n"
                     "  .faint { fill: #57606a; }\n"
                     "  .grid { stroke: #d0d7de; stroke-width: 1; }\n"
                     "  .curve { fill: none; stroke: #0969da; stroke-width: 2.5;"
                     " stroke-linejoin: round; }\n"
                     "  .point { fill: #0969da; }\n"
                     "  @media (prefers-color-scheme: dark) {\n"
                     "    svg { background: #0d1117; }\n"
                     "    text { fill: #e6edf3; }\n"
                     "    .faint { fill: #9198a1; }\n"
                     "    .grid { stroke: #30363d; }\n"
                     "    .curve { stroke: #58a6ff; }\n"
                     "    .point { fill: #58a6ff; }\n"
                     "  }\n"
                     "</style>\n"));
}

static void add_captions(struct buf *out, const struct bench_result *r)
{
    buf_str(out,
            STR("<title id=\"t\">gusher bench: delivery latency</title>\n<desc id=\"d\">Latency "
                "by percentile, on a logarithmic axis of nines.</desc>\n"));
    buf_printf(out, "<text x=\"%d\" y=\"30\" font-size=\"18\">Delivery latency, ", LEFT);
    bench_add_count(out, r->deliver.latency.n);
    buf_printf(out, " deliveries</text>\n<text class=\"faint\" x=\"%d\" y=\"52\">", LEFT);
    bench_add_many(out, r->connections, "connection");
    buf_str(out, STR(" on "));
    bench_add_many(out, r->channels, "channel");
    buf_str(out, STR(", "));
    bench_add_many(out, r->publishers, "publisher");
    buf_str(out, STR(", "));
    if (r->rate) {
        bench_add_count(out, r->rate);
        buf_str(out, STR(" messages a second"));
    } else {
        buf_str(out, STR("as fast as answered"));
    }
    buf_printf(out, ", %" PRIu64 " bytes; ", r->payload);
    add_escaped(out, r->slave);
    buf_str(out, STR("</text>\n"));
}

/* "20 ms": one figure, as a tick has it. */
static void add_tick(struct buf *out, uint64_t ns)
{
    if (ns < 1000000)
        buf_printf(out, "%g µs", (double)ns / 1e3);
    else if (ns < 1000000000)
        buf_printf(out, "%g ms", (double)ns / 1e6);
    else
        buf_printf(out, "%g s", (double)ns / 1e9);
}

static void add_latency_axis(struct buf *out, const struct plot *p)
{
    static const uint64_t steps[] = {1, 2, 5};
    uint64_t power = 1;
    for (int i = 0; step_log(i) <= p->high + 1e-9; i++) {
        double at = step_log(i);
        if (at >= p->low - 1e-9) {
            double y = y_of(p, at);
            buf_printf(out,
                       "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
                       "<text class=\"faint\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
                       LEFT, y, WIDTH - RIGHT, y, LEFT - 10, y + 4.5);
            add_tick(out, steps[i % 3] * power);
            buf_str(out, STR("</text>\n"));
        }
        power *= i % 3 == 2 ? 10 : 1;
    }
}

static void add_nines_axis(struct buf *out, const struct plot *p)
{
    static const struct {
        double nines;
        const char *text;
    } ticks[] = {{0, "0 %"},      {0.30103, "50 %"}, {1, "90 %"},
                 {2, "99 %"},     {3, "99.9 %"},     {4, "99.99 %"},
                 {5, "99.999 %"}, {6, "99.9999 %"},  {7, "99.99999 %"}};
    for (unsigned i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
        if (ticks[i].nines > p->nines)
            break;
        double x = x_of(p, ticks[i].nines);
        bool at_edge = p->nines - ticks[i].nines < 0.2;
        buf_printf(out,
                   "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>"
                   "<text class=\"faint\" x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
                   x, TOP, x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 20, at_edge ? "end" : "middle",
                   ticks[i].text);
    }
    buf_printf(out,
               "<text class=\"faint\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">share of deliveries "
               "that were as fast or faster</text>\n",
               (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16);
}

static void add_curve(struct buf *out, const struct plot *p)
{
    buf_str(out, STR("<polyline class=\"curve\" points=\""));
    for (int i = 0; i <= POINTS; i++) {
        double nines = p->nines * i / POINTS;
        double q = i == POINTS ? 1 : 1 - pow(10, -nines);
        buf_printf(out, "%s%.1f,%.1f", i ? " " : "", x_of(p, nines),
                   y_of(p, log_of(bench_hist_at(p->h, q))));
    }
    buf_str(out, STR("\"/>\n"));
}

/* A point of the curve and its value, below it: the curve goes up. */
static void add_point(struct buf *out, const struct plot *p, double nines, double q,
                      const char *name)
{
    uint64_t ns = bench_hist_at(p->h, q);
    double x = x_of(p, nines), y = y_of(p, log_of(ns));
    bool at_edge = q >= 1;
    buf_printf(out,
               "<circle class=\"point\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>"
               "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s ",
               x, y, at_edge ? x : x + 8, y + 18, at_edge ? "end" : "start", name);
    bench_add_duration(out, ns);
    buf_str(out, STR("</text>\n"));
}

static void add_points(struct buf *out, const struct plot *p)
{
    static const struct {
        double nines, q;
        const char *name;
    } points[] = {{0.30103, .5, "p50"}, {1, .9, "p90"}, {2, .99, "p99"}, {3, .999, "p99.9"}};
    for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        double room = (p->nines - points[i].nines) / p->nines; /* for two texts side by side */
        if (room > 0.28)
            add_point(out, p, points[i].nines, points[i].q, points[i].name);
    }
    add_point(out, p, p->nines, 1, "max");
}

void bench_report_svg(struct buf *out, const struct bench_result *r)
{
    struct plot p;
    add_head(out);
    add_captions(out, r);
    if (r->deliver.latency.n) {
        fit(&p, &r->deliver.latency);
        add_latency_axis(out, &p);
        add_nines_axis(out, &p);
        add_curve(out, &p);
        add_points(out, &p);
    } else {
        buf_printf(out, "<text x=\"%d\" y=\"%d\">Nothing was delivered.</text>\n", LEFT, TOP + 40);
    }
    buf_str(out, STR("</svg>\n"));
}
