#include "nats_server.h"
#include "remote_rig.h"

static void start_server(const char *const more[])
{
    rig.server = nats_server_start(rig.port, more);
}

static void start_plain(void)
{
    start_server(NULL);
}

static void start_with_streams(void)
{
    start_server((const char *const[]){"-js", "-sd", rig.folder.path, NULL});
}

static void open_sink(unsigned wait_ms)
{
    rig_open_with((struct remote_options){.url = peer_url("nats://127.0.0.1:PORT", rig.port),
                                          .wait_ms = wait_ms});
}

/* ---- the other side ---- */

struct side { /* with streams */
    natsConnection *nc;
    jsCtx *js;
};

static struct side stream_side(void)
{
    struct side side = {.nc = nats_server_client(rig.port)};
    jsAccountInfo *info = NULL;
    assert_int_equal(natsConnection_JetStream(&side.js, side.nc, NULL), NATS_OK);
    WAIT_UNTIL(js_GetAccountInfo(&info, side.js, NULL, NULL) == NATS_OK);
    jsAccountInfo_Destroy(info);
    return side;
}

static void close_side(struct side side)
{
    jsCtx_Destroy(side.js);
    natsConnection_Destroy(side.nc);
}

static uint64_t count_kept(struct side side, const char *stream)
{
    jsStreamInfo *info = NULL;
    WAIT_UNTIL(js_GetStreamInfo(&info, side.js, stream, NULL, NULL) == NATS_OK);
    uint64_t n = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return n;
}

static void expect_job(natsMsg *msg, const char *subject, unsigned number, const char *payload)
{
    char expected[300];
    snprintf(expected, sizeof(expected),
             "{\"user_id\":\"me \\\"&\\\" you\",\"socket_id\":\"s-1\",\"uid\":\"u%u\","
             "\"app_key\":\"app\",\"remote\":\"cmd\",\"data\":%s}",
             number, payload);
    assert_string_equal(natsMsg_GetSubject(msg), subject);
    assert_int_equal(natsMsg_GetDataLength(msg), strlen(expected));
    assert_memory_equal(natsMsg_GetData(msg), expected, strlen(expected));
}

/* ---- without JetStream ---- */

static void gives_a_worker_the_job(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    start_plain();
    natsConnection *nc = nats_server_client(rig.port);
    natsSubscription *sub = nats_server_listen(nc, "gusher.remote.app.*");
    open_sink(0);
    for (unsigned i = 0; i < N; i++)
        rig_submit("app", "cmd", "{\"b\":1e400, \"a\" : 0.1}");
    rig_wait_all(ERR_OK);
    for (unsigned i = 0; i < N; i++) {
        natsMsg *msg = nats_server_next(sub);
        expect_job(msg, "gusher.remote.app.cmd", i, "{\"b\":1e400, \"a\" : 0.1}");
        natsMsg_Destroy(msg);
    }
    rig_close();
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
}

static void names_become_tokens(void **unused)
{
    (void)unused;
    start_plain();
    natsConnection *nc = nats_server_client(rig.port);
    natsSubscription *sub = nats_server_listen(nc, "gusher.remote.>");
    open_sink(0);
    assert_int_equal(rig_try(STR("a.b >"), STR("r*\xff"), STR("1")), ERR_OK);
    rig_wait_all(ERR_OK);
    natsMsg *msg = nats_server_next(sub);
    assert_string_equal(natsMsg_GetSubject(msg), "gusher.remote.a=2Eb=20=3E.r=2A=FF");
    natsMsg_Destroy(msg);
    rig_close();
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
}

/* The refusal and the PONG come over the same connection, but by two threads: none may be taken
 * for a success. */
static void tells_apart_who_is_there(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    start_plain();
    natsConnection *nc = nats_server_client(rig.port);
    natsSubscription *sub = nats_server_listen(nc, "gusher.remote.app.there");
    open_sink(0);
    for (unsigned i = 0; i < N; i++) {
        rig_submit("app", i % 2 ? "there" : "gone", "1");
        if (i % 100 == 99)
            rig_wait();
    }
    rig_wait();
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(rig.how[i], i % 2 ? ERR_OK : ERR_NOT_FOUND);
    rig_close();
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
}

static void waits_for_a_peer_that_comes_late(void **unused)
{
    (void)unused;
    open_sink(20000);
    for (unsigned i = 0; i < 20; i++)
        rig_submit("app", "cmd", "1");
    start_plain();
    rig_wait_all(ERR_NOT_FOUND);
    rig_close();
}

static void does_not_wait_for_ever(void **unused)
{
    (void)unused;
    open_sink(300);
    int64_t before = peer_clock_ms();
    for (unsigned i = 0; i < 20; i++)
        rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_TIMEOUT);
    assert_in_range(peer_clock_ms() - before, 290, 5000);
    rig_close();
}

