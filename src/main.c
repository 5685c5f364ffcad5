/* main.c - which role runs, signals, exit codes: 0 done, 1 could not go on, 2 wrong usage. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "auth/keys.h"
#include "base/hash.h"
#include "base/log.h"
#include "cli/bench.h"
#include "cli/devkeys.h"
#include "cli/subscribe.h"
#include "cli/token.h"
#include "config.h"
#include "edge/server.h"

enum {
    EXIT_USAGE = 2,
    PEM_BYTES_MAX = 64 * 1024,
    MESSAGE_MAX = 16 << 20,      /* of a client, whatever the options say */
    SLAVE_BODY_MAX = 256 * 1024, /* a JWT and what may stand around it */
};

static int fail(int code, const char *why)
{
    fprintf(stderr, "gusher: %s\n", why);
    return code;
}

static double unix_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Reads a whole PEM file. False: `why` says what is wrong. */
static bool read_file(const char *path, struct buf *out, char *why, size_t why_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    if (fd >= 0) {
        n = read(fd, buf_reserve(out, PEM_BYTES_MAX), PEM_BYTES_MAX);
        close(fd);
    }
    if (n < 0) {
        snprintf(why, why_len, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    out->len = (size_t)n;
    return true;
}

/* Where --dev keeps its keys; the folders above it are made. */
static void state_folder(const struct config *c, char *out, size_t len)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (c->state_dir)
        snprintf(out, len, "%s", c->state_dir);
    else if (state && *state)
        snprintf(out, len, "%s/gusher", state);
    else if (home && *home)
        snprintf(out, len, "%s/.local/state/gusher", home);
    else
        snprintf(out, len, ".gusher");
    for (char *slash = strchr(out + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(out, 0755); /* what is wrong with the path shows when it is used */
        *slash = '/';
    }
}

/* The key of --key-file, or that of --dev. */
static bool read_signing_key(const struct config *c, struct buf *private_pem, char *why,
                             size_t why_len)
{
    char folder[4096];
    struct buf public_pem = BUF_INIT;
    if (c->key_file)
        return read_file(c->key_file, private_pem, why, why_len);
    state_folder(c, folder, sizeof(folder));
    bool ok = devkeys_ensure(folder, private_pem, &public_pem, why, why_len) == ERR_OK;
    buf_fini(&public_pem);
    return ok;
}

/* ---- gusher token ---- */

static int run_token(const struct config *c)
{
    char why[512];
    struct buf private_pem = BUF_INIT, token = BUF_INIT;
    bool ok = read_signing_key(c, &private_pem, why, sizeof(why));
    const struct token_options o = {.app = c->app,
                                    .user = c->user,
                                    .channels = c->channels.items,
                                    .n_channels = c->channels.n,
                                    .remotes = c->remotes.items,
                                    .n_remotes = c->remotes.n,
                                    .life_s = c->life};
    ok = ok &&
         token_make(&token, &o, buf_as_str(&private_pem), unix_now(), why, sizeof(why)) == ERR_OK;
    if (ok)
        printf("%.*s\n", (int)token.len, token.p);
    buf_fini(&private_pem);
    buf_fini(&token);
    return ok ? 0 : fail(1, why);
}

/* ---- gusher subscribe ---- */

static int run_subscribe(const struct config *c)
{
    char why[512];
    if (!c->token)
        return fail(EXIT_USAGE,
                    "a token is needed: --token or GUSHER_TOKEN (gusher token makes one)");
    if (!c->subscribe_to.n)
        return fail(EXIT_USAGE, "name at least one channel to listen to");
    const struct subscribe_options o = {.url = c->url,
                                        .token = c->token,
                                        .channels = c->subscribe_to.items,
                                        .n_channels = c->subscribe_to.n};
    return subscribe_run(&o, why, sizeof(why)) ? fail(1, why) : 0;
}

/* ---- gusher bench ---- */

static bool fill_pids(struct bench_options *o, const struct config *c)
{
    for (unsigned i = 0; i < c->server_pids.n; i++) {
        char *end;
        long pid = strtol(c->server_pids.items[i], &end, 10);
        if (*end || pid < 1 || pid > INT_MAX || o->n_pids == BENCH_PIDS_MAX)
            return false;
        o->pids[o->n_pids++] = (int)pid;
    }
    return true;
}

static void fill_bench(struct bench_options *o, const struct config *c)
{
    *o = (struct bench_options){.slave = c->slave,
                                .master = c->master,
                                .app = c->app,
                                .channel = c->channel,
                                .token = c->token,
                                .use_tickets = strcmp(c->auth, "ticket") == 0,
                                .json_body = strcmp(c->body, "json") == 0,
                                .connections = (unsigned)c->connections,
                                .channels = (unsigned)c->n_channels,
                                .users = (unsigned)c->users,
                                .publishers = (unsigned)c->publishers,
                                .payload = (unsigned)c->payload,
                                .rate = (unsigned)c->rate,
                                .max_lag = (unsigned)c->max_lag,
                                .duration_s = (unsigned)c->duration,
                                .warmup_s = (unsigned)c->warmup,
                                .connect_rate = (unsigned)c->connect_rate,
                                .parallel = (unsigned)c->parallel,
                                .connect_timeout_s = (unsigned)c->connect_timeout,
                                .json_file = c->json_file,
                                .svg_file = c->svg_file,
                                .quiet = c->quiet};
}

static int run_bench(const struct config *c)
{
    char why[512];
    struct bench_options o;
    struct buf private_pem = BUF_INIT;
    fill_bench(&o, c);
    if (!fill_pids(&o, c))
        return fail(EXIT_USAGE, "--server-pid takes the number of a process, 16 times at most");
    if (!*c->channel || strlen(c->channel) > BENCH_CHANNEL_NAME_MAX || strchr(c->channel, '*'))
        return fail(EXIT_USAGE, "--channel takes 1 to 64 bytes without a star");
    if (!c->token && !read_signing_key(c, &private_pem, why, sizeof(why)))
        return fail(1, why);
    o.private_pem = buf_as_str(&private_pem);
    int code = bench_run(&o);
    buf_fini(&private_pem);
    return code;
}

/* ---- gusher all, slave, master ---- */

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
    o->n_workers = c->workers ? (unsigned)c->workers : usable_cores();
    w->api.json_bodies = c->json_bodies;
    w->message_max =
        c->receive_max_message_size ? (size_t)c->receive_max_message_size : MESSAGE_MAX;
    w->queue_messages_max = (unsigned)c->send_queue_messages;
    w->queue_bytes_max = (size_t)c->send_queue_bytes;
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
    w->subscriptions_max = (unsigned)c->max_subscriptions;
}

static struct keys *load_keys(const struct config *c, struct buf *private_pem, char *why,
                              size_t why_len)
{
    struct buf pem = BUF_INIT;
    struct keys *keys = NULL;
    char folder[4096];
    bool ok;
    if (c->dev) {
        state_folder(c, folder, sizeof(folder));
        ok = devkeys_ensure(folder, private_pem, &pem, why, why_len) == ERR_OK;
    } else {
        ok = read_file(c->public_pem_file, &pem, why, why_len);
    }
    if (ok && keys_from_pem(&keys, buf_as_str(&pem), why, why_len))
        keys = NULL;
    buf_fini(&pem);
    return keys;
}

/* What --dev prints: a token, and three commands that show a message arriving. */
static bool print_dev_help(const struct config *c, const struct server_options *o,
                           struct str private_pem, const char *program)
{
    static const char *const channels[] = {"*"};
    const struct token_options t = {
        .app = "demo", .user = "alice", .channels = channels, .n_channels = 1, .life_s = 86400};
    char why[512], folder[4096], slave[64], master[64];
    struct buf token = BUF_INIT;
    if (token_make(&token, &t, private_pem, unix_now(), why, sizeof(why))) {
        fail(1, why);
        return false;
    }
    state_folder(c, folder, sizeof(folder));
    address_write(slave, &o->listens[0].address);
    address_write(master, &o->listens[o->n_listens - 1].address);
    struct str gcs = o->worker.api.slave_prefix, api = o->worker.api.master_prefix;
    printf("gusher %s is up: browsers at http://%s%.*s, backends at http://%s%.*s\n\n"
           "A token for app \"demo\", user \"alice\", every channel, good for a day\n"
           "(its key is %s/private.pem):\n\n  %.*s\n\n",
           GUSHER_VERSION, slave, (int)gcs.len, gcs.p, master, (int)api.len, api.p, folder,
           (int)token.len, token.p);
    /* Whoever pastes may stand in another folder. */
    char itself[4096];
    ssize_t len = readlink("/proc/self/exe", itself, sizeof(itself) - 1);
    if (len > 0) {
        itself[len] = 0;
        program = itself;
    }
    printf("See it work. In a second terminal, listen:\n\n"
           "  %s subscribe news --url ws://%s%.*s/ws/demo --token %.*s\n\n"
           "In a third one, push a message and see who is there:\n\n"
           "  curl -d 'data={\"hello\":\"world\"}' http://%s%.*s/push/demo/news/greeting\n\n"
           "  curl http://%s%.*s/demo/online/bychannel/news\n\n",
           program, slave, (int)gcs.len, gcs.p, (int)token.len, token.p, master, (int)api.len,
           api.p, master, (int)api.len, api.p);
    fflush(stdout);
    buf_fini(&token);
    return true;
}

/* Waits for SIGTERM or SIGINT; from then on a second one ends the process at once. */
static void wait_for_signal(void)
{
    sigset_t set;
    int signal_number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    while (sigwait(&set, &signal_number) != 0)
        ;
    LOG(LOG_INFO, "stopping", LOG_CSTR("signal", signal_number == SIGTERM ? "TERM" : "INT"));
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
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
            LOG_INT("workers", o->n_workers));
    }
}

