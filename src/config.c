#include "config.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/bench.h"

extern char **environ;

enum type { TEXT, NUMBER, SWITCH, LIST };

struct option {
    unsigned commands;
    const char *flag, *env, *standard;
    enum type type;
    size_t offset;
    long min, max; /* NUMBER */
    const char *value, *help;
};

#define SERVERS   (CONFIG_ALL | CONFIG_SLAVE | CONFIG_MASTER)
#define AT(field) offsetof(struct config, field)

static const struct option options[] = {
    {CONFIG_ALL | CONFIG_SLAVE, "api-listen", "GUSHER_API_LISTEN", "127.0.0.1:8888", TEXT,
     AT(api_listen), 0, 0, "HOST:PORT",
     "Where browsers connect (slave). \":8888\" is every IPv4 interface, \"[::]:8888\" every one."},
    {CONFIG_ALL | CONFIG_SLAVE, "api-uri-prefix", "GUSHER_API_URI_PREFIX", "/gcs", TEXT,
     AT(api_uri_prefix), 0, 0, "PATH", "What the slave's paths begin with."},
    {CONFIG_ALL | CONFIG_MASTER, "master-api-listen", "GUSHER_MASTER_API_LISTEN", "127.0.0.1:7777",
     TEXT, AT(master_api_listen), 0, 0, "HOST:PORT",
     "Where backends connect (master). Any address but loopback wants --master-keys-file."},
    {CONFIG_ALL | CONFIG_MASTER, "master-uri-prefix", "GUSHER_MASTER_URI_PREFIX", "/api", TEXT,
     AT(master_uri_prefix), 0, 0, "PATH", "What the master's paths begin with."},
    {CONFIG_ALL | CONFIG_MASTER, "master-keys-file", "GUSHER_MASTER_KEYS_FILE", NULL, TEXT,
     AT(master_keys_file), 0, 0, "FILE",
     "Keys that backends show, a line each (gusher key makes them); read again at SIGHUP. Without "
     "it whoever reaches the master may call it."},
    {CONFIG_ALL | CONFIG_MASTER, "master-open", "GUSHER_MASTER_OPEN", "off", SWITCH,
     AT(master_open), 0, 0, "on|off",
     "Serve the master without keys on any address: the network keeps others away."},
    {SERVERS, "bans-file", "GUSHER_BANS_FILE", NULL, TEXT, AT(bans_file), 0, 0, "FILE",
     "Where bans are kept over a restart. Without it they are gone when the last node ends."},
    {SERVERS, "public-pem-file", "GUSHER_PUBLIC_PEM_FILE", NULL, TEXT, AT(public_pem_file), 0, 0,
     "FILE",
     "Public keys or certificates (PEM) that verify JWTs: RSA, EC, Ed25519. One source of keys is "
     "needed unless --dev; all are read again at SIGHUP."},
    {SERVERS, "public-pem-folder", "GUSHER_PUBLIC_PEM_FOLDER", NULL, TEXT, AT(public_pem_folder), 0,
     0, "FOLDER",
     "The same, every *.pem in it; a file's name without .pem is the kid of its keys."},
    {SERVERS, "jwks-file", "GUSHER_JWKS_FILE", NULL, TEXT, AT(jwks_file), 0, 0, "FILE",
     "The same as a JSON Web Key Set."},
    {SERVERS, "jwks-url", "GUSHER_JWKS_URL", NULL, TEXT, AT(jwks_url), 0, 0, "URL",
     "The same from an http(s) address, asked again and again; when it does not answer, what it "
     "said "
     "before stays."},
    {SERVERS, "jwks-refresh", "GUSHER_JWKS_REFRESH", "300", NUMBER, AT(jwks_refresh), 1, 86400,
     "SECONDS", "How often --jwks-url is asked."},
    {SERVERS, "jwt-audience", "GUSHER_JWT_AUDIENCE", NULL, LIST, AT(jwt_audiences), 0, 0, "TEXT",
     "A JWT's aud must hold this, or another one of these. Repeatable; commas in the variable."},
    {SERVERS, "jwt-issuer", "GUSHER_JWT_ISSUER", NULL, LIST, AT(jwt_issuers), 0, 0, "TEXT",
     "A JWT's iss must be this, or another one of these. Repeatable; commas in the variable."},
    {SERVERS, "jwt-leeway", "GUSHER_JWT_LEEWAY", "0", NUMBER, AT(jwt_leeway), 0, 3600, "SECONDS",
     "How far the clock of whoever signs JWTs may be off: for exp, nbf and iat."},
    {CONFIG_ALL | CONFIG_SLAVE, "allow-origin", "GUSHER_ALLOW_ORIGIN", NULL, LIST,
     AT(allowed_origins), 0, 0, "ORIGIN",
     "Pages that may connect: https://shop.example, or https://*.shop.example for any one label. "
     "Repeatable; commas in the variable. Default: all pages."},
    {CONFIG_ALL | CONFIG_SLAVE, "enforce-exp", "GUSHER_ENFORCE_EXP", "off", SWITCH, AT(enforce_exp),
     0, 0, "on|off", "Close a socket (4001) when the JWT that opened or refreshed it expires."},
    {CONFIG_ALL | CONFIG_SLAVE, "exp-warning", "GUSHER_EXP_WARNING", "60", NUMBER, AT(exp_warning),
     0, 86400, "SECONDS", "With --enforce-exp: how long before that a socket is told. 0: never."},
    {SERVERS, "workers", "GUSHER_WORKERS", "0", NUMBER, AT(workers), 0, 64, "N",
     "Threads that serve. 0: as many as there are cores this process may use."},
    {CONFIG_ALL | CONFIG_SLAVE, "receive-max-message-size", "GUSHER_RECEIVE_MAX_MESSAGE_SIZE",
     "512", NUMBER, AT(receive_max_message_size), 0, 16 << 20, "BYTES",
     "Longest message a client may send. 0: the most there is, 16777216."},
    {CONFIG_ALL | CONFIG_SLAVE, "max-subscriptions", "GUSHER_MAX_SUBSCRIPTIONS", "10000", NUMBER,
     AT(max_subscriptions), 1, 1000000, "N",
     "Channels one socket may be subscribed to; more are answered by an error event."},
    {SERVERS, "send-queue-messages", "GUSHER_SEND_QUEUE_MESSAGES", "16384", NUMBER,
     AT(send_queue_messages), 1, 1000000, "N",
     "Messages that may wait for one connection; one more closes it as too slow."},
    {SERVERS, "send-queue-bytes", "GUSHER_SEND_QUEUE_BYTES", "16777216", NUMBER,
     AT(send_queue_bytes), 1024, 1 << 30, "BYTES",
     "Bytes that may wait for one connection; a message more closes it as too slow."},
    {CONFIG_ALL | CONFIG_MASTER, "max-body", "GUSHER_MAX_BODY", "10485760", NUMBER, AT(body_max),
     1024, 1 << 30, "BYTES", "Longest body of a request to the master."},
    {CONFIG_ALL | CONFIG_SLAVE, "ping-interval", "GUSHER_PING_INTERVAL", "54", NUMBER,
     AT(ping_interval), 1, 3600, "SECONDS", "How often a socket gets a protocol ping."},
    {CONFIG_ALL | CONFIG_SLAVE, "pong-timeout", "GUSHER_PONG_TIMEOUT", "60", NUMBER,
     AT(pong_timeout), 1, 7200, "SECONDS",
     "A socket is closed this long after its beginning or its last pong."},
    {SERVERS, "write-timeout", "GUSHER_WRITE_TIMEOUT", "10", NUMBER, AT(write_timeout), 1, 3600,
     "SECONDS", "A peer that takes nothing of what waits for it for this long is closed."},
    {CONFIG_ALL | CONFIG_SLAVE, "idle-rule", "GUSHER_IDLE_RULE", "on", SWITCH, AT(idle_rule), 0, 0,
     "on|off", "Close a socket that has no subscription when its ping is due."},
    {CONFIG_ALL | CONFIG_SLAVE, "request-timeout", "GUSHER_REQUEST_TIMEOUT", "3", NUMBER,
     AT(request_timeout), 1, 3600, "SECONDS", "For a whole request to reach the slave."},
    {CONFIG_ALL | CONFIG_MASTER, "master-request-timeout", "GUSHER_MASTER_REQUEST_TIMEOUT", "30",
     NUMBER, AT(master_request_timeout), 1, 3600, "SECONDS",
     "For a whole request to reach the master."},
    {SERVERS, "json-bodies", "GUSHER_JSON_BODIES", "on", SWITCH, AT(json_bodies), 0, 0, "on|off",
     "Read the parameters of a request from a JSON body too. off: as the original, which knew "
     "forms alone."},
    {CONFIG_ALL | CONFIG_SLAVE, "deflate-min", "GUSHER_DEFLATE_MIN", "512", NUMBER, AT(deflate_min),
     0, 1 << 30, "BYTES",
     "Messages from this length on are compressed for clients that offer permessage-deflate. 0: "
     "nothing is compressed, nor taken compressed."},
    {SERVERS, "io-uring", "GUSHER_IO_URING", "on", SWITCH, AT(io_uring), 0, 0, "on|off",
     "Write to many sockets with one system call, where the kernel permits it."},
    {SERVERS, "nats", "GUSHER_NATS_ADDR", NULL, TEXT, AT(nats), 0, 0, "URL,URL",
     "Where the other nodes are met: NATS servers, nats://HOST:PORT or tls://HOST:PORT. Needed by "
     "slave and master; all stays alone without it."},
    {SERVERS, "nats-creds", "GUSHER_NATS_CREDS", NULL, TEXT, AT(nats_creds), 0, 0, "FILE",
     "Credentials for NATS (a .creds file)."},
    {SERVERS, "nats-ca-file", "GUSHER_NATS_CA_FILE", NULL, TEXT, AT(nats_ca_file), 0, 0, "FILE",
     "Certificates (PEM) that vouch for tls:// servers. Default: the system's."},
    {SERVERS, "nats-prefix", "GUSHER_NATS_PREFIX", "gusher", TEXT, AT(nats_prefix), 0, 0, "NAME",
     "What all subjects begin with: two clusters on one NATS take two names."},
    {SERVERS, "nats-wait", "GUSHER_NATS_WAIT", "10", NUMBER, AT(nats_wait), 1, 3600, "SECONDS",
     "How long the start waits for NATS before it gives up. Later outages never end a process."},
    {CONFIG_ALL | CONFIG_SLAVE, "ticket-secret", "GUSHER_TICKET_SECRET", NULL, TEXT,
     AT(ticket_secret), 0, 0, "TEXT",
     "Shared by all slaves, at least 16 bytes: seals tickets, so that one slave's open a socket on "
     "any. Without it a cluster's tickets are the JWTs themselves."},
    {CONFIG_ALL | CONFIG_SLAVE, "remote-url", "GUSHER_REMOTE_URL", NULL, TEXT, AT(remote_url), 0, 0,
     "URL",
     "Where permitted remote commands go: redis://HOST:PORT/DB, nats://HOST:PORT, or an http(s) "
     "address. Without it each is answered by an error."},
    {CONFIG_ALL, "dev", NULL, "off", SWITCH, AT(dev), 0, 0, "",
     "Try things out: makes a key pair, prints a token and commands to paste."},
    {CONFIG_ALL, "state-dir", "GUSHER_STATE_DIR", NULL, TEXT, AT(state_dir), 0, 0, "FOLDER",
     "Where --dev keeps its keys. Default: gusher in the user's state folder."},
    {SERVERS, "user", "GUSHER_USER", NULL, TEXT, AT(run_as), 0, 0, "USER[:GROUP]",
     "Who to be once the ports are bound; started as root. Files that are read again at SIGHUP "
     "must be "
     "readable for this user."},
    {SERVERS, "memory-max", "GUSHER_MEMORY_MAX", "0", NUMBER, AT(memory_max), 0, LONG_MAX, "BYTES",
     "What this process may have: new sockets are refused from 90 % on. 0: only the limits of its "
     "control groups count."},
    {SERVERS, "core-dumps", "GUSHER_CORE_DUMPS", "off", SWITCH, AT(core_dumps), 0, 0, "on|off",
     "Let the kernel write memory to disk when the process dies: with tokens and keys in it."},
    {SERVERS, "log-level", "GUSHER_LOG_LEVEL", "info", TEXT, AT(log_level), 0, 0,
     "debug|info|warn|error|silent", "The least that is logged, on standard error."},
    {SERVERS, "log-format", "GUSHER_LOG_FORMAT", "text", TEXT, AT(log_format), 0, 0, "text|json",
     "A line for people, or a JSON object a line."},

    {CONFIG_TOKEN, "key-file", "GUSHER_PRIVATE_PEM_FILE", NULL, TEXT, AT(key_file), 0, 0, "FILE",
     "RSA private key (PEM) to sign with. Default: the key of --dev."},
    {CONFIG_TOKEN, "state-dir", "GUSHER_STATE_DIR", NULL, TEXT, AT(state_dir), 0, 0, "FOLDER",
     "Where the key of --dev is. Default: gusher in the user's state folder."},
    {CONFIG_TOKEN, "app", NULL, "demo", TEXT, AT(app), 0, 0, "KEY", "The app key."},
    {CONFIG_TOKEN, "user", NULL, "", TEXT, AT(user), 0, 0, "ID", "The user's id; none: anonymous."},
    {CONFIG_TOKEN, "channel", NULL, NULL, LIST, AT(channels), 0, 0, "NAME",
     "A channel the token permits; a star stands for one or more characters. Repeatable."},
    {CONFIG_TOKEN, "remote", NULL, NULL, LIST, AT(remotes), 0, 0, "NAME",
     "A remote command the token permits. Repeatable."},
    {CONFIG_TOKEN, "life", NULL, "86400", NUMBER, AT(life), 0, 10L * 365 * 86400, "SECONDS",
     "How long the token is good. 0: for ever."},

    {CONFIG_KEY, "name", NULL, NULL, TEXT, AT(name), 0, 0, "NAME",
     "What the key is called in the keys file and in the log."},
    {CONFIG_KEY, "app", NULL, NULL, LIST, AT(apps), 0, 0, "KEY",
     "An app that the key is for. Repeatable; without it the key is for all."},
    {CONFIG_KEY, "right", NULL, NULL, LIST, AT(rights), 0, 0, "publish|query|admin",
     "What the key permits: pushes; who is online and what a JWT says; what users may listen to. "
     "Repeatable; without it publish and query."},
    {CONFIG_KEY, "keys-file", "GUSHER_MASTER_KEYS_FILE", NULL, TEXT, AT(keys_file), 0, 0, "FILE",
     "Appends the key's line to this file, which is made when it is not there. Without it the line "
     "is printed, too."},

    {CONFIG_SUBSCRIBE, "url", "GUSHER_URL", "ws://127.0.0.1:8888/gcs/ws/demo", TEXT, AT(url), 0, 0,
     "URL", "The slave's WebSocket address, with the app key."},
    {CONFIG_SUBSCRIBE, "token", "GUSHER_TOKEN", NULL, TEXT, AT(token), 0, 0, "TOKEN",
     "A JWT or a ticket."},
    {CONFIG_SUBSCRIBE, "channel", NULL, NULL, LIST, AT(subscribe_to), 0, 0, "NAME",
     "A channel to listen to. Repeatable."},

    {CONFIG_BENCH, "slave", NULL, "ws://127.0.0.1:8888/gcs", TEXT, AT(slave), 0, 0, "URL,URL",
     "Where subscribers connect: ws://HOST:PORT/PREFIX. Of several each takes its turn."},
    {CONFIG_BENCH, "master", NULL, "http://127.0.0.1:7777/api", TEXT, AT(master), 0, 0, "URL,URL",
     "Where publishers connect: http://HOST:PORT/PREFIX. Of several each takes its turn."},
    {CONFIG_BENCH, "master-key", "GUSHER_MASTER_KEY", NULL, TEXT, AT(master_key), 0, 0, "KEY",
     "What publishers show to a master that wants keys."},
    {CONFIG_BENCH, "app", NULL, "demo", TEXT, AT(app), 0, 0, "KEY", "The app key."},
    {CONFIG_BENCH, "key-file", "GUSHER_PRIVATE_PEM_FILE", NULL, TEXT, AT(key_file), 0, 0, "FILE",
     "RSA private key (PEM) that signs the users' JWTs. Default: the key of --dev."},
    {CONFIG_BENCH, "state-dir", "GUSHER_STATE_DIR", NULL, TEXT, AT(state_dir), 0, 0, "FOLDER",
     "Where the key of --dev is. Default: gusher in the user's state folder."},
    {CONFIG_BENCH, "token", NULL, NULL, TEXT, AT(token), 0, 0, "TOKEN",
     "A JWT for all connections, made elsewhere; then no key is needed."},
    {CONFIG_BENCH, "auth", NULL, "ticket", TEXT, AT(auth), 0, 0, "ticket|jwt",
     "ticket: each connection trades its JWT for a ticket first, as browsers do; jwt: the JWT "
     "itself opens the socket."},
    {CONFIG_BENCH, "connections", NULL, "100", NUMBER, AT(connections), 1, BENCH_CONNECTIONS_MAX,
     "N", "Subscribers."},
    {CONFIG_BENCH, "channels", NULL, "1", NUMBER, AT(n_channels), 1, BENCH_CONNECTIONS_MAX, "N",
     "Channels. Connection i subscribes to channel i modulo N, so as many channels as connections "
     "are one-to-one. Messages go to the channels in turn."},
    {CONFIG_BENCH, "channel", NULL, "bench", TEXT, AT(channel), 0, 0, "NAME",
     "What the channels' names begin with: NAME-0, NAME-1 and so on."},
    {CONFIG_BENCH, "users", NULL, "0", NUMBER, AT(users), 0, BENCH_CONNECTIONS_MAX, "N",
     "Users that the connections belong to. 0: each is a user of its own."},
    {CONFIG_BENCH, "publishers", NULL, "4", NUMBER, AT(publishers), 1, BENCH_PUBLISHERS_MAX, "N",
     "Keep-alive connections to the master. Each waits for its answer before it posts again."},
    {CONFIG_BENCH, "rate", NULL, "100", NUMBER, AT(rate), 0, 10000000, "N",
     "Messages a second, of all publishers together; latency counts from when a message was due. "
     "0: as fast as they are answered."},
    {CONFIG_BENCH, "max-lag", NULL, "64", NUMBER, AT(max_lag), 0, 1000000, "N",
     "With --rate 0: publishers wait while more than N messages for every subscriber are under "
     "way. 0: they never do."},
    {CONFIG_BENCH, "payload", NULL, "128", NUMBER, AT(payload), BENCH_PAYLOAD_MIN,
     BENCH_PAYLOAD_MAX, "BYTES", "Length of a message's data."},
    {CONFIG_BENCH, "body", NULL, "form", TEXT, AT(body), 0, 0, "form|json",
     "How publishers write what they post."},
    {CONFIG_BENCH, "duration", NULL, "10", NUMBER, AT(duration), 0, 86400, "SECONDS",
     "For how long messages are posted and measured. 0: only connects, and measures that."},
    {CONFIG_BENCH, "warmup", NULL, "1", NUMBER, AT(warmup), 0, 3600, "SECONDS",
     "Posting before that, which is not measured."},
    {CONFIG_BENCH, "connect-rate", NULL, "0", NUMBER, AT(connect_rate), 0, 1000000, "N",
     "Connections opened a second. 0: as fast as it goes."},
    {CONFIG_BENCH, "parallel", NULL, "128", NUMBER, AT(parallel), 1, 65536, "N",
     "Connections that are being opened at a time."},
    {CONFIG_BENCH, "connect-timeout", NULL, "10", NUMBER, AT(connect_timeout), 1, 3600, "SECONDS",
     "For one connection to be open, authorised and subscribed."},
    {CONFIG_BENCH, "server-pid", NULL, NULL, LIST, AT(server_pids), 0, 0, "PID",
     "A process of the server on this machine, whose CPU and memory are measured. Repeatable."},
    {CONFIG_BENCH, "json", NULL, NULL, TEXT, AT(json_file), 0, 0, "FILE",
     "Writes the results as JSON; \"-\" is standard output, and the report goes to standard "
     "error."},
    {CONFIG_BENCH, "svg", NULL, NULL, TEXT, AT(svg_file), 0, 0, "FILE",
     "Writes a picture of the latencies by percentile."},
    {CONFIG_BENCH, "quiet", NULL, "off", SWITCH, AT(quiet), 0, 0, "",
     "Shows no progress. It is only shown on a terminal anyway."},
};

enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

static const char *const command_help[] = {
    [CONFIG_ALL] = "slave and master in one process; needs nothing else",
    [CONFIG_SLAVE] = "the clients' side alone; meets the masters at NATS",
    [CONFIG_MASTER] = "the backends' side alone; meets the slaves at NATS",
    [CONFIG_TOKEN] = "signs a JWT for trying things out and prints it",
    [CONFIG_KEY] = "makes a key for a backend (docs/SECURITY.md)",
    [CONFIG_SUBSCRIBE] = "listens to channels and prints each message as a line",
    [CONFIG_BENCH] = "opens subscribers, publishes to them, and measures (docs/BENCH.md)",
};

const char *config_command_name(enum config_command command)
{
    switch (command) {
    case CONFIG_ALL:
        return "all";
    case CONFIG_SLAVE:
        return "slave";
    case CONFIG_MASTER:
        return "master";
    case CONFIG_TOKEN:
        return "token";
    case CONFIG_KEY:
        return "key";
    case CONFIG_SUBSCRIBE:
        return "subscribe";
    case CONFIG_BENCH:
        return "bench";
    }
    return "?";
}

/* ---- texts that live as long as the config ---- */

struct owned {
    struct owned *next;
    char text[];
};

static const char *keep(struct config *c, const char *p, size_t len)
{
    struct owned *o = mem_alloc(sizeof(*o) + len + 1);
    memcpy(o->text, p, len);
    o->text[len] = 0;
    o->next = c->owned;
    c->owned = o;
    return o->text;
}

