#include "wiring.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "load.h"
#include "run.h"

enum {
    MESSAGE_MAX = 16 << 20,      /* of a client, whatever the options say */
    SLAVE_BODY_MAX = 256 * 1024, /* a JWT and what may stand around it */
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
    w->api.is_open = c->master_open;
    w->exp_warning_s = (unsigned)c->exp_warning;
    w->subscriptions_max = (unsigned)c->max_subscriptions;
    w->subscriptions_all = (uint64_t)c->max_subscriptions_in_all / o->n_workers;
    w->headers_max = (size_t)c->max_headers;
    w->api.name_max = (size_t)c->max_name;
    w->api.payload_max = (size_t)c->max_payload;
    w->api.batch_max = (unsigned)c->max_batch;
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

void wiring_fill(struct server_options *o, const struct config *c, enum config_command command,
                 struct buf prefixes[2])
{
    fill_options(o, c);
    fill_cluster(&o->cluster, c, command);
    fill_remote(&o->remote, c);
    o->worker.api.slave_prefix =
        normal_prefix(c->api_uri_prefix ? c->api_uri_prefix : "", &prefixes[0]);
    o->worker.api.master_prefix =
        normal_prefix(c->master_uri_prefix ? c->master_uri_prefix : "", &prefixes[1]);
}

int wiring_judge(struct server_options *o, const struct config *c, enum config_command command)
{
    char why[512];
    struct log_levels levels = {0};
    if (!log_levels_read(&levels, str_of(c->log_level)))
        return run_fail(EXIT_USAGE, "--log-level (GUSHER_LOG_LEVEL): " LOG_LEVELS_WRONG);
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
