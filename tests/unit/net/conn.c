#include "net/conn.h"
#include "base/buf.h"
#include "base/mem.h"
#include "prng.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { QUEUE_MESSAGES = 8, QUEUE_BYTES = 1000, DEADLINE_MS = 20000 };

/* ---- a transport that does what it is told ---- */

/* What the next calls do, in this order; after the last one the kernel is asked. */
struct step {
    int error;   /* fails with it; 0: */
    size_t most; /* takes so many bytes at most; 0: as the kernel likes */
};

static struct {
    struct step sends[64], recvs[64];
    unsigned n_sends, next_send, n_recvs, next_recv;
    unsigned calls;    /* of sendv, since the test began; */
    unsigned last_iov; /* what the last one was given */
} script;

static ssize_t scripted_recv(int fd, void *p, size_t len)
{
    struct step s = {0};
    if (script.next_recv < script.n_recvs)
        s = script.recvs[script.next_recv++];
    if (s.error) {
        errno = s.error;
        return -1;
    }
    return recv(fd, p, s.most && s.most < len ? s.most : len, 0);
}

static ssize_t scripted_sendv(int fd, const struct iovec *iov, unsigned n)
{
    struct step s = {0};
    script.calls++;
    script.last_iov = n;
    assert_in_range(n, 1, CONN_IOV);
    if (script.next_send < script.n_sends)
        s = script.sends[script.next_send++];
    if (s.error) {
        errno = s.error;
        return -1;
    }
    if (!s.most)
        return transport_tcp.sendv(fd, iov, n);
    struct iovec some[CONN_IOV];
    unsigned taken = 0;
    for (size_t left = s.most; taken < n && left; taken++) {
        some[taken] = iov[taken];
        if (some[taken].iov_len > left)
            some[taken].iov_len = left;
        left -= some[taken].iov_len;
    }
    return transport_tcp.sendv(fd, some, taken);
}

static const struct transport scripted = {scripted_recv, scripted_sendv};

static void next_sends(const struct step *steps, unsigned n)
{
    memcpy(script.sends, steps, n * sizeof *steps);
    script.n_sends = n;
    script.next_send = 0;
}

static void next_recvs(const struct step *steps, unsigned n)
{
    memcpy(script.recvs, steps, n * sizeof *steps);
    script.n_recvs = n;
    script.next_recv = 0;
}

#define SENDS(...)                                                                                 \
    next_sends((const struct step[]){__VA_ARGS__},                                                 \
               sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))
#define RECVS(...)                                                                                 \
    next_recvs((const struct step[]){__VA_ARGS__},                                                 \
               sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))

/* ---- connections whose owner notes what it is called for ---- */

/* What was seen of one connection; outlives it. */
struct story {
    struct buf input;
    unsigned inputs, stalls, drains, gone;
};

struct owner {
    struct conn conn;
    struct story *story;
    void (*at_input)(struct owner *o, char *data, size_t len);
    void (*at_drained)(struct owner *o);
    void (*at_gone)(struct owner *o);
    struct owner *other; /* for the functions above */
};

static struct loop loop;
static struct inbox *inbox;
static struct net net;
static struct story story, other_story;

static struct owner *owner_of(struct conn *c)
{
    return container_of(c, struct owner, conn);
}

static void on_input(struct conn *c, char *data, size_t len)
{
    struct owner *o = owner_of(c);
    assert_int_equal(o->story->gone, 0);
    o->story->inputs++;
    buf_add(&o->story->input, data, len);
    if (o->at_input)
        o->at_input(o, data, len);
}

static void on_stall(struct conn *c)
{
    assert_true(c->stalled);
    owner_of(c)->story->stalls++;
}

static void on_drained(struct conn *c)
{
    struct owner *o = owner_of(c);
    assert_int_equal(c->queued_bytes, 0);
    assert_null(c->first);
    o->story->drains++;
    if (o->at_drained)
        o->at_drained(o);
}

static void on_gone(struct conn *c)
{
    struct owner *o = owner_of(c);
    o->story->gone++;
    assert_null(c->first);
    assert_null(c->rest);
    if (o->at_gone)
        o->at_gone(o);
    memset(o, 0xdd, sizeof *o);
    free(o);
}

#define OPS .on_input = on_input, .on_stall = on_stall, .on_gone = on_gone
static const struct conn_ops ops = {OPS, .on_drained = on_drained};
static const struct conn_ops half_ops = {OPS, .on_drained = on_drained, .half_close = true};
static const struct conn_ops unbounded_ops = {OPS, .bounds_itself = true};
static const struct conn_ops bare_ops = {OPS};

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

static void end_turn(void *ctx)
{
    net_end_turns(ctx);
}

static int set_up(void **unused)
{
    (void)unused;
    memset(&script, 0, sizeof script);
    memset(&story, 0, sizeof story);
    memset(&other_story, 0, sizeof other_story);
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL))
        return -1;
    loop_at_end(&loop, end_turn, &net);
    net_init(&net, &loop, QUEUE_MESSAGES, QUEUE_BYTES);
    net.transport = &scripted;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    net_fini(&net);
    loop_fini(&loop);
    inbox_free(inbox);
    buf_fini(&story.input);
    buf_fini(&other_story.input);
    return 0;
}

static struct owner *adopt(int fd, const struct conn_ops *with, struct story *s)
{
    struct owner *o = calloc(1, sizeof *o);
    o->story = s;
    assert_int_equal(conn_open(&o->conn, &net, fd, with), ERR_OK);
    return o;
}

/* A connection of ours, and the descriptor of its peer in *peer. */
static struct owner *open_with(const struct conn_ops *with, struct story *s, int *peer)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *peer = fds[1];
    return adopt(fds[0], with, s);
}

static struct owner *open_conn(int *peer)
{
    return open_with(&ops, &story, peer);
}

static void turn(void)
{
    loop_turn(&loop, 0);
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Closes and lets the loop see it. */
static void end(struct owner *o, int peer)
{
    unsigned gone = o->story->gone;
    struct story *s = o->story;
    conn_close(&o->conn);
    turn();
    assert_int_equal(s->gone, gone + 1);
    close(peer);
}

static void send_text(struct owner *o, const char *text)
{
    assert_int_equal(conn_send_bytes(&o->conn, str_of(text)), ERR_OK);
}

/* Whether the peer has just this to read now; `then_end`: and the end of the stream after it. */
static void expect_at_peer(int peer, const char *text, bool then_end)
{
    char got[4096];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof got && (n = recv(peer, got + len, sizeof got - len, MSG_DONTWAIT)) > 0)
        len += (size_t)n;
    if (len != strlen(text) || memcmp(got, text, len) != 0)
        fail_msg("peer read '%.*s', expected '%s'", (int)len, got, text);
    assert_int_equal(n, then_end ? 0 : -1);
}