void config_fini(struct config *c)
{
    for (struct owned *o = c->owned, *next; o; o = next) {
        next = o->next;
        mem_free(o);
    }
    c->owned = NULL;
}

/* ---- setting one option ---- */

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "gusher: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return false;
}

static bool is_one_of(const char *text, const char *choices)
{
    struct str rest = str_of(choices);
    while (rest.len) {
        if (str_eq(str_cut(&rest, '|'), str_of(text)))
            return true;
    }
    return false;
}

/* Where a value comes from, weakest first. */
enum source { FROM_DEFAULT, FROM_ENV_FILE, FROM_ENV, FROM_FLAG };

static bool add_to_list(struct config_list *list, const char *text, enum source source,
                        const char *name)
{
    if (list->source != (int)source)
        *list = (struct config_list){.source = (int)source};
    if (list->n == CONFIG_LIST_MAX)
        return complain("%s may stand at most %d times", name, CONFIG_LIST_MAX);
    list->items[list->n++] = text;
    return true;
}

/* The items of a variable stand between commas; blanks around them, and items without anything in
 * them, say nothing. */
static bool set_list(struct config *c, const struct option *o, const char *text, enum source source)
{
    struct str rest = str_of(text);
    struct config_list *list = (struct config_list *)((char *)c + o->offset);
    *list = (struct config_list){.source = (int)source};
    while (rest.len) {
        struct str item = str_trim(str_cut(&rest, ','));
        if (item.len && !add_to_list(list, keep(c, item.p, item.len), source, o->env))
            return false;
    }
    return true;
}