static void a_job_may_be_too_large(void **unused)
{
    (void)unused;
    static char payload[(1 << 20) + 1];
    memset(payload, '1', sizeof(payload) - 1);
    start_plain();
    open_sink(0);
    rig_submit("app", "cmd", "1");
    rig_submit("app", "cmd", payload);
    rig_submit("app", "cmd", "1");
    rig_wait();
    assert_int_equal(rig.how[0], ERR_NOT_FOUND);
    assert_int_equal(rig.how[1], ERR_LIMIT);
    assert_int_equal(rig.how[2], ERR_NOT_FOUND);
    rig_close();
}

static void logs_in_and_never_logs_the_password(void **unused)
{
    (void)unused;
    char path[40];
    start_server((const char *const[]){"--user", "ali", "--pass", "sesame", NULL});
    rig_open(peer_url("nats://ali:sesame@127.0.0.1:PORT", rig.port));
    rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_NOT_FOUND);
    rig_close();
    int before = peer_catch_log(path);
    rig_open_with((struct remote_options){
        .url = peer_url("nats://ali:sesame1@127.0.0.1:PORT", rig.port), .wait_ms = 1500});
    rig_submit("app", "cmd", "\"sesame\"");
    rig_wait_all(ERR_TIMEOUT);
    rig_close();
    const char *logged = peer_caught_log(path, before);
    assert_non_null(strstr(logged, "remote_away"));
    assert_null(strstr(logged, "sesame"));
}

static void comes_back_when_it_was_refused(void **unused)
{
    (void)unused;
    start_server((const char *const[]){"--user", "ali", "--pass", "other", NULL});
    rig_open_with((struct remote_options){
        .url = peer_url("nats://ali:sesame@127.0.0.1:PORT", rig.port), .wait_ms = 1500});
    rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_TIMEOUT);
    peer_kill(&rig.server);
    start_server((const char *const[]){"--user", "ali", "--pass", "sesame", NULL});
    /* The next attempt may still be some way off. */
    WAIT_UNTIL(
        (rig_submit("app", "cmd", "1"), rig_wait(), rig.how[rig.submitted - 1] == ERR_NOT_FOUND));
    rig_close();
}

static void ends_with_jobs_under_way(void **unused)
{
    (void)unused;
    start_plain();
    open_sink(0);
    rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_NOT_FOUND);
    peer_freeze(rig.server);
    for (unsigned i = 0; i < 2000; i++)
        rig_submit("app", "cmd", "1");
    rig_close();
    assert_int_equal(rig_count(ERR_AWAY), 2000);
}

static void gives_up_a_silent_peer(void **unused)
{
    (void)unused;
    start_plain();
    rig_open_with((struct remote_options){
        .url = peer_url("nats://127.0.0.1:PORT", rig.port), .answer_ms = 300, .wait_ms = 30000});
    rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_NOT_FOUND);
    peer_freeze(rig.server);
    rig_submit("app", "cmd", "1");
    rig_wait();
    assert_int_equal(rig.how[1], ERR_TIMEOUT);
    peer_thaw(rig.server);
    rig_submit("app", "cmd", "1");
    rig_wait();
    assert_int_equal(rig.how[2], ERR_NOT_FOUND);
    rig_close();
}

/* ---- with JetStream ---- */

static void a_stream_keeps_jobs_for_later(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    start_with_streams();
    open_sink(0);
    for (unsigned i = 0; i < N; i++)
        rig_submit("app", "cmd", "{\"b\":1e400, \"a\" : 0.1}");
    rig_wait_all(ERR_OK);
    rig_close();

    struct side side = stream_side();
    jsStreamInfo *info = NULL;
    assert_int_equal(js_GetStreamInfo(&info, side.js, "GUSHER_REMOTE", NULL, NULL), NATS_OK);
    assert_int_equal(info->State.Msgs, N);
    assert_int_equal(info->Config->Retention, js_WorkQueuePolicy);
    assert_int_equal(info->Config->Storage, js_FileStorage);
    assert_int_equal(info->Config->SubjectsLen, 1);
    assert_string_equal(info->Config->Subjects[0], "gusher.remote.>");
    jsStreamInfo_Destroy(info);
    for (unsigned i = 0; i < N; i++) {
        natsMsg *msg = NULL;
        assert_int_equal(js_GetMsg(&msg, side.js, "GUSHER_REMOTE", i + 1, NULL, NULL), NATS_OK);
        expect_job(msg, "gusher.remote.app.cmd", i, "{\"b\":1e400, \"a\" : 0.1}");
        natsMsg_Destroy(msg);
    }
    close_side(side);
}

static void make_stream(struct side side, int64_t max)
{
    const char *subjects[] = {"gusher.>"};
    jsStreamConfig c;
    jsStreamConfig_Init(&c);
    c.Name = "MINE";
    c.Subjects = subjects;
    c.SubjectsLen = 1;
    c.MaxMsgs = max;
    c.Discard = js_DiscardNew;
    assert_int_equal(js_AddStream(NULL, side.js, &c, NULL, NULL), NATS_OK);
}

