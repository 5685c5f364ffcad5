#include "edge/addresses.h"
#include <arpa/inet.h>
#include <string.h>
#include "base/mem.h"
#include "net/networks.h"

void addresses_fini(struct addresses *a)
{
    mem_free(a->list);
    *a = (struct addresses){0};
}

static void grow(struct addresses *a, uint32_t to)
{
    uint32_t n = a->n + a->n / 2 < to ? to : a->n + a->n / 2;
    a->list = mem_realloc(a->list, n * sizeof(*a->list));
    memset(a->list + a->n, 0, (n - a->n) * sizeof(*a->list));
    a->n = n;
}

/* The lower half of a number is its place, which others have after it. */
void addresses_set(struct addresses *a, uint64_t number, const struct in6_addr *client)
{
    uint32_t place = (uint32_t)number;
    if (client && place >= a->n)
        grow(a, place + 1);
    if (place < a->n)
        a->list[place] = client ? *client : (struct in6_addr){0};
}

void addresses_text(const struct in6_addr *ip, char out[ADDRESSES_TEXT])
{
    out[0] = 0;
    if (IN6_IS_ADDR_V4MAPPED(ip))
        inet_ntop(AF_INET, ip->s6_addr + 12, out, ADDRESSES_TEXT);
    else if (!IN6_IS_ADDR_UNSPECIFIED(ip))
        inet_ntop(AF_INET6, ip, out, ADDRESSES_TEXT);
}

void addresses_write(const struct addresses *a, uint64_t number, int fd, char out[ADDRESSES_TEXT])
{
    uint32_t place = (uint32_t)number;
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    struct in6_addr ip = place < a->n ? a->list[place] : (struct in6_addr){0};
    if (IN6_IS_ADDR_UNSPECIFIED(&ip) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
        ip = networks_ip(&peer);
    addresses_text(&ip, out);
}
