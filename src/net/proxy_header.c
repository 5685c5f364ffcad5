#include "net/proxy_header.h"
#include <arpa/inet.h>
#include <string.h>
#include "net/networks.h"

#define V1_BEGIN STR("PROXY ")
#define V2_BEGIN STR("\r\n\r\n\0\r\nQUIT\n")

enum {
    V2_HEAD = 16,
    V2_LOCAL = 0x20, /* version and command */
    V2_PROXY = 0x21,
    V2_TCP4 = 0x11, /* family and transport */
    V2_TCP6 = 0x21,
    V2_TCP4_LEN = 12,
    V2_TCP6_LEN = 36,
};

/* Whether `bytes` begin so, as far as they go. */
static bool may_begin(struct str bytes, struct str with)
{
    size_t len = bytes.len < with.len ? bytes.len : with.len;
    return memcmp(bytes.p, with.p, len) == 0;
}

/* ---- version 1: a line ---- */

static bool read_port(struct str text, in_port_t *out)
{
    uint64_t port;
    if ((text.len > 1 && text.p[0] == '0') || !str_number(text, UINT16_MAX, &port))
        return false;
    *out = htons((uint16_t)port);
    return true;
}

static bool read_pair(struct sockaddr_storage *a, struct str ip, struct str port, int family)
{
    if (!networks_read_ip(a, ip) || a->ss_family != family)
        return false;
    return read_port(port, family == AF_INET ? &((struct sockaddr_in *)a)->sin_port
                                             : &((struct sockaddr_in6 *)a)->sin6_port);
}

static enum err read_line(struct proxy_header *out, struct str line)
{
    struct sockaddr_storage to;
    struct str protocol = str_cut(&line, ' ');
    if (str_eq(protocol, STR("UNKNOWN")))
        return ERR_OK;
    int family = str_eq(protocol, STR("TCP4"))   ? AF_INET
                 : str_eq(protocol, STR("TCP6")) ? AF_INET6
                                                 : AF_UNSPEC;
    struct str from_ip = str_cut(&line, ' '), to_ip = str_cut(&line, ' ');
    struct str from_port = str_cut(&line, ' '), to_port = line;
    if (family == AF_UNSPEC || !read_pair(&out->address, from_ip, from_port, family) ||
        !read_pair(&to, to_ip, to_port, family))
        return ERR_PROTO;
    out->has_address = true;
    return ERR_OK;
}

static enum err read_v1(struct proxy_header *out, struct str bytes)
{
    size_t max = bytes.len < PROXY_HEADER_V1_MAX ? bytes.len : PROXY_HEADER_V1_MAX;
    const char *end = memchr(bytes.p, '\n', max);
    if (!end)
        return max == PROXY_HEADER_V1_MAX ? ERR_PROTO : ERR_AGAIN;
    if (end[-1] != '\r')
        return ERR_PROTO;
    out->len = (size_t)(end + 1 - bytes.p);
    return read_line(out, str_make(bytes.p + V1_BEGIN.len, out->len - 2 - V1_BEGIN.len));
}

/* ---- version 2: binary ---- */

static enum err read_v2_address(struct proxy_header *out, unsigned family, struct str body)
{
    if (family == V2_TCP4 && body.len >= V2_TCP4_LEN) {
        struct sockaddr_in *a = (struct sockaddr_in *)&out->address;
        a->sin_family = AF_INET;
        memcpy(&a->sin_addr, body.p, 4);
        memcpy(&a->sin_port, body.p + 8, 2);
    } else if (family == V2_TCP6 && body.len >= V2_TCP6_LEN) {
        struct sockaddr_in6 *a = (struct sockaddr_in6 *)&out->address;
        a->sin6_family = AF_INET6;
        memcpy(&a->sin6_addr, body.p, 16);
        memcpy(&a->sin6_port, body.p + 32, 2);
    } else {
        /* Another family is for the receiver to pass over; a short one is broken. */
        return family == V2_TCP4 || family == V2_TCP6 ? ERR_PROTO : ERR_OK;
    }
    out->has_address = true;
    return ERR_OK;
}

static enum err read_v2(struct proxy_header *out, struct str bytes)
{
    if (bytes.len < V2_HEAD)
        return ERR_AGAIN;
    const unsigned char *head = (const unsigned char *)bytes.p;
    unsigned command = head[12], family = head[13];
    size_t len = (size_t)head[14] << 8 | head[15];
    if (command != V2_LOCAL && command != V2_PROXY)
        return ERR_PROTO;
    if (V2_HEAD + len > PROXY_HEADER_MAX)
        return ERR_LIMIT;
    if (bytes.len < V2_HEAD + len)
        return ERR_AGAIN;
    out->len = V2_HEAD + len;
    return command == V2_LOCAL ? ERR_OK
                               : read_v2_address(out, family, str_make(bytes.p + V2_HEAD, len));
}

enum err proxy_header_read(struct proxy_header *out, struct str bytes)
{
    *out = (struct proxy_header){0};
    if (may_begin(bytes, V1_BEGIN))
        return bytes.len < V1_BEGIN.len ? ERR_AGAIN : read_v1(out, bytes);
    if (may_begin(bytes, V2_BEGIN))
        return bytes.len < V2_BEGIN.len ? ERR_AGAIN : read_v2(out, bytes);
    return ERR_PROTO;
}
