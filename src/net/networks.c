#include "net/networks.h"
#include <arpa/inet.h>
#include <string.h>

enum { V4_BITS = 96, ALL_BITS = 128 };

static const unsigned char v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

/* All as IPv6. False: neither of both families. */
static bool ip_of(const struct sockaddr_storage *a, unsigned char ip[16])
{
    if (a->ss_family == AF_INET6) {
        memcpy(ip, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
        return true;
    }
    memcpy(ip, v4_mapped, sizeof(v4_mapped));
    memcpy(ip + 12, &((const struct sockaddr_in *)a)->sin_addr, 4);
    return a->ss_family == AF_INET;
}

struct in6_addr networks_ip(const struct sockaddr_storage *address)
{
    struct in6_addr ip;
    return ip_of(address, ip.s6_addr) ? ip : (struct in6_addr){0};
}

bool networks_read_ip(struct sockaddr_storage *out, struct str text)
{
    char copy[INET6_ADDRSTRLEN];
    if (!text.len || text.len >= sizeof(copy) || memchr(text.p, 0, text.len))
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = 0;
    *out = (struct sockaddr_storage){.ss_family = AF_INET};
    if (inet_pton(AF_INET, copy, &((struct sockaddr_in *)out)->sin_addr) == 1)
        return true;
    *out = (struct sockaddr_storage){.ss_family = AF_INET6};
    return inet_pton(AF_INET6, copy, &((struct sockaddr_in6 *)out)->sin6_addr) == 1;
}

static bool is_port(struct str text)
{
    uint64_t port;
    return str_number(text, UINT16_MAX, &port);
}

bool networks_read_address(struct sockaddr_storage *out, struct str text)
{
    struct str rest = text, host;
    if (text.len && text.p[0] == '[') {
        host = str_cut(&rest, ']');
        if (host.len + 1 > text.len || text.p[host.len] != ']')
            return false;
        bool ends = !rest.len || (rest.p[0] == ':' && is_port(str_make(rest.p + 1, rest.len - 1)));
        return ends && networks_read_ip(out, str_make(host.p + 1, host.len - 1)) &&
               out->ss_family == AF_INET6;
    }
    if (networks_read_ip(out, text))
        return true;
    host = str_cut(&rest, ':');
    return is_port(rest) && networks_read_ip(out, host) && out->ss_family == AF_INET;
}

/* ---- lists ---- */

static enum err read_network(struct network *n, struct str text)
{
    struct sockaddr_storage address;
    bool has_bits = text.len && memchr(text.p, '/', text.len);
    struct str ip = str_cut(&text, '/');
    if (!networks_read_ip(&address, ip))
        return ERR_PROTO;
    bool is_v4 = address.ss_family == AF_INET;
    uint64_t most = is_v4 ? ALL_BITS - V4_BITS : ALL_BITS, bits = most;
    if (has_bits && !str_number(text, most, &bits))
        return ERR_PROTO;
    ip_of(&address, n->ip);
    n->bits = (unsigned)bits + (is_v4 ? V4_BITS : 0);
    return ERR_OK;
}

enum err networks_add(struct networks *n, struct str list)
{
    while (list.len) {
        struct str one = str_trim(str_cut(&list, ','));
        if (n->n == NETWORKS_MAX)
            return ERR_LIMIT;
        if (read_network(&n->list[n->n], one))
            return ERR_PROTO;
        n->n++;
    }
    return ERR_OK;
}

static bool has(const struct network *n, const unsigned char ip[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(n->ip, ip, whole) != 0)
        return false;
    return !rest || (n->ip[whole] ^ ip[whole]) >> (8 - rest) == 0;
}

bool networks_have(const struct networks *n, const struct sockaddr_storage *address)
{
    unsigned char ip[16];
    if (!ip_of(address, ip))
        return false;
    for (unsigned i = 0; i < n->n; i++) {
        if (has(&n->list[i], ip))
            return true;
    }
    return false;
}

/* Cuts the last entry of a list off. */
static struct str cut_last(struct str *list)
{
    size_t at = list->len;
    while (at > 0 && list->p[at - 1] != ',')
        at--;
    struct str last = str_make(list->p + at, list->len - at);
    list->len = at ? at - 1 : 0;
    return str_trim(last);
}

bool networks_forwarded(const struct networks *trusted, struct str forwarded,
                        struct sockaddr_storage *out)
{
    struct sockaddr_storage next;
    bool any = false;
    while (forwarded.len && networks_read_address(&next, cut_last(&forwarded))) {
        *out = next;
        any = true;
        if (!networks_have(trusted, &next))
            break;
    }
    return any;
}
