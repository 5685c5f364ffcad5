/* conn.h - one TCP connection: bytes in, queued blobs out, an orderly end.
 *
 * Output is gathered: conn_send only queues, the turn's end writes all that a connection has in
 * one call. What goes to many (conn_send_bulk) is written in slices, with turns in between: so a
 * long fan-out holds nobody up, and what comes meanwhile joins what is not written yet. A
 * connection that has nothing to send and nothing half-received holds no buffer. Closing only
 * marks; the owner's on_gone is called, and memory freed, at the turn's end. */
#ifndef NET_CONN_H
#define NET_CONN_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "base/blob.h"
#include "base/counter.h"
#include "base/err.h"
#include "net/loop.h"
#include "net/outq.h"
#include "net/tls.h"
#include "net/uring.h"

enum {
    /* How much of a fan-out goes out between two looks at what comes in: at first for about 60 us.
     * What comes in then joins what still waits: with 64 a single publisher has a fifth of its
     * messages joined. When nothing came during whole fan-outs the next ones are cut into twice as
     * much, since larger batches cost the kernel less. */
    NET_SLICE = 16,
    NET_SLICE_MAX = 128,
    NET_SLICE_BYTES = 256 * 1024,
    /* With input coming in all the time slices go on for half as long as the rest of the turn took:
     * so a fan-out has a third of the time at least, whatever else there is to do. Below
     * NET_SHARE_MIN_US one slice is about as much, and more can join. */
    NET_SHARE_MIN_US = 300,
    NET_SHARE_MAX_US = 10000,
    CONN_READ_BYTES = 64 * 1024, /* the one read buffer of a thread; */
    CONN_READ_STRANGER =
        16384, /* what a stranger's connection has read at once, all to be handled */
    CONN_FAREWELL_STEP_MS = 1000, /* how often an ending connection with output is looked at */
    CONN_IOV = 256,               /* blobs in one gathered write */
    /* What each connection may have waiting once all queues together have net->memory_max. */
    NET_SHORT_BYTES = 64 * 1024,
    /* Input thrown away after conn_finish, before giving up: a client may be in the middle of a
     * body when its refusal comes, and would lose the answer to a reset. */
    CONN_LINGER_BYTES = 64 << 20,
    /* Steps of TLS handshakes in one turn, and the time after which it makes no more of them: a
     * step takes up to 0.3 ms with a key of P-256, 0.8 ms with RSA of 2048 bits, 5 ms with 4096. So
     * a crowd of newcomers holds nobody up. */
    NET_HANDSHAKES = 8,
    NET_HANDSHAKES_US = 2000,
};

struct conn;

enum conn_list { /* a connection is in one at most */
                 CONN_IN_NONE,
                 CONN_URGENT,  /* has output to write at the turn's end */
                 CONN_BULK,    /* has output that may take some turns */
                 CONN_SHAKING, /* waits for a turn that has a step of its handshake to spare */
                 CONN_CLOSED,  /* is to be given to on_gone */
                 CONN_LISTS
};

/* How bytes reach the kernel; tests put a scripted one in its place. */
struct transport {
    ssize_t (*recv)(int fd, void *p, size_t len);                  /* as recv(2) */
    ssize_t (*sendv)(int fd, const struct iovec *iov, unsigned n); /* as sendmsg(2) */
};
extern const struct transport transport_tcp;

struct conn_ops {
    /* Input: all of it is the owner's to use or keep, until it returns. Not called after
     * conn_pause, conn_finish or conn_close. */
    void (*on_input)(struct conn *c, char *data, size_t len);
    /* The kernel stopped taking output (again, after progress); the owner may set a timer and
     * look at conn_stalled_ms then. */
    void (*on_stall)(struct conn *c);
    /* All that was queued is out; may be NULL. */
    void (*on_drained)(struct conn *c);
    /* The connection is over; the last call, the owner frees it here. Called at a turn's end. */
    void (*on_gone)(struct conn *c);
    /* A peer that has ended its side still gets what is queued (HTTP); without, it is over. */
    bool half_close;
    /* Bytes taken in one read; 0: CONN_READ_BYTES. */
    unsigned read_max;
    /* The owner does not go on before its peer has taken what is queued, so no limit is needed. */
    bool bounds_itself;
};

/* What the connections of one thread share. */
struct net {
    struct loop *loop;
    const struct transport *transport;
    struct uring *uring; /* borrowed; sends in its place where there are many; NULL: none */
    struct {
        struct conn *first, *last; /* in the order of their coming */
    } lists[CONN_LISTS];
    struct outq_pool queues;
    /* More that goes to many: writes some of it (net_write_many); false: there is none. May be
     * NULL.
     */
    bool (*write_more)(void *ctx);
    void *ctx;
    unsigned slice;              /* NET_SLICE to NET_SLICE_MAX */
    bool more, interrupted;      /* a fan-out is under way; something came in meanwhile */
    unsigned handshakes;         /* steps of this turn, */
    int64_t handshakes_us;       /* and what they took */
    struct str not_tls;          /* the last word for who speaks plain HTTP where TLS is expected */
    unsigned queue_messages_max; /* blobs one connection may have waiting */
    size_t queue_bytes_max;
    size_t memory_max; /* of all queues together; 0: no limit */
    struct net_stats {
        struct counter sent, received; /* bytes of what connections carry */
        struct counter queues;         /* memory of all that waits, as of the last turn */
    } stats;
    char read_buffer[CONN_READ_BYTES];
};

