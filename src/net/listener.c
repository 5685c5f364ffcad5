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
    if (!l->told)
        LOG(LOG_WARN, "accept_paused", LOG_CSTR("reason", reason));
    l->told = true;
    loop_change(l->loop, &l->io, 0);
    timer_set(&l->loop->timers, &l->rest, l->loop->now_ms + LISTENER_REST_MS);
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
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                pause_for(l, strerror(errno));
                return;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            continue; /* this one was gone before we came: the next may live */
        }
        l->told = false;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        l->accepted(l->ctx, fd);
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
