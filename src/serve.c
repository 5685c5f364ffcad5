/* serve.c - the commands that serve: what they are told becomes options, then they run until a
 * signal ends them. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "auth/trust.h"
#include "base/log.h"
#include "base/mem.h"
#include "check.h"
#include "cli/token.h"
#include "edge/server.h"
#include "load.h"
#include "privilege.h"
#include "run.h"

#define LOG_AREA LOG_SERVER

enum {
    MESSAGE_MAX = 16 << 20,      /* of a client, whatever the options say */
    REFRESH_MESSAGE_MIN = 1024,  /* bytes of a gusher.refresh with a small JWT */
    JWKS_AGAIN_MS = 30 * 1000,   /* after a failure, unless --jwks-refresh is less */
    SLAVE_BODY_MAX = 256 * 1024, /* a JWT and what may stand around it */
    DEV_TOKEN_S = 24 * 3600,     /* how long a token of --dev is good */
};

static unsigned usable_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > NODE_WORKERS_MAX ? NODE_WORKERS_MAX : (unsigned)n;
}

/* "gcs/", "/gcs" and "/gcs/" are all "/gcs"; "/" is "". Written to `out`. */
static struct str normal_prefix(const char *text, struct buf *out)
{
    struct str s = str_of(text);
    while (s.len && s.p[0] == '/')
        s.p++, s.len--;
    while (s.len && s.p[s.len - 1] == '/')
        s.len--;
    if (s.len) {
        buf_char(out, '/');
        buf_str(out, s);
    }
    return buf_as_str(out);
}

