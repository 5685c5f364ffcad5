#include "base/log.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define LOG_AREA LOG_SERVER

/* ---- standard error, caught ---- */

static int caught_fd, real_stderr;
static struct buf caught;

static void catch_stderr(void)
{
    int fds[2];
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    caught_fd = fds[0];
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    buf_clear(&caught);
}

/* All lines since catch_stderr, in `caught`, which gets a NUL. */
static void release_stderr(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    ssize_t n;
    while ((n = read(caught_fd, buf_reserve(&caught, 65536), 65536)) > 0)
        caught.len += (size_t)n;
    close(caught_fd);
    *buf_reserve(&caught, 1) = 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    buf_fini(&caught);
    log_setup(LOG_INFO, false);
    return 0;
}

/* By the clock of the log's budget. */
static time_t second_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* The budget is each second's: the lines of a test all go into one that is fresh. */
static void wait_for_a_second(void)
{
    time_t before = second_now();
    while (second_now() == before)
        ;
}

static unsigned count_lines(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < caught.len; i++)
        n += caught.p[i] == '\n';
    return n;
}

/* A text line without its time, which is checked for its form. */
static void expect_text(const char *expected)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    assert_true(caught.len >= sizeof form - 1);
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == 'd')
            assert_in_range(caught.p[i], '0', '9');
        else
            assert_int_equal(caught.p[i], form[i]);
    }
    assert_string_equal(caught.p + sizeof form - 1, expected);
}

/* The same for JSON: what follows the time. */
static void expect_json(const char *expected)
{
    static const char head[] = "{\"time\":\"";
    struct json value, when;
    assert_int_equal(json_parse(&value, buf_as_str(&caught)), ERR_OK);
    assert_true(json_get(value, STR("time"), &when));
    assert_int_equal(when.text.len, 26);
    assert_memory_equal(caught.p, head, sizeof head - 1);
    assert_string_equal(caught.p + sizeof head - 1 + 25, expected);
}

static void writes_text(void **unused)
{
    (void)unused;
    log_setup(LOG_INFO, false);
    catch_stderr();
    LOG(LOG_WARN, "socket_closed", LOG_CSTR("reason", "slow"), LOG_INT("queued", 12),
        LOG_INT("left", -3), LOG_STR("name", STR("a b")));
    release_stderr();
    expect_text("warn  socket_closed reason=slow queued=12 left=-3 name=\"a b\"\n");

    catch_stderr();
    LOG(LOG_ERROR, "bare");
    release_stderr();
    expect_text("error bare\n");
}

static void writes_json(void **unused)
{
    (void)unused;
    log_setup(LOG_INFO, true);
    catch_stderr();
    LOG(LOG_INFO, "started", LOG_CSTR("address", "[::1]:80"),
        LOG_INT("big", INT64_C(-9223372036854775807)), LOG_STR("none", STR_EMPTY));
    release_stderr();
    expect_json(",\"level\":\"info\",\"event\":\"started\",\"address\":\"[::1]:80\","
                "\"big\":-9223372036854775807,\"none\":\"\"}\n");
    catch_stderr();
    LOG(LOG_ERROR, "bare");
    release_stderr();
    expect_json(",\"level\":\"error\",\"event\":\"bare\"}\n");
}

static void writes_one_line_whatever_the_field(void **unused)
{
    (void)unused;
    log_setup(LOG_INFO, false);
    catch_stderr();
    LOG(LOG_INFO, "e", LOG_STR("a", STR("x\ny\r\x1b[31m\0")), LOG_STR("b", STR("caf\xe9 \xff")),
        LOG_STR("c", STR("\"q\\")), LOG_STR("d", STR("k=v")), LOG_STR("e", STR_EMPTY),
        LOG_STR("f", STR("\xe2\x82\xac")), LOG_STR("g", STR("\x7f")));
    release_stderr();
    expect_text("info  e a=\"x\\ny\\r\\u001b[31m\\u0000\" b=\"caf\xef\xbf\xbd \xef\xbf\xbd\" "
                "c=\"\\\"q\\\\\" d=\"k=v\" e=\"\" f=\"\xe2\x82\xac\" g=\"\x7f\"\n");

    log_setup(LOG_INFO, true);
    catch_stderr();
    LOG(LOG_INFO, "e", LOG_STR("a", STR("x\ny\"\0")), LOG_STR("b", STR("caf\xe9")));
    release_stderr();
    expect_json(",\"level\":\"info\",\"event\":\"e\",\"a\":\"x\\ny\\\"\\u0000\","
                "\"b\":\"caf\xef\xbf\xbd\"}\n");
}

/* Names come from clients and may be long; a line is cut, and stays JSON and UTF-8. */
static void cuts_long_fields(void **unused)
{
    (void)unused;
    enum { LONG = 100000 };
    char *text = malloc(LONG);
    for (unsigned shift = 0; shift < 3; shift++) {
        for (size_t i = 0; i < LONG; i++)
            text[i] = "\xe2\x82\xac"[(i + shift) % 3];
        log_setup(LOG_INFO, true);
        catch_stderr();
        LOG(LOG_INFO, "e", LOG_STR("a", str_make(text, LONG)), LOG_INT("n", 1));
        release_stderr();
        struct json value, a, n;
        assert_int_equal(json_parse(&value, buf_as_str(&caught)), ERR_OK);
        assert_true(json_get(value, STR("a"), &a) && json_get(value, STR("n"), &n));
        assert_in_range(a.text.len, 500, 600);
        assert_true(utf8_valid(buf_as_str(&caught)));
        assert_true(caught.len < 1000);
    }
    free(text);
}