static void expect_input(const struct story *s, const char *text)
{
    if (!str_eq(buf_as_str(&s->input), str_of(text)))
        fail_msg("input '%.*s', expected '%s'", (int)s->input.len, s->input.p, text);
}

/* Turns until the condition holds. */
#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (int64_t until_ = clock_ms() + DEADLINE_MS; !(condition);) {                           \
            if (clock_ms() > until_)                                                               \
                fail_msg("never came true: %s", #condition);                                       \
            loop_turn(&loop, 10);                                                                  \
        }                                                                                          \
    } while (0)

/* ---- output ---- */

static void gathers_the_sends_of_a_turn(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    send_text(o, "one ");
    send_text(o, "two ");
    send_text(o, "three");
    assert_int_equal(script.calls, 0);
    expect_at_peer(peer, "", false);
    turn();
    assert_int_equal(script.calls, 1);
    assert_int_equal(script.last_iov, 3);
    expect_at_peer(peer, "one two three", false);
    assert_int_equal(story.drains, 1);
    turn();
    assert_int_equal(script.calls, 1);
    assert_int_equal(story.drains, 1);
    assert_int_equal(story.stalls, 0);
    end(o, peer);
}

static void gathers_more_than_one_call_takes(void **unused)
{
    (void)unused;
    int peer;
    char expected[CONN_IOV + 45];
    net.queue_messages_max = 1000;
    struct owner *o = open_conn(&peer);
    for (unsigned i = 0; i < CONN_IOV + 44; i++) {
        char text[2] = {expected[i] = (char)('a' + i % 26), 0};
        send_text(o, text);
    }
    expected[CONN_IOV + 44] = 0;
    turn();
    assert_int_equal(script.calls, 2);
    assert_int_equal(script.last_iov, 44);
    expect_at_peer(peer, expected, false);
    end(o, peer);
}

static void shares_blobs(void **unused)
{
    (void)unused;
    int peers[3];
    struct owner *o[3];
    struct blob *b = blob_of(STR("to all"));
    for (int i = 0; i < 3; i++) {
        o[i] = open_conn(&peers[i]);
        assert_int_equal(conn_send(&o[i]->conn, b), ERR_OK);
        assert_int_equal(conn_send(&o[i]->conn, b), ERR_OK);
    }
    assert_int_equal(b->refs, 7);
    turn();
    assert_int_equal(b->refs, 1);
    assert_int_equal(script.calls, 3);
    for (int i = 0; i < 3; i++)
        expect_at_peer(peers[i], "to allto all", false);
    /* What is queued is let go of with the connection. */
    assert_int_equal(conn_send(&o[0]->conn, b), ERR_OK);
    for (int i = 0; i < 3; i++)
        end(o[i], peers[i]);
    assert_int_equal(b->refs, 1);
    blob_unref(b);
}

static void survives_short_writes(void **unused)
{
    (void)unused;
    for (size_t first = 1; first <= 12; first++) {
        for (size_t then = 1; then <= 12; then++) {
            int peer;
            struct owner *o = open_conn(&peer);
            script.calls = 0;
            SENDS({0, first}, {0, then}, {EINTR, 0}, {0, 1});
            send_text(o, "abc");
            send_text(o, "defgh");
            send_text(o, "i");
            send_text(o, "jkl");
            turn();
            expect_at_peer(peer, "abcdefghijkl", false);
            assert_int_equal(o->conn.queued_bytes, 0);
            assert_int_equal(o->conn.first_from, 0);
            assert_null(o->conn.first);
            assert_null(o->conn.rest);
            assert_false(o->conn.stalled);
            end(o, peer);
        }
    }
    assert_int_equal(story.stalls, 0);
}

static void goes_on_when_the_kernel_takes_again(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    SENDS({0, 4}, {EAGAIN, 0});
    send_text(o, "abc");
    send_text(o, "def");
    net_end_turns(&net);
    assert_int_equal(story.stalls, 1);
    assert_int_equal(story.drains, 0);
    assert_int_equal(o->conn.queued_bytes, 2);
    assert_true(o->conn.io.events & EPOLLOUT);
    expect_at_peer(peer, "abcd", false);
    loop.now_ms = o->conn.stalled_since + INT64_C(1234);
    assert_int_equal(conn_stalled_ms(&o->conn), 1234);

    /* While it is stalled only epoll says when to write: sends just queue. */
    send_text(o, "ghi");
    net_end_turns(&net);
    assert_int_equal(script.calls, 2);
    turn();
    assert_int_equal(script.calls, 3);
    expect_at_peer(peer, "efghi", false);
    assert_int_equal(story.drains, 1);
    assert_false(o->conn.io.events & EPOLLOUT);
    assert_int_equal(conn_stalled_ms(&o->conn), 0);

    /* A stall after progress is a new one. */
    SENDS({EAGAIN, 0}, {0, 1}, {EAGAIN, 0}, {EAGAIN, 0}, {EINTR, 0});
    send_text(o, "xyz");
    net_end_turns(&net);
    assert_int_equal(story.stalls, 2);
    turn();
    assert_int_equal(story.stalls, 3);
    turn();
    assert_int_equal(story.stalls, 3);
    turn();
    expect_at_peer(peer, "xyz", false);
    assert_int_equal(story.drains, 2);
    end(o, peer);
}

/* Against a real socket, whose buffer fills: all arrives, in order. */
static void feeds_a_slow_reader(void **unused)
{
    (void)unused;
    enum { N = 200, BYTES = 20000 };
    int peer;
    net.queue_messages_max = N;
    net.queue_bytes_max = (size_t)N * BYTES;
    struct owner *o = open_with(&bare_ops, &story, &peer);
    char *text = malloc(BYTES), *got = malloc(BYTES);
    for (int i = 0; i < N; i++) {
        memset(text, 'a' + i % 26, BYTES);
        assert_int_equal(conn_send_bytes(&o->conn, str_make(text, BYTES)), ERR_OK);
    }
    turn();
    assert_int_equal(story.stalls, 1);
    size_t came = 0;
    for (int64_t until = clock_ms() + DEADLINE_MS; came < (size_t)N * BYTES;) {
        ssize_t n = recv(peer, got, 7777, MSG_DONTWAIT);
        for (ssize_t i = 0; i < n; i++, came++)
            assert_int_equal(got[i], 'a' + came / BYTES % 26);
        assert_true(clock_ms() < until);
        turn();
    }
    assert_int_equal(o->conn.queued_bytes, 0);
    assert_false(o->conn.io.events & EPOLLOUT);
    free(text);
    free(got);
    end(o, peer);
}

