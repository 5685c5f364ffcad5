#include "cli/bench.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/bench_measure.h"
#include "cli/bench_proc.h"
#include "cli/bench_report.h"

enum { DESCRIPTORS_OWN = 64 };

static int fail(int code, const char *why)
{
    fprintf(stderr, "gusher: %s\n", why);
    return code;
}

/* ---- before anything is opened ---- */

static bool parse_targets(struct bench_target *out, unsigned *n, const char *urls,
                          const char *standard_path, char *why, size_t why_len)
{
    struct str rest = str_of(urls);
    do {
        struct str url = str_trim(str_cut(&rest, ','));
        if (*n == BENCH_TARGETS_MAX) {
            snprintf(why, why_len, "at most %d addresses are taken", BENCH_TARGETS_MAX);
            return false;
        }
        if (bench_target_parse(&out[*n], url, standard_path, why, why_len))
            return false;
        ++*n;
    } while (rest.len);
    return true;
}

static bool resolve_targets(struct bench_target *t, unsigned n, char *why, size_t why_len)
{
    for (unsigned i = 0; i < n; i++) {
        if (bench_target_resolve(&t[i], why, why_len))
            return false;
    }
    return true;
}

/* As many descriptors as this process may have. */
static bool raise_limit(const struct bench_options *o, char *why, size_t why_len)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)o->connections + o->publishers + DESCRIPTORS_OWN;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return true;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted)
        return true;
    snprintf(why, why_len,
             "%u connections need %" PRIu64 " descriptors, and this process may have %" PRIu64
             ": raise the limit (ulimit -n)",
             o->connections, (uint64_t)wanted, (uint64_t)limit.rlim_max);
    return false;
}

static bool check_pairs(const struct bench_options *o, char *why, size_t why_len)
{
    uint64_t n = o->connections > o->channels ? o->connections : o->channels;
    if (n * o->publishers <= BENCH_PAIRS_MAX)
        return true;
    snprintf(why, why_len,
             "connections (and channels) times publishers may be at most %d: take fewer publishers",
             BENCH_PAIRS_MAX);
    return false;
}

static bool sign(struct bench *b, char *why, size_t why_len)
{
    struct timespec t;
    char pattern[BENCH_CHANNEL_NAME_MAX + 8];
    if (b->o->token)
        return true;
    if (b->shows_progress)
        fputs("\r\033[Ksigning tokens", stderr);
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(pattern, sizeof(pattern), "%s-*", b->o->channel);
    const struct bench_tokens_options o = {.app = b->o->app,
                                           .channels = pattern,
                                           .n = b->o->users ? b->o->users : b->o->connections,
                                           .now_s = (double)t.tv_sec};
    enum err e = bench_tokens_make(&b->tokens, &o, b->o->private_pem, why, why_len);
    bench_progress_end(b);
    return e == ERR_OK;
}

/* Certificates are not looked at: this measures, and servers under test have all sorts. */
static bool prepare_tls(struct bench *b, char *why, size_t why_len)
{
    bool wanted = false;
    for (unsigned i = 0; i < b->n_slaves; i++)
        wanted |= b->slaves[i].tls;
    for (unsigned i = 0; i < b->n_masters; i++)
        wanted |= b->masters[i].tls;
    return !wanted ||
           !client_tls_context_new(&b->net->tls, CLIENT_TLS_ANY_PEER, NULL, why, why_len);
}

/* All that may fail before anything is opened. 0, or the exit code. */
static int prepare(struct bench *b)
{
    const struct bench_options *o = b->o;
    char why[512];
    int pid = 0;
    struct bench_usage u;
    if (!parse_targets(b->slaves, &b->n_slaves, o->slave, "/gcs", why, sizeof(why)) ||
        !parse_targets(b->masters, &b->n_masters, o->master, "/api", why, sizeof(why)) ||
        !check_pairs(o, why, sizeof(why)))
        return fail(2, why);
    if (!bench_usage_read(&u, o->pids, o->n_pids, &pid)) {
        snprintf(why, sizeof(why), "--server-pid %d: no such process can be read", pid);
        return fail(2, why);
    }
    if (!raise_limit(o, why, sizeof(why)) ||
        !resolve_targets(b->slaves, b->n_slaves, why, sizeof(why)) ||
        !resolve_targets(b->masters, b->n_masters, why, sizeof(why)) ||
        !prepare_tls(b, why, sizeof(why)) || !sign(b, why, sizeof(why)))
        return fail(1, why);
    return 0;
}

static void fill_options(struct bench_result *r, const struct bench_options *o)
{
    r->slave = o->slave;
    r->master = o->master;
    r->app = o->app;
    r->auth = o->use_tickets ? "ticket" : "jwt";
    r->body = o->json_body ? "json" : "form";
    r->connections = o->connections;
    r->channels = o->channels;
    r->users = o->token ? 1 : o->users ? o->users : o->connections;
    r->publishers = o->publishers;
    r->rate = o->rate;
    r->payload = o->payload;
    r->duration_s = o->duration_s;
    r->warmup_s = o->warmup_s;
    r->server.n = o->n_pids;
}

static bool write_file(const char *path, const struct buf *text)
{
    FILE *f = fopen(path, "we");
    bool ok = f && fwrite(text->p, 1, text->len, f) == text->len;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "gusher: cannot write %s: %s\n", path, strerror(errno));
    return ok;
}

static int report(const struct bench *b)
{
    struct buf text = BUF_INIT, json = BUF_INIT, svg = BUF_INIT, sentences = BUF_INIT;
    bool json_out = b->o->json_file && strcmp(b->o->json_file, "-") == 0;
    bool ok = bench_result_judge(b->result, &sentences);
    bench_report_text(&text, b->result);
    fwrite(text.p, 1, text.len, json_out ? stderr : stdout);
    bench_report_json(&json, b->result);
    if (json_out)
        fwrite(json.p, 1, json.len, stdout);
    else if (b->o->json_file)
        ok = write_file(b->o->json_file, &json) && ok;
    if (b->o->svg_file) {
        bench_report_svg(&svg, b->result);
        ok = write_file(b->o->svg_file, &svg) && ok;
    }
    if (fflush(stdout) != 0) {
        fail(1, "cannot write to standard output");
        ok = false;
    }
    buf_fini(&text);
    buf_fini(&json);
    buf_fini(&svg);
    buf_fini(&sentences);
    return ok ? 0 : 1;
}

static int run(struct bench *b)
{
    int code = 1;
    if (!bench_loop_begin(b))
        return fail(1, strerror(errno));
    b->net->loop = &b->loop;
    bench_subs_init(&b->subs, b->o, b->net, b->slaves, b->n_slaves, &b->tokens, b->result);
    if (bench_pubs_init(&b->pubs, b->o, b->net, b->masters, b->n_masters, &b->subs, b->result)) {
        fail(1, strerror(errno));
    } else {
        bench_measure(b);
        bench_progress_end(b);
        code = report(b);
        bench_pubs_fini(&b->pubs);
    }
    bench_subs_fini(&b->subs);
    bench_loop_end(b);
    return code;
}

int bench_run(const struct bench_options *o)
{
    struct bench b = {.o = o, .shows_progress = !o->quiet && isatty(STDERR_FILENO)};
    b.result = mem_zalloc(sizeof(*b.result));
    b.net = mem_alloc(sizeof(*b.net));
    b.net->tls = NULL;
    fill_options(b.result, o);
    int code = prepare(&b);
    if (!code)
        code = run(&b);
    bench_tokens_fini(&b.tokens);
    client_tls_context_free(b.net->tls);
    mem_free(b.net);
    mem_free(b.result);
    return code;
}