struct conn { /* part of the owner's struct */
    struct io io;
    struct net *net;
    const struct conn_ops *ops;
    struct tls *tls;               /* NULL: plain */
    struct conn *next, *prev;      /* in its list */
    struct blob *first;            /* of the oldest range that waits, */
    struct outq *rest;             /* and what waits behind it; NULL when at most one does */
    uint32_t first_from, first_to; /* what of `first` is still to be sent */
    uint32_t queued_bytes;
    uint32_t lingered_bytes;
    uint32_t stalled_since; /* low bits of the millisecond; valid while `stalled` */
    uint8_t list;           /* enum conn_list */
    bool first_begun : 1;   /* some of it is out */
    bool stalled : 1, paused : 1, finishing : 1, shut : 1, closed : 1;
    bool peer_done : 1; /* the peer ended, or the connection broke */
};

void net_init(struct net *n, struct loop *loop, unsigned queue_messages_max,
              size_t queue_bytes_max);
void net_fini(struct net *n); /* after every connection is gone */

/* Whether all queues together have the memory that they may have (queue_messages_max and
 * queue_bytes_max are of one connection). */
bool net_is_short(const struct net *n);

/* The turn's end: writes what was gathered, of what goes to many a slice (net->slice connections,
 * about NET_SLICE_BYTES), or some, and lets go of what was closed. True: some of that is left, for
 * the next turn. */
bool net_end_turn(struct net *n);
void net_end_turns(struct net *n); /* until nothing is left */

/* Takes over `fd` (non-blocking). ERR_SYS: epoll refuses; the caller still owns fd. */
enum err conn_open(struct conn *c, struct net *n, int fd, const struct conn_ops *ops);

/* What comes from now on is TLS: to be called after conn_open, before anything that belongs to it
 * is read or anything is sent. The owner's deadline for the first input is one for the handshake,
 * too. ERR_LIMIT: no memory is left. */
enum err conn_secure(struct conn *c, struct tls_context *context);

/* Queues a blob (a reference is taken). ERR_FULL: the queue would pass its limit in messages or
 * bytes (a lesser one while all queues together have net->memory_max), even after writing what the
 * kernel takes right now; nothing was queued. After
 * conn_finish or conn_close output is dropped (ERR_OK). */
enum err conn_send(struct conn *c, struct blob *b);
enum err conn_send_bytes(struct conn *c, struct str bytes); /* copies */

/* The same for what goes to many: it may wait for some turns. */
enum err conn_send_bulk(struct conn *c, struct blob *b);
enum err conn_send_range(struct conn *c, const struct blob_range *r);

/* Writes now: to many connections at once, to each its own ranges behind what it has queued. What
 * the kernel does not take is queued. */
struct net_write {
    struct conn *conn; /* each comes once */
    unsigned n;
    const struct blob_range *ranges;
};
void net_write_many(struct net *n, const struct net_write *writes, unsigned n_writes);

/* Forgets all that is queued and not begun yet: what is left is whole messages for the peer. */
void conn_drop_unsent(struct conn *c);

/* Stops and resumes reading: back-pressure while a request waits for its answer. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Sends what is queued, then ends our side and waits for the peer to end its own, throwing
 * input away: so a last word is not lost to a reset. The owner sets a deadline and calls
 * conn_close when it has passed. */
void conn_finish(struct conn *c);

/* The same with a last word behind what is queued, whatever the limits. */
void conn_finish_with(struct conn *c, struct str last_word);

/* Ends at once; what is queued is lost. Fine to call twice. */
void conn_close(struct conn *c);

/* Another owner for an open connection, whose struct moves from `from` to `to` with all that it
 * has queued (an HTTP connection becomes a WebSocket). `from` is gone at the turn's end, by its
 * own on_gone. */
void conn_move(struct conn *to, struct conn *from, const struct conn_ops *ops);

/* How many blobs wait; their bytes are c->queued_bytes. */
unsigned conn_queued(const struct conn *c);

/* For how long the kernel has taken nothing although something waits; 0: not stalled. */
uint32_t conn_stalled_ms(const struct conn *c);

/* An ending connection's owner asks, when the farewell's time is over, how long to wait on: while
 * the peer still takes what is queued (write_ms is what it may let pass without taking anything) it
 * is not. 0: conn_close now. */
int64_t conn_farewell_ms(const struct conn *c, int64_t write_ms);

static inline bool conn_is_ending(const struct conn *c)
{
    return c->finishing || c->closed;
}

#endif
