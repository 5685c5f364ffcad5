#include "net/tls.h"
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "net/tls_tickets.h"

#define LOG_AREA LOG_HTTP

/* What TLS 1.2 may use: forward secrecy and authenticated encryption (RFC 9325 section 4.2). */
#define TLS_12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

struct tls_context {
    atomic_uint refs;
    struct tls_tickets *tickets; /* a reference */
    int64_t expires;
    unsigned n;
    SSL_CTX *of[]; /* for each certificate */
};

struct tls {
    SSL *ssl;
    struct tls_context *context; /* a reference: the handshake asks it for a certificate */
    uint64_t written;            /* when tls_has_moved was asked last */
    uint32_t begun;
    bool shaking, wants_out, sent_by_kernel;
    bool broken; /* or ended: nothing may be said any more, not even goodbye */
};

/* ---- certificates ---- */

/* Nobody is asked for one: the process has no terminal. */
static int no_passphrase(char *out, int size, int writes, void *ctx)
{
    (void)out;
    (void)size;
    (void)writes;
    (void)ctx;
    return -1;
}

static enum err complain(char *why, size_t why_len, const char *name, const char *what)
{
    const char *detail = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(why, why_len, "%s%s%s%s%s", name, what, detail ? " (" : "", detail ? detail : "",
             detail ? ")" : "");
    ERR_clear_error();
    return ERR_PROTO;
}

/* The certificates that stand behind the first one. */
static bool read_chain(SSL_CTX *ctx, BIO *pem)
{
    X509 *x;
    while ((x = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL))) {
        if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
            X509_free(x);
            return false;
        }
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (at_end)
        ERR_clear_error();
    return at_end;
}

static enum err read_certificate(SSL_CTX *ctx, const struct tls_certificate *c, char *why,
                                 size_t why_len)
{
    enum err e = ERR_OK;
    BIO *pem = BIO_new_mem_buf(c->certificate.p, (int)c->certificate.len);
    X509 *x = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
    if (!x || SSL_CTX_use_certificate(ctx, x) != 1)
        e = complain(why, why_len, c->certificate_name,
                     " has no certificate in PEM that can be used");
    else if (!read_chain(ctx, pem))
        e = complain(why, why_len, c->certificate_name, " has a broken certificate in its chain");
    X509_free(x);
    BIO_free(pem);
    return e;
}

static enum err read_key(SSL_CTX *ctx, const struct tls_certificate *c, char *why, size_t why_len)
{
    enum err e = ERR_OK;
    BIO *pem = BIO_new_mem_buf(c->key.p, (int)c->key.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    if (!key) {
        e = complain(why, why_len, c->key_name, " has no private key in PEM without a passphrase");
    } else if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1) {
        ERR_clear_error();
        snprintf(why, why_len, "%s is not the key of %s", c->key_name, c->certificate_name);
        e = ERR_PROTO;
    } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        e = complain(why, why_len, c->key_name, " has a private key that cannot be used");
    }
    EVP_PKEY_free(key);
    BIO_free(pem);
    return e;
}

static int64_t expiry_of(const X509 *x)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(x));
    ASN1_TIME_free(epoch);
    return (int64_t)days * 86400 + seconds;
}

/* ---- the name a client asks for, and the protocol ---- */

static bool has_name(SSL_CTX *ctx, const char *name, unsigned flags)
{
    flags |= X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    return X509_check_host(SSL_CTX_get0_certificate(ctx), name, 0, flags, NULL) == 1;
}

/* A name that stands there goes before one that a wildcard covers. */
static SSL_CTX *choose(const struct tls_context *c, const char *name)
{
    static const unsigned rounds[] = {X509_CHECK_FLAG_NO_WILDCARDS, 0};
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < c->n; i++) {
            if (has_name(c->of[i], name, rounds[round]))
                return c->of[i];
        }
    }
    return c->of[0];
}

static int on_name(SSL *ssl, int *alert, void *context)
{
    (void)alert;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, choose(context, name));
    ERR_clear_error(); /* of names that are none */
    return SSL_TLSEXT_ERR_OK;
}

/* Called only for clients that offer some (RFC 7301). */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                        const unsigned char *offers, unsigned len, void *unused)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)unused;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, offers, len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A peer that asks for a renegotiation is told that there is none, and nothing more is read from
 * it: OpenSSL would not return from a read as long as such requests come. */
static void on_event(const SSL *ssl, int where, int value)
{
    if (where == SSL_CB_WRITE_ALERT && (value & 0xff) == SSL_AD_NO_RENEGOTIATION)
        SSL_set_shutdown((SSL *)ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

/* ---- the context ---- */

static void set_rules(SSL_CTX *ctx, struct tls_context *c)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, TLS_12_CIPHERS);
    /* A peer that ends without close_notify has ended: HTTP and WebSocket say by themselves what is
     * whole. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_ENABLE_KTLS);
    /* A quiet connection holds no record buffers: they are 17 KiB each. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A read returns behind each record that brings no data (new keys): with these alone a peer
     * could keep it for seconds. */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_info_callback(ctx, on_event);
    SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, c);
    /* Clients keep sessions, in their tickets; the server keeps none. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"gusher", 6);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_KEY_S);
    tls_tickets_use(c->tickets, ctx);
}

static enum err add_certificate(struct tls_context *c, const struct tls_certificate *from,
                                char *why, size_t why_len)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return complain(why, why_len, "OpenSSL", " cannot speak TLS");
    c->of[c->n++] = ctx;
    set_rules(ctx, c);
    enum err e = read_certificate(ctx, from, why, why_len);
    if (!e)
        e = read_key(ctx, from, why, why_len);
    if (e)
        return e;
    int64_t expires = expiry_of(SSL_CTX_get0_certificate(ctx));
    if (c->n == 1 || expires < c->expires)
        c->expires = expires;
    return ERR_OK;
}

enum err tls_context_new(struct tls_context **out, const struct tls_certificate *list, unsigned n,
                         const struct tls_context *before, char *why, size_t why_len)
{
    assert(n && n <= TLS_CERTIFICATES_MAX);
    struct tls_context *c = mem_zalloc(sizeof(*c) + n * sizeof(c->of[0]));
    enum err e = ERR_OK;
    atomic_init(&c->refs, 1);
    c->tickets = before ? tls_tickets_ref(before->tickets) : tls_tickets_new();
    ERR_clear_error();
    for (unsigned i = 0; !e && i < n; i++)
        e = add_certificate(c, &list[i], why, why_len);
    if (e) {
        tls_context_unref(c);
        return e;
    }
    *out = c;
    return ERR_OK;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < c->n; i++)
        SSL_CTX_free(c->of[i]);
    tls_tickets_unref(c->tickets);
    mem_free(c);
}

int64_t tls_context_expires(const struct tls_context *c)
{
    return c->expires;
}

/* ---- one connection ---- */

