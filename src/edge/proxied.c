#include "edge/proxied.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "edge/door.h"
#include "net/proxy_header.h"

#define LOG_AREA LOG_HTTP

struct proxied {
    struct io io;
    struct timer timer;
    struct worker *worker;
    struct proxied *next, **link;
    struct sockaddr_storage peer;
    unsigned listener;
    ssize_t seen; /* bytes of the header, when it was looked at last */
};

/* From this call on the descriptor is the caller's. An event of this turn may still be on its way
 * to `p`, so its memory goes at the turn's end. */
static int let_go(struct proxied *p)
{
    int fd = p->io.fd;
    struct worker *w = p->worker;
    timer_stop(&w->loop.timers, &p->timer);
    loop_remove(&w->loop, &p->io);
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    p->next = w->proxied_gone;
    w->proxied_gone = p;
    worker_conn_gone(w);
    return fd;
}

void proxied_end_turn(struct worker *w)
{
    for (struct proxied *p; (p = w->proxied_gone);) {
        w->proxied_gone = p->next;
        mem_free(p);
    }
}

static void give_up(struct proxied *p, const char *why)
{
    char text[64];
    address_write(text, &(struct address){.sa = p->peer, .len = sizeof(p->peer)});
    LOG(LOG_WARN, "proxy_refused", LOG_CSTR("peer", text), LOG_CSTR("reason", why));
    close(let_go(p));
}

static void on_late(struct timer *t)
{
    give_up(container_of(t, struct proxied, timer), "no PROXY header in time");
}

/* Only the header may be taken: TLS, which may stand behind it, reads by itself. So the bytes are
 * looked at where they are, and the kernel is asked to wake us when there are more. */
static void on_ready(struct io *io, uint32_t events)
{
    struct proxied *p = container_of(io, struct proxied, io);
    char bytes[PROXY_HEADER_MAX];
    struct proxy_header h;
    (void)events;
    ssize_t n = recv(io->fd, bytes, sizeof(bytes), MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* No more than before: the peer has ended, which would wake us again and again. */
    if (n <= p->seen) {
        close(let_go(p));
        return;
    }
    p->seen = n;
    enum err e = proxy_header_read(&h, str_make(bytes, (size_t)n));
    int at_least = e == ERR_AGAIN ? (int)n + 1 : 1;
    setsockopt(io->fd, SOL_SOCKET, SO_RCVLOWAT, &at_least, sizeof(at_least));
    if (e == ERR_AGAIN)
        return;
    if (e || recv(io->fd, bytes, h.len, 0) != (ssize_t)h.len) {
        give_up(p, "no PROXY header: is this one of the proxies that send it?");
        return;
    }
    struct worker *w = p->worker;
    const struct sockaddr_storage client = h.has_address ? h.address : p->peer;
    unsigned listener = p->listener;
    door_enter(w, let_go(p), listener, &client, true);
}

void proxied_open(struct worker *w, int fd, unsigned listener, const struct sockaddr_storage *peer)
{
    struct proxied *p = mem_zalloc(sizeof(*p));
    p->io = (struct io){.fn = on_ready, .fd = fd};
    if (loop_add(&w->loop, &p->io, EPOLLIN)) {
        close(fd);
        mem_free(p);
        return;
    }
    p->worker = w;
    p->peer = *peer;
    p->listener = listener;
    p->timer.fn = on_late;
    p->next = w->proxied;
    p->link = &w->proxied;
    if (p->next)
        p->next->link = &p->next;
    w->proxied = p;
    worker_conn_came(w);
    int64_t due_ms = w->loop.now_ms + w->options->request_ms[w->listener_roles[listener]];
    timer_set(&w->loop.timers, &p->timer, due_ms);
}

void proxied_close_all(struct worker *w)
{
    while (w->proxied)
        close(let_go(w->proxied));
}
