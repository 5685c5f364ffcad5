/* The server's side against OpenSSL's client, over socket pairs. */
#include "net/tls.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <cmocka.h>
#include "base/mem.h"
#include "prng.h"
#include "tls_peer.h"

static EVP_PKEY *keys[2];
static struct tls_pem first, second; /* a.test and *.b.test; x.b.test */
static struct tls_context *context;  /* of the two */
static SSL_CTX *client_context;
static char big[200000];

static struct tls_context *make_context(const struct tls_context *before)
{
    const struct tls_certificate list[] = {tls_pem_as_certificate(&first),
                                           tls_pem_as_certificate(&second)};
    struct tls_context *c;
    char why[256];
    assert_int_equal(tls_context_new(&c, list, 2, before, why, sizeof why), ERR_OK);
    return c;
}

static int set_up_group(void **unused)
{
    (void)unused;
    signal(SIGPIPE, SIG_IGN);
    keys[0] = EVP_EC_gen("P-256");
    keys[1] = EVP_EC_gen("P-256");
    tls_pem_make(&first, keys[0], "first", "DNS:a.test,DNS:*.b.test", 90);
    tls_pem_make(&second, keys[1], "second", "DNS:x.b.test", 30);
    struct prng r = {7};
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)prng_below(&r, 256);
    return 0;
}

static int tear_down_group(void **unused)
{
    (void)unused;
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    tls_pem_fini(&first);
    tls_pem_fini(&second);
    return 0;
}

static int set_up(void **unused)
{
    (void)unused;
    context = make_context(NULL);
    client_context = tls_client_context();
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    tls_context_unref(context);
    SSL_CTX_free(client_context);
    return 0;
}

/* ---- a pair ---- */

struct pair {
    struct tls *tls;
    int fd;
    struct tls_client client;
};

static void pair_open(struct pair *p)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *p = (struct pair){tls_new(context, fds[0]), fds[0], tls_client_new(client_context, fds[1])};
    assert_non_null(p->tls);
    assert_true(tls_is_shaking(p->tls));
}

/* Takes turns until both are through, or one fails; what the server's last step gave. */
static enum err pair_shake(struct pair *p)
{
    enum err e = ERR_AGAIN;
    for (int turns = 0; turns < 20; turns++) {
        int error = tls_client_shake(&p->client);
        if (e == ERR_AGAIN)
            e = tls_handshake(p->tls);
        if (error == SSL_ERROR_NONE && !e)
            return ERR_OK;
        if (e != ERR_AGAIN && e != ERR_OK)
            return e;
    }
    return e;
}

static void pair_close(struct pair *p)
{
    tls_free(p->tls);
    if (p->fd >= 0)
        close(p->fd);
    tls_client_free(&p->client);
}

static void pair_make(struct pair *p)
{
    pair_open(p);
    assert_int_equal(pair_shake(p), ERR_OK);
    assert_false(tls_is_shaking(p->tls));
}

static ssize_t send_text(struct pair *p, const char *text)
{
    return tls_sendv(p->tls, &(struct iovec){(void *)text, strlen(text)}, 1);
}

static void expect_at_client(struct pair *p, const char *text)
{
    static char got[2 * TLS_RECORD_BYTES];
    int error, n = tls_client_read(&p->client, got, sizeof got, &error);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, (size_t)n);
}

static void expect_at_server(struct pair *p, const void *bytes, size_t len)
{
    static char got[TLS_RECORD_BYTES];
    assert_int_equal(tls_recv(p->tls, got, sizeof got), len);
    assert_memory_equal(got, bytes, len);
}

static void expect_nothing(struct pair *p)
{
    static char got[TLS_RECORD_BYTES];
    assert_int_equal(tls_recv(p->tls, got, sizeof got), -1);
    assert_int_equal(errno, EAGAIN);
}

static bool has_input(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

/* ---- talking ---- */

static void talks(void **unused)
{
    (void)unused;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        struct pair p;
        SSL_CTX_set_min_proto_version(client_context, versions[i]);
        SSL_CTX_set_max_proto_version(client_context, versions[i]);
        pair_make(&p);
        assert_int_equal(SSL_version(p.client.ssl), versions[i]);
        expect_nothing(&p);
        tls_client_write(&p.client, "question", 8);
        expect_at_server(&p, "question", 8);
        expect_nothing(&p);
        assert_int_equal(send_text(&p, "answer"), 6);
        expect_at_client(&p, "answer");
        pair_close(&p);
    }
}

