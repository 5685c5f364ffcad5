/* serve.c - the commands that serve: what they are told becomes options, then they run until a
 * signal ends them. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "auth/trust.h"
#include "base/log.h"
#include "base/mem.h"
#include "check.h"
#include "dev.h"
#include "edge/server.h"
#include "load.h"
#include "privilege.h"
#include "run.h"
#include "stores.h"
#include "wiring.h"

#define LOG_AREA LOG_SERVER

enum {
    REFRESH_MESSAGE_MIN = 1024, /* bytes of a gusher.refresh with a small JWT */
    JWKS_AGAIN_MS = 30 * 1000,  /* after a failure, unless --jwks-refresh is less */
};

/* ---- what may be exchanged while workers run ---- */

static void files_fini(struct worker_files *files)
{
    trust_unref(files->trust);
    tls_context_unref(files->tls);
    *files = (struct worker_files){0};
}

/* Reads all anew, in the place of `before`. False: `why` says what is wrong. */
static bool read_files(struct load *l, const struct worker_files *before, struct worker_files *out,
                       char *why, size_t why_len)
{
    struct worker_files files = {.trust = load_trust(l, why, why_len)};
    bool ok = files.trust && load_tls(l, before->tls, &files.tls, why, why_len);
    if (ok)
        *out = files;
    else
        files_fini(&files);
    return ok;
}

/* An expired certificate is served all the same: clients say what they think of it. */
static void log_tls(const struct config *c, const struct worker_files *files)
{
    char text[32] = "?";
    struct tm tm;
    if (!files->tls)
        return;
    time_t expires = (time_t)tls_context_expires(files->tls);
    if (gmtime_r(&expires, &tm))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    LOG((double)expires < run_unix_now() ? LOG_WARN : LOG_INFO, "tls",
        LOG_INT("certificates", c->tls_cert_files.n), LOG_CSTR("expires", text));
}

/* What is wrong with the files changes nothing. */
static void reload(struct load *l, struct server *server, struct worker_files *files)
{
    char why[512];
    struct worker_files fresh;
    if (!read_files(l, files, &fresh, why, sizeof(why))) {
        LOG(LOG_ERROR, "not_reloaded", LOG_CSTR("reason", why));
        return;
    }
    server_exchange(server, &fresh);
    files_fini(files);
    *files = fresh;
    log_tls(l->config, files);
    LOG(LOG_INFO, "reloaded");
}

static void served_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

