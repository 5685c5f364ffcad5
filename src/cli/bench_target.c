#include "cli/bench_target.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PORTS_PER_ADDRESS = 20000 };

static enum err refuse(char *why, size_t why_len, struct str url, const char *what)
{
    snprintf(why, why_len, "%s: \"%.*s\"", what, (int)url.len, url.p);
    return ERR_PROTO;
}

/* Splits "host", "host:port", "[v6]" or "[v6]:port". False: none of these. */
static bool split_host(struct str authority, struct str *host, struct str *port)
{
    if (authority.len && authority.p[0] == '[') {
        const char *end = memchr(authority.p, ']', authority.len);
        if (!end)
            return false;
        *host = str_make(authority.p + 1, (size_t)(end - authority.p) - 1);
        size_t used = host->len + 2;
        if (used == authority.len)
            return true;
        if (authority.p[used] != ':')
            return false;
        *port = str_make(authority.p + used + 1, authority.len - used - 1);
        return true;
    }
    bool has_port = memchr(authority.p, ':', authority.len);
    *host = str_cut(&authority, ':');
    if (has_port)
        *port = authority;
    return !memchr(port->p, ':', port->len);
}

static bool is_port(struct str s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(s.p[i] - '0');
        if (n > UINT16_MAX)
            return false;
    }
    return n > 0;
}

static bool take_scheme(struct str *rest, bool *tls)
{
    const char *end = memmem(rest->p, rest->len, "://", 3);
    *tls = false;
    if (!end)
        return true;
    struct str scheme = str_make(rest->p, (size_t)(end - rest->p));
    *rest = str_make(end + 3, rest->len - scheme.len - 3);
    *tls = str_eq(scheme, STR("wss")) || str_eq(scheme, STR("https"));
    return *tls || str_eq(scheme, STR("ws")) || str_eq(scheme, STR("http"));
}

/* In a request line nothing but visible characters may stand. */
static bool is_path(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '?' || s.p[i] == '#')
            return false;
    }
    return true;
}

enum err bench_target_parse(struct bench_target *t, struct str url, const char *standard_path,
                            char *why, size_t why_len)
{
    *t = (struct bench_target){0};
    struct str rest = url, host, port;
    if (!take_scheme(&rest, &t->tls))
        return refuse(why, why_len, url,
                      "an address begins with ws://, wss://, http:// or https://");
    port = t->tls ? STR("443") : STR("80");
    struct str authority = str_cut(&rest, '/');
    while (rest.len && rest.p[rest.len - 1] == '/')
        rest.len--;
    if (!split_host(authority, &host, &port) || !host.len || !is_port(port) || !is_path(rest))
        return refuse(why, why_len, url, "an address is ws://HOST:PORT/PREFIX");
    if (host.len >= sizeof(t->host) - 2 || port.len >= sizeof(t->port) ||
        rest.len >= sizeof(t->path) - 1)
        return refuse(why, why_len, url, "this address is too long");
    memcpy(t->host, host.p, host.len);
    memcpy(t->port, port.p, port.len);
    bool is_v6 = memchr(host.p, ':', host.len);
    snprintf(t->authority, sizeof(t->authority), is_v6 ? "[%s]:%s" : "%s:%s", t->host, t->port);
    bool has_path = authority.p + authority.len < url.p + url.len;
    if (has_path && rest.len)
        snprintf(t->path, sizeof(t->path), "/%.*s", (int)rest.len, rest.p);
    else if (!has_path)
        snprintf(t->path, sizeof(t->path), "%s", standard_path);
    return ERR_OK;
}

enum err bench_target_resolve(struct bench_target *t, char *why, size_t why_len)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int r = getaddrinfo(t->host, t->port, &hints, &list);
    if (r) {
        snprintf(why, why_len, "cannot find %s: %s", t->host, gai_strerror(r));
        return ERR_SYS;
    }
    t->n_addresses = 0;
    for (struct addrinfo *a = list; a && t->n_addresses < BENCH_TARGET_ADDRESSES; a = a->ai_next) {
        memcpy(&t->addresses[t->n_addresses].sa, a->ai_addr, a->ai_addrlen);
        t->addresses[t->n_addresses++].len = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return ERR_OK;
}

/* Binds to one of this machine's loopback addresses, and leaves the port to connect(2), which may
 * use one that another address uses, too. */
static void leave_from(int fd, uint32_t nth)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + nth % 250)};
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    bind(fd, (struct sockaddr *)&from, sizeof(from)); /* where it fails, any address will do */
}

int bench_target_dial(struct bench_target *t, unsigned nth)
{
    const struct sockaddr *to = (const struct sockaddr *)&t->addresses[nth].sa;
    int on = 1;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    uint32_t before = t->dialled++ / PORTS_PER_ADDRESS;
    if (before && to->sa_family == AF_INET &&
        ntohl(((const struct sockaddr_in *)(const void *)to)->sin_addr.s_addr) >> 24 == 127)
        leave_from(fd, before);
    if (connect(fd, to, t->addresses[nth].len) < 0 && errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}