/* An empty message is nothing to write, and no sign of a broken connection. */
static void sends_nothing_for_an_empty_blob(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    send_text(o, "a");
    send_text(o, "");
    send_text(o, "b");
    turn();
    expect_at_peer(peer, "ab", false);
    send_text(o, "");
    turn();
    assert_int_equal(story.gone, 0);
    end(o, peer);
}

static void breaks_when_sending_fails(void **unused)
{
    (void)unused;
    static const int errors[] = {ECONNRESET, EPIPE, EIO};
    for (unsigned i = 0; i < 3; i++) {
        int peer;
        struct owner *o = open_conn(&peer);
        story.gone = 0;
        SENDS({0, 2}, {errors[i], 0});
        send_text(o, "abc");
        send_text(o, "def");
        net_end_turns(&net);
        assert_int_equal(story.gone, 1);
        close(peer);
    }
}

static void breaks_when_the_peer_is_gone(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    close(peer);
    send_text(o, "to nobody");
    turn();
    assert_int_equal(story.gone, 1);
}

/* ---- limits ---- */

static void writes_before_it_judges(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    /* Far more than the limit in one turn, but the kernel takes it. */
    for (int i = 0; i < 10 * QUEUE_MESSAGES; i++)
        send_text(o, "x");
    assert_int_equal(script.calls, 9);
    turn();
    assert_int_equal(script.calls, 10);
    assert_int_equal(script.last_iov, QUEUE_MESSAGES);

    char big[QUEUE_BYTES - 10 + 1];
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = 0;
    for (int i = 0; i < 20; i++)
        send_text(o, big);
    assert_int_equal(script.calls, 29);
    turn();
    end(o, peer);
}

static void limits_messages(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    struct blob *b = blob_of(STR("m"));
    SENDS({EAGAIN, 0}, {EAGAIN, 0}, {EAGAIN, 0}, {EAGAIN, 0});
    for (int i = 0; i < QUEUE_MESSAGES; i++)
        assert_int_equal(conn_send(&o->conn, b), ERR_OK);
    assert_int_equal(script.calls, 0);
    assert_int_equal(conn_send(&o->conn, b), ERR_FULL);
    assert_int_equal(b->refs, 1 + QUEUE_MESSAGES);
    assert_int_equal(script.calls, 1);
    /* It may have read since it stalled: it is written to each time before it is judged. */
    assert_int_equal(conn_send(&o->conn, b), ERR_FULL);
    assert_int_equal(conn_send_bytes(&o->conn, STR("m")), ERR_FULL);
    assert_int_equal(script.calls, 3);
    net_end_turns(&net);
    turn(); /* still EAGAIN */
    turn();
    expect_at_peer(peer, "mmmmmmmm", false);
    assert_int_equal(conn_send(&o->conn, b), ERR_OK);
    turn();
    expect_at_peer(peer, "m", false);
    assert_int_equal(b->refs, 1);
    blob_unref(b);
    end(o, peer);
}

static void limits_bytes(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    char text[QUEUE_BYTES * 3];
    memset(text, 'x', sizeof text);
    SENDS({EAGAIN, 0}, {EAGAIN, 0});
    /* Exactly the limit fits, not a byte more. */
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, 400)), ERR_OK);
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, QUEUE_BYTES - 400)), ERR_OK);
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, 1)), ERR_FULL);
    assert_int_equal(o->conn.queued_bytes, QUEUE_BYTES);
    conn_drop_unsent(&o->conn);
    assert_int_equal(o->conn.queued_bytes, 0);
    /* One message longer than all that may wait passes when nothing else waits. */
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, sizeof text)), ERR_OK);
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, 1)), ERR_FULL);
    turn();
    end(o, peer);
}

static void knows_no_limit_for_who_bounds_itself(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_with(&unbounded_ops, &story, &peer);
    SENDS({EAGAIN, 0});
    char text[QUEUE_BYTES];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 3 * QUEUE_MESSAGES; i++)
        assert_int_equal(conn_send_bytes(&o->conn, str_make(text, sizeof text)), ERR_OK);
    assert_int_equal(o->conn.queued_bytes, 3 * QUEUE_MESSAGES * QUEUE_BYTES);
    assert_int_equal(script.calls, 0);
    end(o, peer);
}

/* While all queues together have their memory, those with much waiting take no more; it is counted
 * once, however many wait for the same. */
static void takes_less_while_memory_is_short(void **unused)
{
    (void)unused;
    enum { BIG = NET_SHORT_BYTES / 2 };
    int peers[3];
    struct owner *o[3];
    struct blob *b = blob_new(BIG), *small = blob_of(STR("x"));
    memset(b->bytes, 'x', BIG);
    net.queue_bytes_max = 1 << 30;
    for (int i = 0; i < 3; i++)
        o[i] = open_with(&ops, i ? &other_story : &story, &peers[i]);
    next_sends(
        (const struct step[]){
            {EAGAIN, 0}, {EAGAIN, 0}, {EAGAIN, 0}, {EAGAIN, 0}, {EAGAIN, 0}, {EAGAIN, 0}},
        6);
    net.memory_max = 3 * BIG;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            assert_int_equal(conn_send(&o[i]->conn, b), ERR_OK);
    }
    assert_false(net_is_short(&net));
    net.memory_max = BIG;
    assert_true(net_is_short(&net));
    assert_int_equal(conn_send(&o[0]->conn, small), ERR_FULL);
    /* Who has little waiting goes on. */
    conn_drop_unsent(&o[1]->conn);
    assert_int_equal(conn_send(&o[1]->conn, b), ERR_OK);
    assert_int_equal(conn_send(&o[1]->conn, small), ERR_OK);
    /* And all when there is room again. */
    net.memory_max = 3 * BIG;
    assert_int_equal(conn_send(&o[0]->conn, small), ERR_OK);
    for (int i = 0; i < 3; i++)
        end(o[i], peers[i]);
    blob_unref(b);
    blob_unref(small);
    assert_int_equal(net.queues.bytes, 0);
}

