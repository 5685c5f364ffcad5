#include "remote_rig.h"

/* ---- an endpoint that answers as it is told ---- */

enum { SEEN_MAX = 1024, TEXT_MAX = 2048, GUESTS_MAX = 512, BIG = 8 << 20 };

enum act {
    ACT_STATUS = 1000, /* below: answer with this status */
    ACT_HANG,          /* do not answer */
    ACT_DROP,          /* close instead */
    ACT_BIG,           /* 200 and more bytes than anyone wants */
    ACT_LATER,         /* 503 with Retry-After: 1 */
    ACT_MUCH_LATER,    /* 503 with Retry-After: 3600 */
    ACT_MOVED,         /* 307 to itself */
};

struct seen {
    char head[TEXT_MAX], body[TEXT_MAX];
    int64_t at_ms;
};

static struct {
    pthread_mutex_t lock;
    pthread_t thread, guests[GUESTS_MAX];
    int fds[GUESTS_MAX];
    unsigned n_guests;
    int fd;
    unsigned port;
    int script[16]; /* for the first requests; 0: 200 */
    int otherwise;  /* for those after it */
    bool holds;     /* nobody is answered while it is set */
    unsigned n_seen, n_open, most_open;
    struct seen seen[SEEN_MAX];
} end = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void say(int fd, const char *text)
{
    ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)n;
}

static void say_much(int fd)
{
    static char bytes[1 << 16];
    char head[100];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    say(fd, head);
    for (int sent = 0; sent < BIG; sent += (int)sizeof(bytes))
        if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
            return;
}

/* False: the connection is over. */
static bool answer(int fd, int act)
{
    char text[200];
    switch (act) {
    case ACT_HANG:
        while (recv(fd, text, sizeof(text), 0) > 0)
            ;
        return false;
    case ACT_DROP:
        return false;
    case ACT_BIG:
        say_much(fd);
        return true;
    case ACT_LATER:
    case ACT_MUCH_LATER:
        snprintf(text, sizeof(text),
                 "HTTP/1.1 503 Later\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n",
                 act == ACT_LATER ? 1 : 3600);
        break;
    case ACT_MOVED:
        snprintf(text, sizeof(text),
                 "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:%u/\r\n"
                 "Content-Length: 0\r\n\r\n",
                 end.port);
        break;
    default:
        snprintf(text, sizeof(text), "HTTP/1.1 %d Said\r\nContent-Length: 2\r\n\r\nok", act);
    }
    say(fd, text);
    return true;
}

/* One request, into `s`; false: there is none. */
static bool read_request(int fd, struct seen *s)
{
    size_t len = 0, body = 0, total = 0;
    char text[TEXT_MAX];
    for (;;) {
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = 0;
        char *blank = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (!body && blank && length) {
            body = (size_t)(blank + 4 - text);
            total = body + strtoul(length + 16, NULL, 10);
        }
        if (body && len >= total)
            break;
    }
    snprintf(s->head, sizeof(s->head), "%.*s", (int)body, text);
    snprintf(s->body, sizeof(s->body), "%s", text + body);
    s->at_ms = peer_clock_ms();
    return true;
}

static bool is_held(void)
{
    pthread_mutex_lock(&end.lock);
    bool holds = end.holds;
    pthread_mutex_unlock(&end.lock);
    return holds;
}

