/* bench_target.h - where the load generator connects to: URLs, names, and opening sockets. */
#ifndef CLI_BENCH_TARGET_H
#define CLI_BENCH_TARGET_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/err.h"
#include "base/str.h"

enum { BENCH_TARGETS_MAX = 16, BENCH_TARGET_ADDRESSES = 8 };

struct bench_target {
    bool tls;
    char host[256], port[8];
    char authority[300]; /* for the Host header: a literal IPv6 address has its brackets */
    char path[256];      /* what all paths begin with: "" or "/gcs" */
    struct {
        struct sockaddr_storage sa;
        socklen_t len;
    } addresses[BENCH_TARGET_ADDRESSES];
    unsigned n_addresses;
    unsigned preferred; /* the address that answered last */
    uint32_t dialled;
};

/* Reads "scheme://HOST[:PORT][/PREFIX]"; without a scheme, HOST:PORT. ws and http are the same, as
 * are wss and https; no path stands for `standard_path`. ERR_PROTO: `why` gets one sentence. */
enum err bench_target_parse(struct bench_target *t, struct str url, const char *standard_path,
                            char *why, size_t why_len);

/* Looks the host up. ERR_SYS: `why` gets one sentence. */
enum err bench_target_resolve(struct bench_target *t, char *why, size_t why_len);

/* Begins a connection to address number `nth` and gives its descriptor, non-blocking; -1: errno.
 * Over 20,000 connections to one address of this machine leave from further loopback addresses, as
 * each has only so many ports. */
int bench_target_dial(struct bench_target *t, unsigned nth);

#endif