static void counts_what_is_left_of_a_message(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    char text[QUEUE_BYTES];
    memset(text, 'x', sizeof text);
    SENDS({0, 300}, {EAGAIN, 0}, {EAGAIN, 0});
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, sizeof text)), ERR_OK);
    net_end_turns(&net);
    assert_int_equal(o->conn.queued_bytes, QUEUE_BYTES - 300);
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, 301)), ERR_FULL);
    assert_int_equal(conn_send_bytes(&o->conn, str_make(text, 300)), ERR_OK);
    end(o, peer);
}

static void drops_what_is_not_begun(void **unused)
{
    (void)unused;
    for (size_t sent = 0; sent <= 7; sent++) {
        int peer;
        struct owner *o = open_conn(&peer);
        if (sent)
            SENDS({0, sent}, {EAGAIN, 0});
        else
            SENDS({EAGAIN, 0});
        send_text(o, "abc");
        send_text(o, "def");
        send_text(o, "ghi");
        send_text(o, "jkl");
        net_end_turns(&net);
        conn_drop_unsent(&o->conn);
        /* The message that the peer has a part of comes whole. */
        unsigned whole = (unsigned)(sent + 2) / 3 * 3;
        assert_int_equal(o->conn.queued_bytes, whole - sent);
        send_text(o, "LAST");
        send_text(o, "WORD");
        turn();
        char expected[20];
        snprintf(expected, sizeof expected, "%.*sLASTWORD", (int)whole, "abcdefghijkl");
        expect_at_peer(peer, expected, false);
        assert_int_equal(o->conn.queued_bytes, 0);
        end(o, peer);
    }
}

/* Nothing is left to write then, so epoll must not be asked about writing any longer: it would
 * answer at once, for ever. */
static void rests_after_dropping_all(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    SENDS({EAGAIN, 0});
    send_text(o, "abc");
    net_end_turns(&net);
    conn_drop_unsent(&o->conn);
    assert_int_equal(conn_stalled_ms(&o->conn), 0);
    turn();
    turn();
    assert_false(o->conn.io.events & EPOLLOUT);
    send_text(o, "def");
    turn();
    expect_at_peer(peer, "def", false);
    end(o, peer);
}

/* However long a queue was, it leaves nothing behind. */
static void keeps_no_memory_when_drained(void **unused)
{
    (void)unused;
    int peer;
    net.queue_messages_max = 5000;
    net.queue_bytes_max = 1 << 20;
    struct owner *o = open_conn(&peer);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000 * (round + 1); i++)
            send_text(o, "xy");
        assert_non_null(o->conn.rest);
        turn();
        assert_null(o->conn.rest);
        assert_null(o->conn.first);
        char sink[8192];
        while (recv(peer, sink, sizeof sink, MSG_DONTWAIT) > 0)
            ;
    }
    send_text(o, "one blob needs no queue");
    assert_null(o->conn.rest);
    end(o, peer);
}

/* Random sends, short writes, stalls and drops, against a plain buffer. */
static void agrees_with_the_model(void **unused)
{
    (void)unused;
    struct prng r = {20240229};
    int peer;
    net.queue_messages_max = 40;
    net.queue_bytes_max = 4000;
    struct owner *o = open_conn(&peer);
    struct buf expected = BUF_INIT, got = BUF_INIT;
    char letter = 'a';
    for (int round = 0; round < 5000; round++) {
        unsigned n = prng_below(&r, 30);
        for (unsigned i = 0; i < n; i++) {
            char text[200];
            size_t len = 1 + prng_below(&r, sizeof text);
            memset(text, letter, len);
            if (conn_send_bytes(&o->conn, str_make(text, len)) == ERR_OK) {
                buf_add(&expected, text, len);
                letter = letter == 'z' ? 'a' : (char)(letter + 1);
            } else {
                assert_true(o->conn.stalled);
            }
        }
        for (script.n_sends = 0; script.n_sends < prng_below(&r, 6); script.n_sends++) {
            static const int errors[] = {0, 0, EINTR, EAGAIN};
            script.sends[script.n_sends] =
                (struct step){errors[prng_below(&r, 4)], 1 + prng_below(&r, 900)};
        }
        script.next_send = 0;
        if (prng_below(&r, 20) == 0) {
            size_t before = o->conn.queued_bytes;
            conn_drop_unsent(&o->conn);
            expected.len -= before - o->conn.queued_bytes;
        }
        turn();
        ssize_t len;
        while ((len = recv(peer, buf_reserve(&got, 4096), 4096, MSG_DONTWAIT)) > 0)
            got.len += (size_t)len;
        assert_int_equal(got.len + o->conn.queued_bytes, expected.len);
    }
    script.n_sends = 0;
    turn();
    ssize_t len;
    while ((len = recv(peer, buf_reserve(&got, 4096), 4096, MSG_DONTWAIT)) > 0)
        got.len += (size_t)len;
    assert_true(str_eq(buf_as_str(&got), buf_as_str(&expected)));
    assert_true(story.stalls > 100);
    buf_fini(&expected);
    buf_fini(&got);
    end(o, peer);
}

/* ---- input ---- */

static void reads_what_comes(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    RECVS({EAGAIN, 0}, {EINTR, 0}, {0, 2}, {0, 1});
    assert_int_equal(send(peer, "hello", 5, 0), 5);
    for (int i = 0; i < 5; i++)
        turn();
    expect_input(&story, "hello");
    assert_int_equal(story.inputs, 3);
    end(o, peer);
}

static void ends_with_the_peer(void **unused)
{
    (void)unused;
    int peer;
    open_conn(&peer);
    assert_int_equal(send(peer, "bye", 3, 0), 3);
    close(peer);
    turn();
    expect_input(&story, "bye");
    turn();
    assert_int_equal(story.gone, 1);

    open_conn(&peer);
    RECVS({ECONNRESET, 0});
    assert_int_equal(send(peer, "x", 1, 0), 1);
    turn();
    assert_int_equal(story.gone, 2);
    close(peer);
}

static void pauses(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    conn_pause(&o->conn);
    assert_int_equal(send(peer, "later", 5, 0), 5);
    turn();
    turn();
    assert_int_equal(story.inputs, 0);
    send_text(o, "out goes on");
    turn();
    expect_at_peer(peer, "out goes on", false);
    conn_resume(&o->conn);
    turn();
    expect_input(&story, "later");

    /* A peer that is gone altogether is noticed all the same. */
    conn_pause(&o->conn);
    close(peer);
    turn();
    assert_int_equal(story.gone, 1);
}

