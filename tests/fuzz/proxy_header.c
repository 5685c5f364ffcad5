/* proxy_header.c - PROXY headers: what is read is read from every beginning of it alike. */
#include "net/proxy_header.h"
#include <stdint.h>
#include <stdlib.h>
#include "net/networks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str bytes = {len ? (const char *)data : "", len};
    struct proxy_header h, again;
    enum err e = proxy_header_read(&h, bytes);
    if (e == ERR_OK) {
        if (!h.len || h.len > len || h.len > PROXY_HEADER_MAX ||
            proxy_header_read(&again, str_make(bytes.p, h.len)) != ERR_OK || again.len != h.len ||
            proxy_header_read(&again, str_make(bytes.p, h.len - 1)) != ERR_AGAIN)
            abort();
    } else if (e == ERR_AGAIN && len >= PROXY_HEADER_MAX) {
        abort();
    }
    /* The same bytes as X-Forwarded-For, and as a list of networks. */
    struct networks n = {.n = 0};
    struct sockaddr_storage client;
    networks_add(&n, STR("0.0.0.0/0"));
    networks_forwarded(&n, bytes, &client);
    networks_add(&n, bytes);
    return 0;
}
