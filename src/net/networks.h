/* networks.h - lists of networks (CIDR), and client addresses out of headers of trusted proxies. */
#ifndef NET_NETWORKS_H
#define NET_NETWORKS_H
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include "base/err.h"
#include "base/str.h"

enum { NETWORKS_MAX = 64 };

struct networks {
    struct network {
        unsigned char ip[16]; /* IPv4 as ::ffff:a.b.c.d */
        unsigned bits;        /* of these 128 that count */
    } list[NETWORKS_MAX];
    unsigned n;
};

/* Adds what a list says: addresses, or networks as ADDRESS/BITS, with commas between them.
 * ERR_PROTO: one of them is neither; ERR_LIMIT: NETWORKS_MAX. */
enum err networks_add(struct networks *n, struct str list);

/* The address alone, IPv4 as ::ffff:a.b.c.d; all zero when it is none of IP. */
struct in6_addr networks_ip(const struct sockaddr_storage *address);

/* Of another family than IP: never. */
bool networks_have(const struct networks *n, const struct sockaddr_storage *address);

/* Whose request it is that a trusted proxy brings with this value of X-Forwarded-For: going from
 * the end (each proxy adds whom it heard it from) the first that is not trusted, or the last that
 * is readable. False: none is. */
bool networks_forwarded(const struct networks *trusted, struct str forwarded,
                        struct sockaddr_storage *out);

/* "1.2.3.4" or "::1". */
bool networks_read_ip(struct sockaddr_storage *out, struct str text);

/* "1.2.3.4", "::1", "[::1]", "1.2.3.4:80", "[::1]:80" into an address without its port. */
bool networks_read_address(struct sockaddr_storage *out, struct str text);

#endif
