#include "net/listener.h"
#include "base/log.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { DEADLINE_MS = 20000, ACCEPTED_MAX = 1000 };

/* ---- addresses ---- */

static void expect_address(const char *text, const char *written)
{
    struct address a;
    char out[64];
    if (address_parse(&a, text) != ERR_OK)
        fail_msg("'%s' was refused", text);
    address_write(out, &a);
    assert_string_equal(out, written);
}

static void expect_junk(const char *text)
{
    struct address a;
    char out[64];
    if (address_parse(&a, text) == ERR_OK) {
        address_write(out, &a);
        fail_msg("'%s' was taken for %s", text, out);
    }
}

static void reads_addresses(void **unused)
{
    (void)unused;
    expect_address("127.0.0.1:8888", "127.0.0.1:8888");
    expect_address(":8888", "0.0.0.0:8888");
    expect_address("0.0.0.0:0", "0.0.0.0:0");
    expect_address("10.1.2.3:65535", "10.1.2.3:65535");
    expect_address("[::1]:8888", "[::1]:8888");
    expect_address("[::]:1", "[::]:1");
    expect_address("[2001:db8::7:0]:443", "[2001:db8::7:0]:443");
    struct address a;
    assert_int_equal(address_parse(&a, "localhost:80"), ERR_OK);
}

static void refuses_junk(void **unused)
{
    (void)unused;
    expect_junk("");
    expect_junk(":");
    expect_junk("127.0.0.1");
    expect_junk("127.0.0.1:");
    expect_junk("8888");
    expect_junk("127.0.0.1:http");
    expect_junk("127.0.0.1:80x");
    expect_junk("127.0.0.1:0x50");
    expect_junk("256.0.0.1:80");
    expect_junk("[::1:80");
    expect_junk("::1:80");
    expect_junk("[zz]:80");
    expect_junk("no such host:80");
    char longest[400];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + sizeof longest - 4, ":80", 4);
    expect_junk(longest);
}

/* Not taken for another port in silence. */
static void refuses_ports_out_of_range(void **unused)
{
    (void)unused;
    expect_junk("127.0.0.1:65536");
    expect_junk("127.0.0.1:99999");
    expect_junk("127.0.0.1:4294967376");
    expect_junk("127.0.0.1:-1");
    expect_junk("127.0.0.1:+80");
    expect_junk("127.0.0.1: 80");
}

/* ---- listening ---- */

static struct loop loop;
static struct inbox *inbox;
static struct {
    int fds[ACCEPTED_MAX];
    unsigned n;
} accepted;

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer)
{
    const struct address from = {.sa = *peer};
    assert_true(address_is_loopback(&from));
    assert_int_not_equal(address_port(&from), 0);
    assert_ptr_equal(ctx, &accepted);
    assert_in_range(accepted.n, 0, ACCEPTED_MAX - 1);
    accepted.fds[accepted.n++] = fd;
}

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

static int set_up(void **unused)
{
    (void)unused;
    accepted.n = 0;
    log_setup(LOG_SILENT, false);
    return inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL) ? -1 : 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < accepted.n; i++)
        close(accepted.fds[i]);
    loop_fini(&loop);
    inbox_free(inbox);
    return 0;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct address open_on(struct listener *l, const char *text)
{
    struct address a;
    assert_int_equal(address_parse(&a, text), ERR_OK);
    assert_int_equal(listener_open(l, &loop, &a, on_accepted, &accepted), ERR_OK);
    return a;
}

static int connect_to(const struct address *a)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a->sa, a->len), 0);
    return fd;
}

static void turn_until_accepted(unsigned n)
{
    for (int64_t until = clock_ms() + DEADLINE_MS; accepted.n < n;) {
        if (clock_ms() > until)
            fail_msg("accepted only %u of %u", accepted.n, n);
        loop_turn(&loop, 10);
    }
}