/* What a ticket of one process stands for is in its memory; in a cluster every slave must know. */
static int make_tickets(struct tickets **out, const struct config *c, const struct keys *keys)
{
    if (c->ticket_secret) {
        enum err e = tickets_new_shared(out, str_of(c->ticket_secret));
        if (e == ERR_LIMIT)
            return fail(EXIT_USAGE, "--ticket-secret (GUSHER_TICKET_SECRET) must have at least 16 "
                                    "bytes, and be the same on every slave");
        return e ? fail(1, "OpenSSL cannot seal tickets") : 0;
    }
    if (c->nats && c->api_listen) {
        LOG(LOG_WARN, "tickets_are_jwts",
            LOG_CSTR("reason", "no --ticket-secret (GUSHER_TICKET_SECRET): POST auth gives the JWT "
                               "itself, so that it opens a socket on any slave"));
        return tickets_new_bare(out, keys) ? fail(1, "out of memory") : 0;
    }
    return tickets_new_local(out, TICKETS_MAX) ? fail(1, "the system gives no random numbers") : 0;
}

static int serve(const struct config *c, struct server_options *o, struct keys *keys,
                 struct str private_pem, const char *program)
{
    char why[512];
    struct tickets *tickets;
    struct server *server;
    int wrong = make_tickets(&tickets, c, keys);
    if (wrong)
        return wrong;
    int code = 1;
    if (server_new(&server, o, keys, tickets, why, sizeof(why))) {
        fail(1, why);
    } else {
        if (server_start(server, why, sizeof(why))) {
            fail(1, why);
        } else {
            log_ready(o);
            if (!c->dev || print_dev_help(c, o, private_pem, program)) {
                wait_for_signal();
                code = 0;
            }
            server_stop(server);
            LOG(LOG_INFO, "stopped");
        }
        server_free(server);
    }
    tickets_free(tickets);
    return code;
}

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "silent"};
    enum log_level level = LOG_DEBUG;
    while (level < LOG_SILENT && strcmp(names[level], name) != 0)
        level++;
    return level;
}

