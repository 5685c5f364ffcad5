#include "cli/client_tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

struct client_tls_context {
    SSL_CTX *ctx;
};

struct client_tls {
    SSL *ssl;
    bool wants_out, broken;
};

/* ---- what connections share ---- */

static enum err complain(const char *what, char *why, size_t why_len)
{
    unsigned long e = ERR_peek_error();
    const char *detail =
        ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
    snprintf(why, why_len, "%s%s%s", what, detail ? ": " : "", detail ? detail : "");
    ERR_clear_error();
    return ERR_SYS;
}

static bool load_authorities(SSL_CTX *ctx, const char *ca_file)
{
    return (ca_file ? SSL_CTX_load_verify_file(ctx, ca_file)
                    : SSL_CTX_set_default_verify_paths(ctx)) == 1;
}

enum err client_tls_context_new(struct client_tls_context **out, enum client_tls_trust trust,
                                const char *ca_file, char *why, size_t why_len)
{
    ERR_clear_error();
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
        SSL_CTX_free(ctx);
        return complain("OpenSSL cannot speak TLS", why, why_len);
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (trust == CLIENT_TLS_VERIFY) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (!load_authorities(ctx, ca_file)) {
            SSL_CTX_free(ctx);
            return complain(ca_file ? ca_file : "the system names no authorities", why, why_len);
        }
    }
    *out = mem_alloc(sizeof(**out));
    (*out)->ctx = ctx;
    return ERR_OK;
}

void client_tls_context_free(struct client_tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

/* ---- one connection ---- */

/* Whose certificate it must be. A name is also sent, so that the server finds the right one. */
static bool set_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct client_tls *client_tls_new(struct client_tls_context *c, int fd, const char *host)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(c->ctx);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || !set_host(ssl, host)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_connect_state(ssl);
    struct client_tls *t = mem_zalloc(sizeof(*t));
    t->ssl = ssl;
    return t;
}

void client_tls_free(struct client_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    ERR_clear_error();
    mem_free(t);
}

bool client_tls_wants_out(const struct client_tls *t)
{
    return t->wants_out;
}

static void begin(struct client_tls *t)
{
    ERR_clear_error();
    t->wants_out = false;
    errno = 0;
}

/* What has become of a call that returned `r`, an errno; 0: the peer has ended. */
static int judge(struct client_tls *t, int r)
{
    int system = errno;
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_WRITE:
        t->wants_out = true;
        return EAGAIN;
    case SSL_ERROR_WANT_READ:
        return EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        t->broken = true;
        return system ? system : ECONNRESET;
    default:
        t->broken = true;
        return EPROTO;
    }
}

enum err client_tls_handshake(struct client_tls *t, char *why, size_t why_len)
{
    begin(t);
    int r = SSL_connect(t->ssl);
    if (r == 1)
        return ERR_OK;
    int error = judge(t, r);
    long verified = SSL_get_verify_result(t->ssl);
    if (error == EAGAIN)
        return ERR_AGAIN;
    if (error == EPROTO && verified != X509_V_OK) {
        snprintf(why, why_len, "the server's certificate is not good: %s",
                 X509_verify_cert_error_string(verified));
        return ERR_DENIED;
    }
    if (error == EPROTO)
        return complain("the TLS handshake failed", why, why_len);
    snprintf(why, why_len, "the server ended the TLS handshake");
    return ERR_SYS;
}

ssize_t client_tls_send(struct client_tls *t, const void *p, size_t len)
{
    size_t n;
    begin(t);
    int r = SSL_write_ex(t->ssl, p, len, &n);
    if (r == 1)
        return (ssize_t)n;
    errno = judge(t, r);
    return -1;
}

ssize_t client_tls_recv(struct client_tls *t, void *p, size_t len)
{
    size_t n;
    begin(t);
    int r = SSL_read_ex(t->ssl, p, len, &n);
    if (r == 1)
        return (ssize_t)n;
    errno = judge(t, r);
    return errno ? -1 : 0;
}

void client_tls_end(struct client_tls *t)
{
    if (t->broken || SSL_in_init(t->ssl))
        return;
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}
