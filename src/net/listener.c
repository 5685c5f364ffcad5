#include "net/listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"

#define LOG_AREA LOG_HTTP

enum err address_parse(struct address *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[256];
    if (!colon || !colon[1])
        return ERR_PROTO;
    /* getaddrinfo takes 65536 for 0 and " 80" for 80. */
    size_t digits = strspn(colon + 1, "0123456789");
    if (colon[1 + digits] || digits > 5 || atoi(colon + 1) > UINT16_MAX)
        return ERR_PROTO;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len))
        return ERR_PROTO; /* an IPv6 address without brackets: which colon is the port's? */
    if (len >= sizeof(host))
        return ERR_PROTO;
    memcpy(host, text, len);
    host[len] = 0;

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list;
    if (getaddrinfo(len ? host : "0.0.0.0", colon + 1, &hints, &list) != 0)
        return ERR_PROTO;
    memcpy(&out->sa, list->ai_addr, list->ai_addrlen);
    out->len = list->ai_addrlen;
    freeaddrinfo(list);
    return ERR_OK;
}

void address_write(char out[64], const struct address *a)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *sa = (const void *)&a->sa;
        inet_ntop(AF_INET6, &sa->sin6_addr, host, sizeof(host));
        snprintf(out, 64, "[%s]:%u", host, ntohs(sa->sin6_port));
    } else {
        const struct sockaddr_in *sa = (const void *)&a->sa;
        inet_ntop(AF_INET, &sa->sin_addr, host, sizeof(host));
        snprintf(out, 64, "%s:%u", host, ntohs(sa->sin_port));
    }
}

unsigned address_port(const struct address *a)
{
    if (a->sa.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
}

bool address_is_loopback(const struct address *a)
{
    if (a->sa.ss_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)&a->sa)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127);
    }
    return ntohl(((const struct sockaddr_in *)&a->sa)->sin_addr.s_addr) >> 24 == 127;
}

static int bound_socket(const struct address *a, bool shared)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

enum err address_probe(const struct address *a)
{
    int fd = bound_socket(a, false);
    if (fd < 0)
        return ERR_SYS;
    close(fd);
    return ERR_OK;
}

static void resume(struct timer *t)
{
    struct listener *l = container_of(t, struct listener, rest);
    loop_change(l->loop, &l->io, EPOLLIN);
}

/* The backlog keeps who waits; asking again at once would only burn CPU. */
static void pause_for(struct listener *l, const char *reason)
{
    int64_t now = l->loop->now_ms;
    loop_change(l->loop, &l->io, 0);
    timer_set(&l->loop->timers, &l->rest, now + LISTENER_REST_MS);
    if (!l->n_pauses++)
        l->paused_ms = now;
    if (l->told_ms && now - l->told_ms < LISTENER_TELL_MS)
        return;
    LOG(LOG_WARN, "accept_paused", LOG_CSTR("reason", reason), LOG_INT("pauses", l->n_pauses));
    l->told_ms = now;
    l->told = true;
}

/* Nobody waits any more. */
static void note_all_taken(struct listener *l)
{
    if (l->told)
        LOG(LOG_INFO, "accept_resumed", LOG_INT("after_ms", l->loop->now_ms - l->paused_ms),
            LOG_INT("pauses", l->n_pauses));
    l->told = false;
    l->n_pauses = 0;
}

/* Whether only the connection that was to be accepted is concerned (accept(2)): it was gone before
 * we came, and the next may live. */
static bool is_of_one(int error)
{
    static const int errors[] = {ECONNABORTED, EPROTO,       EINTR,       ENETDOWN,   ENOPROTOOPT,
                                 EHOSTDOWN,    EHOSTUNREACH, ENETUNREACH, ECONNRESET, ENONET};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i] == error)
            return true;
    }
    return false;
}

static void on_ready(struct io *io, uint32_t events)
{
    (void)events;
    struct listener *l = container_of(io, struct listener, io);
    if (mem_is_short()) {
        pause_for(l, "memory is short");
        return;
    }
    for (int i = 0; i < LISTENER_BURST; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        const char *why_not = l->why_not ? l->why_not(l->ctx) : NULL;
        if (why_not) {
            pause_for(l, why_not);
            return;
        }
        int fd = accept4(io->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_of_one(errno))
            continue;
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            note_all_taken(l);
            return;
        }
        if (fd < 0) { /* out of descriptors, of memory; or forbidden, which would not end either */
            pause_for(l, strerror(errno));
            return;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        l->accepted(l->ctx, fd, &peer);
    }
}

enum err listener_open(struct listener *l, struct loop *loop, struct address *a,
                       accept_fn *accepted, void *ctx)
{
    int fd = bound_socket(a, true);
    if (fd < 0)
        return ERR_SYS;
    *l = (struct listener){.io = {.fn = on_ready, .fd = fd},
                           .loop = loop,
                           .rest = {.fn = resume},
                           .accepted = accepted,
                           .ctx = ctx};
    if (getsockname(fd, (struct sockaddr *)&a->sa, &a->len) < 0 ||
        listen(fd, LISTENER_BACKLOG) < 0 || loop_add(loop, &l->io, EPOLLIN)) {
        int saved = errno;
        close(fd);
        errno = saved;
        l->loop = NULL;
        return ERR_SYS;
    }
    return ERR_OK;
}

void listener_close(struct listener *l)
{
    if (!l->loop)
        return;
    timer_stop(&l->loop->timers, &l->rest);
    loop_remove(l->loop, &l->io);
    close(l->io.fd);
    l->loop = NULL;
}