/* `name` is how the text came: "--workers" or "GUSHER_WORKERS". */
static bool set(struct config *c, const struct option *o, const char *text, enum source source,
                const char *name)
{
    void *field = (char *)c + o->offset;
    char *end;
    switch (o->type) {
    case TEXT:
        if (strchr(o->value, '|') && !is_one_of(text, o->value))
            return complain("%s must be one of %s, not \"%s\"", name, o->value, text);
        *(const char **)field = text;
        return true;
    case NUMBER:
        errno = 0;
        long n = strtol(text, &end, 10);
        if (errno || end == text || *end || n < o->min || n > o->max)
            return complain("%s must be a whole number from %ld to %ld, not \"%s\"", name, o->min,
                            o->max, text);
        *(long *)field = n;
        return true;
    case SWITCH:
        if (!is_one_of(text, "on|off|true|false|1|0"))
            return complain("%s must be on or off, not \"%s\"", name, text);
        *(bool *)field = is_one_of(text, "on|true|1");
        return true;
    case LIST:
        return source == FROM_FLAG ? add_to_list(field, text, source, name)
                                   : set_list(c, o, text, source);
    }
    return false;
}

static const struct option *by_env(struct str name)
{
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (options[i].env && str_eq(str_of(options[i].env), name))
            return &options[i];
    }
    return NULL;
}