static void many_pieces_are_one_record(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    struct iovec pieces[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};
    assert_int_equal(tls_sendv(p.tls, pieces, 4), 13);
    expect_at_client(&p, "one two three");
    pair_close(&p);
}

/* A write is at most one record, and takes of the last piece what still fits. */
static void large_writes_fill_records(void **unused)
{
    (void)unused;
    struct pair p;
    char got[TLS_RECORD_BYTES + 1];
    int error;
    pair_make(&p);
    struct iovec pieces[] = {{big, 10000}, {big + 10000, 10000}, {big + 20000, 10000}};
    assert_int_equal(tls_sendv(p.tls, pieces, 3), TLS_RECORD_BYTES);
    assert_int_equal(tls_client_read(&p.client, got, sizeof got, &error), TLS_RECORD_BYTES);
    assert_memory_equal(got, big, TLS_RECORD_BYTES);
    assert_int_equal(tls_sendv(p.tls, &(struct iovec){big, sizeof big}, 1), TLS_RECORD_BYTES);
    assert_int_equal(tls_client_read(&p.client, got, sizeof got, &error), TLS_RECORD_BYTES);
    assert_memory_equal(got, big, TLS_RECORD_BYTES);
    pair_close(&p);
}

/* What a read leaves is left in the descriptor, where epoll sees it. */
static void reads_leave_nothing_unseen(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    tls_client_write(&p.client, "one", 3);
    tls_client_write(&p.client, big, TLS_RECORD_BYTES);
    tls_client_write(&p.client, "three", 5);
    expect_at_server(&p, "one", 3);
    assert_true(has_input(p.fd));
    expect_at_server(&p, big, TLS_RECORD_BYTES);
    assert_true(has_input(p.fd));
    expect_at_server(&p, "three", 5);
    assert_false(has_input(p.fd));
    pair_close(&p);
}

