#include "cli/bench_link.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"

void bench_link_init(struct bench_link *l, struct bench_net *net, struct bench_target *target,
                     const struct bench_link_ops *ops)
{
    *l = (struct bench_link){.io.fd = -1, .net = net, .target = target, .ops = ops};
}

void bench_link_fini(struct bench_link *l)
{
    bench_link_close(l);
    buf_fini(&l->out);
}

void bench_link_close(struct bench_link *l)
{
    if (l->io.fd < 0)
        return;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(l->io.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    loop_remove(l->net->loop, &l->io);
    close(l->io.fd);
    client_tls_free(l->tls);
    l->tls = NULL;
    l->io.fd = -1;
    l->open = false;
    buf_fini(&l->out);
}

enum bench_fault bench_link_fault(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return BENCH_FAULT_REFUSED;
    case ETIMEDOUT:
        return BENCH_FAULT_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
        return BENCH_FAULT_LOCAL;
    case ECONNRESET:
    case EPIPE:
        return BENCH_FAULT_BROKEN;
    default:
        return BENCH_FAULT_UNREACHABLE;
    }
}

static void end(struct bench_link *l, enum bench_fault why, const char *what)
{
    bench_link_close(l);
    l->tries = 0;
    l->ops->on_end(l, why, what);
}

/* ---- output ---- */

static ssize_t write_some(struct bench_link *l, struct str bytes)
{
    return l->tls ? client_tls_send(l->tls, bytes.p, bytes.len)
                  : send(l->io.fd, bytes.p, bytes.len, MSG_NOSIGNAL);
}

static void flush(struct bench_link *l)
{
    while (l->out.len) {
        ssize_t n = write_some(l, buf_as_str(&l->out));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* full, or broken: then reading says so */
        buf_consume(&l->out, (size_t)n);
    }
    if (!l->out.len)
        buf_fini(&l->out);
    loop_change(l->net->loop, &l->io, l->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void bench_link_send(struct bench_link *l, struct str bytes)
{
    if (!l->open)
        return;
    if (!l->out.len) {
        ssize_t n = write_some(l, bytes);
        if (n == (ssize_t)bytes.len)
            return;
        if (n > 0)
            bytes = str_make(bytes.p + n, bytes.len - (size_t)n);
    }
    buf_str(&l->out, bytes);
    loop_change(l->net->loop, &l->io, EPOLLIN | EPOLLOUT);
}

/* ---- input ---- */

static void read_input(struct bench_link *l)
{
    char *input = l->net->input;
    ssize_t n = l->tls ? client_tls_recv(l->tls, input, BENCH_INPUT_BYTES)
                       : recv(l->io.fd, input, BENCH_INPUT_BYTES, 0);
    if (n > 0)
        l->ops->on_input(l, input, (size_t)n);
    else if (n == 0)
        end(l, BENCH_FAULT_BROKEN, "the server ended the connection");
    else if (errno != EAGAIN && errno != EINTR)
        end(l, BENCH_FAULT_BROKEN, strerror(errno));
}

static void on_ready(struct io *io, uint32_t events)
{
    struct bench_link *l = container_of(io, struct bench_link, io);
    if (events & EPOLLOUT)
        flush(l);
    if (events & ~(uint32_t)EPOLLOUT)
        read_input(l);
}

/* ---- dialling ---- */

static void opened(struct bench_link *l)
{
    l->open = true;
    l->io.fn = on_ready;
    loop_change(l->net->loop, &l->io, EPOLLIN);
    l->ops->on_open(l);
}

static void on_shaking(struct io *io, uint32_t events)
{
    (void)events;
    struct bench_link *l = container_of(io, struct bench_link, io);
    char why[256];
    switch (client_tls_handshake(l->tls, why, sizeof(why))) {
    case ERR_OK:
        opened(l);
        break;
    case ERR_AGAIN:
        loop_change(l->net->loop, io, client_tls_wants_out(l->tls) ? EPOLLOUT : EPOLLIN);
        break;
    default:
        end(l, BENCH_FAULT_BROKEN, why);
    }
}

static void on_connected(struct io *io, uint32_t events)
{
    (void)events;
    struct bench_link *l = container_of(io, struct bench_link, io);
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        bench_link_close(l);
        if (l->tries < l->target->n_addresses)
            bench_link_dial(l);
        else
            end(l, bench_link_fault(error), strerror(error));
        return;
    }
    l->target->preferred = (l->first + l->tries - 1u) % l->target->n_addresses;
    l->tries = 0;
    if (!l->target->tls) {
        opened(l);
        return;
    }
    l->tls = client_tls_new(l->net->tls, io->fd, l->target->host);
    if (!l->tls) {
        end(l, BENCH_FAULT_LOCAL, "out of memory");
        return;
    }
    io->fn = on_shaking;
    on_shaking(io, 0);
}

void bench_link_dial(struct bench_link *l)
{
    struct bench_target *t = l->target;
    int error = EADDRNOTAVAIL;
    if (!l->tries)
        l->first = (uint8_t)t->preferred;
    while (l->tries < t->n_addresses) {
        int fd = bench_target_dial(t, (l->first + l->tries++) % t->n_addresses);
        if (fd < 0) {
            error = errno;
            continue;
        }
        l->io.fd = fd;
        l->io.fn = on_connected;
        if (loop_add(l->net->loop, &l->io, EPOLLOUT) == ERR_OK)
            return;
        error = errno;
        close(fd);
        l->io.fd = -1;
    }
    end(l, bench_link_fault(error), strerror(error));
}