static void pause_in_input(struct owner *o, char *data, size_t len)
{
    (void)data;
    (void)len;
    conn_pause(&o->conn);
}

static void pauses_in_its_own_input(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    o->at_input = pause_in_input;
    RECVS({0, 1}, {0, 1}, {0, 1});
    assert_int_equal(send(peer, "abc", 3, 0), 3);
    turn();
    turn();
    expect_input(&story, "a");
    conn_resume(&o->conn);
    turn();
    turn();
    expect_input(&story, "ab");
    end(o, peer);
}

/* ---- closing ---- */

static void close_other(struct owner *o, char *data, size_t len)
{
    (void)data;
    (void)len;
    conn_close(&o->other->conn);
    conn_close(&o->other->conn);
    if (o->other != o)
        o->other->other = NULL;
}

static void closes_another_in_the_same_turn(void **unused)
{
    (void)unused;
    int peers[2];
    struct owner *a = open_with(&ops, &story, &peers[0]);
    struct owner *b = open_with(&ops, &other_story, &peers[1]);
    a->other = b;
    b->other = a;
    a->at_input = b->at_input = close_other;
    assert_int_equal(send(peers[0], "x", 1, 0), 1);
    assert_int_equal(send(peers[1], "x", 1, 0), 1);
    turn();
    /* Who came first has closed the other one, whose input is not read any more. */
    assert_int_equal(story.inputs + other_story.inputs, 1);
    assert_int_equal(story.gone + other_story.gone, 1);
    end(story.gone ? b : a, peers[0]);
    close(peers[1]);
}

static void closes_itself_in_its_input(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    o->other = o;
    o->at_input = close_other;
    send_text(o, "lost");
    assert_int_equal(send(peer, "x", 1, 0), 1);
    turn();
    assert_int_equal(story.gone, 1);
    expect_at_peer(peer, "", true);
    close(peer);
}

static void ignores_sends_to_what_is_closed(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    conn_close(&o->conn);
    assert_true(conn_is_ending(&o->conn));
    send_text(o, "x");
    conn_pause(&o->conn);
    conn_resume(&o->conn);
    conn_finish(&o->conn);
    turn();
    assert_int_equal(story.gone, 1);
    expect_at_peer(peer, "", true);
    close(peer);
}

static void greet_other(struct owner *o)
{
    if (o->other)
        send_text(o->other, "one left ");
}

static void close_next(struct owner *o)
{
    if (o->other)
        conn_close(&o->other->conn);
}

/* Letting go of one may write to others and close others: all in the same end of the turn. */
static void others_may_be_told_of_the_end(void **unused)
{
    (void)unused;
    int peers[4];
    struct owner *a = open_with(&ops, &story, &peers[0]);
    struct owner *b = open_with(&ops, &story, &peers[1]);
    struct owner *c = open_with(&ops, &story, &peers[2]);
    struct owner *stays = open_with(&ops, &other_story, &peers[3]);
    a->other = stays;
    a->at_gone = greet_other;
    b->other = c;
    b->at_gone = close_next;
    c->other = stays;
    c->at_gone = greet_other;
    send_text(c, "never sent"); /* dirty and closed at once */
    conn_close(&a->conn);
    conn_close(&b->conn);
    net_end_turns(&net);
    assert_int_equal(story.gone, 3);
    expect_at_peer(peers[3], "one left one left ", false);
    end(stays, peers[3]);
    for (int i = 0; i < 3; i++)
        close(peers[i]);
}

static void greet_and_close_other(struct owner *o)
{
    send_text(o->other, "lost");
    conn_close(&o->other->conn);
}

static void others_may_be_written_to_and_closed_at_the_end(void **unused)
{
    (void)unused;
    int peers[2];
    struct owner *a = open_with(&ops, &story, &peers[0]);
    a->other = open_with(&ops, &other_story, &peers[1]);
    a->at_gone = greet_and_close_other;
    conn_close(&a->conn);
    net_end_turns(&net);
    assert_int_equal(story.gone, 1);
    assert_int_equal(other_story.gone, 1);
    expect_at_peer(peers[1], "", true);
    close(peers[0]);
    close(peers[1]);
}

static void send_more(struct owner *o)
{
    if (story.drains < 3)
        send_text(o, "more ");
}

static void may_send_when_drained(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    o->at_drained = send_more;
    send_text(o, "first ");
    turn();
    expect_at_peer(peer, "first more more ", false);
    end(o, peer);
}

/* ---- the last word ---- */

static void finishes_with_the_last_word(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    send_text(o, "the last ");
    send_text(o, "word");
    conn_finish(&o->conn);
    conn_finish(&o->conn);
    assert_true(conn_is_ending(&o->conn));
    send_text(o, "too late");
    turn();
    expect_at_peer(peer, "the last word", true);
    assert_int_equal(story.gone, 0);
    /* It lingers: what comes now is thrown away, and does not reset the connection. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(peer, "ignored", 7, 0), 7);
        turn();
    }
    assert_int_equal(story.inputs, 0);
    assert_int_equal(story.gone, 0);
    close(peer);
    turn();
    assert_int_equal(story.gone, 1);
}

static void finishes_when_it_was_idle(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    conn_pause(&o->conn);
    conn_finish(&o->conn);
    turn();
    expect_at_peer(peer, "", true);
    /* It was paused; to see the peer's end it reads again. */
    assert_true(o->conn.io.events & EPOLLIN);
    shutdown(peer, SHUT_WR);
    turn();
    assert_int_equal(story.gone, 1);
    close(peer);
}

static void finishes_after_a_stall(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    SENDS({0, 1}, {EAGAIN, 0});
    send_text(o, "abc");
    net_end_turns(&net);
    send_text(o, "def");
    conn_finish(&o->conn);
    net_end_turns(&net);
    expect_at_peer(peer, "a", false);
    turn();
    expect_at_peer(peer, "bcdef", true);
    assert_false(o->conn.io.events & EPOLLOUT);
    assert_int_equal(story.stalls, 1);
    end(o, peer);
}

