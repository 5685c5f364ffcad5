/* Connections that speak TLS: what net/conn does with net/tls. */
#include "net/conn.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <cmocka.h>
#include "base/mem.h"
#include "tls_peer.h"

enum { QUEUE_MESSAGES = 64, QUEUE_BYTES = 1 << 20, DEADLINE_MS = 20000 };

static EVP_PKEY *key;
static struct tls_pem pem;
static struct tls_context *context;
static SSL_CTX *client_context;
static struct loop loop;
static struct inbox *inbox;
static struct net net;
static char big[100000];

/* ---- connections whose owner notes what it is called for ---- */

struct story {
    struct buf input;
    unsigned stalls, drains, gone;
};

struct owner {
    struct conn conn;
    struct story *story;
    struct story *moves_to; /* at its first input, to an owner with this story */
};

static struct owner *moved;
static const struct conn_ops ops;

static void move_owner(struct owner *from)
{
    moved = mem_zalloc(sizeof *moved);
    moved->story = from->moves_to;
    conn_move(&moved->conn, &from->conn, &ops);
}

static void on_input(struct conn *c, char *data, size_t len)
{
    struct owner *o = container_of(c, struct owner, conn);
    buf_add(&o->story->input, data, len);
    if (o->moves_to)
        move_owner(o);
}

static void on_stall(struct conn *c)
{
    container_of(c, struct owner, conn)->story->stalls++;
}

static void on_drained(struct conn *c)
{
    container_of(c, struct owner, conn)->story->drains++;
}

static void on_gone(struct conn *c)
{
    struct owner *o = container_of(c, struct owner, conn);
    o->story->gone++;
    assert_null(c->tls);
    mem_free(o);
}

static const struct conn_ops ops = {
    .on_input = on_input, .on_stall = on_stall, .on_drained = on_drained, .on_gone = on_gone};

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

static void end_turn(void *ctx)
{
    loop.busy = net_end_turn(ctx);
}

static int set_up_group(void **unused)
{
    (void)unused;
    char why[256];
    signal(SIGPIPE, SIG_IGN);
    key = EVP_EC_gen("P-256");
    tls_pem_make(&pem, key, "test", "DNS:a.test", 90);
    const struct tls_certificate list[] = {tls_pem_as_certificate(&pem)};
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)('a' + i / 7 % 26);
    return tls_context_new(&context, list, 1, NULL, why, sizeof why);
}

static int tear_down_group(void **unused)
{
    (void)unused;
    tls_context_unref(context);
    tls_pem_fini(&pem);
    EVP_PKEY_free(key);
    return 0;
}

static int set_up(void **unused)
{
    (void)unused;
    client_context = tls_client_context();
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL))
        return -1;
    loop_at_end(&loop, end_turn, &net);
    net_init(&net, &loop, QUEUE_MESSAGES, QUEUE_BYTES);
    net.not_tls = STR("this is no plain port");
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    net_fini(&net);
    loop_fini(&loop);
    inbox_free(inbox);
    SSL_CTX_free(client_context);
    return 0;
}

/* A connection of ours and its peer. */
struct pair {
    struct owner *owner;
    struct story story;
    struct tls_client client;
};

static void turn(void)
{
    loop_turn(&loop, 0);
}

static void pair_open(struct pair *p)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *p = (struct pair){.owner = mem_zalloc(sizeof *p->owner)};
    p->owner->story = &p->story;
    p->client = tls_client_new(client_context, fds[1]);
    assert_int_equal(conn_open(&p->owner->conn, &net, fds[0], &ops), ERR_OK);
    assert_int_equal(conn_secure(&p->owner->conn, context), ERR_OK);
}

static int64_t clock_ms(void)
{
    return loop_clock_ms();
}

