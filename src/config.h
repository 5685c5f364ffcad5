/* config.h - options: one table of flag, environment name, default, bounds and help for each
 * command. A flag is stronger than the environment, the environment than the --env-file, that
 * stronger than the default. */
#ifndef CONFIG_H
#define CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CONFIG_LIST_MAX = 64 };

struct config_list {
    const char *items[CONFIG_LIST_MAX];
    unsigned n;
    int source; /* that the items are from: a stronger one replaces them */
};

/* What the commands are told. Texts live as long as the config. */
struct config {
    /* all, slave, master */
    const char *api_listen, *api_uri_prefix, *master_api_listen, *master_uri_prefix;
    const char *public_pem_file, *state_dir, *log_level, *log_format;
    const char *public_pem_folder, *jwks_file, *jwks_url;
    struct config_list jwt_audiences, jwt_issuers, allowed_origins;
    long jwks_refresh, jwt_leeway, exp_warning;
    bool enforce_exp;
    const char *nats, *nats_creds, *nats_ca_file, *nats_prefix, *ticket_secret, *remote_url;
    long nats_wait;
    long workers, receive_max_message_size, max_subscriptions;
    long send_queue_messages, send_queue_bytes, body_max, deflate_min;
    long ping_interval, pong_timeout, write_timeout, request_timeout, master_request_timeout;
    bool idle_rule, json_bodies, io_uring, dev;
    long max_connections, max_connections_per_address, max_connections_per_user;
    long max_connections_per_app, handshake_rate, handshake_burst, command_rate, command_burst;
    long address_command_rate, address_command_burst;
    long max_subscriptions_in_all, send_memory, max_name, max_payload, max_batch, max_headers;
    struct config_list limits_exempt, trusted_proxies, proxy_protocol;
    const char *master_keys_file, *bans_file;
    const char *run_as; /* USER or USER:GROUP */
    bool master_open, core_dumps;
    struct config_list tls_cert_files, tls_key_files;
    const char *tls_on;
    long memory_max;
    /* key */
    const char *name, *keys_file;
    struct config_list apps, rights;
    /* token */
    const char *key_file, *app, *user;
    struct config_list channels, remotes;
    long life;
    /* subscribe */
    const char *url, *token, *ca_file;
    struct config_list subscribe_to;
    /* publish, online, channels, kick and (json) subscribe, which also have app, user, master and
     * master_key */
    const char *event, *data, *socket, *channel_pattern, *reason;
    bool count, json, everybody;
    /* top, which also has master_key and ca_file */
    struct config_list nodes;
    long interval, rounds;
    /* bench, which also has key_file, app and token */
    const char *slave, *master, *master_key, *auth, *body, *channel, *json_file, *svg_file;
    struct config_list server_pids;
    long connections, n_channels, users, publishers, rate, max_lag, payload, duration, warmup;
    long connect_rate, parallel, connect_timeout;
    bool quiet;

    void *owned; /* texts read from the env file, or cut out of a list */
};

enum config_command {
    CONFIG_ALL = 1,
    CONFIG_SLAVE = 2,
    CONFIG_MASTER = 4,
    CONFIG_TOKEN = 8,
    CONFIG_SUBSCRIBE = 16,
    CONFIG_BENCH = 32,
    CONFIG_KEY = 64,
    CONFIG_PUBLISH = 128,
    CONFIG_ONLINE = 256,
    CONFIG_CHANNELS = 512,
    CONFIG_KICK = 1024,
    CONFIG_TOP = 2048,
};
enum { CONFIG_SERVERS = CONFIG_ALL | CONFIG_SLAVE | CONFIG_MASTER };

/* Reads the arguments after the command's name. 0: go on; otherwise the process is to end with
 * *exit_code (0 after --help, 2 after a mistake, which has been told on standard error). */
int config_read(struct config *c, enum config_command command, int argc, char **argv,
                int *exit_code);
void config_fini(struct config *c);

const char *config_command_name(enum config_command command);

#endif