static void lingers_with_a_limit(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    conn_finish(&o->conn);
    turn();
    char junk[4096] = {0};
    size_t taken = 0;
    for (int64_t until = clock_ms() + DEADLINE_MS; !story.gone && clock_ms() < until;) {
        ssize_t n = send(peer, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
        taken += n > 0 ? (size_t)n : 0;
        turn();
        if (taken <= CONN_LINGER_BYTES)
            assert_int_equal(story.gone, 0);
    }
    assert_int_equal(story.gone, 1);
    assert_true(taken > CONN_LINGER_BYTES);
    close(peer);
}

static void finishes_on_a_broken_connection(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    send_text(o, "last word");
    conn_finish(&o->conn);
    SENDS({ECONNRESET, 0});
    turn();
    assert_int_equal(story.gone, 1);
    close(peer);
}

/* ---- a peer that has ended its side ---- */

static void half_closed_still_gets_its_answer(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_with(&half_ops, &story, &peer);
    SENDS({0, 2}, {EAGAIN, 0}, {0, 1}, {EAGAIN, 0}, {EAGAIN, 0});
    send_text(o, "the answer");
    net_end_turns(&net);
    assert_int_equal(send(peer, "rest", 4, 0), 4);
    shutdown(peer, SHUT_WR);
    for (int i = 0; i < 5; i++)
        turn();
    expect_at_peer(peer, "the answer", true);
    expect_input(&story, "rest");
    assert_int_equal(story.gone, 1);
    close(peer);

    /* With nothing to send it is over at once. */
    open_with(&half_ops, &story, &peer);
    shutdown(peer, SHUT_WR);
    turn();
    assert_int_equal(story.gone, 2);
    close(peer);
}

static void half_closed_is_over_without(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    SENDS({EAGAIN, 0}, {EAGAIN, 0});
    send_text(o, "nobody waits for it");
    net_end_turns(&net);
    shutdown(peer, SHUT_WR);
    turn();
    assert_int_equal(story.gone, 1);
    close(peer);
}

/* ---- another owner ---- */

static struct owner *moved;

static struct owner *move_owner(struct owner *from)
{
    struct owner *to = calloc(1, sizeof *to);
    to->story = &other_story;
    conn_move(&to->conn, &from->conn, &ops);
    return moved = to;
}

static void move_in_input(struct owner *o, char *data, size_t len)
{
    (void)data;
    (void)len;
    send_text(o, "from old ");
    send_text(move_owner(o), "from new");
}

static void moves_in_its_input(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    send_text(o, "queued before ");
    o->at_input = move_in_input;
    assert_int_equal(send(peer, "go", 2, 0), 2);
    turn();
    assert_int_equal(story.gone, 1);
    assert_int_equal(other_story.gone, 0);
    expect_at_peer(peer, "queued before from old from new", false);
    assert_int_equal(send(peer, "next", 4, 0), 4);
    turn();
    expect_input(&story, "go");
    expect_input(&other_story, "next");
    end(moved, peer);
}

static void moves_with_a_queue(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    struct blob *b = blob_of(STR("shared "));
    send_text(o, "a ");
    assert_int_equal(conn_send(&o->conn, b), ERR_OK);
    send_text(o, "c ");
    struct owner *to = move_owner(o);
    assert_int_equal(to->conn.queued_bytes, 11);
    send_text(to, "d");
    turn();
    assert_int_equal(story.gone, 1);
    expect_at_peer(peer, "a shared c d", false);
    assert_int_equal(script.calls, 1);
    assert_int_equal(b->refs, 1);
    blob_unref(b);
    end(to, peer);
}

static void moves_while_stalled(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    SENDS({0, 1}, {EAGAIN, 0}, {EAGAIN, 0});
    send_text(o, "abc");
    net_end_turns(&net);
    struct owner *to = move_owner(o);
    send_text(to, "def");
    net_end_turns(&net);
    assert_int_equal(script.calls, 2);
    turn();
    turn();
    expect_at_peer(peer, "abcdef", false);
    assert_int_equal(other_story.drains, 1);
    assert_int_equal(story.drains, 0);
    end(to, peer);
}

static void moves_while_paused(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    conn_pause(&o->conn);
    assert_int_equal(send(peer, "hello", 5, 0), 5);
    turn();
    struct owner *to = move_owner(o);
    turn();
    assert_int_equal(other_story.inputs, 0);
    conn_resume(&to->conn);
    turn();
    expect_input(&other_story, "hello");
    assert_int_equal(story.inputs, 0);
    end(to, peer);
}

/* The one that was moved away from may be told to close before it is gone. */
static void moves_and_closes_in_one_turn(void **unused)
{
    (void)unused;
    int peer;
    struct owner *o = open_conn(&peer);
    send_text(o, "abc");
    struct owner *to = move_owner(o);
    conn_close(&o->conn);
    send_text(o, "to nobody");
    conn_close(&to->conn);
    turn();
    assert_int_equal(story.gone, 1);
    assert_int_equal(other_story.gone, 1);
    expect_at_peer(peer, "", true);
    close(peer);
}

static void tells_what_epoll_refuses(void **unused)
{
    (void)unused;
    struct conn c;
    int fd = open("/dev/null", O_RDONLY); /* epoll takes no such file */
    assert_int_equal(conn_open(&c, &net, fd, &ops), ERR_SYS);
    assert_int_equal(close(fd), 0);
    assert_int_equal(conn_open(&c, &net, -1, &ops), ERR_SYS);
}

/* ---- over TCP, where a reset takes what was not read with it ---- */

static void last_word_survives_unread_input(void **unused)
{
    (void)unused;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_storage sa = {.ss_family = AF_INET};
    socklen_t sa_len = sizeof sa;
    assert_int_equal(bind(listening, (struct sockaddr *)&sa, sa_len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&sa, &sa_len), 0);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&sa, sa_len), 0);
    struct owner *o = adopt(accept4(listening, NULL, NULL, SOCK_NONBLOCK), &ops, &story);
    net.transport = &transport_tcp;

    char junk[50000] = {0};
    assert_int_equal(send(peer, junk, sizeof junk, 0), sizeof junk);
    send_text(o, "last word");
    conn_finish(&o->conn);
    TURN_UNTIL(o->conn.lingered_bytes == sizeof junk);
    assert_int_equal(story.inputs, 0);
    char got[20];
    assert_int_equal(recv(peer, got, sizeof got, MSG_WAITALL), 9);
    assert_memory_equal(got, "last word", 9);
    close(peer);
    TURN_UNTIL(story.gone == 1);
    close(listening);
}

/* What goes to many is written a slice a turn; what is urgent goes first, and what comes meanwhile
 * joins what waits. */
