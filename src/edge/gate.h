/* gate.h - who comes in, and what each of them may have: the limits of this process that go by
 * address, user, app and connection, and whose word counts for an address.
 *
 * One gate a process, any thread. Whatever is refused is counted (limits.h) and told in the log,
 * each limit once a second at most. */
#ifndef EDGE_GATE_H
#define EDGE_GATE_H
#include <netinet/in.h>
#include "edge/limits.h"
#include "net/networks.h"

enum {
    GATE_RETRY_FULL_S = 10,  /* Retry-After of a 503: the process has all connections it may have */
    GATE_RETRY_COUNT_S = 30, /* of a 429: somebody has all connections that he may have */
};

struct gate_options {
    struct limits_options limits;
    uint32_t commands_per_s, commands_burst; /* of one connection; per_s 0: no limit */
    struct networks exempt;                  /* no limit that goes by address */
    struct networks trusted; /* proxies that name the client in X-Forwarded-For; exempt, too */
    struct networks proxies; /* connections from here begin with a header of the PROXY protocol */
};

struct gate;

/* Who is on the other side, as limits see it. 0: nobody whom they know. */
struct visitor {
    uint32_t address;
    bool is_proxy;      /* one that is trusted: each request says whose it is */
    bool came_by_proxy; /* which has said that it is this: */
    struct in6_addr ip; /* IPv4 as ::ffff:a.b.c.d */
};

struct gate *gate_new(const struct gate_options *o);
void gate_free(struct gate *g); /* NULL is fine */

bool gate_awaits_header(const struct gate *g, const struct sockaddr_storage *peer);
struct visitor gate_visitor(const struct gate *g, const struct sockaddr_storage *peer);
/* Of a request with this X-Forwarded-For, that came by a trusted proxy. */
struct visitor gate_forwarded(const struct gate *g, struct str forwarded);

/* A connection comes. 0: it is counted, and gate_leave is to follow; otherwise the HTTP status of
 * the refusal: 503 when there is no room for anybody, 429 when there is none for this visitor. */
int gate_enter(struct gate *g, struct visitor v, const struct sockaddr_storage *peer);
void gate_leave(struct gate *g, struct visitor v);

/* The connection that came by a proxy turns out to be this visitor's, and stays so. 0, or 429. */
int gate_become(struct gate *g, struct visitor v);

/* A socket of a user (of nobody: "") comes; NULL, or a sentence why not. gate_socket_left is to
 * follow only behind NULL. */
const char *gate_socket_came(struct gate *g, struct str app, struct str user);
void gate_socket_left(struct gate *g, struct str app, struct str user);

/* One more handshake or command of this visitor: 0, or after how many milliseconds it may come. */
uint32_t gate_take(struct gate *g, enum limit_rate kind, struct visitor v, int64_t now_us);

/* The commands of one connection are counted by a clock of its own, which begins as gate_clock and
 * must be wound every few hours at least, also while the connection is quiet. */
uint32_t gate_clock(int64_t now_us);
void gate_wind(uint32_t *clock, int64_t now_us);
/* One more command; false: that is too many. */
bool gate_command(struct gate *g, uint32_t *clock, int64_t now_us);

/* Each limit by its number, 0 to GATE_LIMITS - 1: its option, and how often it has refused. */
enum { GATE_LIMITS = LIMIT_COUNTS + LIMIT_RATES + 1 };
const char *gate_limit_name(unsigned limit);
uint64_t gate_refused(const struct gate *g, unsigned limit);

#endif