/* Port 0 asks for any free port, twice for two. */
static bool same_address(const struct address *a, const struct address *b)
{
    return address_port(a) && a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

static bool add_listen(struct server_options *o, const char *text, unsigned role, const char *flag)
{
    struct worker_listen l = {.roles = role};
    if (address_parse(&l.address, text)) {
        fprintf(stderr, "gusher: --%s must be HOST:PORT, not \"%s\"\n", flag, text);
        return false;
    }
    for (unsigned i = 0; i < o->n_listens; i++) {
        if (same_address(&o->listens[i].address, &l.address)) {
            o->listens[i].roles |= role; /* one port for both */
            return true;
        }
    }
    o->listens[o->n_listens++] = l;
    return true;
}

static void fill_options(struct server_options *o, const struct config *c)
{
    struct worker_options *w = &o->worker;
    o->memory_max = (uint64_t)c->memory_max;
    o->n_workers = c->workers ? (unsigned)c->workers : usable_cores();
    w->api.json_bodies = c->json_bodies;
    w->message_max =
        c->receive_max_message_size ? (size_t)c->receive_max_message_size : MESSAGE_MAX;
    w->queue_messages_max = (unsigned)c->send_queue_messages;
    w->queue_bytes_max = (size_t)c->send_queue_bytes;
    w->queues_memory_max = (size_t)c->send_memory / o->n_workers;
    w->body_max[API_SLAVE] = SLAVE_BODY_MAX;
    w->body_max[API_MASTER] = (size_t)c->body_max;
    w->body_max[API_SLAVE | API_MASTER] = (size_t)c->body_max;
    w->request_ms[API_SLAVE] = c->request_timeout * 1000;
    w->request_ms[API_MASTER] = c->master_request_timeout * 1000;
    w->request_ms[API_SLAVE | API_MASTER] = c->request_timeout * 1000;
    w->ping_ms = c->ping_interval * 1000;
    w->pong_ms = c->pong_timeout * 1000;
    w->write_ms = c->write_timeout * 1000;
    w->deflate_min = (size_t)c->deflate_min;
    w->io_uring = c->io_uring;
    w->idle_rule = c->idle_rule;
    w->api.enforce_exp = c->enforce_exp;
    w->exp_warning_s = (unsigned)c->exp_warning;
    w->subscriptions_max = (unsigned)c->max_subscriptions;
    w->subscriptions_all = (uint64_t)c->max_subscriptions_in_all / o->n_workers;
    w->headers_max = (size_t)c->max_headers;
    w->api.name_max = (size_t)c->max_name;
    w->api.payload_max = (size_t)c->max_payload;
    w->api.batch_max = (unsigned)c->max_batch;
}

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

/* What --dev prints: a token, and three commands that show a message arriving. */
static bool print_dev_help(const struct config *c, const struct server_options *o,
                           struct str private_pem, const char *program)
{
    static const char *const channels[] = {"*"};
    const struct token_options t = {.app = "demo",
                                    .user = "alice",
                                    .channels = channels,
                                    .n_channels = 1,
                                    .life_s = DEV_TOKEN_S};
    char why[512], folder[4096], slave[64], master[64];
    struct buf token = BUF_INIT;
    if (token_make(&token, &t, private_pem, run_unix_now(), why, sizeof(why))) {
        run_fail(1, why);
        return false;
    }
    run_state_folder(c, folder, sizeof(folder));
    address_write(slave, &o->listens[0].address);
    address_write(master, &o->listens[o->n_listens - 1].address);
    struct str gcs = o->worker.api.slave_prefix, api = o->worker.api.master_prefix;
    /* "s" where a listener speaks TLS */
    const char *slave_s = o->listens[0].tls ? "s" : "";
    const char *master_s = o->listens[o->n_listens - 1].tls ? "s" : "";
    printf("gusher %s is up: browsers at http%s://%s%.*s, backends at http%s://%s%.*s\n\n"
           "A token for app \"demo\", user \"alice\", every channel, good for a day\n"
           "(its key is %s/private.pem):\n\n  %.*s\n\n",
           GUSHER_VERSION, slave_s, slave, (int)gcs.len, gcs.p, master_s, master, (int)api.len,
           api.p, folder, (int)token.len, token.p);
    if (api_has_console)
        printf("The console, where all of it is to be seen and tried:\n\n  http%s://%s/ui/\n\n",
               master_s, master);
    /* Whoever pastes may stand in another folder. */
    char itself[4096];
    ssize_t len = readlink("/proc/self/exe", itself, sizeof(itself) - 1);
    if (len > 0) {
        itself[len] = 0;
        program = itself;
    }
    printf("See it work. In a second terminal, listen:\n\n"
           "  %s subscribe news --url ws%s://%s%.*s/ws/demo --token %.*s\n\n"
           "In a third one, push a message and see who is there:\n\n"
           "  curl -d 'data={\"hello\":\"world\"}' http%s://%s%.*s/push/demo/news/greeting\n\n"
           "  curl http%s://%s%.*s/demo/online/bychannel/news\n\n",
           program, slave_s, slave, (int)gcs.len, gcs.p, (int)token.len, token.p, master_s, master,
           (int)api.len, api.p, master_s, master, (int)api.len, api.p);
    fflush(stdout);
    buf_fini(&token);
    return true;
}

/* A C string of it, in `out`. False: it could not be one. */
static bool add_c_string(struct buf *out, struct str s)
{
    buf_str(out, s);
    buf_char(out, 0);
    return !memchr(s.p, 0, s.len);
}

/* POST /v1/dev/token: what `gusher token` would have made (api_make_token). */
static enum err make_dev_token(void *pem, const struct api_token *t, double now_s, struct buf *out,
                               char *why, size_t why_len)
{
    const struct buf *private_pem = pem;
    struct buf text = BUF_INIT;
    bool ok = add_c_string(&text, t->app) && add_c_string(&text, t->user);
    for (unsigned i = 0; ok && i < t->n_channels; i++)
        ok = add_c_string(&text, t->channels[i]);
    if (!ok) {
        buf_fini(&text);
        snprintf(why, why_len, "A name with a zero byte in it cannot be in a token made here.");
        return ERR_PROTO;
    }
    const char **channels = mem_alloc((t->n_channels + 1) * sizeof(*channels));
    const char *app = text.p, *user = app + t->app.len + 1, *at = user + t->user.len + 1;
    for (unsigned i = 0; i < t->n_channels; i++) {
        channels[i] = at;
        at += t->channels[i].len + 1;
    }
    const struct token_options o = {.app = app,
                                    .user = user,
                                    .channels = channels,
                                    .n_channels = t->n_channels,
                                    .life_s = DEV_TOKEN_S};
    enum err e = token_make(out, &o, buf_as_str(private_pem), now_s, why, why_len);
    mem_free(channels);
    buf_fini(&text);
    return e;
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

/* What a ticket of one process stands for is in its memory; in a cluster every slave must know. */
static int make_tickets(struct tickets **out, const struct config *c)
{
    if (c->ticket_secret) {
        enum err e = tickets_new_shared(out, str_of(c->ticket_secret));
        if (e == ERR_LIMIT)
            return run_fail(EXIT_USAGE,
                            "--ticket-secret (GUSHER_TICKET_SECRET) must have at least 16 "
                            "bytes, and be the same on every slave");
        return e ? run_fail(1, "OpenSSL cannot seal tickets") : 0;
    }
    if (c->nats && c->api_listen) {
        LOG(LOG_WARN, "tickets_are_jwts",
            LOG_CSTR("reason", "no --ticket-secret (GUSHER_TICKET_SECRET): POST auth gives the JWT "
                               "itself, so that it opens a socket on any slave"));
        return tickets_new_bare(out) ? run_fail(1, "out of memory") : 0;
    }
    return tickets_new_local(out, TICKETS_MAX) ? run_fail(1, "the system gives no random numbers")
                                               : 0;
}

/* "none" is a network without addresses. */
static int add_networks(struct networks *n, const struct config_list *list, const char *flag)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct str text = str_of(list->items[i]);
        enum err e = str_eq(text, STR("none")) ? ERR_OK : networks_add(n, text);
        if (e) {
            fprintf(stderr, "gusher: --%s: %s is no network (ADDRESS or ADDRESS/BITS)%s\n", flag,
                    list->items[i], e == ERR_LIMIT ? ", or one too many" : "");
            return EXIT_USAGE;
        }
    }
    return 0;
}

