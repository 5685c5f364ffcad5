/* main.c - which command runs, exit codes: 0 done, 1 could not go on, 2 wrong usage. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ask.h"
#include "auth/master_keys.h"
#include "base/hash.h"
#include "cli/bench.h"
#include "cli/devkeys.h"
#include "cli/subscribe.h"
#include "cli/token.h"
#include "options.h"
#include "pages.h"
#include "run.h"

enum { PEM_BYTES_MAX = 64 * 1024 };

/* The key of --key-file, or that of --dev. */
static bool read_signing_key(const struct config *c, struct buf *private_pem, char *why,
                             size_t why_len)
{
    char folder[4096];
    struct buf public_pem = BUF_INIT;
    if (c->key_file)
        return run_read_file(c->key_file, PEM_BYTES_MAX, private_pem, why, why_len);
    run_state_folder(c, folder, sizeof(folder));
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
    ok = ok && token_make(&token, &o, buf_as_str(&private_pem), run_unix_now(), why, sizeof(why)) ==
                   ERR_OK;
    if (ok)
        printf("%.*s\n", (int)token.len, token.p);
    buf_fini(&private_pem);
    buf_fini(&token);
    return ok ? 0 : run_fail(1, why);
}

/* ---- gusher key ---- */

static void join(struct buf *out, const struct config_list *list, const char *standard)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (i)
            buf_char(out, ',');
        buf_str(out, str_of(list->items[i]));
    }
    if (!list->n)
        buf_str(out, str_of(standard));
}

/* Whoever may read the file learns which keys there are, but none of them. */
static bool append_line(const char *path, struct str line, char *why, size_t why_len)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    bool ok = fd >= 0 && write(fd, line.p, line.len) == (ssize_t)line.len;
    if (!ok)
        snprintf(why, why_len, "cannot write %s: %s", path, strerror(errno));
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    return ok;
}

static int run_key(const struct config *c)
{
    char why[512];
    struct buf apps = BUF_INIT, rights = BUF_INIT, secret = BUF_INIT, line = BUF_INIT;
    int code = 0;
    if (!c->name)
        return run_fail(EXIT_USAGE, "the key needs a name: --name");
    join(&apps, &c->apps, "*");
    join(&rights, &c->rights, "publish,query");
    if (master_key_make(&secret, &line, str_of(c->name), buf_as_str(&apps), buf_as_str(&rights),
                        why, sizeof(why)))
        code = run_fail(EXIT_USAGE, why);
    else if (c->keys_file && !append_line(c->keys_file, buf_as_str(&line), why, sizeof(why)))
        code = run_fail(1, why);
    else if (c->keys_file)
        printf("%.*s\n", (int)secret.len, secret.p);
    else
        printf("The key, for the backend; it cannot be shown again:\n\n  %.*s\n\n"
               "Its line, for GUSHER_MASTER_KEYS_FILE:\n\n  %.*s",
               (int)secret.len, secret.p, (int)line.len, line.p);
    buf_fini(&apps);
    buf_fini(&rights);
    buf_fini(&secret);
    buf_fini(&line);
    return code;
}

/* ---- gusher subscribe ---- */

static int run_subscribe(const struct config *c)
{
    char why[512];
    if (!c->token)
        return run_fail(EXIT_USAGE,
                        "a token is needed: --token or GUSHER_TOKEN (gusher token makes one)");
    if (!c->subscribe_to.n)
        return run_fail(EXIT_USAGE, "name at least one channel to listen to");
    const struct subscribe_options o = {.url = c->url,
                                        .ca_file = c->ca_file,
                                        .token = c->token,
                                        .channels = c->subscribe_to.items,
                                        .n_channels = c->subscribe_to.n,
                                        .json = c->json};
    return subscribe_run(&o, why, sizeof(why)) ? run_fail(1, why) : 0;
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
                                .master_key = c->master_key,
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
        return run_fail(EXIT_USAGE, "--server-pid takes the number of a process, 16 times at most");
    if (!*c->channel || strlen(c->channel) > BENCH_CHANNEL_NAME_MAX || strchr(c->channel, '*'))
        return run_fail(EXIT_USAGE, "--channel takes 1 to 64 bytes without a star");
    if (c->master_key && strpbrk(c->master_key, " \t\r\n"))
        return run_fail(EXIT_USAGE, "--master-key (GUSHER_MASTER_KEY) is one word");
    if (!c->token && !read_signing_key(c, &private_pem, why, sizeof(why)))
        return run_fail(1, why);
    o.private_pem = buf_as_str(&private_pem);
    int code = bench_run(&o);
    buf_fini(&private_pem);
    return code;
}

