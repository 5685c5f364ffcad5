/* tls_peer.h - certificates made on the spot, and clients that speak TLS, for tests of ours. */
#ifndef TESTS_TLS_PEER_H
#define TESTS_TLS_PEER_H
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/buf.h"
#include "net/tls.h"

/* Fuzzers use this, too, and have no cmocka. */
static inline void tls_peer_must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- certificates ---- */

struct tls_pem {
    struct buf certificate, key;
};

static inline void tls_pem_take(struct buf *out, BIO *bio)
{
    char *p;
    long len = BIO_get_mem_data(bio, &p);
    buf_add(out, p, (size_t)len);
    BIO_free(bio);
}

/* A certificate that signs itself, for names like "DNS:a.test,DNS:*.b.test". `subject` tells
 * certificates apart; `days` may be in the past. */
static inline void tls_pem_make(struct tls_pem *out, EVP_PKEY *key, const char *subject,
                                const char *names, int days)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -1000L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(x), (long)days * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    tls_peer_must(san != NULL);
    X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
    tls_peer_must(X509_sign(x, key, EVP_sha256()) > 0);
    *out = (struct tls_pem){BUF_INIT, BUF_INIT};
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    tls_pem_take(&out->certificate, bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    tls_pem_take(&out->key, bio);
    X509_free(x);
}

static inline void tls_pem_fini(struct tls_pem *p)
{
    buf_fini(&p->certificate);
    buf_fini(&p->key);
}

static inline struct tls_certificate tls_pem_as_certificate(const struct tls_pem *p)
{
    return (struct tls_certificate){buf_as_str(&p->certificate), buf_as_str(&p->key), "cert.pem",
                                    "key.pem"};
}

/* ---- a client ---- */

struct tls_client {
    SSL *ssl;
    int fd;
};

static inline SSL_CTX *tls_client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static inline struct tls_client tls_client_new(SSL_CTX *ctx, int fd)
{
    struct tls_client c = {SSL_new(ctx), fd};
    SSL_set_fd(c.ssl, fd);
    SSL_set_connect_state(c.ssl);
    return c;
}

static inline void tls_client_free(struct tls_client *c)
{
    /* Otherwise OpenSSL takes its sessions for bad ones. */
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    close(c->fd);
    ERR_clear_error();
}

/* A step of the handshake: SSL_ERROR_NONE when it is over. */
static inline int tls_client_shake(struct tls_client *c)
{
    ERR_clear_error();
    return SSL_get_error(c->ssl, SSL_connect(c->ssl));
}

/* What there is now of one record; -1: SSL_get_error in *error. */
static inline int tls_client_read(struct tls_client *c, char *p, int len, int *error)
{
    ERR_clear_error();
    int n = SSL_read(c->ssl, p, len);
    *error = SSL_get_error(c->ssl, n);
    return n > 0 ? n : -1;
}

static inline void tls_client_write(struct tls_client *c, const void *p, size_t len)
{
    ERR_clear_error();
    tls_peer_must(SSL_write(c->ssl, p, (int)len) == (int)len);
}

/* Why the last call has failed. */
static inline int tls_client_reason(void)
{
    return ERR_GET_REASON(ERR_peek_error());
}

#endif