static int make_gate(struct gate **out, const struct config *c)
{
    struct gate_options o = {
        .limits = {.most = {(uint32_t)c->max_connections, (uint32_t)c->max_connections_per_address,
                            (uint32_t)c->max_connections_per_user,
                            (uint32_t)c->max_connections_per_app},
                   .per_s = {(uint32_t)c->handshake_rate, (uint32_t)c->address_command_rate},
                   .burst = {(uint32_t)c->handshake_burst, (uint32_t)c->address_command_burst}},
        .commands_per_s = (uint32_t)c->command_rate,
        .commands_burst = (uint32_t)c->command_burst};
    int wrong = add_networks(&o.exempt, &c->limits_exempt, "limits-exempt");
    if (!wrong)
        wrong = add_networks(&o.trusted, &c->trusted_proxies, "trusted-proxies");
    if (!wrong)
        wrong = add_networks(&o.proxies, &c->proxy_protocol, "proxy-protocol");
    if (!wrong)
        *out = gate_new(&o);
    return wrong;
}

static void close_stores(struct node_stores *s)
{
    ban_file_free(s->ban_file);
    bans_free(s->bans);
    tickets_free(s->tickets);
    gate_free(s->gate);
    idempotency_free(s->idempotency);
}

static int open_stores(struct node_stores *s, const struct config *c)
{
    char why[512];
    *s = (struct node_stores){0};
    int wrong = make_gate(&s->gate, c);
    if (!wrong)
        wrong = make_tickets(&s->tickets, c);
    if (wrong) {
        close_stores(s);
        return wrong;
    }
    s->bans = bans_new();
    s->idempotency = idempotency_new();
    if (c->bans_file && ban_file_open(&s->ban_file, c->bans_file, s->bans, (int64_t)run_unix_now(),
                                      why, sizeof(why))) {
        close_stores(s);
        return run_fail(1, why);
    }
    return 0;
}

static int serve(struct load *l, struct server_options *o, struct worker_files *files,
                 const char *program)
{
    const struct config *c = l->config;
    char why[512];
    struct node_stores stores;
    struct server *server;
    struct buf dev_pem = BUF_INIT; /* a copy for the workers: ours is read anew at SIGHUP */
    int code = open_stores(&stores, c);
    if (code)
        return code;
    code = 1;
    if (c->dev) {
        buf_str(&dev_pem, buf_as_str(&l->private_pem));
        o->worker.api.make_token = make_dev_token;
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
            if (!c->dev || print_dev_help(c, o, buf_as_str(&l->private_pem), program)) {
                serve_signals(l, server, files);
                code = 0;
            }
            server_stop(server);
            LOG(LOG_INFO, "stopped");
        }
        server_free(server);
    }
    close_stores(&stores);
    buf_fini(&dev_pem);
    return code;
}

static bool add_listens(struct server_options *o, const struct config *c,
                        enum config_command command)
{
    return (command == CONFIG_MASTER || add_listen(o, c->api_listen, API_SLAVE, "api-listen")) &&
           (command == CONFIG_SLAVE ||
            add_listen(o, c->master_api_listen, API_MASTER, "master-api-listen"));
}

/* Which listeners speak TLS. */
static int add_tls(struct server_options *o, const struct config *c)
{
    unsigned roles = strcmp(c->tls_on, "slave") == 0    ? API_SLAVE
                     : strcmp(c->tls_on, "master") == 0 ? API_MASTER
                                                        : API_SLAVE | API_MASTER;
    for (unsigned i = 0; c->tls_cert_files.n && i < o->n_listens; i++) {
        struct worker_listen *l = &o->listens[i];
        if (l->roles & roles && l->roles & ~roles)
            return run_fail(EXIT_USAGE, "slave and master share one port: TLS is for both "
                                        "(--tls-on both), or give them two");
        l->tls = l->roles & roles;
    }
    return 0;
}

/* Without keys whoever reaches the master may push to everybody. */
static int check_master(const struct server_options *o, const struct config *c)
{
    for (unsigned i = 0; i < o->n_listens; i++) {
        const struct worker_listen *l = &o->listens[i];
        char text[64];
        if (!(l->roles & API_MASTER) || c->master_keys_file || c->master_open ||
            address_is_loopback(&l->address))
            continue;
        address_write(text, &l->address);
        fprintf(stderr,
                "gusher: the master would serve everybody who reaches %s: give it keys "
                "(--master-keys-file, GUSHER_MASTER_KEYS_FILE; gusher key makes them), or say "
                "--master-open on when the network keeps others away\n",
                text);
        return EXIT_USAGE;
    }
    return 0;
}

