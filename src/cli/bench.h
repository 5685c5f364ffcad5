/* bench.h - `gusher bench`: opens many subscribers, publishes to them, and measures. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/str.h"

enum {
    BENCH_CONNECTIONS_MAX = 1000000,
    BENCH_PUBLISHERS_MAX = 1024,
    BENCH_PAYLOAD_MIN = 64, /* room for the mark */
    BENCH_PAYLOAD_MAX = 1 << 20,
    BENCH_PIDS_MAX = 16,
    BENCH_CHANNEL_NAME_MAX = 64,
    /* Connections (and channels) times publishers: what keeps the order has 8 and 4 bytes a pair.
     */
    BENCH_PAIRS_MAX = 1 << 26,
};

struct bench_options {
    const char *slave, *master; /* URLs, separated by commas */
    const char *master_key;     /* that publishers show; NULL: none */
    const char *app, *channel;  /* channels are channel-0, channel-1, … */
    const char *token;          /* for all connections; NULL: each user's own is signed */
    struct str private_pem;     /* to sign with, unless there is a token */
    bool use_tickets;           /* POST auth first; otherwise the JWT opens the socket */
    bool json_body;             /* otherwise a form */
    unsigned connections, channels, users; /* users 0: as many as connections */
    unsigned publishers, payload;
    unsigned rate; /* messages a second; 0: as fast as they are answered */
    unsigned
        max_lag; /* without a rate: messages for every subscriber that may be under way; 0: any */
    unsigned duration_s, warmup_s;
    unsigned connect_rate; /* a second; 0: as fast as it goes */
    unsigned parallel;     /* connections being opened at a time */
    unsigned connect_timeout_s;
    int pids[BENCH_PIDS_MAX]; /* processes of the server, on this machine */
    unsigned n_pids;
    const char *json_file, *svg_file; /* NULL: none; json_file "-": standard output */
    bool quiet;
};

/* Runs it and reports. Gives the exit code: 0 all is well, 1 something was lost or failed, 2 an
 * option is wrong. What keeps it from running is told on standard error. */
int bench_run(const struct bench_options *o);

#endif