#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (int64_t until_ = clock_ms() + DEADLINE_MS; !(condition);) {                           \
            if (clock_ms() > until_)                                                               \
                fail_msg("never came true: %s", #condition);                                       \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

static void pair_make(struct pair *p)
{
    pair_open(p);
    TURN_UNTIL(tls_client_shake(&p->client) == SSL_ERROR_NONE);
    TURN_UNTIL(!tls_is_shaking(p->owner->conn.tls));
    assert_int_equal(p->owner->conn.io.events, EPOLLIN);
}

static void pair_close(struct pair *p)
{
    if (!p->story.gone)
        conn_close(&p->owner->conn);
    turn();
    assert_int_equal(p->story.gone, 1);
    tls_client_free(&p->client);
    buf_fini(&p->story.input);
}

static void send_text(struct owner *o, const char *text)
{
    assert_int_equal(conn_send_bytes(&o->conn, str_of(text)), ERR_OK);
}

/* What the peer has now in one record; then SSL_get_error in *error, where there is none. */
static void expect_at_peer(struct pair *p, const char *text)
{
    static char got[TLS_RECORD_BYTES];
    int error, n = tls_client_read(&p->client, got, sizeof got, &error);
    if (n != (int)strlen(text) || memcmp(got, text, (size_t)n) != 0)
        fail_msg("peer read '%.*s' (%d), expected '%s'", n < 0 ? 0 : n, got, error, text);
}

static void expect_error_at_peer(struct pair *p, int expected)
{
    char got[64];
    int error, n = tls_client_read(&p->client, got, sizeof got, &error);
    assert_int_equal(n, -1);
    assert_int_equal(error, expected);
}

static bool has_input(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

/* On loopback it is a matter of microseconds, unless the machine has other things to do. */
static bool comes_soon(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000) == 1;
}

/* ---- talking ---- */

static void talks_both_ways(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    tls_client_write(&p.client, "hello", 5);
    turn();
    assert_true(str_eq(buf_as_str(&p.story.input), STR("hello")));
    /* What is sent in one turn is one record. */
    send_text(p.owner, "one ");
    send_text(p.owner, "two ");
    send_text(p.owner, "three");
    turn();
    expect_at_peer(&p, "one two three");
    assert_int_equal(p.story.drains, 1);
    assert_int_equal(p.owner->conn.queued_bytes, 0);
    assert_null(p.owner->conn.first);
    /* Large input comes record by record, without a word from the peer in between. */
    for (size_t i = 0; i < 3; i++)
        tls_client_write(&p.client, big, TLS_RECORD_BYTES);
    TURN_UNTIL(p.story.input.len == 5 + 3 * TLS_RECORD_BYTES);
    pair_close(&p);
}

static void keeps_what_is_sent_before_the_handshake(void **unused)
{
    (void)unused;
    struct pair p;
    pair_open(&p);
    send_text(p.owner, "early ");
    turn();
    assert_false(has_input(p.client.fd));
    send_text(p.owner, "bird");
    TURN_UNTIL(tls_client_shake(&p.client) == SSL_ERROR_NONE);
    TURN_UNTIL(!p.owner->conn.first);
    expect_at_peer(&p, "early bird");
    pair_close(&p);
}

static void pauses(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    conn_pause(&p.owner->conn);
    tls_client_write(&p.client, "later", 5);
    turn();
    assert_int_equal(p.story.input.len, 0);
    conn_resume(&p.owner->conn);
    turn();
    assert_int_equal(p.story.input.len, 5);
    pair_close(&p);
}

static void moves(void **unused)
{
    (void)unused;
    struct pair p;
    struct story other = {0};
    pair_make(&p);
    p.owner->moves_to = &other;
    tls_client_write(&p.client, "go", 2);
    turn();
    assert_int_equal(p.story.gone, 1);
    send_text(moved, "from the new one");
    turn();
    expect_at_peer(&p, "from the new one");
    tls_client_write(&p.client, "next", 4);
    turn();
    assert_true(str_eq(buf_as_str(&other.input), STR("next")));
    p.owner = moved;
    conn_close(&moved->conn);
    turn();
    assert_int_equal(other.gone, 1);
    buf_fini(&other.input);
    pair_close(&p);
}

/* ---- a reader that takes little ---- */

static void small_buffer(int fd)
{
    int bytes = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

static void feeds_a_slow_reader(void **unused)
{
    (void)unused;
    struct pair p;
    char got[5000];
    size_t came = 0;
    pair_make(&p);
    small_buffer(p.owner->conn.io.fd);
    for (int i = 0; i < 10; i++)
        assert_int_equal(conn_send_bytes(&p.owner->conn, str_make(big + i * 10000, 10000)), ERR_OK);
    turn();
    assert_int_equal(p.story.stalls, 1);
    assert_true(p.owner->conn.io.events & EPOLLOUT);
    for (int64_t until = clock_ms() + DEADLINE_MS; came < sizeof big;) {
        int error, n = tls_client_read(&p.client, got, sizeof got, &error);
        if (n > 0) {
            assert_memory_equal(got, big + came, (size_t)n);
            came += (size_t)n;
        }
        assert_true(clock_ms() < until);
        turn();
    }
    assert_false(p.owner->conn.stalled);
    assert_int_equal(p.owner->conn.io.events, EPOLLIN);
    pair_close(&p);
}

/* Who takes a record in small bites is slow, but not stuck. */
static void bites_of_a_record_count(void **unused)
{
    (void)unused;
    struct pair p;
    char bite[1000];
    pair_make(&p);
    small_buffer(p.owner->conn.io.fd);
    assert_int_equal(conn_send_bytes(&p.owner->conn, str_make(big, TLS_RECORD_BYTES)), ERR_OK);
    turn();
    assert_true(p.owner->conn.stalled);
    p.owner->conn.stalled_since -= 100000;
    turn();
    assert_true(conn_stalled_ms(&p.owner->conn) >= 100000);
    size_t came = 0;
    while (conn_stalled_ms(&p.owner->conn) >= 100000) {
        ssize_t n = recv(p.client.fd, bite, sizeof bite, MSG_DONTWAIT);
        assert_true(n > 0);
        came += (size_t)n;
        assert_true(came < TLS_RECORD_BYTES);
        turn();
    }
    assert_true(p.owner->conn.stalled);
    pair_close(&p);
}

/* What lies in a record that is begun goes out whole, whatever is dropped behind it. */
static void drops_what_is_in_no_record(void **unused)
{
    (void)unused;
    for (unsigned n = 1; n <= 4; n++) {
        struct pair p;
        char got[TLS_RECORD_BYTES];
        size_t came = 0;
        int error;
        pair_make(&p);
        small_buffer(p.owner->conn.io.fd);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(conn_send_bytes(&p.owner->conn, str_make(big, 7000)), ERR_OK);
        turn();
        assert_true(p.owner->conn.stalled);
        size_t begun = tls_begun(p.owner->conn.tls), before = p.owner->conn.queued_bytes;
        assert_true(begun > 0);
        conn_drop_unsent(&p.owner->conn);
        size_t left = p.owner->conn.queued_bytes;
        assert_true(left >= begun && left < begun + 7000);
        assert_int_equal((before - left) % 7000, 0);
        assert_int_equal(n == 4 ? before - left > 0 : 1, 1);
        conn_finish_with(&p.owner->conn, STR("last word"));
        size_t expected = n * 7000 - (before - left) + 9;
        int some = 0;
        for (int64_t until = clock_ms() + DEADLINE_MS; came < expected && clock_ms() < until;) {
            some = tls_client_read(&p.client, got, sizeof got, &error);
            came += some > 0 ? (size_t)some : 0;
            turn();
        }
        assert_int_equal(came, expected);
        assert_true(some >= 9);
        assert_memory_equal(got + some - 9, "last word", 9);
        turn(); /* goodbye may have waited for room */
        expect_error_at_peer(&p, SSL_ERROR_ZERO_RETURN);
        pair_close(&p);
    }
}

/* To many at once: plain ones by io_uring, where there is one, and those with TLS among them. */
static void writes_to_many(void **unused)
{
    (void)unused;
    enum { N = 6 };
    for (int with_ring = 0; with_ring < 2; with_ring++) {
        struct pair pairs[N];
        struct net_write writes[2 * N];
        struct owner *plain[N];
        struct story story = {0};
        int peers[N][2];
        struct blob *b = blob_of(STR("0123456789"));
        const struct blob_range ranges[] = {{b, 1, 3}, {b, 5, 6}};
        if (with_ring && uring_new(&net.uring))
            break;
        for (unsigned i = 0; i < N; i++) {
            pair_make(&pairs[i]);
            plain[i] = mem_zalloc(sizeof *plain[i]);
            plain[i]->story = &story;
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, peers[i]), 0);
            assert_int_equal(conn_open(&plain[i]->conn, &net, peers[i][0], &ops), ERR_OK);
            writes[2 * i] = (struct net_write){&pairs[i].owner->conn, 2, ranges};
            writes[2 * i + 1] = (struct net_write){&plain[i]->conn, 2, ranges};
        }
        send_text(pairs[2].owner, "first ");
        net_write_many(&net, writes, 2 * N);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(conn_send_bulk(&pairs[i].owner->conn, b), ERR_OK);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(conn_send_bulk(&plain[i]->conn, b), ERR_OK);
        turn();
        for (unsigned i = 0; i < N; i++) {
            char got[64];
            expect_at_peer(&pairs[i], i == 2 ? "first 125" : "125");
            expect_at_peer(&pairs[i], "0123456789");
            assert_int_equal(recv(peers[i][1], got, sizeof got, 0), 13);
            assert_memory_equal(got, "1250123456789", 13);
        }
        assert_int_equal(b->refs, 1);
        blob_unref(b);
        for (unsigned i = 0; i < N; i++) {
            pair_close(&pairs[i]);
            conn_close(&plain[i]->conn);
            turn();
            close(peers[i][1]);
        }
        uring_free(net.uring);
        net.uring = NULL;
    }
}

