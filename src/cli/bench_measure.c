#include "cli/bench_measure.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/bench_proc.h"
#include "cli/bench_report.h"

enum {
    TICK_MS = 100,
    DRAIN_S = 10,        /* for answers and deliveries behind the last post, at most; */
    SILENCE_S = 3,       /* and that long without any; after a signal */
    DRAIN_STOPPED_S = 2, /* no longer than this */
    DOWN_S = 3,          /* without any publisher: the server is gone */
    STUCK_S = 1,         /* publishers held back by what does not come go on after this */
};

/* ---- the progress line ---- */

void bench_progress_end(const struct bench *b)
{
    if (b->shows_progress)
        fputs("\r\033[K", stderr);
}

static void progress(struct bench *b)
{
    struct buf line = BUF_INIT;
    uint64_t now_ns = bench_clock_ns(), received = b->subs.received;
    double seconds = (double)(now_ns - b->last_tick_ns) / 1e9;
    uint64_t fresh = received > b->last_received ? received - b->last_received : 0;
    buf_printf(&line, "\r\033[K%s %.1f", b->doing, (double)(now_ns - b->doing_since_ns) / 1e9);
    if (b->doing_ns)
        buf_printf(&line, "/%.0f", (double)b->doing_ns / 1e9);
    buf_str(&line, STR(" s  "));
    bench_add_count(&line, b->subs.n_live);
    buf_str(&line, STR(" subscribers  "));
    bench_add_count(&line, b->result->publish.posted);
    buf_str(&line, STR(" pushes  "));
    bench_add_count(&line, seconds > 0 ? (uint64_t)((double)fresh / seconds) : 0);
    buf_str(&line, STR(" deliveries/s  p99 "));
    bench_add_duration(&line, bench_hist_at(&b->result->deliver.latency, .99));
    fwrite(line.p, 1, line.len, stderr);
    buf_fini(&line);
    b->last_received = received;
    b->last_tick_ns = now_ns;
}

static void begin_doing(struct bench *b, const char *what, uint64_t seconds)
{
    b->doing = what;
    b->doing_since_ns = b->last_tick_ns = bench_clock_ns();
    b->doing_ns = seconds * 1000000000u;
    b->last_received = 0;
}

/* ---- the loop ---- */

static void on_tick(struct timer *t)
{
    struct bench *b = container_of(t, struct bench, tick);
    if (b->shows_progress)
        progress(b);
    timer_set(&b->loop.timers, t, b->loop.now_ms + TICK_MS);
}

/* The first signal ends the measuring; the second one, the program, as it would without us. */
static void on_signal(struct io *io, uint32_t events)
{
    struct bench *b = container_of(io, struct bench, signals);
    struct signalfd_siginfo info;
    (void)events;
    if (read(io->fd, &info, sizeof(info)) != sizeof(info))
        return;
    b->stopping = true;
    b->result->interrupted = true;
    sigprocmask(SIG_SETMASK, &b->old_mask, NULL);
}

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 0;
}

static void end_turn(void *ctx)
{
    struct bench *b = ctx;
    bench_subs_pump(&b->subs);
    bench_pubs_pump(&b->pubs);
}

bool bench_loop_begin(struct bench *b)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (inbox_new(&b->inbox, 1))
        return false;
    if (loop_init(&b->loop, b->inbox, read_letter, b)) {
        inbox_free(b->inbox);
        return false;
    }
    sigprocmask(SIG_BLOCK, &set, &b->old_mask);
    b->signals = (struct io){.fn = on_signal, .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (b->signals.fd >= 0)
        loop_add(&b->loop, &b->signals, EPOLLIN);
    b->tick.fn = on_tick;
    timer_set(&b->loop.timers, &b->tick, b->loop.now_ms + TICK_MS);
    return true;
}

void bench_loop_end(struct bench *b)
{
    timer_stop(&b->loop.timers, &b->tick);
    if (b->signals.fd >= 0) {
        loop_remove(&b->loop, &b->signals);
        close(b->signals.fd);
    }
    loop_fini(&b->loop);
    inbox_free(b->inbox);
    sigprocmask(SIG_SETMASK, &b->old_mask, NULL);
}

/* ---- what the server uses ---- */

static void usage(struct bench *b, struct bench_usage *u)
{
    int failed;
    if (!bench_usage_read(u, b->o->pids, b->o->n_pids, &failed))
        b->result->server.gone = true;
}

/* ---- the phases ---- */

static void open_subscribers(struct bench *b)
{
    struct bench_result *r = b->result;
    struct bench_usage before, after;
    usage(b, &before);
    begin_doing(b, "connecting", 0);
    bench_subs_open(&b->subs);
    while (!bench_subs_opened(&b->subs) && !b->stopping) {
        bench_subs_pump(&b->subs);
        if (!bench_subs_opened(&b->subs))
            loop_turn(&b->loop, TICK_MS);
    }
    if (!bench_subs_opened(&b->subs))
        bench_subs_give_up(&b->subs, "interrupted");
    r->connect.seconds = (double)(b->subs.last_ready_ns - b->subs.began_ns) / 1e9;
    usage(b, &after);
    r->server.rss_before = before.rss_kib;
    r->server.rss_connected = r->server.rss_after = after.rss_kib;
    r->server.connect_cpu_s = after.cpu_s - before.cpu_s;
}