static void accepts_without_blocking(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a = open_on(&l, "127.0.0.1:0");
    assert_int_not_equal(((struct sockaddr_in *)&a.sa)->sin_port, 0);
    int peer = connect_to(&a);
    turn_until_accepted(1);
    int on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(accepted.fds[0], IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    assert_true(fcntl(accepted.fds[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(accepted.fds[0], F_GETFD) & FD_CLOEXEC);
    close(peer);
    listener_close(&l);
    listener_close(&l);
    struct listener never = {.loop = NULL};
    listener_close(&never);
}

static void listens_on_ipv6(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a;
    assert_int_equal(address_parse(&a, "[::1]:0"), ERR_OK);
    if (listener_open(&l, &loop, &a, on_accepted, &accepted)) {
        assert_true(errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
        skip();
    }
    int peer = connect_to(&a);
    turn_until_accepted(1);
    close(peer);
    listener_close(&l);
}

static void shares_its_port(void **unused)
{
    (void)unused;
    enum { N = 60 };
    struct listener l[2];
    int peers[N];
    struct address a = open_on(&l[0], "127.0.0.1:0"), same = a;
    assert_int_equal(listener_open(&l[1], &loop, &same, on_accepted, &accepted), ERR_OK);
    for (int i = 0; i < N; i++)
        peers[i] = connect_to(&a);
    turn_until_accepted(N);
    for (int i = 0; i < N; i++)
        close(peers[i]);
    listener_close(&l[0]);
    listener_close(&l[1]);
}

/* SO_REUSEPORT shares a port with whoever asks; the probe tells whether somebody has it. */
static void probes_for_another_server(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a = open_on(&l, "127.0.0.1:0");
    assert_int_equal(address_probe(&a), ERR_SYS);
    assert_int_equal(errno, EADDRINUSE);
    listener_close(&l);
    assert_int_equal(address_probe(&a), ERR_OK);
    /* The probe itself does not take it. */
    assert_int_equal(address_probe(&a), ERR_OK);
    assert_int_equal(listener_open(&l, &loop, &a, on_accepted, &accepted), ERR_OK);
    listener_close(&l);
}

static void tells_why_it_cannot_listen(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a;
    /* A documentation address (RFC 5737): nobody's own. */
    assert_int_equal(address_parse(&a, "192.0.2.1:0"), ERR_OK);
    assert_int_equal(address_probe(&a), ERR_SYS);
    assert_int_equal(listener_open(&l, &loop, &a, on_accepted, &accepted), ERR_SYS);
    assert_int_equal(errno, EADDRNOTAVAIL);
}

static void accepts_in_bursts(void **unused)
{
    (void)unused;
    enum { N = LISTENER_BURST + 20 };
    struct listener l;
    int peers[N];
    struct address a = open_on(&l, "127.0.0.1:0");
    for (int i = 0; i < N; i++)
        peers[i] = connect_to(&a);
    loop_turn(&loop, 1000);
    assert_int_equal(accepted.n, LISTENER_BURST);
    turn_until_accepted(N);
    for (int i = 0; i < N; i++)
        close(peers[i]);
    listener_close(&l);
}

/* Out of descriptors: no spinning, and who waits in the backlog is served afterwards. */
static void rests_when_descriptors_are_out(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a = open_on(&l, "127.0.0.1:0");
    int peers[3];
    for (int i = 0; i < 3; i++)
        peers[i] = connect_to(&a);

    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    int spare = dup(peers[0]);          /* the lowest free descriptor: */
    tight.rlim_cur = (rlim_t)spare + 1; /* one connection has room */
    close(spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int64_t began = clock_ms();
    turn_until_accepted(1);
    loop_turn(&loop, 10);
    assert_int_equal(l.io.events, 0);
    assert_true(timer_is_set(&l.rest));
    loop_turn(&loop, 10);
    assert_int_equal(accepted.n, 1);

    /* It looks again by itself, in vain, and rests again; in between it sleeps. */
    unsigned turns = 0;
    for (; clock_ms() < began + 3 * LISTENER_REST_MS; turns++)
        loop_turn(&loop, 50);
    assert_true(turns < 30);
    assert_int_equal(accepted.n, 1);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    turn_until_accepted(3);
    loop_turn(&loop, 0);
    assert_int_equal(l.io.events, EPOLLIN);
    assert_false(timer_is_set(&l.rest));
    for (int i = 0; i < 3; i++)
        close(peers[i]);

    listener_close(&l);
}

static void closes_while_it_rests(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a = open_on(&l, "127.0.0.1:0");
    int peer = connect_to(&a);
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int64_t until = clock_ms() + DEADLINE_MS; l.io.events && clock_ms() < until;)
        loop_turn(&loop, 10);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    listener_close(&l);
    assert_int_equal(timer_wait_ms(&loop.timers, loop.now_ms), -1);
    loop_turn(&loop, 0);
    assert_int_equal(accepted.n, 0);
    close(peer);
}

/* Whoever holds the listener may say that it is full. */
static const char *full;

static const char *why_not(void *ctx)
{
    assert_ptr_equal(ctx, &accepted);
    return full;
}

static void rests_when_it_is_told_to(void **unused)
{
    (void)unused;
    struct listener l;
    struct address a = open_on(&l, "127.0.0.1:0");
    int peer = connect_to(&a);
    l.why_not = why_not;
    full = "it is full";
    for (int64_t until = clock_ms() + DEADLINE_MS; l.io.events && clock_ms() < until;)
        loop_turn(&loop, 10);
    assert_int_equal(l.io.events, 0);
    for (int64_t until = clock_ms() + DEADLINE_MS; l.n_pauses < 3 && clock_ms() < until;)
        loop_turn(&loop, 50);
    assert_int_equal(l.n_pauses, 3);
    assert_int_equal(accepted.n, 0);
    assert_true(l.told);
    full = NULL;
    turn_until_accepted(1);
    for (int64_t until = clock_ms() + DEADLINE_MS; l.told && clock_ms() < until;)
        loop_turn(&loop, 10);
    assert_false(l.told);
    assert_int_equal(l.n_pauses, 0);
    close(peer);
    listener_close(&l);
}

/* An error that does not go away (here EINVAL; EPERM of a security module is like that) must not
 * keep the thread busy: the socket stays ready. */
static void rests_at_an_error_that_stays(void **unused)
{
    (void)unused;
    struct listener l;
    open_on(&l, "127.0.0.1:0");
    assert_int_equal(shutdown(l.io.fd, SHUT_RD), 0);
    l.io.fn(&l.io, EPOLLIN);
    assert_int_equal(l.n_pauses, 1);
    assert_true(timer_is_set(&l.rest));
    assert_int_equal(accepted.n, 0);
    listener_close(&l);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(refuses_junk),
        cmocka_unit_test(refuses_ports_out_of_range),
        WITH_LOOP(accepts_without_blocking),
        WITH_LOOP(listens_on_ipv6),
        WITH_LOOP(shares_its_port),
        WITH_LOOP(probes_for_another_server),
        WITH_LOOP(tells_why_it_cannot_listen),
        WITH_LOOP(accepts_in_bursts),
        WITH_LOOP(rests_when_descriptors_are_out),
        WITH_LOOP(closes_while_it_rests),
        WITH_LOOP(rests_when_it_is_told_to),
        WITH_LOOP(rests_at_an_error_that_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