static bool add_listens(struct server_options *o, const struct config *c,
                        enum config_command command)
{
    return (command == CONFIG_MASTER || add_listen(o, c->api_listen, API_SLAVE, "api-listen")) &&
           (command == CONFIG_SLAVE ||
            add_listen(o, c->master_api_listen, API_MASTER, "master-api-listen"));
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
        return fail(EXIT_USAGE, "--nats-prefix takes 1 to 64 letters, digits, '-' and '_'");
    struct cluster_options o = {0};
    char why[512];
    fill_cluster(&o, c, command);
    return c->nats && cluster_check(&o, why, sizeof(why)) ? fail(EXIT_USAGE, why) : 0;
}

/* all, slave or master. */
static int run_server(const struct config *c, enum config_command command, const char *program)
{
    struct server_options o = {0};
    struct buf slave_prefix = BUF_INIT, master_prefix = BUF_INIT, private_pem = BUF_INIT;
    char why[512];
    if (c->dev && c->public_pem_file)
        return fail(EXIT_USAGE, "--dev makes its own key: leave --public-pem-file "
                                "(GUSHER_PUBLIC_PEM_FILE) out");
    if (!c->dev && !c->public_pem_file)
        return fail(EXIT_USAGE, "a public key is needed to verify JWTs: --public-pem-file "
                                "(GUSHER_PUBLIC_PEM_FILE), or --dev to try things out");
    if (command != CONFIG_MASTER && c->pong_timeout <= c->ping_interval)
        return fail(EXIT_USAGE,
                    "--pong-timeout must be longer than --ping-interval, or every socket "
                    "would be closed before it could answer its first ping");
    int wrong = check_cluster(c, command);
    if (wrong)
        return wrong;
    if (!add_listens(&o, c, command))
        return EXIT_USAGE;

    log_setup(level_of(c->log_level), strcmp(c->log_format, "json") == 0);
    block_signals();
    fill_options(&o, c);
    fill_cluster(&o.cluster, c, command);
    fill_remote(&o.remote, c);
    o.worker.api.slave_prefix =
        normal_prefix(c->api_uri_prefix ? c->api_uri_prefix : "", &slave_prefix);
    o.worker.api.master_prefix =
        normal_prefix(c->master_uri_prefix ? c->master_uri_prefix : "", &master_prefix);
    struct keys *keys = load_keys(c, &private_pem, why, sizeof(why));
    int code = keys ? serve(c, &o, keys, buf_as_str(&private_pem), program) : fail(1, why);
    keys_free(keys);
    buf_fini(&private_pem);
    buf_fini(&slave_prefix);
    buf_fini(&master_prefix);
    return code;
}

