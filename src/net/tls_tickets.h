/* tls_tickets.h - the keys that seal session tickets (RFC 5077 section 4).
 *
 * One set for all workers, and for the contexts that follow each other, so that a client resumes
 * with any of them. The keys change by themselves. Callable from any thread. */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H
#include <openssl/ssl.h>
#include "net/tls.h"

enum {
    TLS_TICKET_KEY_S = 24 * 3600, /* a key seals for a day, and opens for another one */
    TLS_TICKET_KEYS = 2,
};

struct tls_tickets; /* counted atomically */

struct tls_tickets *tls_tickets_new(void);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *t);
void tls_tickets_unref(struct tls_tickets *t); /* NULL is fine */

/* Lets the context, which must not outlive them, seal and open with these keys. */
void tls_tickets_use(struct tls_tickets *t, SSL_CTX *ctx);

/* The present key, or the one before it, as of `now_s` (a clock that does not go back). For tests
 * and tls_tickets.c. */
struct tls_ticket_key {
    unsigned char name[16], aes[32], hmac[32];
};
/* The key that seals. False: the system gives no random numbers. */
bool tls_tickets_seal_with(struct tls_tickets *t, int64_t now_s, struct tls_ticket_key *out);
/* The key of that name. ERR_NOT_FOUND: there is none (any more). *renew: there is a newer one. */
enum err tls_tickets_open_with(struct tls_tickets *t, int64_t now_s, const unsigned char name[16],
                               struct tls_ticket_key *out, bool *renew);

#endif
