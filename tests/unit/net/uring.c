/* Many sends in one call, against real sockets. Where the kernel permits no io_uring there is
 * nothing to test. */
#include "net/uring.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct uring *ring;

static int set_up(void **unused)
{
    (void)unused;
    if (uring_new(&ring)) {
        printf("no io_uring here: %s\n", strerror(errno));
        ring = NULL;
    }
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    uring_free(ring);
    return 0;
}

static void add(int fd, const char *a, const char *b)
{
    struct iovec *pieces = uring_pieces(ring);
    pieces[0] = (struct iovec){(void *)a, strlen(a)};
    if (b)
        pieces[1] = (struct iovec){(void *)b, strlen(b)};
    uring_send(ring, fd, b ? 2 : 1);
}

static void expect(int fd, const char *text)
{
    char got[256];
    ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, (size_t)n);
}

static void sends_a_batch_and_tells_what_came_of_each(void **unused)
{
    (void)unused;
    int pairs[URING_BATCH][2];
    ssize_t results[URING_BATCH];
    if (!ring)
        skip();
    for (unsigned i = 0; i < URING_BATCH; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < URING_BATCH; i++)
            add(pairs[i][0], "one", i % 2 ? " two" : NULL);
        uring_submit(ring, results);
        for (unsigned i = 0; i < URING_BATCH; i++) {
            assert_int_equal(results[i], i % 2 ? 7 : 3);
            expect(pairs[i][1], i % 2 ? "one two" : "one");
        }
    }
    for (unsigned i = 0; i < URING_BATCH; i++) {
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
}

/* A socket that takes no more, or only a part, holds nobody up. */
static void does_not_wait_for_a_full_socket(void **unused)
{
    (void)unused;
    static char much[1 << 20];
    int full[2], good[2], gone[2];
    ssize_t results[4];
    if (!ring)
        skip();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, full), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, good), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, gone), 0);
    close(gone[1]);
    memset(much, 'x', sizeof(much));
    uring_pieces(ring)[0] = (struct iovec){much, sizeof(much)};
    uring_send(ring, full[0], 1);
    add(full[0], "more", NULL);
    add(good[0], "hi", NULL);
    add(gone[0], "hi", NULL);
    uring_submit(ring, results);
    assert_in_range(results[0], 1, sizeof(much) - 1);
    assert_int_equal(results[1], -EAGAIN);
    assert_int_equal(results[2], 2);
    assert_int_equal(results[3], -EPIPE);
    expect(good[1], "hi");
    close(full[0]);
    close(full[1]);
    close(good[0]);
    close(good[1]);
    close(gone[0]);
}

static void submits_nothing_when_nothing_was_gathered(void **unused)
{
    (void)unused;
    if (!ring)
        skip();
    uring_submit(ring, NULL);
}

#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RING(sends_a_batch_and_tells_what_came_of_each),
        WITH_RING(does_not_wait_for_a_full_socket),
        WITH_RING(submits_nothing_when_nothing_was_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