struct tls *tls_new(struct tls_context *c, int fd)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(c->of[0]);
    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    struct tls *t = mem_zalloc(sizeof(*t));
    t->ssl = ssl;
    t->context = tls_context_ref(c);
    t->shaking = true;
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    ERR_clear_error();
    tls_context_unref(t->context);
    mem_free(t);
}

bool tls_is_shaking(const struct tls *t)
{
    return t->shaking;
}

bool tls_wants_out(const struct tls *t)
{
    return t->wants_out;
}

bool tls_is_sent_by_kernel(const struct tls *t)
{
    return t->sent_by_kernel;
}

size_t tls_begun(const struct tls *t)
{
    return t->begun;
}

bool tls_has_moved(struct tls *t)
{
    uint64_t before = t->written;
    t->written = BIO_number_written(SSL_get_wbio(t->ssl));
    return t->written != before;
}

/* OpenSSL keeps what went wrong in a queue of the thread: what is in there from before, of another
 * connection or a JWT, would be taken for this call's. So it is emptied before each. */
static void begin(struct tls *t)
{
    ERR_clear_error();
    t->wants_out = false;
    errno = 0;
}

/* What has become of a call that returned `r`, an errno; 0: the peer has ended. */
static int judge(struct tls *t, int r)
{
    int system = errno;
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->wants_out = true;
        return EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        t->broken = true;
        return system ? system : ECONNRESET;
    default: {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        LOG(LOG_DEBUG, "tls_failed", LOG_CSTR("reason", reason ? reason : "unknown"));
        t->broken = true;
        return EPROTO;
    }
    }
}

enum err tls_handshake(struct tls *t)
{
    begin(t);
    int r = SSL_accept(t->ssl);
    if (r == 1) {
        t->shaking = false;
        t->sent_by_kernel = BIO_get_ktls_send(SSL_get_wbio(t->ssl));
        return ERR_OK;
    }
    switch (judge(t, r)) {
    case EAGAIN:
        return ERR_AGAIN;
    case EPROTO:
        return ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST ? ERR_DENIED : ERR_PROTO;
    default:
        return ERR_SYS;
    }
}

ssize_t tls_recv(struct tls *t, void *p, size_t len)
{
    size_t n;
    assert(len >= TLS_RECORD_BYTES);
    begin(t);
    int r = SSL_read_ex(t->ssl, p, len, &n);
    if (r == 1)
        return (ssize_t)n;
    errno = judge(t, r);
    return errno ? -1 : 0;
}

/* The first `max` bytes, or all if there are fewer; where they lie. */
static const void *gather(const struct iovec *iov, unsigned n, size_t max, size_t *len)
{
    static _Thread_local char together[TLS_RECORD_BYTES];
    *len = iov[0].iov_len < max ? iov[0].iov_len : max;
    if (n == 1 || *len == max)
        return iov[0].iov_base;
    *len = 0;
    for (unsigned i = 0; i < n && *len < max; i++) {
        size_t part = iov[i].iov_len < max - *len ? iov[i].iov_len : max - *len;
        memcpy(together + *len, iov[i].iov_base, part);
        *len += part;
    }
    return together;
}

ssize_t tls_sendv(struct tls *t, const struct iovec *iov, unsigned n)
{
    size_t len, written;
    /* What could not be written is tried again as it was: the same bytes, and as many. */
    const void *p = gather(iov, n, t->begun ? t->begun : TLS_RECORD_BYTES, &len);
    bool wanted_out = t->wants_out;
    assert(!t->begun || t->begun == len);
    begin(t);
    int r = SSL_write_ex(t->ssl, p, len, &written);
    if (r == 1) {
        t->begun = 0;
        return (ssize_t)written;
    }
    errno = judge(t, r);
    if (errno == EAGAIN && t->wants_out) {
        t->begun = (uint32_t)len;
        t->wants_out = wanted_out;
        return -1;
    }
    /* Writing never waits for the peer: there is no renegotiation. */
    if (!errno || errno == EAGAIN)
        errno = EPROTO;
    return -1;
}

enum err tls_end(struct tls *t)
{
    if (t->shaking || t->broken || t->begun)
        return ERR_OK;
    ERR_clear_error();
    /* 0 is said, 1 is said by both; the alert itself may wait, then it is sent by the next call. */
    int r = SSL_shutdown(t->ssl);
    bool waits = r < 0 && SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();
    t->broken = !waits;
    return waits ? ERR_AGAIN : ERR_OK;
}