/* Each has a connection, or could not get one. Within the time that publishers give a connection.
 */
static void open_publishers(struct bench *b)
{
    begin_doing(b, "connecting publishers", 0);
    bench_pubs_open(&b->pubs);
    while (!bench_pubs_settled(&b->pubs) && !b->stopping)
        loop_turn(&b->loop, TICK_MS);
}

static bool has_ended_early(struct bench *b, uint64_t now_ns)
{
    if (b->stopping)
        return true;
    if (!b->subs.n_live)
        b->result->early_end = "there is no subscriber left";
    else if (bench_pubs_down_ns(&b->pubs, now_ns) > DOWN_S * 1000000000u)
        b->result->early_end = "no publisher has a connection";
    return b->result->early_end;
}

static void publish_for(struct bench *b, unsigned seconds)
{
    uint64_t end_ns = b->pubs.began_ns + seconds * UINT64_C(1000000000);
    /* What was due within the time is posted, even if late: who leaves it out measures only the
     * moments in which the server was quick. */
    uint64_t limit_ns = end_ns + (b->o->rate ? DRAIN_S * UINT64_C(1000000000) : 0);
    uint64_t now_ns = bench_clock_ns();
    while (now_ns < limit_ns && !bench_pubs_posted_all(&b->pubs) && !has_ended_early(b, now_ns)) {
        uint64_t left_ms = (limit_ns - now_ns) / 1000000 + 1;
        loop_turn(&b->loop, left_ms < TICK_MS ? (int)left_ms : TICK_MS);
        now_ns = bench_clock_ns();
        uint64_t silent_ns = bench_pubs_silent_ns(&b->pubs, now_ns);
        if (silent_ns > STUCK_S * UINT64_C(1000000000))
            bench_pubs_write_off(&b->pubs);
        if (silent_ns > SILENCE_S * UINT64_C(1000000000) && now_ns > end_ns)
            break; /* it will not be posted */
    }
}

static void drain(struct bench *b)
{
    uint64_t began_ns = bench_clock_ns(), now_ns = began_ns;
    bench_pubs_stop(&b->pubs);
    while (!bench_pubs_all_arrived(&b->pubs)) {
        uint64_t limit_s = b->stopping ? DRAIN_STOPPED_S : DRAIN_S;
        if (now_ns - began_ns > limit_s * 1000000000u ||
            bench_pubs_silent_ns(&b->pubs, now_ns) > SILENCE_S * UINT64_C(1000000000))
            break;
        loop_turn(&b->loop, TICK_MS);
        now_ns = bench_clock_ns();
    }
}

/* Ten messages at five a second are due within 1.8 seconds, and take two all the same. */
static void fill_seconds(struct bench *b)
{
    struct bench_result *r = b->result;
    uint64_t began_ns = b->pubs.began_ns;
    double posting = (double)(b->pubs.last_post_ns - began_ns) / 1e9;
    double by_rate = b->o->rate ? (double)r->publish.posted / b->o->rate : 0;
    r->publish.seconds = posting > by_rate ? posting : by_rate;
    if (b->subs.last_ns) {
        double delivering = (double)(b->subs.last_ns - began_ns) / 1e9;
        r->deliver.seconds = delivering > r->publish.seconds ? delivering : r->publish.seconds;
    }
}

/* Messages of one phase: with its own mark, figures from zero. */
static void run_phase(struct bench *b, const char *name, uint32_t run, unsigned seconds)
{
    struct bench_result *r = b->result;
    struct bench_usage before, after;
    struct bench_faults closed = r->deliver.closed, down = r->publish.faults;
    begin_doing(b, name, seconds);
    memset(&r->publish, 0, sizeof(r->publish));
    memset(&r->deliver, 0, sizeof(r->deliver));
    r->deliver.closed = closed; /* whenever it was: it must not have been */
    r->publish.faults = down;
    usage(b, &before);
    double own = bench_own_cpu_s();
    bench_subs_begin(&b->subs, run);
    bench_pubs_begin(&b->pubs, run, seconds);
    publish_for(b, seconds);
    drain(b);
    bench_pubs_end(&b->pubs);
    r->client_cpu_s = bench_own_cpu_s() - own;
    usage(b, &after);
    r->server.cpu_s = after.cpu_s - before.cpu_s;
    r->server.user_s = after.user_s - before.user_s;
    r->server.system_s = after.system_s - before.system_s;
    r->server.rss_after = after.rss_kib;
    r->wall_s = (double)(bench_clock_ns() - b->pubs.began_ns) / 1e9;
    r->deliver.received = b->subs.received;
    fill_seconds(b);
}

void bench_measure(struct bench *b)
{
    loop_at_end(&b->loop, end_turn, b);
    uint32_t run = 2 + (((uint32_t)getpid() << 8 ^ (uint32_t)bench_clock_ns()) & 0x7fffffff);
    open_subscribers(b);
    if (!b->subs.n_live || !b->o->duration_s || b->stopping)
        return;
    open_publishers(b);
    if (!b->pubs.n_up) {
        b->result->early_end = b->stopping ? NULL : "no publisher has a connection";
        return;
    }
    if (b->o->warmup_s)
        run_phase(b, "warming up", run, b->o->warmup_s);
    if (!b->stopping && !b->result->early_end)
        run_phase(b, "measuring", run + 1, b->o->duration_s);
}
