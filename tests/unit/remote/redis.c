#include <hiredis/hiredis.h>
#include "remote_rig.h"

static void start_server(const char *password)
{
    char number[16];
    snprintf(number, sizeof(number), "%u", rig.port);
    const char *words[] = {"redis-server",
                           "--port",
                           number,
                           "--save",
                           "",
                           "--dir",
                           rig.folder.path,
                           "--bind",
                           "127.0.0.1",
                           "--appendonly",
                           "yes",
                           "--appendfsync",
                           "always",
                           password ? "--requirepass" : NULL,
                           password,
                           NULL};
    rig.server = peer_run(words);
    peer_wait_for_port(rig.port);
}

static redisReply *ask(const char *format, ...)
{
    redisContext *c;
    redisReply *reply = NULL;
    va_list args;
    /* A server that has just begun may still load its file. */
    for (int64_t end = peer_clock_ms() + PEER_WAIT_MS;; peer_pause()) {
        assert_true(peer_clock_ms() < end);
        c = redisConnect("127.0.0.1", (int)rig.port);
        assert_non_null(c);
        va_start(args, format);
        reply = c->err ? NULL : redisvCommand(c, format, args);
        va_end(args);
        redisFree(c);
        if (reply && !(reply->type == REDIS_REPLY_ERROR && !strncmp(reply->str, "LOADING", 7)))
            return reply;
        if (reply)
            freeReplyObject(reply);
    }
}

static void appends_in_order(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    start_server(NULL);
    rig_open(peer_url("redis://127.0.0.1:PORT", rig.port));
    for (unsigned i = 0; i < N; i++)
        rig_submit("app", "job", "{\"b\":1e400, \"a\" : 0.1}");
    rig_wait_all(ERR_OK);
    redisReply *list = ask("LRANGE app@job 0 -1");
    assert_int_equal(list->elements, N);
    for (unsigned i = 0; i < N; i++) {
        char expected[200];
        snprintf(expected, sizeof(expected),
                 "{\"user_id\":\"me \\\"&\\\" you\",\"socket_id\":\"s-1\",\"uid\":\"u%u\","
                 "\"app_key\":\"app\",\"data\":{\"a\":0.1,\"b\":1e400}}",
                 i);
        assert_string_equal(list->element[i]->str, expected);
        assert_int_equal(rig.order[i], i);
    }
    freeReplyObject(list);
    rig_close();
}

static void takes_names_of_any_bytes(void **unused)
{
    (void)unused;
    start_server(NULL);
    rig_open(peer_url("redis://localhost:PORT/", rig.port));
    assert_int_equal(rig_try(STR("a b\0%s\r\n"), STR("r*\xff"), STR("null")), ERR_OK);
    rig_wait_all(ERR_OK);
    redisReply *n = ask("LLEN %b", "a b\0%s\r\n@r*\xff", (size_t)12);
    assert_int_equal(n->integer, 1);
    freeReplyObject(n);
    rig_close();
}

static void logs_in_and_selects(void **unused)
{
    (void)unused;
    start_server("p@ss word");
    rig_open(peer_url("redis://:p%40ss%20word@127.0.0.1:PORT/3", rig.port));
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    rig_close();
    rig_open(peer_url("redis://default:p%40ss%20word@127.0.0.1:PORT/3", rig.port));
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    rig_close();
    redisContext *c = redisConnect("127.0.0.1", (int)rig.port);
    freeReplyObject(redisCommand(c, "AUTH %s", "p@ss word"));
    freeReplyObject(redisCommand(c, "SELECT 3"));
    redisReply *n = redisCommand(c, "LLEN a@r");
    assert_int_equal(n->integer, 2);
    freeReplyObject(n);
    redisFree(c);
}

static void never_logs_the_password(void **unused)
{
    (void)unused;
    char path[40];
    start_server("right");
    static const char *const urls[] = {"redis://:sesame@127.0.0.1:PORT",
                                       "redis://ali:sesame@127.0.0.1:PORT",
                                       "redis://127.0.0.1:PORT"};
    for (unsigned i = 0; i < 3; i++) {
        int before = peer_catch_log(path);
        rig_open_with((struct remote_options){.url = peer_url(urls[i], rig.port), .wait_ms = 300});
        rig_submit("a", "r", "\"sesame\"");
        rig_wait_all(ERR_TIMEOUT);
        rig_close();
        const char *logged = peer_caught_log(path, before);
        assert_non_null(strstr(logged, "remote_away"));
        assert_null(strstr(logged, "sesame"));
    }
}