static void *serve_guest(void *arg)
{
    int fd = *(int *)arg;
    struct seen s;
    for (bool more = true; more && read_request(fd, &s);) {
        pthread_mutex_lock(&end.lock);
        unsigned i = end.n_seen++;
        if (i < SEEN_MAX)
            end.seen[i] = s;
        int act = i < 16 && end.script[i] ? end.script[i] : end.otherwise;
        if (++end.n_open > end.most_open)
            end.most_open = end.n_open;
        pthread_mutex_unlock(&end.lock);
        while (is_held())
            peer_pause();
        pthread_mutex_lock(&end.lock);
        end.n_open--;
        pthread_mutex_unlock(&end.lock);
        more = answer(fd, act);
    }
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *serve(void *unused)
{
    (void)unused;
    for (int fd; (fd = accept(end.fd, NULL, NULL)) >= 0;) {
        pthread_mutex_lock(&end.lock);
        unsigned i = end.n_guests++;
        end.fds[i] = fd;
        pthread_mutex_unlock(&end.lock);
        pthread_create(&end.guests[i], NULL, serve_guest, &end.fds[i]);
    }
    return NULL;
}

static void open_endpoint(void)
{
    end.fd = peer_socket(end.port, true);
    assert_true(end.fd >= 0);
    assert_int_equal(listen(end.fd, 128), 0);
    assert_int_equal(pthread_create(&end.thread, NULL, serve, NULL), 0);
}

static void close_endpoint(void)
{
    if (end.fd < 0)
        return;
    shutdown(end.fd, SHUT_RDWR);
    pthread_join(end.thread, NULL);
    close(end.fd);
    end.fd = -1;
    for (unsigned i = 0; i < end.n_guests; i++) {
        shutdown(end.fds[i], SHUT_RDWR);
        pthread_join(end.guests[i], NULL);
        close(end.fds[i]);
    }
    end.n_guests = 0;
}

static void set_script(int a, int b, int c, int otherwise)
{
    memset(end.script, 0, sizeof(end.script));
    end.script[0] = a;
    end.script[1] = b;
    end.script[2] = c;
    end.otherwise = otherwise;
}

static unsigned n_seen(void)
{
    pthread_mutex_lock(&end.lock);
    unsigned n = end.n_seen;
    pthread_mutex_unlock(&end.lock);
    return n;
}

static void let_go(void)
{
    pthread_mutex_lock(&end.lock);
    end.holds = false;
    pthread_mutex_unlock(&end.lock);
}

static int set_up(void **unused)
{
    (void)unused;
    end.n_seen = end.n_open = end.most_open = 0;
    end.holds = false;
    end.fd = -1;
    end.port = peer_free_port();
    set_script(0, 0, 0, 200);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    let_go();
    remote_free(rig.sink);
    rig.sink = NULL;
    close_endpoint();
    return 0;
}

static void open_both(unsigned http_ms)
{
    open_endpoint();
    rig_open_with((struct remote_options){
        .url = peer_url("http://127.0.0.1:PORT/take?x=1", end.port), .http_ms = http_ms});
}

static const char *key_of(unsigned i)
{
    const char *at = strstr(end.seen[i].head, "Idempotency-Key: ");
    assert_non_null(at);
    return at + 17;
}

static bool same_key(unsigned i, unsigned j)
{
    return strncmp(key_of(i), key_of(j), 36) == 0;
}

/* ---- tests ---- */

static void posts_the_job(void **unused)
{
    (void)unused;
    open_both(0);
    rig_submit("app", "cmd", "{\"b\":1e400, \"a\" : 0.1}");
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 1);
    assert_string_equal(end.seen[0].body,
                        "{\"user_id\":\"me \\\"&\\\" you\",\"socket_id\":\"s-1\",\"uid\":\"u0\","
                        "\"app_key\":\"app\",\"remote\":\"cmd\",\"data\":{\"b\":1e400, \"a\" : "
                        "0.1}}");
    const char *head = end.seen[0].head;
    assert_ptr_equal(strstr(head, "POST /take?x=1 HTTP/1.1\r\n"), head);
    assert_non_null(strstr(head, "\r\nContent-Type: application/json\r\n"));
    assert_null(strstr(head, "Expect"));
    assert_int_equal(strcspn(key_of(0), "\r"), 36);
    rig_close();
}

static void any_2xx_is_a_success(void **unused)
{
    (void)unused;
    set_script(201, 202, 204, 299);
    open_both(0);
    for (unsigned i = 0; i < 4; i++)
        rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 4);
    rig_close();
}

static void tries_again_after(int act)
{
    set_script(act, act, 0, 200);
    open_both(0);
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 3);
    assert_true(same_key(0, 1) && same_key(0, 2));
    assert_string_equal(end.seen[0].body, end.seen[2].body);
    assert_true(end.seen[1].at_ms - end.seen[0].at_ms >= 95);
    assert_true(end.seen[2].at_ms - end.seen[1].at_ms >= 190);
    rig_close();
}

static void tries_again_after_500(void **unused)
{
    (void)unused;
    tries_again_after(500);
}

static void tries_again_after_429(void **unused)
{
    (void)unused;
    tries_again_after(429);
}

static void tries_again_after_408(void **unused)
{
    (void)unused;
    tries_again_after(408);
}

static void tries_again_after_a_reset(void **unused)
{
    (void)unused;
    tries_again_after(ACT_DROP);
}

static void fails_at_once_at(int act)
{
    set_script(act, 0, 0, 200);
    open_both(0);
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_SYS);
    assert_int_equal(n_seen(), 1);
    rig_close();
}

static void fails_at_once_at_400(void **unused)
{
    (void)unused;
    fails_at_once_at(400);
}

static void fails_at_once_at_404(void **unused)
{
    (void)unused;
    fails_at_once_at(404);
}

static void does_not_follow(void **unused)
{
    (void)unused;
    fails_at_once_at(ACT_MOVED);
}

static void honours_retry_after(void **unused)
{
    (void)unused;
    set_script(ACT_LATER, 0, 0, 200);
    open_both(0);
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 2);
    assert_true(end.seen[1].at_ms - end.seen[0].at_ms >= 990);
    rig_close();
}