/* Whether a signal waits that ends the process: what takes long looks here. */
static bool is_to_stop(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

/* The next signal of the set; 0: none has come until `due_ms` (by loop_clock_ms; 0: waits on). */
static int next_signal(const sigset_t *set, int64_t due_ms)
{
    int64_t left_ms = due_ms - loop_clock_ms();
    if (left_ms < 0)
        left_ms = 0;
    const struct timespec wait = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    int number = sigtimedwait(set, NULL, due_ms ? &wait : NULL);
    return number > 0 ? number : 0;
}

/* Asks --jwks-url, and gives the workers what it says; returns when to ask again. */
static int64_t refresh_jwks(struct load *l, struct server *server, struct worker_files *files)
{
    int64_t wait_ms = l->config->jwks_refresh * 1000;
    struct trust *trust;
    bool ok = load_refresh_jwks(l, is_to_stop, &trust);
    if (trust) {
        trust_unref(files->trust);
        files->trust = trust;
        server_exchange(server, files);
    }
    if (!ok && wait_ms > JWKS_AGAIN_MS)
        wait_ms = JWKS_AGAIN_MS;
    return loop_clock_ms() + wait_ms;
}

static int64_t first_refresh_ms(const struct load *l)
{
    int64_t wait_ms = l->config->jwks_refresh * 1000;
    if (!l->config->jwks_url)
        return 0;
    if (!l->jwks.len && wait_ms > JWKS_AGAIN_MS)
        wait_ms = JWKS_AGAIN_MS;
    return loop_clock_ms() + wait_ms;
}

/* Waits for SIGTERM or SIGINT. At SIGHUP the files are read again, and at that and from time to
 * time --jwks-url is asked; the files come first, as the address may be slow to answer. From the
 * end on a second signal ends the process at once. */
static void serve_signals(struct load *l, struct server *server, struct worker_files *files)
{
    sigset_t set;
    int signal_number = 0;
    int64_t refresh_ms = first_refresh_ms(l);
    served_signals(&set);
    while (signal_number != SIGTERM && signal_number != SIGINT) {
        signal_number = next_signal(&set, refresh_ms);
        if (signal_number == SIGHUP)
            reload(l, server, files);
        bool is_due = signal_number == SIGHUP || loop_clock_ms() >= refresh_ms;
        if (refresh_ms && is_due)
            refresh_ms = refresh_jwks(l, server, files);
    }
    LOG(LOG_INFO, "stopping", LOG_CSTR("signal", signal_number == SIGTERM ? "TERM" : "INT"));
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigdelset(&set, SIGHUP); /* a reload that comes too late is none */
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void block_signals(void)
{
    sigset_t set;
    served_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a write that fails */
}

static void log_ready(const struct server_options *o)
{
    for (unsigned i = 0; i < o->n_listens; i++) {
        char text[64];
        address_write(text, &o->listens[i].address);
        LOG(LOG_INFO, "listening", LOG_CSTR("address", text),
            LOG_CSTR("role", o->listens[i].roles == API_SLAVE    ? "slave"
                             : o->listens[i].roles == API_MASTER ? "master"
                                                                 : "slave and master"),
            LOG_CSTR("tls", o->listens[i].tls ? "on" : "off"), LOG_INT("workers", o->n_workers));
    }
}

static int serve(struct load *l, struct server_options *o, struct worker_files *files,
                 const char *program)
{
    const struct config *c = l->config;
    char why[512];
    struct node_stores stores;
    struct server *server;
    struct buf dev_pem = BUF_INIT; /* a copy for the workers: ours is read anew at SIGHUP */
    int code = stores_open(&stores, c);
    if (code)
        return code;
    code = 1;
    if (c->dev) {
        buf_str(&dev_pem, buf_as_str(&l->private_pem));
        o->worker.api.make_token = dev_make_token;
        o->worker.api.make_token_ctx = &dev_pem;
    }
    if (server_new(&server, o, files, &stores, why, sizeof(why))) {
        run_fail(1, why);
    } else {
        bool dropped = !c->run_as || privilege_drop(c->run_as, why, sizeof(why));
        if (!dropped || server_start(server, why, sizeof(why))) {
            run_fail(1, why);
        } else {
            log_ready(o);
            log_tls(c, files);
            if (!c->dev || dev_print_help(c, o, buf_as_str(&l->private_pem), program)) {
                serve_signals(l, server, files);
                code = 0;
            }
            server_stop(server);
            LOG(LOG_INFO, "stopped");
        }
        server_free(server);
    }
    stores_close(&stores);
    buf_fini(&dev_pem);
    return code;
}

/* A socket that is to be refreshed must be able to say so. */
static void warn_of_refresh(const struct config *c)
{
    if (c->enforce_exp && c->receive_max_message_size &&
        c->receive_max_message_size < REFRESH_MESSAGE_MIN)
        LOG(LOG_WARN, "refresh_does_not_fit", LOG_INT("bytes", c->receive_max_message_size),
            LOG_CSTR("reason", "--enforce-exp is on, and a gusher.refresh with its JWT is longer "
                               "than --receive-max-message-size"));
}

int run_check(const struct config *c, enum config_command command)
{
    struct server_options o = {0};
    struct load load = {.config = c};
    struct gate *gate = NULL;
    int code = wiring_judge(&o, c, command);
    if (!code)
        code = stores_make_gate(&gate, c);
    gate_free(gate);
    if (code)
        return code;
    log_setup(LOG_ERROR, false);
    code = check_all(&load, &o);
    load_fini(&load);
    return code;
}

int run_server(const struct config *c, enum config_command command, const char *program)
{
    struct server_options o = {0};
    struct buf prefixes[2] = {BUF_INIT, BUF_INIT};
    struct load load = {.config = c};
    char why[512];
    struct log_levels levels = {0};
    int wrong = wiring_judge(&o, c, command);
    if (wrong)
        return wrong;
    if (!mem_keep_reserve())
        return run_fail(1, "there is no memory to begin with");
    if (!c->core_dumps)
        privilege_forbid_dumps();
    log_setup(LOG_INFO, strcmp(c->log_format, "json") == 0);
    log_levels_read(&levels, str_of(c->log_level));
    log_set_levels(&levels);
    block_signals();
    if (log_start())
        LOG(LOG_WARN, "log_may_block", LOG_CSTR("reason", strerror(errno)));
    wiring_fill(&o, c, command, prefixes);
    warn_of_refresh(c);
    struct worker_files files = {0};
    bool ok = !c->jwks_url || load_first_jwks(&load, is_to_stop, why, sizeof(why));
    ok = ok && read_files(&load, &files, &files, why, sizeof(why));
    int code = ok ? serve(&load, &o, &files, program) : run_fail(1, why);
    files_fini(&files);
    load_fini(&load);
    buf_fini(&prefixes[0]);
    buf_fini(&prefixes[1]);
    return code;
}