/* ---- the sources, weakest first ---- */

static bool set_defaults(struct config *c, enum config_command command)
{
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        if (o->commands & command && o->standard && !set(c, o, o->standard, FROM_DEFAULT, o->flag))
            return false;
    }
    return true;
}

static void warn_unknown(struct str name)
{
    LOG(LOG_WARN, "option_ignored", LOG_STR("name", name),
        LOG_CSTR("reason", "no option of this version"));
}

static bool set_by_env_name(struct config *c, enum config_command command, struct str name,
                            const char *value, enum source source)
{
    bool known = by_env(name) || str_eq(name, STR("GUSHER_ENV_FILE"));
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        if (o->commands & command && o->env && str_eq(str_of(o->env), name))
            return set(c, o, value, source, o->env);
    }
    if (!known && str_starts(name, STR("GUSHER_")))
        warn_unknown(name);
    return true;
}

/* NAME=value lines; '#' comments, an "export" in front and quotes around are understood. */
static bool read_env_file(struct config *c, enum config_command command, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return complain("cannot read --env-file %s: %s", path, strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    bool ok = true;
    for (unsigned n = 1; ok && (len = getline(&line, &cap, f)) >= 0; n++) {
        struct str value = str_trim(str_make(line, (size_t)len));
        if (!value.len || value.p[0] == '#')
            continue;
        if (!memchr(value.p, '=', value.len)) {
            ok = complain("%s line %u is not NAME=value", path, n);
            break;
        }
        struct str name = str_trim(str_cut(&value, '='));
        if (str_starts(name, STR("export ")))
            name = str_trim(str_make(name.p + 7, name.len - 7));
        value = str_trim(value);
        if (value.len >= 2 && (value.p[0] == '"' || value.p[0] == '\'') &&
            value.p[value.len - 1] == value.p[0])
            value = str_make(value.p + 1, value.len - 2);
        ok = set_by_env_name(c, command, name, keep(c, value.p, value.len), FROM_ENV_FILE);
    }
    free(line);
    fclose(f);
    return ok;
}

static bool read_environment(struct config *c, enum config_command command)
{
    for (char **e = environ; *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals || strncmp(*e, "GUSHER_", 7) != 0)
            continue;
        if (!set_by_env_name(c, command, str_make(*e, (size_t)(equals - *e)), equals + 1, FROM_ENV))
            return false;
    }
    return true;
}

