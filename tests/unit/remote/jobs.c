#include "base/json.h"
#include "remote/backend.h"
#include "remote_rig.h"

static void writes_the_form(void **unused)
{
    (void)unused;
    static const char payload[] =
        "{\"b\":1e400, \"a\" : [0.1,18446744073709551617],\"\\u0041\":\"\\/\"}";
    struct remote_job *job = remote_job_new(STR("app"), STR("re\"mote"), STR("u\n"), STR("sock"),
                                            STR("\xc3\xbc"), str_of(payload));
    struct buf out = BUF_INIT;
    struct json unused_json;
    remote_body(&out, job, true);
    buf_char(&out, 0);
    assert_string_equal(out.p, "{\"user_id\":\"u\\n\",\"socket_id\":\"sock\",\"uid\":\"\xc3\xbc\","
                               "\"app_key\":\"app\",\"data\":{\"\\u0041\":\"\\/\","
                               "\"a\":[0.1,18446744073709551617],\"b\":1e400}}");
    buf_clear(&out);
    remote_body(&out, job, false);
    assert_int_equal(json_parse(&unused_json, buf_as_str(&out)), ERR_OK);
    buf_char(&out, 0);
    assert_string_equal(out.p,
                        "{\"user_id\":\"u\\n\",\"socket_id\":\"sock\",\"uid\":\"\xc3\xbc\","
                        "\"app_key\":\"app\",\"remote\":\"re\\\"mote\",\"data\":{\"b\":1e400, "
                        "\"a\" : [0.1,18446744073709551617],\"\\u0041\":\"\\/\"}}");
    buf_fini(&out);
    remote_job_free(job);
}

static void copies_empty_texts(void **unused)
{
    (void)unused;
    struct remote_job *job =
        remote_job_new(STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY, (struct str){0}, STR("null"));
    assert_int_equal(job->text_len, 4);
    assert_true(str_eq(job->payload, STR("null")));
    remote_job_free(job);
    remote_job_free(NULL);
}

static void keeps_rows(void **unused)
{
    (void)unused;
    struct remote_jobs row = {0};
    struct remote_job *jobs[3];
    for (unsigned i = 0; i < 3; i++)
        jobs[i] = remote_job_new(STR("a"), STR("r"), STR("u"), STR("s"), STR("1"), STR("1"));
    remote_jobs_add(&row, jobs[1]);
    remote_jobs_add(&row, jobs[2]);
    remote_jobs_add_first(&row, jobs[0]);
    assert_int_equal(row.n, 3);
    remote_jobs_remove(&row, jobs[1]);
    assert_ptr_equal(remote_jobs_take(&row), jobs[0]);
    assert_ptr_equal(remote_jobs_take(&row), jobs[2]);
    assert_null(remote_jobs_take(&row));
    assert_int_equal(row.n, 0);
    assert_null(row.last);
    for (unsigned i = 0; i < 3; i++)
        remote_job_free(jobs[i]);
}

static void draws_keys(void **unused)
{
    (void)unused;
    char a[REMOTE_KEY_LEN + 1], b[REMOTE_KEY_LEN + 1];
    remote_random_key(a);
    remote_random_key(b);
    assert_int_equal(strlen(a), REMOTE_KEY_LEN);
    assert_int_equal(strspn(a, "0123456789abcdef-"), REMOTE_KEY_LEN);
    assert_int_equal(a[8], '-');
    assert_int_equal(a[14], '4');
    assert_int_equal(a[23], '-');
    assert_string_not_equal(a, b);
}

static void waits_longer_each_time(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 1000; i++) {
        assert_in_range(remote_backoff_ms(0, 100, 2000), 50, 100);
        assert_in_range(remote_backoff_ms(2, 100, 2000), 200, 400);
        assert_in_range(remote_backoff_ms(5, 100, 2000), 1000, 2000);
        assert_in_range(remote_backoff_ms(4000000000u, 100, 2000), 1000, 2000);
    }
}

/* ---- the sink, without a peer ---- */

static void says_what_is_wrong_with_an_address(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        "redis",
        "amqp://h",
        "rediss://h",
        "redis://secret@h",
        "redis://h/zero",
        "redis://h/00000",
        "http://",
        "https:///x",
        "http://h:99999/",
        "nats://",
        "tls://",
        "nats://a,,nats://b",
        "nats://secret,http://b",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct remote_sink *s = NULL;
        struct remote_options o = {.url = bad[i], .done = rig_done};
        char why[200] = "";
        if (remote_new(&s, &o, why, sizeof(why)) != ERR_PROTO)
            fail_msg("taken: %s", bad[i]);
        assert_null(s);
        assert_true(why[0]);
        assert_null(strstr(why, "secret"));
    }
    remote_free(NULL);
}

static void has_bounds(void **unused)
{
    (void)unused;
    rig_open_with((struct remote_options){
        .url = peer_url("redis://127.0.0.1:PORT", peer_free_port()), .jobs_max = 10});
    for (unsigned i = 0; i < 10; i++)
        rig_submit("a", "r", "1");
    assert_int_equal(rig_try(STR("a"), STR("r"), STR("1")), ERR_FULL);
    rig_close();
    assert_int_equal(rig_count(ERR_AWAY), 10);

    static char payload[1001];
    memset(payload, '1', 1000);
    rig_open_with(
        (struct remote_options){.url = peer_url("redis://127.0.0.1:PORT", peer_free_port()),
                                .bytes_max = 2500,
                                .wait_ms = 200});
    rig_submit("a", "r", payload);
    rig_submit("a", "r", payload);
    assert_int_equal(rig_try(STR("a"), STR("r"), str_of(payload)), ERR_FULL);
    rig_submit("a", "r", "1");
    /* What is answered makes room. */
    rig_wait_all(ERR_TIMEOUT);
    rig_submit("a", "r", payload);
    rig_close();
}

static void *submit_some(void *failed)
{
    for (unsigned i = 0; i < 500; i++) {
        struct remote_job *job =
            remote_job_new(STR("a"), STR("r"), STR("u"), STR("s"), STR("1"), STR("1"));
        job->number = 0;
        if (remote_submit(rig.sink, job)) {
            remote_job_free(job);
            ++*(unsigned *)failed;
        }
    }
    return NULL;
}

static void takes_from_many_threads(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    unsigned failed[4] = {0}, all_failed = 0;
    rig_open_with((struct remote_options){
        .url = peer_url("http://127.0.0.1:PORT/", peer_free_port()), .jobs_max = 1000});
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_some, &failed[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        all_failed += failed[i];
    }
    assert_true(all_failed >= 1000);
    remote_free(rig.sink);
    assert_int_equal(rig_answered(), 2000 - all_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_form),
        cmocka_unit_test(copies_empty_texts),
        cmocka_unit_test(keeps_rows),
        cmocka_unit_test(draws_keys),
        cmocka_unit_test(waits_longer_each_time),
        cmocka_unit_test(says_what_is_wrong_with_an_address),
        cmocka_unit_test(has_bounds),
        cmocka_unit_test(takes_from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