static void fill_remote(struct remote_options *o, const struct config *c)
{
    o->url = c->remote_url;
    o->nats_creds = c->nats_creds;
    o->nats_ca = c->nats_ca_file;
}

static void fill_cluster(struct cluster_options *o, const struct config *c,
                         enum config_command command)
{
    o->servers = c->nats;
    o->creds = c->nats_creds;
    o->ca_file = c->nats_ca_file;
    o->prefix = c->nats_prefix;
    o->wait_ms = c->nats_wait * 1000;
    o->roles = (command == CONFIG_MASTER ? 0 : MEMBER_HOLDS_SOCKETS) |
               (command == CONFIG_SLAVE ? 0 : MEMBER_PUBLISHES);
}

/* A prefix is part of every subject, so it may hold what a subject may. */
static bool is_subject_prefix(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return n > 0 && n <= 64 && !text[n];
}

static int check_cluster(const struct config *c, enum config_command command)
{
    if (!c->nats && command != CONFIG_ALL) {
        fprintf(stderr,
                "gusher: %s alone needs NATS to reach the other processes: --nats "
                "(GUSHER_NATS_ADDR); or run gusher all\n",
                config_command_name(command));
        return EXIT_USAGE;
    }
    if (!is_subject_prefix(c->nats_prefix))
        return run_fail(EXIT_USAGE, "--nats-prefix takes 1 to 64 letters, digits, '-' and '_'");
    struct cluster_options o = {0};
    char why[512];
    fill_cluster(&o, c, command);
    return c->nats && cluster_check(&o, why, sizeof(why)) ? run_fail(EXIT_USAGE, why) : 0;
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

/* Judges the options as far as they can be without a look at anything else. */
static int judge_options(struct server_options *o, const struct config *c,
                         enum config_command command)
{
    char why[512];
    if (!load_check(c, why, sizeof(why)))
        return run_fail(EXIT_USAGE, why);
    if (command != CONFIG_MASTER && c->pong_timeout <= c->ping_interval)
        return run_fail(EXIT_USAGE,
                        "--pong-timeout must be longer than --ping-interval, or every socket "
                        "would be closed before it could answer its first ping");
    int wrong = check_cluster(c, command);
    if (wrong)
        return wrong;
    if (!add_listens(o, c, command))
        return EXIT_USAGE;
    wrong = check_master(o, c);
    return wrong ? wrong : add_tls(o, c);
}

int run_check(const struct config *c, enum config_command command)
{
    struct server_options o = {0};
    struct load load = {.config = c};
    struct gate *gate = NULL;
    int code = judge_options(&o, c, command);
    if (!code)
        code = make_gate(&gate, c);
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
    struct buf slave_prefix = BUF_INIT, master_prefix = BUF_INIT;
    struct load load = {.config = c};
    char why[512];
    struct log_levels levels = {0};
    int wrong = judge_options(&o, c, command);
    if (wrong)
        return wrong;
    if (!log_levels_read(&levels, str_of(c->log_level)))
        return run_fail(EXIT_USAGE, "--log-level (GUSHER_LOG_LEVEL): " LOG_LEVELS_WRONG);

    if (!mem_keep_reserve())
        return run_fail(1, "there is no memory to begin with");
    if (!c->core_dumps)
        privilege_forbid_dumps();
    log_setup(LOG_INFO, strcmp(c->log_format, "json") == 0);
    log_set_levels(&levels);
    block_signals();
    if (log_start())
        LOG(LOG_WARN, "log_may_block", LOG_CSTR("reason", strerror(errno)));
    fill_options(&o, c);
    fill_cluster(&o.cluster, c, command);
    fill_remote(&o.remote, c);
    o.worker.api.slave_prefix =
        normal_prefix(c->api_uri_prefix ? c->api_uri_prefix : "", &slave_prefix);
    o.worker.api.master_prefix =
        normal_prefix(c->master_uri_prefix ? c->master_uri_prefix : "", &master_prefix);
    warn_of_refresh(c);
    struct worker_files files = {0};
    bool ok = !c->jwks_url || load_first_jwks(&load, is_to_stop, why, sizeof(why));
    ok = ok && read_files(&load, &files, &files, why, sizeof(why));
    int code = ok ? serve(&load, &o, &files, program) : run_fail(1, why);
    files_fini(&files);
    load_fini(&load);
    buf_fini(&slave_prefix);
    buf_fini(&master_prefix);
    return code;
}