static const struct option *by_flag(enum config_command command, struct str flag)
{
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (options[i].commands & command && str_eq(str_of(options[i].flag), flag))
            return &options[i];
    }
    return NULL;
}

/* Everybody on the machine can read the arguments of a process: secrets among them are copied and
 * blotted out. Addresses may have passwords in them. */
static const char *hide(struct config *c, const struct option *o, char *value)
{
    static const char *const secrets[] = {"ticket-secret", "token", "master-key", "nats",
                                          "remote-url"};
    for (unsigned i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (strcmp(o->flag, secrets[i]) != 0)
            continue;
        const char *copy = keep(c, value, strlen(value));
        memset(value, 'x', strlen(value));
        return copy;
    }
    return value;
}

/* One argument: a flag and, from it or from the next argument, its value. `counts`: for the last
 * time, so a secret need not stay. */
static bool take_flag(struct config *c, enum config_command command, int argc, char **argv, int *i,
                      const char **env_file, bool counts)
{
    char *arg = argv[*i];
    if (command == CONFIG_SUBSCRIBE && arg[0] != '-')
        return set(c, by_flag(command, STR("channel")), arg, FROM_FLAG, "a channel");
    if (strncmp(arg, "--", 2) != 0 && strcmp(arg, "-e") != 0)
        return complain("unexpected argument \"%s\"; see gusher %s --help", arg,
                        config_command_name(command));
    bool is_env_file = strcmp(arg, "-e") == 0;
    struct str name = is_env_file ? STR("env-file") : str_of(arg + 2);
    char *equals = strchr(arg, '=');
    if (equals)
        name.len = (size_t)(equals - arg - 2);
    is_env_file = str_eq(name, STR("env-file"));

    const struct option *o = is_env_file ? NULL : by_flag(command, name);
    if (!o && !is_env_file)
        return complain("unknown option \"%.*s\"; see gusher %s --help", (int)name.len + 2, arg,
                        config_command_name(command));
    char *value = equals ? equals + 1 : NULL;
    char source[64];
    if (o)
        snprintf(source, sizeof(source), "--%s", o->flag);
    if (!value && o && o->type == SWITCH &&
        (*i + 1 == argc || !is_one_of(argv[*i + 1], "on|off|true|false|1|0")))
        return set(c, o, "on", FROM_FLAG, source);
    if (!value && ++*i == argc)
        return complain("%s needs a value", arg);
    if (!value)
        value = argv[*i];
    if (is_env_file) {
        *env_file = value;
        return true;
    }
    return set(c, o, counts ? hide(c, o, value) : value, FROM_FLAG, source);
}

