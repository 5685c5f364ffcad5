#include "cli/bench_feed.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/buf.h"

/* Frames of every kind of length, and what was read of them: "op:len:head-sum". */
static struct buf input, expected;

static void add(enum ws_op op, size_t len)
{
    char *header = buf_reserve(&input, WS_HEADER_MAX);
    input.len += ws_frame_header(header, op, len);
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        char c = (char)('a' + (i * 7 + len) % 26);
        buf_char(&input, c);
        sum = i < BENCH_FEED_HEAD ? sum * 31 + (unsigned char)c : sum;
    }
    buf_printf(&expected, "%d:%zu:%u ", op, len, sum);
}

static int fill(void **unused)
{
    (void)unused;
    buf_clear(&input);
    buf_clear(&expected);
    add(WS_TEXT, 0);
    add(WS_TEXT, 1);
    add(WS_TEXT, 125);
    add(WS_PING, 3);
    add(WS_BINARY, 126);
    add(WS_TEXT, BENCH_FEED_HEAD - 1);
    add(WS_TEXT, BENCH_FEED_HEAD);
    add(WS_TEXT, BENCH_FEED_HEAD + 1);
    add(WS_CLOSE, 125);
    add(WS_TEXT, 66000);
    add(WS_TEXT, 5);
    return 0;
}

static int release(void **unused)
{
    (void)unused;
    buf_fini(&input);
    buf_fini(&expected);
    return 0;
}

static void read_all(struct bench_feed *f, const char *p, size_t len, struct buf *out)
{
    struct bench_frame frame;
    enum err e;
    while ((e = bench_feed_next(f, &p, &len, &frame)) == ERR_OK) {
        unsigned sum = 0;
        for (size_t i = 0; i < frame.head.len; i++)
            sum = sum * 31 + (unsigned char)frame.head.p[i];
        buf_printf(out, "%d:%zu:%u ", frame.op, (size_t)frame.len, sum);
        assert_int_equal(frame.head.len, frame.len < BENCH_FEED_HEAD ? frame.len : BENCH_FEED_HEAD);
    }
    assert_int_equal(e, ERR_AGAIN);
    assert_int_equal(len, 0);
}

static void check(struct buf *got)
{
    buf_char(got, 0);
    buf_char(&expected, 0);
    expected.len--;
    assert_string_equal(got->p, expected.p);
    buf_fini(got);
}

static void reads_frames_that_are_whole(void **unused)
{
    (void)unused;
    struct bench_feed f;
    struct buf got = BUF_INIT;
    bench_feed_init(&f);
    read_all(&f, input.p, input.len, &got);
    assert_null(f.kept); /* nothing was copied */
    check(&got);
    bench_feed_fini(&f);
}

/* Pieces are copies of their own: reading past one shows under ASan. */
static void read_in_pieces(size_t piece)
{
    struct bench_feed f;
    struct buf got = BUF_INIT;
    bench_feed_init(&f);
    for (size_t at = 0; at < input.len; at += piece) {
        size_t n = input.len - at < piece ? input.len - at : piece;
        char *copy = malloc(n);
        memcpy(copy, input.p + at, n);
        read_all(&f, copy, n, &got);
        free(copy);
    }
    check(&got);
    bench_feed_fini(&f);
}

static void reads_them_in_pieces_of_any_size(void **unused)
{
    (void)unused;
    const size_t pieces[] = {1, 2, 3, 5, 7, 64, 1000, 1024, 1028, 4096, 60000};
    for (unsigned i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        read_in_pieces(pieces[i]);
}

static void reads_them_cut_at_every_point(void **unused)
{
    (void)unused;
    for (size_t cut = 0; cut < 5000; cut++) {
        struct bench_feed f;
        struct buf got = BUF_INIT;
        bench_feed_init(&f);
        read_all(&f, input.p, cut, &got);
        read_all(&f, input.p + cut, input.len - cut, &got);
        check(&got);
        bench_feed_fini(&f);
    }
}

static void refuse(const char *bytes, size_t len)
{
    for (size_t piece = 1; piece <= len; piece++) {
        struct bench_feed f;
        struct bench_frame frame;
        enum err e = ERR_AGAIN;
        bench_feed_init(&f);
        for (size_t at = 0; at < len && e == ERR_AGAIN; at += piece) {
            const char *p = bytes + at;
            size_t n = len - at < piece ? len - at : piece;
            e = bench_feed_next(&f, &p, &n, &frame);
        }
        assert_int_equal(e, ERR_PROTO);
        bench_feed_fini(&f);
    }
}

static void refuses_what_a_server_may_not_send(void **unused)
{
    (void)unused;
    refuse("\x81\x80....", 6); /* masked */
    refuse("\xc1\x00", 2);     /* a reserved bit */
    refuse("\x83\x00", 2);     /* unknown opcodes */
    refuse("\x8b\x00", 2);
    refuse("\x89\x7e\x00\x7e", 4);            /* a long control frame */
    refuse("\x09\x00", 2);                    /* a control frame in fragments */
    refuse("\x81\x7f\x80\0\0\0\0\0\0\0", 10); /* 2^63 bytes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_frames_that_are_whole, fill, release),
        cmocka_unit_test_setup_teardown(reads_them_in_pieces_of_any_size, fill, release),
        cmocka_unit_test_setup_teardown(reads_them_cut_at_every_point, fill, release),
        cmocka_unit_test(refuses_what_a_server_may_not_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
