/* tls.h - TLS 1.2 and 1.3 on the server's side of a connection: the one file of ours, with its
 * tickets, that knows OpenSSL's.
 *
 * A context is what all connections of a process share: certificates, chosen by the name that the
 * client asks for, and rules. It is immutable once made and counted atomically, so it can be
 * exchanged while connections go on with the one that they began with. */
#ifndef NET_TLS_H
#define NET_TLS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/err.h"
#include "base/str.h"

enum {
    TLS_RECORD_BYTES = 16 * 1024, /* the most that one record carries (RFC 8446 section 5.1) */
    TLS_CERTIFICATES_MAX = 64,
};

/* ---- what all share ---- */

struct tls_context;

/* PEM texts, with the names that complaints give them. */
struct tls_certificate {
    struct str certificate, key; /* the certificate with its chain behind it; the private key */
    const char *certificate_name, *key_name;
};

/* For one to TLS_CERTIFICATES_MAX certificates; the first is for whoever asks for no name that we
 * have. Sessions that began with the context `before` (or NULL) can be resumed with this one.
 * ERR_PROTO: `why` gets one sentence. */
enum err tls_context_new(struct tls_context **out, const struct tls_certificate *list, unsigned n,
                         const struct tls_context *before, char *why, size_t why_len);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c); /* NULL is fine */

/* The unix time at which the first of its certificates expires. */
int64_t tls_context_expires(const struct tls_context *c);

/* ---- one connection ---- */

struct tls;

/* For a connection that was just accepted; `fd` stays the caller's. The process must ignore
 * SIGPIPE: OpenSSL writes by write(2). NULL: no memory is left. */
struct tls *tls_new(struct tls_context *c, int fd);
void tls_free(struct tls *t); /* NULL is fine */

/* A step of the handshake, which may do the private key's work. ERR_AGAIN: more must come from the
 * peer, or go out to it (tls_wants_out); ERR_DENIED: the peer speaks plain HTTP, nothing was sent;
 * ERR_PROTO: it has failed, and an alert was sent if one was due; ERR_SYS: the connection broke. */
enum err tls_handshake(struct tls *t);
bool tls_is_shaking(const struct tls *t); /* the handshake is not over */

/* As recv(2) and sendmsg(2). What breaks TLS is EPROTO. A read of TLS_RECORD_BYTES or more leaves
 * nothing behind that poll(2) does not know of. After EAGAIN from tls_sendv the next call must
 * begin with the bytes that are begun (tls_begun): they are in a record already. */
ssize_t tls_recv(struct tls *t, void *p, size_t len);
ssize_t tls_sendv(struct tls *t, const struct iovec *iov, unsigned n);
size_t tls_begun(const struct tls *t);

/* Whether anything has gone out since the last time that this was asked: of a record, too. */
bool tls_has_moved(struct tls *t);

/* Reading, or the handshake, waits until the descriptor takes output. */
bool tls_wants_out(const struct tls *t);

/* The kernel encrypts what is sent: the descriptor is written to as if there were no TLS. */
bool tls_is_sent_by_kernel(const struct tls *t);

/* Says that nothing more will be sent. ERR_AGAIN: once the descriptor takes output. Where it cannot
 * be said any more (the handshake was not over, something broke) it is not. */
enum err tls_end(struct tls *t);

#endif
