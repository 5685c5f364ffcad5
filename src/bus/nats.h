/* nats.h - a connection to a NATS server or cluster, by cnats: the one file that knows it.
 *
 * cnats connects, finds further servers, comes back with backoff and subscribes anew. It runs with
 * our event loop, not with threads of its own for reading and writing: then a publish never waits
 * for a socket, and all that was published in one turn of a worker goes out in one write. What
 * cnats calls back only turns bytes into letters. */
#ifndef BUS_NATS_H
#define BUS_NATS_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

enum {
    NATS_BUFFER_MAX = 16 << 20, /* bytes published that the server has not taken */
    NATS_CONNECT_MS = 1000,     /* for one server to answer */
    NATS_BACKOFF_MIN_MS = 50,   /* between rounds through all servers: doubles */
    NATS_BACKOFF_MAX_MS = 800,
    /* The third ping without an answer ends a connection. They queue behind what is published: in
     * that time even a slow link carries NATS_BUFFER_MAX. */
    NATS_PING_MS = 1000,
    NATS_SERVER_ID_LEN = 64,
};

struct nats;
struct nats_sub;

struct nats_options {
    const char *servers;         /* nats:// and tls:// addresses, comma separated */
    const char *creds, *ca_file; /* files; NULL: none */
    const char *name;            /* what the server's monitoring shows */
    void *ctx;
    /* A message came for a subscription. On a thread of cnats's; both spans are borrowed. */
    void (*came)(void *ctx, struct str bytes);
    /* The connection is there (again), or lost; subscriptions are kept. Any thread. */
    void (*changed)(void *ctx, bool connected);
    /* It is over for good (credentials refused, say): open another one. Any thread. */
    void (*over)(void *ctx);
    /* NATS does not permit something, in its words; borrowed. Any thread. */
    void (*not_permitted)(void *ctx, const char *what);
    /* cnats had to throw messages away: they came faster than `came` took them. Any thread. */
    void (*lost)(void *ctx);
};

/* Judges the addresses and whether the files can be read. ERR_PROTO: `why` gets one sentence. */
enum err nats_check(const struct nats_options *o, char *why, size_t why_len);

/* Begins to connect and goes on for ever; tells by `changed`. ERR_SYS, ERR_PROTO: `why`. */
enum err nats_open(struct nats **out, const struct nats_options *o, char *why, size_t why_len);
/* Ends all subscriptions, too. No callback is under way or comes when it returns. */
void nats_close(struct nats *n);

/* Ends the connection, or the tries to have one; `over` is called. */
void nats_give_up(struct nats *n);

/* Readable: call nats_serve, from one thread. */
int nats_fd(const struct nats *n);
void nats_serve(struct nats *n);

/* Any thread, while connected. Gathers; nats_flush sends. ERR_AWAY: not connected; ERR_FULL:
 * NATS_BUFFER_MAX, unless `anyway`; ERR_LIMIT: more than the server takes. */
enum err nats_publish(struct nats *n, const char *subject, struct str bytes, bool anyway);
void nats_flush(struct nats *n);

/* One thread. ERR_SYS: not done. While the connection is lost these may wait for a connection
 * attempt. */
enum err nats_subscribe(struct nats_sub **out, struct nats *n, const char *subject);
void nats_unsubscribe(struct nats_sub *s);

/* Of the server that is connected: the longest message, and its id ("" when none). */
size_t nats_max_payload(struct nats *n);
void nats_server_id(struct nats *n, char out[NATS_SERVER_ID_LEN]);
/* The last error in cnats's words, for a log line. */
const char *nats_last_error(struct nats *n);

#endif
