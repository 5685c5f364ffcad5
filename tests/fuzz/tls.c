/* tls.c - what a peer may send instead of TLS, in its handshake or behind it: each call comes back,
 * and what is broken stays broken. */
#include "net/tls.h"
#include <errno.h>
#include "tls_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct tls_context *context;
static SSL_CTX *client_context;

static void set_up(void)
{
    char why[256];
    struct tls_pem pem;
    if (context)
        return;
    signal(SIGPIPE, SIG_IGN);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    tls_pem_make(&pem, key, "fuzz", "DNS:a.test", 90);
    const struct tls_certificate c = tls_pem_as_certificate(&pem);
    client_context = tls_client_context();
    tls_peer_must(tls_context_new(&context, &c, 1, NULL, why, sizeof(why)) == ERR_OK);
    tls_pem_fini(&pem);
    EVP_PKEY_free(key);
}

static void shake(struct tls *t, int fd)
{
    SSL *client = SSL_new(client_context);
    SSL_set_fd(client, fd);
    for (int i = 0; i < 10 && tls_is_shaking(t); i++) {
        SSL_connect(client);
        tls_handshake(t);
    }
    tls_peer_must(!tls_is_shaking(t));
    SSL_free(client);
}

static void take(struct tls *t)
{
    static char input[TLS_RECORD_BYTES];
    ssize_t n = 1;
    for (int i = 0; i < 1000 && tls_is_shaking(t); i++) {
        if (tls_handshake(t))
            return;
    }
    while (n > 0)
        n = tls_recv(t, input, sizeof(input));
    if (n < 0 && errno == EPROTO)
        tls_peer_must(tls_recv(t, input, sizeof(input)) <= 0);
}

/* The first byte says whether the handshake is over already, the second where the rest is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int fds[2];
    set_up();
    if (len < 2 || len > 100000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
        return 0;
    struct tls *t = tls_new(context, fds[0]);
    tls_peer_must(t != NULL);
    if (data[0] & 1)
        shake(t, fds[1]);
    size_t cut = (len - 2) * data[1] / 255;
    send(fds[1], data + 2, cut, MSG_DONTWAIT);
    take(t);
    send(fds[1], data + 2 + cut, len - 2 - cut, MSG_DONTWAIT);
    take(t);
    tls_sendv(t, &(struct iovec){(char[]){"answer"}, 6}, 1);
    tls_end(t);
    tls_free(t);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