static void does_not_wait_beyond_its_time(void **unused)
{
    (void)unused;
    set_script(ACT_MUCH_LATER, 0, 0, 200);
    open_both(0);
    int64_t before = peer_clock_ms();
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_TIMEOUT);
    assert_true(peer_clock_ms() - before < 5000);
    assert_int_equal(n_seen(), 1);
    rig_close();
}

static void gives_up_in_time(void **unused)
{
    (void)unused;
    set_script(0, 0, 0, 500);
    open_both(900);
    int64_t before = peer_clock_ms();
    rig_submit("a", "r", "1");
    rig_wait_all(ERR_TIMEOUT);
    assert_in_range(peer_clock_ms() - before, 100, 3000);
    assert_in_range(n_seen(), 2, 6);
    rig_close();
}

static void gives_up_a_silent_peer(void **unused)
{
    (void)unused;
    set_script(0, 0, 0, ACT_HANG);
    open_both(400);
    int64_t before = peer_clock_ms();
    for (unsigned i = 0; i < 100; i++)
        rig_submit("a", "r", "1");
    rig_wait_all(ERR_TIMEOUT);
    assert_in_range(peer_clock_ms() - before, 390, 5000);
    /* Those whose time is not quite over when others' is are sent in their place. */
    assert_in_range(n_seen(), 1, 2 * REMOTE_HTTP_PARALLEL);
    rig_close();
}

static void waits_for_a_peer_that_comes_late(void **unused)
{
    (void)unused;
    rig_open(peer_url("http://127.0.0.1:PORT", end.port));
    for (unsigned i = 0; i < 100; i++)
        rig_submit("a", "r", "1");
    open_endpoint();
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 100);
    rig_close();
}

static void keeps_few_under_way(void **unused)
{
    (void)unused;
    end.holds = true;
    open_both(0);
    for (unsigned i = 0; i < 300; i++)
        rig_submit("a", "r", "1");
    WAIT_UNTIL(n_seen() == REMOTE_HTTP_PARALLEL);
    let_go();
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 300);
    assert_int_equal(end.most_open, REMOTE_HTTP_PARALLEL);
    /* Connections are used again, and so no key is. */
    assert_in_range(end.n_guests, 1, 2 * REMOTE_HTTP_PARALLEL);
    for (unsigned i = 1; i < 300; i++)
        assert_false(same_key(0, i));
    rig_close();
}

static void does_not_read_on_for_ever(void **unused)
{
    (void)unused;
    set_script(0, 0, 0, ACT_BIG);
    open_both(0);
    for (unsigned i = 0; i < 5; i++)
        rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    assert_int_equal(n_seen(), 5);
    rig_close();
}

static void answers_once_when_the_peer_dies(void **unused)
{
    (void)unused;
    set_script(ACT_DROP, ACT_HANG, ACT_DROP, 200);
    open_both(0);
    for (unsigned i = 0; i < 50; i++)
        rig_submit("a", "r", "1");
    WAIT_UNTIL(n_seen() >= 20);
    close_endpoint();
    open_endpoint();
    for (unsigned i = 0; i < 50; i++)
        rig_submit("a", "r", "1");
    rig_wait_all(ERR_OK);
    rig_close();
}

static void ends_with_jobs_under_way(void **unused)
{
    (void)unused;
    set_script(500, 0, 0, ACT_HANG);
    open_both(0);
    for (unsigned i = 0; i < 100; i++)
        rig_submit("a", "r", "1");
    WAIT_UNTIL(n_seen() >= REMOTE_HTTP_PARALLEL);
    rig_close();
    assert_int_equal(rig_count(ERR_AWAY), 100);
}

#define WITH_END(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    setenv("no_proxy", "*", 1);
    const struct CMUnitTest tests[] = {
        WITH_END(posts_the_job),
        WITH_END(any_2xx_is_a_success),
        WITH_END(tries_again_after_500),
        WITH_END(tries_again_after_429),
        WITH_END(tries_again_after_408),
        WITH_END(tries_again_after_a_reset),
        WITH_END(fails_at_once_at_400),
        WITH_END(fails_at_once_at_404),
        WITH_END(does_not_follow),
        WITH_END(honours_retry_after),
        WITH_END(does_not_wait_beyond_its_time),
        WITH_END(gives_up_in_time),
        WITH_END(gives_up_a_silent_peer),
        WITH_END(waits_for_a_peer_that_comes_late),
        WITH_END(keeps_few_under_way),
        WITH_END(does_not_read_on_for_ever),
        WITH_END(answers_once_when_the_peer_dies),
        WITH_END(ends_with_jobs_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