/* ---- ends ---- */

static void ends_with_the_last_word_and_goodbye(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    conn_finish_with(&p.owner->conn, STR("last word"));
    turn();
    expect_at_peer(&p, "last word");
    expect_error_at_peer(&p, SSL_ERROR_ZERO_RETURN);
    /* What still comes is thrown away. */
    tls_client_write(&p.client, "ignored", 7);
    turn();
    assert_int_equal(p.story.input.len, 0);
    assert_int_equal(p.story.gone, 0);
    shutdown(p.client.fd, SHUT_WR);
    turn();
    pair_close(&p);
}

static void says_goodbye_when_it_closes_at_once(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    conn_close(&p.owner->conn);
    turn();
    expect_error_at_peer(&p, SSL_ERROR_ZERO_RETURN);
    pair_close(&p);
}

static void ends_with_the_peer(void **unused)
{
    (void)unused;
    for (int politely = 0; politely < 2; politely++) {
        struct pair p;
        pair_make(&p);
        if (politely)
            SSL_shutdown(p.client.ssl);
        else
            shutdown(p.client.fd, SHUT_WR);
        turn();
        assert_int_equal(p.story.gone, 1);
        pair_close(&p);
    }
}

static void breaks_with_a_broken_record(void **unused)
{
    (void)unused;
    struct pair p;
    pair_make(&p);
    const char forged[] = "\x17\x03\x03\x00\x20this is not sealed by anybody!!!";
    assert_int_equal(send(p.client.fd, forged, 37, 0), 37);
    turn();
    assert_int_equal(p.story.gone, 1);
    assert_int_equal(p.story.input.len, 0);
    expect_error_at_peer(&p, SSL_ERROR_SSL);
    assert_int_equal(tls_client_reason(), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    pair_close(&p);
}

/* ---- handshakes ---- */

/* The refusal is not lost to a reset, and nothing of ours goes out in the clear. */
static void answers_plain_http_with_a_sentence(void **unused)
{
    (void)unused;
    struct pair p;
    char got[64];
    pair_open(&p);
    send_text(p.owner, "secret");
    assert_int_equal(send(p.client.fd, "GET / HTTP/1.1\r\n", 16, 0), 16);
    turn();
    assert_int_equal(recv(p.client.fd, got, sizeof got, 0), 21);
    assert_memory_equal(got, "this is no plain port", 21);
    assert_int_equal(recv(p.client.fd, got, sizeof got, 0), 0);
    assert_int_equal(p.story.gone, 0);
    assert_int_equal(send(p.client.fd, "Host: a\r\n\r\n", 11, 0), 11);
    turn();
    assert_int_equal(p.story.gone, 0);
    shutdown(p.client.fd, SHUT_WR);
    turn();
    assert_int_equal(p.story.gone, 1);
    assert_int_equal(p.story.input.len, 0);
    pair_close(&p);
}

static void ends_a_handshake_that_fails(void **unused)
{
    (void)unused;
    struct pair p;
    pair_open(&p);
    send_text(p.owner, "secret");
    SSL_set_alpn_protos(p.client.ssl, (const unsigned char *)"\x02h2", 3);
    assert_int_equal(tls_client_shake(&p.client), SSL_ERROR_WANT_READ);
    turn();
    assert_int_equal(tls_client_shake(&p.client), SSL_ERROR_SSL);
    assert_int_equal(tls_client_reason(), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    char got;
    assert_int_equal(recv(p.client.fd, &got, 1, 0), 0);
    assert_int_equal(p.story.gone, 0);
    assert_true(conn_is_ending(&p.owner->conn));
    shutdown(p.client.fd, SHUT_WR);
    turn();
    assert_int_equal(p.story.gone, 1);
    pair_close(&p);
}

static void may_be_finished_in_the_handshake(void **unused)
{
    (void)unused;
    struct pair p;
    char got;
    pair_open(&p);
    assert_int_equal(tls_client_shake(&p.client), SSL_ERROR_WANT_READ);
    send_text(p.owner, "secret");
    conn_finish_with(&p.owner->conn, STR("last word"));
    turn();
    turn();
    assert_int_equal(recv(p.client.fd, &got, 1, 0), 0);
    shutdown(p.client.fd, SHUT_WR);
    turn();
    assert_int_equal(p.story.gone, 1);
    pair_close(&p);
}

static void peer_may_go_in_the_handshake(void **unused)
{
    (void)unused;
    struct pair p;
    pair_open(&p);
    assert_int_equal(tls_client_shake(&p.client), SSL_ERROR_WANT_READ);
    turn();
    shutdown(p.client.fd, SHUT_RDWR);
    turn();
    assert_int_equal(p.story.gone, 1);
    pair_close(&p);
}

static unsigned with_input(struct pair *pairs, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++)
        found += has_input(pairs[i].client.fd);
    return found;
}

/* A crowd that says hello at once: so many are answered in a turn, in the order of their coming,
 * and a live socket is served in every one. */
static void takes_a_share_of_handshakes_a_turn(void **unused)
{
    (void)unused;
    enum { N = 4 * NET_HANDSHAKES + 3 };
    static struct pair pairs[N];
    struct pair live;
    unsigned n_turns = 0;
    pair_make(&live);
    turn(); /* the handshake just made does not count */
    for (unsigned i = 0; i < N; i++) {
        pair_open(&pairs[i]);
        assert_int_equal(tls_client_shake(&pairs[i].client), SSL_ERROR_WANT_READ);
        /* Each is there before the next one is said: on a busy machine they may overtake. */
        assert_true(comes_soon(pairs[i].owner->conn.io.fd));
    }
    for (unsigned turns = 1, before = 0, done = 0; done < N; turns++, before = done) {
        tls_client_write(&live.client, "?", 1);
        send_text(live.owner, "!");
        turn();
        done = with_input(pairs, N);
        /* Fewer where they take long; none where the machine stood still: then the turn was over
         * before it came to them. */
        assert_in_range(done - before, 0, NET_HANDSHAKES);
        assert_int_equal(with_input(pairs, done), done);
        assert_in_range(live.story.input.len, 0, turns);
        expect_at_peer(&live, "!");
        if (done == N)
            assert_false(loop.busy);
        else if (loop.busy && done - before == NET_HANDSHAKES)
            assert_int_equal(pairs[N - 1].owner->conn.io.events, 0);
        n_turns = turns;
    }
    TURN_UNTIL(live.story.input.len == n_turns);
    assert_in_range(n_turns, N / NET_HANDSHAKES, 100 * N);
    for (unsigned i = 0; i < N; i++) {
        TURN_UNTIL(tls_client_shake(&pairs[i].client) == SSL_ERROR_NONE);
        TURN_UNTIL(!tls_is_shaking(pairs[i].owner->conn.tls));
        assert_int_equal(pairs[i].owner->conn.io.events, EPOLLIN);
    }
    for (unsigned i = 0; i < N; i++)
        pair_close(&pairs[i]);
    pair_close(&live);
}

/* Those that wait for their turn may go, be closed, be finished. */
static void who_waits_for_its_handshake_may_end(void **unused)
{
    (void)unused;
    enum { N = NET_HANDSHAKES + 4 };
    static struct pair pairs[N];
    for (unsigned i = 0; i < N; i++) {
        pair_open(&pairs[i]);
        assert_int_equal(tls_client_shake(&pairs[i].client), SSL_ERROR_WANT_READ);
    }
    net.handshakes = NET_HANDSHAKES; /* none in this turn, for there were many */
    turn();
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(pairs[i].owner->conn.list, CONN_SHAKING);
    net.handshakes_us = NET_HANDSHAKES_US; /* nor in the next, for they took long */
    shutdown(pairs[0].client.fd, SHUT_RDWR);
    conn_close(&pairs[1].owner->conn);
    conn_finish(&pairs[2].owner->conn);
    send_text(pairs[3].owner, "patience");
    turn();
    assert_int_equal(pairs[0].story.gone, 1);
    assert_int_equal(pairs[1].story.gone, 1);
    char got;
    TURN_UNTIL(recv(pairs[2].client.fd, &got, 1, 0) == 0);
    shutdown(pairs[2].client.fd, SHUT_RDWR);
    TURN_UNTIL(pairs[2].story.gone == 1);
    TURN_UNTIL(tls_client_shake(&pairs[3].client) == SSL_ERROR_NONE);
    TURN_UNTIL(!pairs[3].owner->conn.first);
    expect_at_peer(&pairs[3], "patience");
    for (unsigned i = 0; i < N; i++)
        pair_close(&pairs[i]);
}

/* Quiet connections stay small whatever they are: their memory is what limits their number. */
static void is_as_small_as_it_was_promised(void **unused)
{
    (void)unused;
    assert_true(sizeof(struct conn) <= 96);
}

#define WITH_NET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NET(talks_both_ways),
        WITH_NET(keeps_what_is_sent_before_the_handshake),
        WITH_NET(pauses),
        WITH_NET(moves),
        WITH_NET(feeds_a_slow_reader),
        WITH_NET(bites_of_a_record_count),
        WITH_NET(drops_what_is_in_no_record),
        WITH_NET(writes_to_many),
        WITH_NET(ends_with_the_last_word_and_goodbye),
        WITH_NET(says_goodbye_when_it_closes_at_once),
        WITH_NET(ends_with_the_peer),
        WITH_NET(breaks_with_a_broken_record),
        WITH_NET(answers_plain_http_with_a_sentence),
        WITH_NET(ends_a_handshake_that_fails),
        WITH_NET(may_be_finished_in_the_handshake),
        WITH_NET(peer_may_go_in_the_handshake),
        WITH_NET(takes_a_share_of_handshakes_a_turn),
        WITH_NET(who_waits_for_its_handshake_may_end),
        WITH_NET(is_as_small_as_it_was_promised),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