static void an_error_is_that_jobs_alone(void **unused)
{
    (void)unused;
    start_server(NULL);
    freeReplyObject(ask("SET a@text 1"));
    rig_open(peer_url("redis://127.0.0.1:PORT", rig.port));
    for (unsigned i = 0; i < 50; i++)
        rig_submit("a", i % 5 == 2 ? "text" : "list", "1");
    rig_wait();
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(rig.how[i], i % 5 == 2 ? ERR_SYS : ERR_OK);
    rig_close();
}

static void waits_for_a_peer_that_comes_late(void **unused)
{
    (void)unused;
    rig_open_with((struct remote_options){.url = peer_url("redis://127.0.0.1:PORT", rig.port),
                                          .wait_ms = 20000});
    for (unsigned i = 0; i < 20; i++)
        rig_submit("a", "r", "1");
    start_server(NULL);
    rig_wait_all(ERR_OK);
    redisReply *n = ask("LLEN a@r");
    assert_int_equal(n->integer, 20);
    freeReplyObject(n);
    rig_close();
}

static void does_not_wait_for_ever(void **unused)
{
    (void)unused;
    rig_open_with((struct remote_options){.url = peer_url("redis://127.0.0.1:PORT", rig.port),
                                          .wait_ms = 300});
    int64_t before = peer_clock_ms();
    for (unsigned i = 0; i < 20; i++)
        rig_submit("a", "r", "1");
    rig_wait_all(ERR_TIMEOUT);
    assert_in_range(peer_clock_ms() - before, 290, 5000);
    rig_close();
}

/* Whether `uid` stands in the list, and how often. */
static unsigned times_in(const redisReply *list, unsigned number)
{
    char uid[40];
    unsigned n = 0;
    snprintf(uid, sizeof(uid), "\"uid\":\"u%u\"", number);
    for (size_t i = 0; i < list->elements; i++)
        n += strstr(list->element[i]->str, uid) != NULL;
    return n;
}

static void answers_once_when_the_peer_dies(void **unused)
{
    (void)unused;
    enum { N = 1500, DEATHS = 3 };
    start_server(NULL);
    rig_open_with((struct remote_options){.url = peer_url("redis://127.0.0.1:PORT", rig.port),
                                          .wait_ms = 20000});
    for (unsigned death = 0; death < DEATHS; death++) {
        unsigned before = rig.submitted;
        for (unsigned i = 0; i < N / DEATHS; i++)
            rig_submit("a", "r", "1");
        WAIT_UNTIL(rig_answered() > before + 50);
        peer_kill(&rig.server);
        start_server(NULL);
    }
    rig_wait();
    rig_close();
    assert_int_equal(rig_count(ERR_OK) + rig_count(ERR_AWAY), N);
    redisReply *list = ask("LRANGE a@r 0 -1");
    for (unsigned i = 0; i < N; i++) {
        unsigned times = times_in(list, i);
        assert_true(rig.how[i] == ERR_OK ? times == 1 : times <= 1);
    }
    freeReplyObject(list);
}

static void gives_up_a_silent_peer(void **unused)
{
    (void)unused;
    start_server(NULL);
    rig_open_with((struct remote_options){
        .url = peer_url("redis://127.0.0.1:PORT", rig.port), .answer_ms = 300, .wait_ms = 20000});
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    peer_freeze(rig.server);
    for (unsigned i = 0; i < 20; i++)
        rig_submit("a", "r", "1");
    rig_wait();
    assert_int_equal(rig_count(ERR_AWAY), 20);
    peer_thaw(rig.server);
    rig_submit("a", "r", "1");
    rig_wait();
    assert_int_equal(rig.how[21], ERR_OK);
    rig_close();
}

static void ends_with_jobs_under_way(void **unused)
{
    (void)unused;
    start_server(NULL);
    rig_open(peer_url("redis://127.0.0.1:PORT", rig.port));
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    peer_freeze(rig.server);
    for (unsigned i = 0; i < 2000; i++)
        rig_submit("a", "r", "1");
    rig_close();
    assert_int_equal(rig_count(ERR_AWAY), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(appends_in_order),
        RIG_TEST(takes_names_of_any_bytes),
        RIG_TEST(logs_in_and_selects),
        RIG_TEST(never_logs_the_password),
        RIG_TEST(an_error_is_that_jobs_alone),
        RIG_TEST(waits_for_a_peer_that_comes_late),
        RIG_TEST(does_not_wait_for_ever),
        RIG_TEST(answers_once_when_the_peer_dies),
        RIG_TEST(gives_up_a_silent_peer),
        RIG_TEST(ends_with_jobs_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
