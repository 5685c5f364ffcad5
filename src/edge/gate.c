#include "edge/gate.h"
#include <stdatomic.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"
#include "net/listener.h"

#define LOG_AREA LOG_LIMITS

enum {
    CLOCK_PER_S = 64000, /* ticks of a connection's clock */
    CLOCK_AHEAD_MAX = 1 << 30,
};

/* What is told: the counts, the rates, and the commands of one connection. */
enum { TOLD_RATES = LIMIT_COUNTS, TOLD_COMMANDS = GATE_LIMITS - 1 };

static const char *const names[GATE_LIMITS] = {
    [LIMIT_CONNECTIONS] = "max-connections",
    [LIMIT_OF_ADDRESS] = "max-connections-per-address",
    [LIMIT_OF_USER] = "max-connections-per-user",
    [LIMIT_OF_APP] = "max-connections-per-app",
    [TOLD_RATES + LIMIT_HANDSHAKES] = "handshake-rate",
    [TOLD_RATES + LIMIT_COMMANDS] = "address-command-rate",
    [TOLD_COMMANDS] = "command-rate",
};

struct gate {
    struct gate_options o;
    struct limits *limits;
    _Atomic uint64_t refused_commands;
    _Atomic int64_t told_s[GATE_LIMITS]; /* the second of the last line in the log */
};

struct gate *gate_new(const struct gate_options *o)
{
    struct gate *g = mem_zalloc(sizeof(*g));
    g->o = *o;
    g->limits = limits_new(&o->limits);
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    limits_free(g->limits);
    mem_free(g);
}

/* ---- the log ---- */

const char *gate_limit_name(unsigned limit)
{
    return names[limit];
}

uint64_t gate_refused(const struct gate *g, unsigned what)
{
    if (what < LIMIT_COUNTS)
        return limits_refused_count(g->limits, (enum limit_count)what);
    if (what < TOLD_COMMANDS)
        return limits_refused_rate(g->limits, (enum limit_rate)(what - TOLD_RATES));
    return atomic_load_explicit(&g->refused_commands, memory_order_relaxed);
}

static void tell(struct gate *g, unsigned what, const struct sockaddr_storage *peer)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    int64_t last = atomic_load_explicit(&g->told_s[what], memory_order_relaxed);
    if (last == now.tv_sec ||
        !atomic_compare_exchange_strong_explicit(&g->told_s[what], &last, now.tv_sec,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    char text[64] = "";
    if (peer)
        address_write(text, &(struct address){.sa = *peer, .len = sizeof(*peer)});
    LOG(LOG_WARN, "limit_met", LOG_CSTR("limit", names[what]),
        LOG_INT("refused", (int64_t)gate_refused(g, what)), LOG_CSTR("peer", text));
}

/* ---- addresses ---- */

bool gate_awaits_header(const struct gate *g, const struct sockaddr_storage *peer)
{
    return g->o.proxies.n && networks_have(&g->o.proxies, peer);
}

struct visitor gate_visitor(const struct gate *g, const struct sockaddr_storage *peer)
{
    struct visitor v = {.is_proxy = networks_have(&g->o.trusted, peer), .ip = networks_ip(peer)};
    if (!v.is_proxy && !networks_have(&g->o.exempt, peer))
        v.address = limits_key_of_address(g->limits, peer);
    return v;
}

struct visitor gate_forwarded(const struct gate *g, struct str forwarded)
{
    struct sockaddr_storage client;
    if (!networks_forwarded(&g->o.trusted, forwarded, &client))
        return (struct visitor){0};
    struct visitor v = gate_visitor(g, &client);
    v.is_proxy = false;
    v.came_by_proxy = true;
    return v;
}

/* ---- connections ---- */

int gate_enter(struct gate *g, struct visitor v, const struct sockaddr_storage *peer)
{
    if (!limits_enter(g->limits, LIMIT_CONNECTIONS, 0)) {
        tell(g, LIMIT_CONNECTIONS, NULL);
        return 503;
    }
    if (limits_enter(g->limits, LIMIT_OF_ADDRESS, v.address))
        return 0;
    limits_leave(g->limits, LIMIT_CONNECTIONS, 0);
    tell(g, LIMIT_OF_ADDRESS, peer);
    return 429;
}

void gate_leave(struct gate *g, struct visitor v)
{
    limits_leave(g->limits, LIMIT_OF_ADDRESS, v.address);
    limits_leave(g->limits, LIMIT_CONNECTIONS, 0);
}

int gate_become(struct gate *g, struct visitor v)
{
    if (limits_enter(g->limits, LIMIT_OF_ADDRESS, v.address))
        return 0;
    tell(g, LIMIT_OF_ADDRESS, NULL);
    return 429;
}

/* ---- sockets ---- */

static uint32_t key_of_user(const struct gate *g, struct str app, struct str user)
{
    return user.len ? limits_key_of_user(g->limits, app, user) : 0;
}

const char *gate_socket_came(struct gate *g, struct str app, struct str user)
{
    uint32_t key = key_of_user(g, app, user);
    if (!limits_enter(g->limits, LIMIT_OF_USER, key)) {
        tell(g, LIMIT_OF_USER, NULL);
        return "too many connections of this user\n";
    }
    if (limits_enter(g->limits, LIMIT_OF_APP, limits_key_of_app(g->limits, app)))
        return NULL;
    limits_leave(g->limits, LIMIT_OF_USER, key);
    tell(g, LIMIT_OF_APP, NULL);
    return "too many connections of this app\n";
}

void gate_socket_left(struct gate *g, struct str app, struct str user)
{
    limits_leave(g->limits, LIMIT_OF_USER, key_of_user(g, app, user));
    limits_leave(g->limits, LIMIT_OF_APP, limits_key_of_app(g->limits, app));
}

/* ---- rates ---- */

uint32_t gate_take(struct gate *g, enum limit_rate kind, struct visitor v, int64_t now_us)
{
    uint32_t wait_ms = limits_take(g->limits, kind, v.address, now_us);
    if (wait_ms)
        tell(g, TOLD_RATES + kind, NULL);
    return wait_ms;
}

uint32_t gate_clock(int64_t now_us)
{
    return (uint32_t)(now_us * (CLOCK_PER_S / 1000) / 1000);
}

void gate_wind(uint32_t *clock, int64_t now_us)
{
    if ((int32_t)(*clock - gate_clock(now_us)) < 0)
        *clock = gate_clock(now_us);
}

/* The clock is the moment at which a steady sender's next command would be due. */
bool gate_command(struct gate *g, uint32_t *clock, int64_t now_us)
{
    if (!g->o.commands_per_s)
        return true;
    const uint32_t apart = CLOCK_PER_S / g->o.commands_per_s;
    uint64_t ahead = (uint64_t)apart * (g->o.commands_burst - 1);
    gate_wind(clock, now_us);
    if (*clock - gate_clock(now_us) > (ahead < CLOCK_AHEAD_MAX ? ahead : CLOCK_AHEAD_MAX)) {
        atomic_fetch_add_explicit(&g->refused_commands, 1, memory_order_relaxed);
        tell(g, TOLD_COMMANDS, NULL);
        return false;
    }
    *clock += apart;
    return true;
}