static void print_help(enum config_command command)
{
    printf("gusher %s - %s\n\nOptions:\n", config_command_name(command), command_help[command]);
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        if (!(o->commands & command))
            continue;
        printf("  --%s %s\n      %s", o->flag, o->value, o->help);
        if (o->standard && *o->standard)
            printf(" [%s]", o->standard);
        if (o->env)
            printf(" (%s)", o->env);
        printf("\n");
    }
    printf("  -e, --env-file FILE\n      Reads NAME=value lines; the environment is stronger, "
           "flags are strongest.\n"
           "  --help, --version\n");
}

int config_read(struct config *c, enum config_command command, int argc, char **argv,
                int *exit_code)
{
    const char *env_file = getenv("GUSHER_ENV_FILE");
    *c = (struct config){0};
    *exit_code = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(command);
            return -1;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("gusher %s\n", GUSHER_VERSION);
            return -1;
        }
    }
    /* Flags are read twice: at first only to find the env file and judge them all, then, on top
     * of the weaker sources, to count. */
    struct config probe = {0};
    bool ok = true;
    for (int i = 0; ok && i < argc; i++)
        ok = take_flag(&probe, command, argc, argv, &i, &env_file, false);
    ok = ok && set_defaults(c, command);
    if (ok && env_file)
        ok = read_env_file(c, command, env_file);
    ok = ok && read_environment(c, command);
    for (int i = 0; ok && i < argc; i++)
        ok = take_flag(c, command, argc, argv, &i, &env_file, true);
    if (ok)
        return 0;
    config_fini(c);
    *exit_code = 2;
    return -1;
}

