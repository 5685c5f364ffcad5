#include "base/log_writer.h"
#include "base/buf.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define LOG_AREA LOG_SERVER

enum { DEADLINE_MS = 20000 };

/* Each test has a process of its own, as a writer is started once: body() runs there, its standard
 * error is the pipe whose other end is read here. */
static struct child {
    pid_t pid;
    int output; /* what it writes to standard error */
    int said;   /* a byte of say() each */
    int go;     /* a byte lets it go on */
} child;

static int said, go;

static void say(void)
{
    if (write(said, "x", 1) != 1)
        _exit(9);
}

static void wait_for_go(void)
{
    char c;
    if (read(go, &c, 1) != 1)
        _exit(9);
}

static void begin(void (*body)(void))
{
    int output[2], to_us[2], to_it[2];
    assert_int_equal(pipe(output) | pipe(to_us) | pipe(to_it), 0);
    fflush(NULL);
    child.pid = fork();
    if (!child.pid) {
        said = to_us[1];
        go = to_it[0];
        dup2(output[1], STDERR_FILENO);
        close(output[0]);
        close(output[1]);
        close(to_us[0]);
        close(to_it[1]);
        log_setup(LOG_INFO, false);
        if (log_start())
            _exit(8);
        body();
        exit(0);
    }
    close(output[1]);
    close(to_us[1]);
    close(to_it[0]);
    child.output = output[0];
    child.said = to_us[0];
    child.go = to_it[1];
}

static void expect_said(void)
{
    struct pollfd p = {.fd = child.said, .events = POLLIN};
    char c;
    assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
    assert_int_equal(read(child.said, &c, 1), 1);
}

static void let_go(void)
{
    assert_int_equal(write(child.go, "x", 1), 1);
}

/* All that it writes until its end; then its status. */
static int read_to_the_end(struct buf *out)
{
    ssize_t n;
    int status;
    struct pollfd p = {.fd = child.output, .events = POLLIN};
    do {
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        n = read(child.output, buf_reserve(out, 65537), 65536);
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    *buf_reserve(out, 1) = 0;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.output);
    close(child.said);
    close(child.go);
    return status;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

/* The lines that were told to be lost: once or more often, as they were. */
static long lost_in(const char *text)
{
    static const char told[] = "log_lines_lost count=";
    long n = 0;
    for (const char *at = text; (at = strstr(at, told));) {
        at += sizeof(told) - 1;
        n += strtol(at, NULL, 10);
    }
    return n;
}

/* ---- the tests ---- */

static void log_and_exit(void)
{
    for (int i = 0; i < 1000; i++)
        LOG(LOG_ERROR, "line", LOG_INT("i", i));
}

static void writes_all_in_order_before_the_end(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    begin(log_and_exit);
    assert_int_equal(read_to_the_end(&out), 0);
    const char *at = out.p;
    for (int i = 0; i < 1000; i++) {
        char what[32];
        snprintf(what, sizeof what, "error line i=%d\n", i);
        at = strstr(at, what);
        assert_non_null(at);
    }
    assert_int_equal(count(out.p, "\n"), 1000);
    buf_fini(&out);
}

static void log_and_abort(void)
{
    for (int i = 0; i < 100; i++)
        LOG(LOG_ERROR, "line", LOG_INT("i", i));
    abort();
}

static void writes_all_before_an_abort(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    begin(log_and_abort);
    int status = read_to_the_end(&out);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_int_equal(count(out.p, "error line"), 100);
    buf_fini(&out);
}

enum { FLOOD = 20000 }; /* lines; more than the pipe and the buffer take */

static void flood(void)
{
    for (int i = 0; i < FLOOD; i++)
        LOG(LOG_ERROR, "line", LOG_INT("i", i));
    say();
    wait_for_go();
    log_writer_flush(DEADLINE_MS);
}

/* Whoever logs does not wait; what is lost is counted, and said as soon as somebody reads. */
static void does_not_wait_for_a_reader(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    begin(flood);
    expect_said(); /* although nothing has been read */
    let_go();
    assert_int_equal(read_to_the_end(&out), 0);
    assert_non_null(strstr(out.p, "reason=\"it was not read in time\""));
    assert_true(lost_in(out.p) > 0);
    assert_int_equal(count(out.p, "error line") + lost_in(out.p), FLOOD);
    buf_fini(&out);
}

static void exit_unread(void)
{
    for (int i = 0; i < FLOOD; i++)
        LOG(LOG_ERROR, "line", LOG_INT("i", i));
    say();
    exit(0); /* waits for LOG_WRITER_END_MS */
}

static void ends_although_nobody_reads(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    int status = -1;
    begin(exit_unread);
    expect_said();
    for (int ms = 0; ms < DEADLINE_MS && waitpid(child.pid, &status, WNOHANG) == 0; ms += 10)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(status, 0);
    close(child.output);
    buf_fini(&out);
}

static void full_disk(void)
{
    int pipe_fd = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY);
    dup2(full, STDERR_FILENO);
    LOG(LOG_ERROR, "line", LOG_INT("i", 0));
    log_writer_flush(DEADLINE_MS); /* comes back: it cannot be written */
    for (int i = 1; i < FLOOD; i++)
        LOG(LOG_ERROR, "line", LOG_INT("i", i));
    dup2(pipe_fd, STDERR_FILENO); /* there is room again */
    close(pipe_fd);
    say();
    wait_for_go();
    /* Behind what was said of a failure flushing waits again. */
    nanosleep(&(struct timespec){.tv_nsec = 2 * LOG_WRITER_AGAIN_MS * 1000000L}, NULL);
    log_writer_flush(DEADLINE_MS);
}

static void heals_when_a_disk_has_room_again(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    begin(full_disk);
    expect_said();
    let_go();
    assert_int_equal(read_to_the_end(&out), 0);
    assert_non_null(strstr(out.p, "error line i=0\n"));
    assert_non_null(strstr(out.p, "reason=\"No space left on device\""));
    assert_int_equal(count(out.p, "error line") + lost_in(out.p), FLOOD);
    buf_fini(&out);
}

static void closed_pipe(void)
{
    signal(SIGPIPE, SIG_IGN);
    wait_for_go();
    for (int i = 0; i < 100; i++)
        LOG(LOG_ERROR, "line", LOG_INT("i", i));
    log_writer_flush(DEADLINE_MS);
    say();
}

static void lives_on_with_a_closed_pipe(void **unused)
{
    (void)unused;
    int status;
    begin(closed_pipe);
    close(child.output);
    let_go();
    expect_said();
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_int_equal(status, 0);
}

/* Somebody who shares the pipe has made it non-blocking. */
static void non_blocking(void)
{
    fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
    flood();
}

static void waits_where_it_may_not_block(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    begin(non_blocking);
    expect_said();
    let_go();
    assert_int_equal(read_to_the_end(&out), 0);
    assert_true(lost_in(out.p) > 0);
    assert_int_equal(count(out.p, "error line") + lost_in(out.p), FLOOD);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_all_in_order_before_the_end),
        cmocka_unit_test(writes_all_before_an_abort),
        cmocka_unit_test(does_not_wait_for_a_reader),
        cmocka_unit_test(ends_although_nobody_reads),
        cmocka_unit_test(heals_when_a_disk_has_room_again),
        cmocka_unit_test(lives_on_with_a_closed_pipe),
        cmocka_unit_test(waits_where_it_may_not_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