static void print_usage(FILE *out)
{
    fprintf(out, "gusher - pushes messages from backends to browsers\n\n"
                 "  gusher [all]      slave and master in one process (default)\n"
                 "  gusher slave      the clients' side alone\n"
                 "  gusher master     the backends' side alone\n"
                 "  gusher token      signs a JWT for trying things out\n"
                 "  gusher subscribe  listens to channels\n"
                 "  gusher bench      opens subscribers, publishes to them, and measures\n"
                 "  gusher options    prints all options as a Markdown page\n\n"
                 "gusher COMMAND --help tells the options of each; gusher --version the version.\n"
                 "To see it work: gusher all --dev\n");
}

static enum config_command command_of(const char *name)
{
    static const struct {
        const char *name;
        enum config_command command;
    } names[] = {{"all", CONFIG_ALL},
                 {"slave", CONFIG_SLAVE},
                 {"sl", CONFIG_SLAVE},
                 {"master", CONFIG_MASTER},
                 {"ma", CONFIG_MASTER},
                 {"token", CONFIG_TOKEN},
                 {"subscribe", CONFIG_SUBSCRIBE},
                 {"bench", CONFIG_BENCH}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, name) == 0)
            return names[i].command;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *program = argc ? argv[0] : "gusher";
    enum config_command command = CONFIG_ALL;
    argc--;
    argv++;
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
                     strcmp(argv[0], "help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    if (argc > 0 && strcmp(argv[0], "options") == 0) {
        config_write_markdown(stdout);
        return 0;
    }
    if (argc > 0 && argv[0][0] != '-') {
        command = command_of(argv[0]);
        if (!command) {
            fprintf(stderr, "gusher: there is no command \"%s\"\n\n", argv[0]);
            print_usage(stderr);
            return EXIT_USAGE;
        }
        argc--;
        argv++;
    }
    hash_seed();
    struct config c;
    int code;
    if (config_read(&c, command, argc, argv, &code))
        return code;
    switch (command) {
    case CONFIG_ALL:
    case CONFIG_SLAVE:
    case CONFIG_MASTER:
        code = run_server(&c, command, program);
        break;
    case CONFIG_TOKEN:
        code = run_token(&c);
        break;
    case CONFIG_SUBSCRIBE:
        code = run_subscribe(&c);
        break;
    case CONFIG_BENCH:
        code = run_bench(&c);
        break;
    }
    config_fini(&c);
    return code;
}