static void uses_the_stream_that_is_there(void **unused)
{
    (void)unused;
    start_with_streams();
    struct side side = stream_side();
    make_stream(side, 3);
    open_sink(0);
    for (unsigned i = 0; i < 5; i++)
        rig_submit("app", "cmd", "1");
    rig_wait();
    /* What a full stream turns away is refused, job by job. */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rig.how[i], i < 3 ? ERR_OK : ERR_SYS);
    rig_close();
    assert_int_equal(count_kept(side, "MINE"), 3);
    assert_int_equal(
        js_GetStreamInfo(&(jsStreamInfo *){NULL}, side.js, "GUSHER_REMOTE", NULL, NULL),
        NATS_NOT_FOUND);
    close_side(side);
}

static void a_worker_alone_is_no_stream(void **unused)
{
    (void)unused;
    start_with_streams();
    open_sink(0);
    rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_OK);
    struct side side = stream_side();
    assert_int_equal(js_DeleteStream(side.js, "GUSHER_REMOTE", NULL, NULL), NATS_OK);
    /* The first finds nobody; the stream is made anew within a second or so. */
    rig_submit("app", "cmd", "1");
    rig_wait();
    assert_int_equal(rig.how[1], ERR_NOT_FOUND);
    WAIT_UNTIL((rig_submit("app", "cmd", "1"), rig_wait(), rig.how[rig.submitted - 1] == ERR_OK));
    assert_int_equal(count_kept(side, "GUSHER_REMOTE"), 1);
    rig_close();
    close_side(side);
}

static void answers_once_when_the_peer_dies(void **unused)
{
    (void)unused;
    enum { N = 1500, DEATHS = 3 };
    static unsigned kept[RIG_JOBS];
    start_with_streams();
    open_sink(30000);
    for (unsigned death = 0; death < DEATHS; death++) {
        unsigned before = rig.submitted;
        for (unsigned i = 0; i < N / DEATHS; i++)
            rig_submit("app", "cmd", "1");
        WAIT_UNTIL(rig_answered() > before + 20);
        peer_kill(&rig.server);
        start_with_streams();
    }
    rig_wait();
    rig_close();
    assert_int_equal(rig_count(ERR_OK) + rig_count(ERR_AWAY), N);
    assert_true(rig_count(ERR_OK) > 0);

    struct side side = stream_side();
    jsStreamInfo *info = NULL;
    WAIT_UNTIL(js_GetStreamInfo(&info, side.js, "GUSHER_REMOTE", NULL, NULL) == NATS_OK);
    memset(kept, 0, sizeof(kept));
    for (uint64_t i = info->State.FirstSeq; i <= info->State.LastSeq; i++) {
        natsMsg *msg = NULL;
        assert_int_equal(js_GetMsg(&msg, side.js, "GUSHER_REMOTE", i, NULL, NULL), NATS_OK);
        char *uid = strstr(natsMsg_GetData(msg), "\"uid\":\"u");
        kept[strtoul(uid + 8, NULL, 10)]++;
        natsMsg_Destroy(msg);
    }
    for (unsigned i = 0; i < N; i++)
        assert_true(rig.how[i] == ERR_OK ? kept[i] == 1 : kept[i] <= 1);
    jsStreamInfo_Destroy(info);
    close_side(side);
}

static void a_server_may_come_back_with_streams(void **unused)
{
    (void)unused;
    start_plain();
    open_sink(20000);
    rig_submit("app", "cmd", "1");
    rig_wait_all(ERR_NOT_FOUND);
    peer_kill(&rig.server);
    start_with_streams();
    rig_submit("app", "cmd", "1");
    rig_wait();
    assert_true(rig.how[1] == ERR_OK || rig.how[1] == ERR_AWAY);
    rig_submit("app", "cmd", "1");
    rig_wait();
    assert_int_equal(rig.how[2], ERR_OK);
    rig_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(gives_a_worker_the_job),
        RIG_TEST(names_become_tokens),
        RIG_TEST(tells_apart_who_is_there),
        RIG_TEST(waits_for_a_peer_that_comes_late),
        RIG_TEST(does_not_wait_for_ever),
        RIG_TEST(a_job_may_be_too_large),
        RIG_TEST(logs_in_and_never_logs_the_password),
        RIG_TEST(comes_back_when_it_was_refused),
        RIG_TEST(ends_with_jobs_under_way),
        RIG_TEST(gives_up_a_silent_peer),
        RIG_TEST(a_stream_keeps_jobs_for_later),
        RIG_TEST(uses_the_stream_that_is_there),
        RIG_TEST(a_worker_alone_is_no_stream),
        RIG_TEST(answers_once_when_the_peer_dies),
        RIG_TEST(a_server_may_come_back_with_streams),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
