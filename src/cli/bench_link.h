/* bench_link.h - a client's TCP or TLS connection of the load generator: dialling, input into one
 * large buffer, output that the kernel takes later. */
#ifndef CLI_BENCH_LINK_H
#define CLI_BENCH_LINK_H
#include "base/buf.h"
#include "cli/bench_result.h"
#include "cli/bench_target.h"
#include "cli/client_tls.h"
#include "net/loop.h"

enum { BENCH_INPUT_BYTES = 256 * 1024 };

struct bench_net { /* what all links share */
    struct loop *loop;
    struct client_tls_context *tls; /* NULL: no target has TLS */
    char input[BENCH_INPUT_BYTES];
};

struct bench_link;

struct bench_link_ops {
    void (*on_open)(struct bench_link *l);
    /* Input; the link may be closed in the call. */
    void (*on_input)(struct bench_link *l, const char *p, size_t len);
    /* It could not be opened or is over (not after bench_link_close): REFUSED, UNREACHABLE, LOCAL
     * or BROKEN; `what` is for people. The link is closed already. */
    void (*on_end)(struct bench_link *l, enum bench_fault why, const char *what);
};

struct bench_link { /* part of its owner; zeroed, with fd -1, is "closed" */
    struct io io;
    struct bench_net *net;
    struct bench_target *target;
    const struct bench_link_ops *ops;
    struct client_tls *tls; /* NULL: plain */
    struct buf out;         /* what the kernel has not taken */
    uint8_t tries;          /* addresses of the target that were tried, */
    uint8_t first;          /* from this one on */
    bool open;
};

void bench_link_init(struct bench_link *l, struct bench_net *net, struct bench_target *target,
                     const struct bench_link_ops *ops);
void bench_link_fini(struct bench_link *l);

/* Connects to the target's addresses, one after the other until one answers. What fails at once is
 * told at once: on_end is called before this returns. */
void bench_link_dial(struct bench_link *l);

/* Sends, or keeps what the kernel does not take now. What goes wrong shows as an end of input. */
void bench_link_send(struct bench_link *l, struct str bytes);

/* By a reset, so that no port of ours waits for a minute: a run may leave 10,000 behind, and the
 * next one wants as many. Fine when it is closed. */
void bench_link_close(struct bench_link *l);

static inline bool bench_link_is_closed(const struct bench_link *l)
{
    return l->io.fd < 0;
}

/* The fault that an errno of connect(2) or socket(2) stands for. */
enum bench_fault bench_link_fault(int error);

#endif