static void leaves_out_low_levels(void **unused)
{
    (void)unused;
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    for (int lowest = LOG_DEBUG; lowest <= LOG_SILENT; lowest++) {
        log_setup((enum log_level)lowest, false);
        for (unsigned area = 0; area < LOG_AREAS; area++) {
            assert_int_equal(log_levels().of[area], lowest);
            assert_true(log_is_on((enum log_area)area, (enum log_level)lowest));
            assert_true(!lowest || !log_is_on((enum log_area)area, (enum log_level)(lowest - 1)));
        }
        catch_stderr();
        for (unsigned i = 0; i < 4; i++)
            LOG(levels[i], "e");
        release_stderr();
        assert_int_equal(count_lines(), LOG_SILENT - lowest);
    }
}

static void has_a_level_for_each_area(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *same; /* NULL: refused */
    } cases[] = {
        {"debug", "debug"},
        {"silent", "silent"},
        {"warn,bus=debug", "warn,bus=debug"},
        {" warn , bus = debug ", "warn,bus=debug"},
        {"bus=debug", "info,bus=debug"},
        {"bus=debug,warn", "warn"},
        {"debug,server=warn,http=warn,sockets=warn,limits=warn,remote=warn", "warn,bus=debug"},
        {"", NULL},
        {"bus", NULL},
        {"bus=", NULL},
        {"=debug", NULL},
        {"bus=debug=info", NULL},
        {"Debug", NULL},
        {"cars=debug", NULL},
        {"info,,bus=debug", NULL}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_levels l;
        struct buf text = BUF_INIT;
        for (unsigned area = 0; area < LOG_AREAS; area++)
            l.of[area] = LOG_INFO;
        assert_int_equal(log_levels_read(&l, str_of(cases[i].text)), cases[i].same != NULL);
        log_levels_write(&text, &l);
        assert_true(str_eq(buf_as_str(&text), str_of(cases[i].same ? cases[i].same : "info")));
        log_set_levels(&l);
        assert_int_equal(log_is_on(LOG_BUS, LOG_DEBUG), l.of[LOG_BUS] == LOG_DEBUG);
        buf_fini(&text);
    }
}

static void keeps_to_its_budget(void **unused)
{
    (void)unused;
    log_setup(LOG_INFO, false);
    /* The machine may be so slow that a second ends in between: then once more. */
    for (int tries = 0;; tries++) {
        wait_for_a_second();
        catch_stderr();
        time_t began = second_now();
        for (int i = 0; i < LOG_LINES_MAX + 50; i++)
            LOG(i % 2 ? LOG_WARN : LOG_INFO, "e", LOG_INT("i", i));
        for (int i = 0; i < 10; i++)
            LOG(LOG_ERROR, "errors_are_always_told");
        bool in_time = second_now() == began;
        release_stderr();
        if (in_time)
            break;
        assert_in_range(tries, 0, 10);
    }
    assert_int_equal(count_lines(), LOG_LINES_MAX + 10);
    assert_non_null(strstr(caught.p, " i=199\n"));
    assert_null(strstr(caught.p, " i=200\n"));
    assert_null(strstr(caught.p, "lines_left_out"));

    /* The next second says what is missing, once. */
    wait_for_a_second();
    catch_stderr();
    LOG(LOG_INFO, "next", LOG_INT("n", 1));
    LOG(LOG_INFO, "next");
    release_stderr();
    assert_int_equal(count_lines(), 2);
    assert_non_null(strstr(caught.p, "next n=1 lines_left_out=50\n"));
    assert_ptr_equal(strstr(caught.p, "lines_left_out"), strstr(caught.p, "lines_left_out=50\n"));
}

static void *write_lines(void *name)
{
    for (int i = 0; i < 40; i++)
        LOG(LOG_ERROR, "from_a_thread", LOG_CSTR("name", name), LOG_INT("i", i));
    return NULL;
}

/* A line is one write: those of several threads never mix. */
static void writes_whole_lines_from_any_thread(void **unused)
{
    (void)unused;
    static char *const names[] = {"one", "two", "three", "four"};
    pthread_t threads[4];
    log_setup(LOG_INFO, true);
    catch_stderr();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, write_lines, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    release_stderr();
    assert_int_equal(count_lines(), 160);
    struct str rest = buf_as_str(&caught);
    while (rest.len) {
        struct json value;
        assert_int_equal(json_parse(&value, str_cut(&rest, '\n')), ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(writes_text, tear_down),
        cmocka_unit_test_teardown(writes_json, tear_down),
        cmocka_unit_test_teardown(writes_one_line_whatever_the_field, tear_down),
        cmocka_unit_test_teardown(cuts_long_fields, tear_down),
        cmocka_unit_test_teardown(leaves_out_low_levels, tear_down),
        cmocka_unit_test_teardown(has_a_level_for_each_area, tear_down),
        cmocka_unit_test_teardown(keeps_to_its_budget, tear_down),
        cmocka_unit_test_teardown(writes_whole_lines_from_any_thread, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
