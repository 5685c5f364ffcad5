/* listener.h - accepts TCP connections on one address, for one thread.
 *
 * Every worker has its own listener on the same address (SO_REUSEPORT); the kernel spreads new
 * connections over them. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H
#include <sys/socket.h>
#include "base/err.h"
#include "net/loop.h"

enum {
    LISTENER_BACKLOG = 4096,
    LISTENER_BURST = 64,      /* accepted in one turn, so that live sockets are served in between */
    LISTENER_REST_MS = 100,   /* pause after something ran out */
    LISTENER_TELL_MS = 10000, /* between two lines that tell of pauses */
};

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* Reads "host:port", ":port" (every interface) or "[v6]:port"; host may be a name. ERR_PROTO:
 * none of these. */
enum err address_parse(struct address *out, const char *text);
void address_write(char out[64], const struct address *a); /* numeric, NUL-terminated */

unsigned address_port(const struct address *a);
bool address_is_loopback(const struct address *a); /* 127.0.0.0/8, also in IPv6, or ::1 */

/* Is the address free for a server? ERR_SYS: no (errno). SO_REUSEPORT alone would let a second
 * server steal half of the first one's connections in silence. */
enum err address_probe(const struct address *a);

/* Takes over fd (non-blocking, TCP_NODELAY set); `peer` is whom it is from. */
typedef void accept_fn(void *ctx, int fd, const struct sockaddr_storage *peer);

/* Asked before each connection. Not NULL: none is taken for this reason (a few words), and it is
 * asked again after LISTENER_REST_MS; who comes waits in the backlog. */
typedef const char *accept_not_fn(void *ctx);

struct listener {
    struct io io;
    struct loop *loop;
    struct timer rest;
    accept_fn *accepted;
    accept_not_fn *why_not; /* NULL, or set behind listener_open */
    void *ctx;
    int64_t paused_ms; /* when the first of these pauses began; 0: none did */
    int64_t told_ms;   /* when a line last told of one */
    unsigned n_pauses;
    bool told; /* somebody waits, and that was told */
};

/* Binds and listens. ERR_SYS: errno. If a->sa asks for port 0, *a gets the port that was given. */
enum err listener_open(struct listener *l, struct loop *loop, struct address *a,
                       accept_fn *accepted, void *ctx);
void listener_close(struct listener *l); /* fine when not open or closed already */

#endif