void config_write_markdown(FILE *out)
{
    static const enum config_command commands[] = {CONFIG_ALL,   CONFIG_SLAVE, CONFIG_MASTER,
                                                   CONFIG_TOKEN, CONFIG_KEY,   CONFIG_SUBSCRIBE,
                                                   CONFIG_BENCH};
    fprintf(out,
            "# Configuration\n\n"
            "This page is printed by `gusher options`; a test compares the two.\n\n"
            "A flag is stronger than an environment variable, that stronger than a line of the\n"
            "`--env-file` (`-e`, `GUSHER_ENV_FILE`), that stronger than the default. An unknown "
            "flag or a bad\nvalue ends the start with one sentence and exit status 2; a "
            "`GUSHER_` variable that means\nnothing to this version is logged and ignored.\n");
    for (unsigned k = 0; k < sizeof(commands) / sizeof(commands[0]); k++) {
        fprintf(out, "\n## gusher %s\n\n%s.\n\n", config_command_name(commands[k]),
                command_help[commands[k]]);
        fprintf(out, "| flag | variable | default | meaning |\n|---|---|---|---|\n");
        for (unsigned i = 0; i < N_OPTIONS; i++) {
            const struct option *o = &options[i];
            if (!(o->commands & commands[k]))
                continue;
            fprintf(out, "| `--%s` | %s%s%s | %s%s%s | %s", o->flag, o->env ? "`" : "",
                    o->env ? o->env : "", o->env ? "`" : "", o->standard && *o->standard ? "`" : "",
                    o->standard ? o->standard : "", o->standard && *o->standard ? "`" : "",
                    o->help);
            if (o->type == NUMBER)
                fprintf(out, " (%ld to %ld)", o->min, o->max);
            fprintf(out, " |\n");
        }
    }
}
