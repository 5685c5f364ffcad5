/* addresses.h - whose sockets are those that came by a proxy, in words.
 *
 * A socket that came by itself has its peer's address, which the kernel knows. For the others a
 * worker keeps 16 bytes a place, from the first one on that needs it. */
#ifndef EDGE_ADDRESSES_H
#define EDGE_ADDRESSES_H
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESSES_TEXT = 64 };

struct addresses { /* zeroed is empty; one thread's */
    struct in6_addr *list;
    uint32_t n;
};

void addresses_fini(struct addresses *a);

/* The socket of this number (base/slots.h) came by a proxy, for `client` (IPv4 as ::ffff:a.b.c.d);
 * NULL: by itself. */
void addresses_set(struct addresses *a, uint64_t number, const struct in6_addr *client);

/* "192.0.2.1"; "" of the address that is all zero. */
void addresses_text(const struct in6_addr *ip, char out[ADDRESSES_TEXT]);

/* Writes the address, without a port, of the client behind the socket, whose descriptor is `fd`; ""
 * when nobody knows it any more. */
void addresses_write(const struct addresses *a, uint64_t number, int fd, char out[ADDRESSES_TEXT]);

#endif