static void writes_what_goes_to_many_in_slices(void **unused)
{
    (void)unused;
    enum { N = NET_SLICE + 3, LAST = N - 1 };
    int peers[N];
    struct owner *owners[N];
    struct blob *b = blob_of(STR("1")), *more = blob_of(STR("2"));
    for (unsigned i = 0; i < N; i++) {
        owners[i] = open_conn(&peers[i]);
        assert_int_equal(conn_send_bulk(&owners[i]->conn, b), ERR_OK);
    }
    assert_true(net_end_turn(&net));
    for (unsigned i = 0; i < N; i++)
        expect_at_peer(peers[i], i < NET_SLICE ? "1" : "", false);
    /* An answer overtakes the fan-out, but not what waits for the same connection. */
    send_text(owners[LAST], "!");
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(conn_send_bulk(&owners[i]->conn, more), ERR_OK);
    unsigned calls = script.calls;
    assert_true(net_end_turn(&net));
    assert_int_equal(script.calls, calls + 1 + NET_SLICE);
    expect_at_peer(peers[LAST], "1!2", false);
    expect_at_peer(peers[NET_SLICE], "12", false);
    expect_at_peer(peers[NET_SLICE + 1], "12", false);
    for (unsigned i = 0; i < NET_SLICE; i++)
        expect_at_peer(peers[i], i < NET_SLICE - 2 ? "2" : "", false);
    assert_false(net_end_turn(&net));
    expect_at_peer(peers[NET_SLICE - 1], "2", false);
    assert_int_equal(script.calls, calls + 1 + N - 1);
    for (unsigned i = 0; i < N; i++)
        end(owners[i], peers[i]);
    blob_unref(b);
    blob_unref(more);
}

/* Larger slices while nothing comes in between, smaller ones when something does. */
static void slices_grow_while_nothing_interrupts(void **unused)
{
    (void)unused;
    enum { N = 2 * NET_SLICE_MAX };
    int peers[N];
    struct owner *owners[N];
    struct blob *b = blob_of(STR("1"));
    unsigned expected = NET_SLICE;
    for (unsigned i = 0; i < N; i++)
        owners[i] = open_conn(&peers[i]);
    for (unsigned round = 0; round < 8; round++) {
        bool interrupts = round >= 5;
        unsigned turns = 0;
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(conn_send_bulk(&owners[i]->conn, b), ERR_OK);
        net.loop->had_input = true; /* what began the fan-out */
        for (bool more = true; more; turns++) {
            unsigned calls = script.calls, before = net.slice;
            net.loop->now_us = loop_clock_us() + 1000; /* all else has taken no time */
            more = net_end_turn(&net);
            assert_in_range(script.calls - calls, 1, before);
            net.loop->had_input = interrupts;
            if (interrupts && turns > 0)
                assert_int_equal(net.slice, before > NET_SLICE ? before / 2 : NET_SLICE);
        }
        if (interrupts)
            continue;
        assert_int_equal(turns, N / expected);
        expected = expected == NET_SLICE_MAX ? expected : 2 * expected;
        assert_int_equal(net.slice, expected);
    }
    assert_int_equal(net.slice, NET_SLICE);
    for (unsigned i = 0; i < N; i++)
        end(owners[i], peers[i]);
    blob_unref(b);
}

/* Whatever else there is to do, a fan-out has a third of the time. */
static void slices_go_on_as_long_as_the_rest_took(void **unused)
{
    (void)unused;
    enum { N = 3 * NET_SLICE };
    int peers[N];
    struct owner *owners[N];
    struct blob *b = blob_of(STR("1"));
    for (unsigned i = 0; i < N; i++) {
        owners[i] = open_conn(&peers[i]);
        assert_int_equal(conn_send_bulk(&owners[i]->conn, b), ERR_OK);
    }
    net.loop->had_input = true;
    net.loop->now_us = loop_clock_us() - 60 * 1000000ll; /* capped */
    int64_t before = loop_clock_us();
    unsigned calls = script.calls;
    bool more = net_end_turn(&net);
    /* Unless the machine has stood still meanwhile. */
    assert_true(loop_clock_us() - before >= NET_SHARE_MAX_US || script.calls == calls + N);
    assert_int_equal(more, script.calls < calls + N);
    net_end_turns(&net);
    for (unsigned i = 0; i < N; i++)
        end(owners[i], peers[i]);
    blob_unref(b);
}

static void a_slice_has_so_many_bytes(void **unused)
{
    (void)unused;
    enum { N = 10, BYTES = NET_SLICE_BYTES / 2 };
    static char bytes[BYTES];
    int peers[N];
    struct owner *owners[N];
    struct blob *b = blob_of(str_make(bytes, BYTES));
    net.queue_bytes_max = 2 * BYTES;
    for (unsigned i = 0; i < N; i++) {
        owners[i] = open_conn(&peers[i]);
        assert_int_equal(conn_send_bulk(&owners[i]->conn, b), ERR_OK);
    }
    for (unsigned done = 2; done <= N; done += 2) {
        unsigned calls = script.calls;
        assert_int_equal(net_end_turn(&net), done < N);
        assert_int_equal(script.calls, calls + 2);
    }
    for (unsigned i = 0; i < N; i++)
        end(owners[i], peers[i]);
    blob_unref(b);
}

static void forgets_who_closes_while_it_waits_for_its_slice(void **unused)
{
    (void)unused;
    int peers[2];
    struct owner *first = open_conn(&peers[0]), *second = open_conn(&peers[1]);
    struct blob *b = blob_of(STR("x"));
    assert_int_equal(conn_send_bulk(&first->conn, b), ERR_OK);
    assert_int_equal(conn_send_bulk(&second->conn, b), ERR_OK);
    conn_close(&first->conn);
    assert_false(net_end_turn(&net));
    assert_int_equal(story.gone, 1);
    expect_at_peer(peers[0], "", true);
    expect_at_peer(peers[1], "x", false);
    assert_int_equal(b->refs, 1);
    close(peers[0]);
    end(second, peers[1]);
    blob_unref(b);
}

