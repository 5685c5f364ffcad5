/* client_tls.h - TLS on a client's connected socket, blocking or not. */
#ifndef CLI_CLIENT_TLS_H
#define CLI_CLIENT_TLS_H
#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"

/* What the connections of a process share. */
struct client_tls_context;

enum client_tls_trust {
    CLIENT_TLS_VERIFY,   /* the certificate must be for the host, and vouched for */
    CLIENT_TLS_ANY_PEER, /* for measuring alone: whoever answers */
};

/* `ca_file` vouches for servers (PEM); NULL: the system's authorities do. The process ignores
 * SIGPIPE from then on. ERR_SYS: `why` gets one sentence. */
enum err client_tls_context_new(struct client_tls_context **out, enum client_tls_trust trust,
                                const char *ca_file, char *why, size_t why_len);
void client_tls_context_free(struct client_tls_context *c); /* NULL is fine */

struct client_tls;

/* To `host`, a name or a literal address; `fd` stays the caller's. NULL: no memory is left. */
struct client_tls *client_tls_new(struct client_tls_context *c, int fd, const char *host);
void client_tls_free(struct client_tls *t); /* NULL is fine */

/* ERR_AGAIN: more must come, or go out (client_tls_wants_out); where the socket blocks, its time is
 * over. ERR_SYS, ERR_DENIED: `why` gets one sentence. */
enum err client_tls_handshake(struct client_tls *t, char *why, size_t why_len);
bool client_tls_wants_out(const struct client_tls *t);

/* As send(2) and recv(2). What breaks TLS is EPROTO. After EAGAIN from client_tls_send the next
 * call must begin with the same bytes, and have as many or more. */
ssize_t client_tls_send(struct client_tls *t, const void *p, size_t len);
ssize_t client_tls_recv(struct client_tls *t, void *p, size_t len);

/* Says that nothing more will be sent. */
void client_tls_end(struct client_tls *t);

#endif