static void small_buffer(int fd)
{
    int bytes = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

/* Writes the whole of `big`, in pieces of all sizes, through a descriptor that takes little: what
 * is begun is offered again, in front of more. */
static void goes_on_with_what_is_begun(void **unused)
{
    (void)unused;
    struct pair p;
    struct prng r = {3};
    static char got[sizeof big];
    size_t sent = 0, came = 0;
    unsigned stalls = 0;
    pair_make(&p);
    small_buffer(p.fd);
    while (came < sizeof big) {
        struct iovec pieces[40];
        unsigned n = 0;
        for (size_t at = sent; at < sizeof big && n < 40; n++) {
            size_t len = 1 + prng_below(&r, 2000);
            if (len > sizeof big - at)
                len = sizeof big - at;
            pieces[n] = (struct iovec){big + at, len};
            at += len;
        }
        ssize_t len = n ? tls_sendv(p.tls, pieces, n) : 0;
        if (len > 0) {
            sent += (size_t)len;
            assert_int_equal(tls_begun(p.tls), 0);
            continue;
        }
        if (len < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_true(tls_begun(p.tls) > 0);
            assert_false(tls_wants_out(p.tls)); /* that is about reading */
            stalls++;
        }
        int error, some = tls_client_read(&p.client, got + came, (int)(sizeof got - came), &error);
        came += some > 0 ? (size_t)some : 0;
    }
    assert_memory_equal(got, big, sizeof big);
    assert_true(stalls > 10);
    pair_close(&p);
}

/* What another connection, or a bad JWT, has left in the thread's queue of errors is not ours. */
static void errors_of_others_do_not_count(void **unused)
{
    (void)unused;
    struct pair p;
    pair_open(&p);
    tls_client_shake(&p.client);
    ERR_raise(ERR_LIB_RSA, ERR_R_INTERNAL_ERROR);
    assert_int_equal(tls_handshake(p.tls), ERR_AGAIN);
    assert_int_equal(pair_shake(&p), ERR_OK);
    ERR_raise(ERR_LIB_RSA, ERR_R_INTERNAL_ERROR);
    expect_nothing(&p);
    small_buffer(p.fd);
    ssize_t n = 1;
    while (n > 0) {
        ERR_raise(ERR_LIB_RSA, ERR_R_INTERNAL_ERROR);
        n = tls_sendv(p.tls, &(struct iovec){big, TLS_RECORD_BYTES}, 1);
    }
    assert_int_equal(errno, EAGAIN);
    pair_close(&p);
    ERR_clear_error();
}

/* A client may change its keys and ask for new ones of ours; the answer may not fit out at once. */
static void keys_are_updated(void **unused)
{
    (void)unused;
    struct pair p;
    static char got[TLS_RECORD_BYTES];
    int error;
    SSL_CTX_set_min_proto_version(client_context, TLS1_3_VERSION);
    pair_make(&p);
    small_buffer(p.fd);
    while (send(p.fd, "", 0, 0) == 0 && tls_sendv(p.tls, &(struct iovec){big, 1000}, 1) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    size_t begun = tls_begun(p.tls);
    assert_int_equal(SSL_key_update(p.client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    tls_client_write(&p.client, "new", 3);
    /* Reads, or waits to say its own update first. */
    ssize_t n = tls_recv(p.tls, got, sizeof got);
    if (n < 0)
        assert_int_equal(errno, EAGAIN);
    size_t came = 0;
    for (int turns = 0; turns < 100 && (n < 0 || begun); turns++) {
        int some = tls_client_read(&p.client, got, sizeof got, &error);
        came += some > 0 ? (size_t)some : 0;
        if (begun && tls_sendv(p.tls, &(struct iovec){big, 1000}, 1) > 0)
            begun = 0;
        if (n < 0)
            n = tls_recv(p.tls, got, sizeof got);
    }
    assert_int_equal(n, 3);
    assert_int_equal(begun, 0);
    assert_int_equal(send_text(&p, "end"), 3);
    int some;
    while ((some = tls_client_read(&p.client, got, sizeof got, &error)) == 1000)
        came += 1000;
    assert_int_equal(some, 3);
    assert_memory_equal(got, "end", 3);
    assert_int_equal(came % 1000, 0);
    pair_close(&p);
}

/* Records without data, as many as a peer likes: each read takes one, and others have their turn.
 */
static void new_keys_alone_keep_nobody(void **unused)
{
    (void)unused;
    struct pair p;
    int before = 0, after = 0;
    SSL_CTX_set_min_proto_version(client_context, TLS1_3_VERSION);
    pair_make(&p);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(SSL_key_update(p.client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(p.client.ssl), 1);
    }
    tls_client_write(&p.client, "new", 3);
    ioctl(p.fd, FIONREAD, &before);
    for (int i = 0; i < 50; i++) {
        expect_nothing(&p);
        ioctl(p.fd, FIONREAD, &after);
        assert_in_range(before - after, 1, 100);
        before = after;
    }
    expect_at_server(&p, "new", 3);
    pair_close(&p);
}

static void renegotiates_nothing(void **unused)
{
    (void)unused;
    struct pair p;
    static char got[TLS_RECORD_BYTES];
    SSL_CTX_set_max_proto_version(client_context, TLS1_2_VERSION);
    pair_make(&p);
    assert_int_equal(SSL_renegotiate(p.client.ssl), 1);
    SSL_do_handshake(p.client.ssl);
    tls_recv(p.tls, got, sizeof got);
    /* Nothing more is read: who asks again and again would keep the read. */
    errno = 0;
    ssize_t n = tls_recv(p.tls, got, sizeof got);
    assert_true(n == 0 || (n < 0 && errno != EAGAIN));
    ERR_clear_error();
    assert_true(SSL_do_handshake(p.client.ssl) <= 0);
    assert_int_equal(tls_client_reason(), SSL_R_NO_RENEGOTIATION);
    pair_close(&p);
}

/* ---- the end ---- */

static void says_and_hears_the_end(void **unused)
{
    (void)unused;
    struct pair p;
    static char got[TLS_RECORD_BYTES];
    int error;
    pair_make(&p);
    tls_end(p.tls);
    tls_end(p.tls);
    assert_int_equal(tls_client_read(&p.client, got, sizeof got, &error), -1);
    assert_int_equal(error, SSL_ERROR_ZERO_RETURN);
    SSL_shutdown(p.client.ssl);
    assert_int_equal(tls_recv(p.tls, got, sizeof got), 0);
    pair_close(&p);

    /* Without a word is an end, too. */
    pair_make(&p);
    assert_int_equal(shutdown(p.client.fd, SHUT_WR), 0);
    assert_int_equal(tls_recv(p.tls, got, sizeof got), 0);
    pair_close(&p);
}

static void tells_of_a_broken_connection(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    close(p.client.fd);
    ssize_t n;
    while ((n = tls_sendv(p.tls, &(struct iovec){big, 1000}, 1)) > 0)
        ;
    assert_int_equal(errno, EPIPE);
    tls_end(p.tls); /* says nothing any more */
    tls_free(p.tls);
    close(p.fd);
    SSL_free(p.client.ssl);
}

static void tells_of_broken_records(void **unused)
{
    (void)unused;
    struct pair p;
    static char got[TLS_RECORD_BYTES];
    pair_make(&p);
    const char forged[] = "\x17\x03\x03\x00\x20this is not sealed by anybody!!!";
    assert_int_equal(send(p.client.fd, forged, 37, 0), 37);
    assert_int_equal(tls_recv(p.tls, got, sizeof got), -1);
    assert_int_equal(errno, EPROTO);
    /* And stays broken. */
    assert_int_equal(tls_recv(p.tls, got, sizeof got), -1);
    assert_int_not_equal(errno, EAGAIN);
    pair_close(&p);
}

/* ---- handshakes that fail ---- */

/* The client's first flight. */
static size_t first_flight(char *out, size_t len)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct tls_client c = tls_client_new(client_context, fds[1]);
    assert_int_equal(tls_client_shake(&c), SSL_ERROR_WANT_READ);
    ssize_t n = recv(fds[0], out, len, 0);
    assert_true(n > 100);
    tls_client_free(&c);
    close(fds[0]);
    return (size_t)n;
}

/* Byte by byte it waits for more; a peer that ends anywhere ends it. */
static void peer_ends_in_the_handshake(void **unused)
{
    (void)unused;
    char flight[4096];
    size_t len = first_flight(flight, sizeof flight);
    for (size_t cut = 0; cut < len; cut++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        struct tls *t = tls_new(context, fds[0]);
        size_t step = cut == len - 1 ? 1 : cut;
        for (size_t i = 0; i < cut; i += step) {
            assert_int_equal(send(fds[1], flight + i, step, 0), step);
            assert_int_equal(tls_handshake(t), ERR_AGAIN);
        }
        assert_int_equal(tls_handshake(t), ERR_AGAIN);
        assert_false(tls_wants_out(t));
        close(fds[1]);
        assert_int_equal(tls_handshake(t), ERR_SYS);
        tls_free(t);
        close(fds[0]);
    }
}

/* Bytes turned at random: refused, or (where they do not matter) gone on with. */
static void garbage_is_refused(void **unused)
{
    (void)unused;
    struct prng r = {11};
    char flight[4096];
    size_t len = first_flight(flight, sizeof flight);
    unsigned refused = 0;
    for (int round = 0; round < 500; round++) {
        int fds[2];
        char bad[4096];
        memcpy(bad, flight, len);
        if (round % 5 == 0) {
            for (size_t i = 0; i < len; i++)
                bad[i] = (char)prng_below(&r, 256);
        } else {
            for (int i = 0; i < 3; i++)
                bad[prng_below(&r, (unsigned)len)] ^= (char)(1 + prng_below(&r, 255));
        }
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        struct tls *t = tls_new(context, fds[0]);
        assert_int_equal(send(fds[1], bad, len, 0), len);
        enum err e = tls_handshake(t);
        assert_true(e == ERR_PROTO || e == ERR_AGAIN);
        refused += e == ERR_PROTO;
        shutdown(fds[1], SHUT_WR);
        e = tls_handshake(t);
        assert_true(e == ERR_PROTO || e == ERR_SYS);
        tls_end(t);
        tls_free(t);
        close(fds[0]);
        close(fds[1]);
    }
    assert_true(refused > 100);
}

static void plain_http_is_told_apart(void **unused)
{
    (void)unused;
    static const char *const requests[] = {"GET / HTTP/1.1\r\n\r\n", "POST /api HTTP/1.1\r\n\r\n",
                                           "HEAD / HTTP/1.1\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        struct tls *t = tls_new(context, fds[0]);
        assert_true(send(fds[1], requests[i], strlen(requests[i]), 0) > 0);
        assert_int_equal(tls_handshake(t), ERR_DENIED);
        assert_false(has_input(fds[1]));
        tls_free(t);
        close(fds[0]);
        close(fds[1]);
    }
}

static void old_versions_are_refused(void **unused)
{
    (void)unused;
    struct pair p;
    SSL_CTX_set_security_level(client_context, 0);
    SSL_CTX_set_min_proto_version(client_context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(client_context, TLS1_1_VERSION);
    pair_open(&p);
    assert_int_equal(pair_shake(&p), ERR_PROTO);
    assert_int_equal(tls_client_shake(&p.client), SSL_ERROR_SSL);
    assert_int_equal(tls_client_reason(), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    pair_close(&p);
}

static void old_ciphers_are_refused(void **unused)
{
    (void)unused;
    static const char *const ciphers[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"};
    SSL_CTX_set_max_proto_version(client_context, TLS1_2_VERSION);
    for (int i = 0; i < 2; i++) {
        struct pair p;
        assert_int_equal(SSL_CTX_set_cipher_list(client_context, ciphers[i]), 1);
        pair_open(&p);
        assert_int_equal(pair_shake(&p), ERR_PROTO);
        pair_close(&p);
    }
}

/* ---- protocols ---- */

static void speaks_http_1_1_alone(void **unused)
{
    (void)unused;
    static const struct {
        const char *offers;
        unsigned len;
        bool taken;
    } cases[] = {{"\x08http/1.1", 9, true},
                 {"\x02h2\x08http/1.1", 12, true},
                 {"\x02h2", 3, false},
                 {"\x02h2\x08http/1.0", 12, false}};
    for (unsigned i = 0; i < 4; i++) {
        struct pair p;
        const unsigned char *chosen;
        unsigned len;
        pair_open(&p);
        SSL_set_alpn_protos(p.client.ssl, (const unsigned char *)cases[i].offers, cases[i].len);
        assert_int_equal(pair_shake(&p), cases[i].taken ? ERR_OK : ERR_PROTO);
        if (cases[i].taken) {
            SSL_get0_alpn_selected(p.client.ssl, &chosen, &len);
            assert_int_equal(len, 8);
            assert_memory_equal(chosen, "http/1.1", 8);
        } else {
            assert_int_equal(tls_client_shake(&p.client), SSL_ERROR_SSL);
            assert_int_equal(tls_client_reason(), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        }
        pair_close(&p);
    }
}

/* ---- names ---- */

static void expect_certificate(SSL *client, const char *subject)
{
    char name[64];
    X509 *x = SSL_get1_peer_certificate(client);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
    assert_string_equal(name, subject);
    X509_free(x);
}

static void the_name_chooses_the_certificate(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *subject;
    } cases[] = {{NULL, "first"},
                 {"a.test", "first"},
                 {"A.TEST", "first"},
                 {"x.b.test", "second"}, /* before the wildcard that stands in front */
                 {"X.b.test", "second"},
                 {"y.b.test", "first"},
                 {"y.x.b.test", "first"}, /* nobody's: the default */
                 {"second", "first"},     /* the subject is no name */
                 {"unknown.test", "first"},
                 {"127.0.0.1", "first"}};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_min_proto_version(client_context, version);
        SSL_CTX_set_max_proto_version(client_context, version);
        for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct pair p;
            pair_open(&p);
            if (cases[i].name)
                SSL_set_tlsext_host_name(p.client.ssl, cases[i].name);
            assert_int_equal(pair_shake(&p), ERR_OK);
            expect_certificate(p.client.ssl, cases[i].subject);
            pair_close(&p);
        }
    }
}

/* Names choose among all that there are, whose turn comes when no name fits stays the first. */
static void wildcards_cover_one_label(void **unused)
{
    (void)unused;
    static const char *const names[] = {"b.test", "a.b.test", "a.b.b.test", ".b.test", "ab.test"};
    struct tls_pem wild;
    struct tls_context *before = context;
    tls_pem_make(&wild, keys[1], "wild", "DNS:*.b.test", 90);
    const struct tls_certificate list[] = {tls_pem_as_certificate(&second),
                                           tls_pem_as_certificate(&wild)};
    char why[256];
    assert_int_equal(tls_context_new(&context, list, 2, NULL, why, sizeof why), ERR_OK);
    for (int i = 0; i < 5; i++) {
        struct pair p;
        pair_open(&p);
        SSL_set_tlsext_host_name(p.client.ssl, names[i]);
        assert_int_equal(pair_shake(&p), ERR_OK);
        expect_certificate(p.client.ssl, i == 1 ? "wild" : "second");
        pair_close(&p);
    }
    tls_context_unref(context);
    context = before;
    tls_pem_fini(&wild);
}

/* A certificate for an address alone has no name, whatever its subject looks like. */
static void a_subject_is_no_name(void **unused)
{
    (void)unused;
    struct tls_pem nameless;
    struct tls_context *before = context;
    struct pair p;
    char why[256];
    tls_pem_make(&nameless, keys[1], "y.test", "IP:127.0.0.1", 90);
    const struct tls_certificate list[] = {tls_pem_as_certificate(&first),
                                           tls_pem_as_certificate(&nameless)};
    assert_int_equal(tls_context_new(&context, list, 2, NULL, why, sizeof why), ERR_OK);
    pair_open(&p);
    SSL_set_tlsext_host_name(p.client.ssl, "y.test");
    assert_int_equal(pair_shake(&p), ERR_OK);
    expect_certificate(p.client.ssl, "first");
    pair_close(&p);
    tls_context_unref(context);
    context = before;
    tls_pem_fini(&nameless);
}

/* ---- resumption ---- */

static SSL_SESSION *session_of_client(struct pair *p)
{
    char got[64];
    int error;
    /* With TLS 1.3 tickets come behind the handshake. */
    tls_client_read(&p->client, got, sizeof got, &error);
    return SSL_get1_session(p->client.ssl);
}

static bool resumes(SSL_SESSION *session, const char *name)
{
    struct pair p;
    pair_open(&p);
    SSL_set_session(p.client.ssl, session);
    SSL_set_tlsext_host_name(p.client.ssl, name);
    assert_int_equal(pair_shake(&p), ERR_OK);
    tls_client_write(&p.client, "x", 1);
    expect_at_server(&p, "x", 1);
    assert_int_equal(send_text(&p, "y"), 1);
    expect_at_client(&p, "y");
    bool reused = SSL_session_reused(p.client.ssl);
    pair_close(&p);
    return reused;
}

static void sessions_are_resumed(void **unused)
{
    (void)unused;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_min_proto_version(client_context, version);
        SSL_CTX_set_max_proto_version(client_context, version);
        for (int i = 0; i < 2; i++) {
            const char *name = i ? "x.b.test" : "a.test";
            struct pair p;
            pair_open(&p);
            SSL_set_tlsext_host_name(p.client.ssl, name);
            assert_int_equal(pair_shake(&p), ERR_OK);
            assert_false(SSL_session_reused(p.client.ssl));
            SSL_SESSION *session = session_of_client(&p);
            pair_close(&p);
            assert_true(resumes(session, name));
            /* With the context that follows, too, but not with one that knows nothing of it. */
            struct tls_context *before = context;
            context = make_context(before);
            assert_true(resumes(session, name));
            tls_context_unref(context);
            context = make_context(NULL);
            assert_false(resumes(session, name));
            tls_context_unref(context);
            context = before;
            SSL_SESSION_free(session);
        }
    }
}

/* ---- the context ---- */

/* An exchange in the middle of a handshake: it ends with what it began with. */
static void a_handshake_outlives_its_context(void **unused)
{
    (void)unused;
    struct pair p;
    pair_open(&p);
    SSL_set_tlsext_host_name(p.client.ssl, "x.b.test");
    tls_context_unref(context);
    assert_int_equal(pair_shake(&p), ERR_OK);
    expect_certificate(p.client.ssl, "second");
    pair_close(&p);
    context = make_context(NULL);
}

static void knows_when_the_first_expires(void **unused)
{
    (void)unused;
    int64_t in_days = (tls_context_expires(context) - (int64_t)time(NULL) + 43200) / 86400;
    assert_int_equal(in_days, 30);
}

static void expect_complaint(struct str certificate, struct str key, const char *sentence)
{
    const struct tls_certificate list[] = {tls_pem_as_certificate(&first),
                                           {certificate, key, "two.pem", "two.key"}};
    struct tls_context *c = NULL;
    char why[256] = "";
    assert_int_equal(tls_context_new(&c, list, 2, NULL, why, sizeof why), ERR_PROTO);
    assert_null(c);
    if (strncmp(why, sentence, strlen(sentence)) != 0)
        fail_msg("'%s', expected '%s'", why, sentence);
    assert_int_equal(ERR_peek_error(), 0);
}

static void complains_of_bad_files(void **unused)
{
    (void)unused;
    struct str certificate = buf_as_str(&second.certificate), key = buf_as_str(&second.key);
    expect_complaint(STR(""), key, "two.pem has no certificate in PEM that can be used (");
    expect_complaint(STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key,
                     "two.pem has no certificate in PEM that can be used (");
    expect_complaint(key, key, "two.pem has no certificate in PEM that can be used (");
    expect_complaint(certificate, STR(""), "two.key has no private key in PEM without");
    expect_complaint(certificate, certificate, "two.key has no private key in PEM without");
    expect_complaint(certificate, buf_as_str(&first.key), "two.key is not the key of two.pem");
    struct buf chain = BUF_INIT;
    buf_str(&chain, certificate);
    buf_str(&chain, STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    expect_complaint(buf_as_str(&chain), key, "two.pem has a broken certificate in its chain (");
    buf_fini(&chain);

    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, keys[1], EVP_aes_128_cbc(), (unsigned char *)"secret", 6, NULL,
                             NULL);
    struct buf sealed = BUF_INIT;
    tls_pem_take(&sealed, bio);
    expect_complaint(certificate, buf_as_str(&sealed), "two.key has no private key in PEM without");
    buf_fini(&sealed);
}

static void sends_the_chain(void **unused)
{
    (void)unused;
    struct buf chain = BUF_INIT;
    struct tls_context *before = context;
    struct pair p;
    char why[256];
    buf_str(&chain, buf_as_str(&second.certificate));
    buf_str(&chain, buf_as_str(&first.certificate));
    const struct tls_certificate list[] = {
        {buf_as_str(&chain), buf_as_str(&second.key), "cert.pem", "key.pem"}};
    assert_int_equal(tls_context_new(&context, list, 1, NULL, why, sizeof why), ERR_OK);
    pair_make(&p);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(p.client.ssl)), 2);
    pair_close(&p);
    tls_context_unref(context);
    context = before;
    buf_fini(&chain);
}

#define WITH_CONTEXT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CONTEXT(talks),
        WITH_CONTEXT(many_pieces_are_one_record),
        WITH_CONTEXT(large_writes_fill_records),
        WITH_CONTEXT(reads_leave_nothing_unseen),
        WITH_CONTEXT(goes_on_with_what_is_begun),
        WITH_CONTEXT(errors_of_others_do_not_count),
        WITH_CONTEXT(keys_are_updated),
        WITH_CONTEXT(new_keys_alone_keep_nobody),
        WITH_CONTEXT(renegotiates_nothing),
        WITH_CONTEXT(says_and_hears_the_end),
        WITH_CONTEXT(tells_of_a_broken_connection),
        WITH_CONTEXT(tells_of_broken_records),
        WITH_CONTEXT(peer_ends_in_the_handshake),
        WITH_CONTEXT(garbage_is_refused),
        WITH_CONTEXT(plain_http_is_told_apart),
        WITH_CONTEXT(old_versions_are_refused),
        WITH_CONTEXT(old_ciphers_are_refused),
        WITH_CONTEXT(speaks_http_1_1_alone),
        WITH_CONTEXT(the_name_chooses_the_certificate),
        WITH_CONTEXT(wildcards_cover_one_label),
        WITH_CONTEXT(a_subject_is_no_name),
        WITH_CONTEXT(sessions_are_resumed),
        WITH_CONTEXT(a_handshake_outlives_its_context),
        WITH_CONTEXT(knows_when_the_first_expires),
        WITH_CONTEXT(complains_of_bad_files),
        WITH_CONTEXT(sends_the_chain),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