/* The same by io_uring: many in one call, those that stall or end among them. */
static void writes_to_many_with_one_call(void **unused)
{
    (void)unused;
    enum { N = 2 * URING_BATCH + 3 };
    static struct owner *owners[N];
    static int peers[N];
    char junk[65536];
    struct blob *b = blob_of(STR("frame"));
    memset(junk, 'x', sizeof junk);
    if (uring_new(&net.uring))
        skip();
    for (unsigned i = 0; i < N; i++)
        owners[i] = open_conn(&peers[i]);
    /* The second takes nothing more, the third's peer is gone. */
    while (send(owners[1]->conn.io.fd, junk, sizeof junk, MSG_DONTWAIT) > 0)
        ;
    struct linger reset = {.l_onoff = 1};
    setsockopt(peers[2], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(peers[2]);
    for (unsigned i = 0; i < N; i++) {
        for (unsigned n = 0; n < 1 + i % (URING_IOV + 2); n++)
            assert_int_equal(conn_send_bulk(&owners[i]->conn, b), ERR_OK);
    }
    net_end_turns(&net);
    assert_int_equal(story.gone, 1);
    assert_int_equal(story.stalls, 1);
    assert_true(owners[1]->conn.stalled);
    for (unsigned i = 3; i < N; i++) {
        char text[64] = "";
        for (unsigned n = 0; n < 1 + i % (URING_IOV + 2); n++)
            strcat(text, "frame");
        expect_at_peer(peers[i], text, false);
        assert_null(owners[i]->conn.first);
        assert_int_equal(owners[i]->conn.queued_bytes, 0);
    }
    assert_int_equal(b->refs, 1 + 2); /* the stalled one's two */
    uring_free(net.uring);
    net.uring = NULL;
    for (unsigned i = 0; i < N; i++) {
        if (i != 2)
            conn_close(&owners[i]->conn);
    }
    net_end_turns(&net);
    assert_int_equal(story.gone, N);
    for (unsigned i = 0; i < N; i++) {
        if (i != 2)
            close(peers[i]);
    }
    assert_int_equal(b->refs, 1);
    blob_unref(b);
}

/* Past the queue, where there is none; behind it, where there is. */
static void writes_many_now(void **unused)
{
    (void)unused;
    for (unsigned with_ring = 0; with_ring < 2; with_ring++) {
        enum { N = 5 };
        int peers[N];
        struct owner *owners[N];
        struct net_write writes[N];
        struct blob *b = blob_of(STR("0123456789"));
        const struct blob_range ranges[] = {{b, 1, 3}, {b, 5, 6}};
        if (with_ring && uring_new(&net.uring))
            break;
        story = (struct story){0};
        memset(&script, 0, sizeof script);
        for (unsigned i = 0; i < N; i++) {
            owners[i] = open_conn(&peers[i]);
            writes[i] = (struct net_write){&owners[i]->conn, 2, ranges};
        }
        send_text(owners[1], "first ");
        conn_finish(&owners[2]->conn);
        if (!with_ring)
            SENDS({0, 2}, {0, 1}); /* a short write, and what is left of it */
        net_write_many(&net, writes, N);
        expect_at_peer(peers[0], "125", false);
        expect_at_peer(peers[1], "first 125", false);
        net_end_turns(&net);
        expect_at_peer(peers[2], "", true);
        expect_at_peer(peers[3], "125", false);
        expect_at_peer(peers[4], "125", false);
        assert_int_equal(b->refs, 1);
        uring_free(net.uring);
        net.uring = NULL;
        for (unsigned i = 0; i < N; i++) {
            conn_close(&owners[i]->conn);
            close(peers[i]);
        }
        net_end_turns(&net);
        assert_int_equal(story.gone, N);
        blob_unref(b);
    }
}

static bool write_more(void *ctx)
{
    return --*(unsigned *)ctx;
}

static void asks_for_more_each_turn(void **unused)
{
    (void)unused;
    unsigned turns = 3;
    net.write_more = write_more;
    net.ctx = &turns;
    assert_true(net_end_turn(&net));
    assert_int_equal(turns, 2);
    net_end_turns(&net);
    assert_int_equal(turns, 0);
}

#define WITH_NET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NET(gathers_the_sends_of_a_turn),
        WITH_NET(gathers_more_than_one_call_takes),
        WITH_NET(writes_what_goes_to_many_in_slices),
        WITH_NET(slices_grow_while_nothing_interrupts),
        WITH_NET(slices_go_on_as_long_as_the_rest_took),
        WITH_NET(a_slice_has_so_many_bytes),
        WITH_NET(forgets_who_closes_while_it_waits_for_its_slice),
        WITH_NET(writes_to_many_with_one_call),
        WITH_NET(writes_many_now),
        WITH_NET(asks_for_more_each_turn),
        WITH_NET(shares_blobs),
        WITH_NET(survives_short_writes),
        WITH_NET(goes_on_when_the_kernel_takes_again),
        WITH_NET(feeds_a_slow_reader),
        WITH_NET(sends_nothing_for_an_empty_blob),
        WITH_NET(breaks_when_sending_fails),
        WITH_NET(breaks_when_the_peer_is_gone),
        WITH_NET(writes_before_it_judges),
        WITH_NET(limits_messages),
        WITH_NET(limits_bytes),
        WITH_NET(knows_no_limit_for_who_bounds_itself),
        WITH_NET(takes_less_while_memory_is_short),
        WITH_NET(counts_what_is_left_of_a_message),
        WITH_NET(drops_what_is_not_begun),
        WITH_NET(rests_after_dropping_all),
        WITH_NET(keeps_no_memory_when_drained),
        WITH_NET(agrees_with_the_model),
        WITH_NET(reads_what_comes),
        WITH_NET(ends_with_the_peer),
        WITH_NET(pauses),
        WITH_NET(pauses_in_its_own_input),
        WITH_NET(closes_another_in_the_same_turn),
        WITH_NET(closes_itself_in_its_input),
        WITH_NET(ignores_sends_to_what_is_closed),
        WITH_NET(others_may_be_told_of_the_end),
        WITH_NET(others_may_be_written_to_and_closed_at_the_end),
        WITH_NET(may_send_when_drained),
        WITH_NET(finishes_with_the_last_word),
        WITH_NET(finishes_when_it_was_idle),
        WITH_NET(finishes_after_a_stall),
        WITH_NET(lingers_with_a_limit),
        WITH_NET(finishes_on_a_broken_connection),
        WITH_NET(half_closed_still_gets_its_answer),
        WITH_NET(half_closed_is_over_without),
        WITH_NET(moves_in_its_input),
        WITH_NET(moves_with_a_queue),
        WITH_NET(moves_while_stalled),
        WITH_NET(moves_while_paused),
        WITH_NET(moves_and_closes_in_one_turn),
        WITH_NET(tells_what_epoll_refuses),
        WITH_NET(last_word_survives_unread_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