/* 0: there is none of that name. */
static enum config_command command_named(const char *name)
{
    if (strcmp(name, "sl") == 0 || strcmp(name, "ma") == 0) /* as the original calls them */
        return *name == 's' ? CONFIG_SLAVE : CONFIG_MASTER;
    for (unsigned i = 0; i < n_commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].bit;
    }
    return 0;
}

static int no_command(const char *name)
{
    fprintf(stderr, "gusher: there is no command \"%s\"\n\n", name);
    pages_usage(stderr);
    return EXIT_USAGE;
}

/* The commands that only print. False: it is none of them. */
static bool print_page(int argc, char **argv, int *code)
{
    const char *name = argc > 0 ? argv[0] : "", *what = argc > 1 ? argv[1] : NULL;
    enum config_command command = what ? command_named(what) : 0;
    *code = 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        pages_usage(stdout);
    } else if (strcmp(name, "options") == 0) {
        pages_markdown();
    } else if (strcmp(name, "man") == 0) {
        if (what && !command)
            *code = no_command(what);
        else
            pages_man(command);
    } else if (strcmp(name, "completions") == 0) {
        if (!what || !pages_completions(what))
            *code = run_fail(EXIT_USAGE, "completions are for bash, zsh and fish");
    } else {
        return false;
    }
    return true;
}

/* Standard input, output and error: where one is closed, what is opened next would take its number,
 * and lines of the log might go to a client. */
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* The commands that are no servers. */
static int run_tool(const struct config *c, enum config_command command)
{
    static const struct {
        enum config_command command;
        int (*run)(const struct config *c);
    } tools[] = {{CONFIG_PUBLISH, run_publish}, {CONFIG_SUBSCRIBE, run_subscribe},
                 {CONFIG_ONLINE, run_online},   {CONFIG_CHANNELS, run_channels},
                 {CONFIG_KICK, run_kick},       {CONFIG_TOP, run_top},
                 {CONFIG_TOKEN, run_token},     {CONFIG_KEY, run_key},
                 {CONFIG_BENCH, run_bench}};
    unsigned i = 0;
    while (tools[i].command != command)
        i++;
    return tools[i].run(c);
}

int main(int argc, char **argv)
{
    open_standard_files();
    const char *program = argc ? argv[0] : "gusher";
    enum config_command command = CONFIG_ALL;
    argc--;
    argv++;
    int code;
    if (print_page(argc, argv, &code))
        return code;
    bool is_check = argc > 0 && strcmp(argv[0], "check") == 0;
    if (is_check) {
        argc--;
        argv++;
    }
    if (argc > 0 && argv[0][0] != '-') {
        command = command_named(argv[0]);
        if (!command)
            return no_command(argv[0]);
        argc--;
        argv++;
    }
    if (is_check && !(command & CONFIG_SERVERS)) {
        fprintf(stderr, "gusher: check is for all, slave and master\n");
        return EXIT_USAGE;
    }
    hash_seed();
    struct config c;
    if (config_read(&c, command, argc, argv, &code))
        return code;
    if (command & CONFIG_SERVERS)
        code = is_check ? run_check(&c, command) : run_server(&c, command, program);
    else
        code = run_tool(&c, command);
    config_fini(&c);
    return code;
}
