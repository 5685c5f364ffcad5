#include "bus/nats.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include "nats_server.h"

/* ---- one connection, and what it has told ---- */

enum { CAME_MAX = 70000, TEXT_MAX = 24 };

#if defined(__SANITIZE_THREAD__)
enum { IS_TSAN = true };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { IS_TSAN = true };
#else
enum { IS_TSAN = false };
#endif
#else
enum { IS_TSAN = false };
#endif

static unsigned port;
static pid_t server;
static struct nats *nats;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t gate_opens;
    bool gate_is_shut; /* whoever brings a message waits */
    unsigned opened;   /* so many times; only the last connection may tell anything, */
    bool is_closed;    /* and not when it is closed */
    unsigned n_came, n_connected, n_disconnected, n_over, n_lost, n_refused, n_wrong;
    char refused[256]; /* what was not permitted last */
    size_t n_bytes;
    char came[CAME_MAX][TEXT_MAX]; /* what messages say, as far as there is room */
} told = {.lock = PTHREAD_MUTEX_INITIALIZER, .gate_opens = PTHREAD_COND_INITIALIZER};

static char contexts[64]; /* of the connections, in their order */

/* The lock is held. */
static bool may_tell(const void *ctx)
{
    return !told.is_closed && ctx == &contexts[told.opened % sizeof(contexts)];
}

static void count(const void *ctx, unsigned *n)
{
    pthread_mutex_lock(&told.lock);
    told.n_wrong += !may_tell(ctx);
    ++*n;
    pthread_mutex_unlock(&told.lock);
}

static unsigned so_far(const unsigned *n)
{
    pthread_mutex_lock(&told.lock);
    unsigned copy = *n;
    pthread_mutex_unlock(&told.lock);
    return copy;
}

static void on_came(void *ctx, struct str bytes)
{
    pthread_mutex_lock(&told.lock);
    told.n_wrong += !may_tell(ctx);
    while (told.gate_is_shut)
        pthread_cond_wait(&told.gate_opens, &told.lock);
    if (told.n_came < CAME_MAX)
        snprintf(told.came[told.n_came], TEXT_MAX, "%.*s", (int)bytes.len, bytes.p);
    told.n_came++;
    told.n_bytes += bytes.len;
    pthread_mutex_unlock(&told.lock);
}

static void on_changed(void *ctx, bool connected)
{
    count(ctx, connected ? &told.n_connected : &told.n_disconnected);
}

static void on_over(void *ctx)
{
    count(ctx, &told.n_over);
}

static void on_not_permitted(void *ctx, const char *what)
{
    pthread_mutex_lock(&told.lock);
    snprintf(told.refused, sizeof(told.refused), "%s", what);
    pthread_mutex_unlock(&told.lock);
    count(ctx, &told.n_refused);
}

static void on_lost(void *ctx)
{
    count(ctx, &told.n_lost);
}

static void set_gate(bool is_shut)
{
    pthread_mutex_lock(&told.lock);
    told.gate_is_shut = is_shut;
    pthread_cond_broadcast(&told.gate_opens);
    pthread_mutex_unlock(&told.lock);
}

static void start_server(const char *const more[])
{
    server = nats_server_start(port, more);
}

static void open_to(const char *servers)
{
    char why[256] = "";
    pthread_mutex_lock(&told.lock);
    told.opened++;
    told.is_closed = false;
    pthread_mutex_unlock(&told.lock);
    const struct nats_options o = {.servers = servers,
                                   .name = "test",
                                   .ctx = &contexts[told.opened % sizeof(contexts)],
                                   .came = on_came,
                                   .changed = on_changed,
                                   .over = on_over,
                                   .not_permitted = on_not_permitted,
                                   .lost = on_lost};
    if (nats_open(&nats, &o, why, sizeof(why)))
        fail_msg("%s", why);
}

static void open_here(void)
{
    open_to(peer_url("nats://127.0.0.1:PORT", port));
}

/* Nothing may be told when this has returned. */
static void close_it(void)
{
    nats_close(nats);
    nats = NULL;
    pthread_mutex_lock(&told.lock);
    told.is_closed = true;
    pthread_mutex_unlock(&told.lock);
}

/* What an event loop does with the connection. */
static void serve(int wait_ms)
{
    struct pollfd p = {.fd = nats_fd(nats), .events = POLLIN};
    if (poll(&p, 1, wait_ms) == 1)
        nats_serve(nats);
}

#define SERVE_UNTIL(condition)                                                                     \
    for (int64_t end_ = peer_clock_ms() + PEER_WAIT_MS; !(condition);) {                           \
        assert_true(peer_clock_ms() < end_);                                                       \
        serve(5);                                                                                  \
    }

static int set_up(void **unused)
{
    (void)unused;
    port = peer_free_port();
    told.n_came = told.n_connected = told.n_disconnected = told.n_over = told.n_lost = 0;
    told.n_refused = 0;
    told.n_wrong = 0;
    told.n_bytes = 0;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    set_gate(false); /* when a test failed */
    close_it();
    peer_kill(&server);
    return so_far(&told.n_wrong);
}

static struct nats_sub *listen_to(const char *subject)
{
    struct nats_sub *s = NULL;
    assert_int_equal(nats_subscribe(&s, nats, subject), ERR_OK);
    nats_flush(nats);
    return s;
}

static enum err publish_text(const char *subject, const char *text)
{
    return nats_publish(nats, subject, str_of(text), false);
}

/* What was sent before has reached the server: a message has been there and back. */
static void go_there_and_back(void)
{
    unsigned before = so_far(&told.n_came);
    struct nats_sub *s = listen_to("there.and.back");
    assert_int_equal(publish_text("there.and.back", "back"), ERR_OK);
    nats_flush(nats);
    SERVE_UNTIL(so_far(&told.n_came) == before + 1);
    assert_string_equal(told.came[before], "back");
    nats_unsubscribe(s);
}

/* ---- tests ---- */

static enum err check(const char *servers, const char *file, char why[256])
{
    const struct nats_options as_creds = {.servers = servers, .creds = file};
    const struct nats_options as_ca = {.servers = servers, .ca_file = file};
    enum err e = nats_check(&as_creds, why, 256);
    assert_int_equal(nats_check(&as_ca, why, 256), e);
    return e;
}

static void judges_addresses_and_files(void **unused)
{
    (void)unused;
    static const char *const good[] = {"nats://a", "tls://a:1", " nats://a:1 , tls://b ",
                                       "nats://u:p@[::1]:4222"};
    static const char *const bad[] = {"",        ",",           "a:4222",     "http://a",
                                      "nats://", "nats://a,,b", "nats://a,b", "nats://a,tls://"};
    char many[65 * 10 + 1] = "", why[256];
    for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_int_equal(check(good[i], NULL, why), ERR_OK);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        *why = 0;
        assert_int_equal(check(bad[i], NULL, why), ERR_PROTO);
        assert_true(*why);
    }
    for (unsigned i = 0; i < 64; i++)
        strcat(many, i ? ",nats://a" : "nats://a");
    assert_int_equal(check(many, NULL, why), ERR_OK);
    strcat(many, ",nats://a");
    assert_int_equal(check(many, NULL, why), ERR_PROTO);
    /* An address may hold a password: it is not repeated. */
    assert_int_equal(check("nats://a,ali:sesame@b", NULL, why), ERR_PROTO);
    assert_non_null(strstr(why, "number 2"));
    assert_null(strstr(why, "sesame"));
    assert_int_equal(check("nats://a", "/dev/null", why), ERR_OK);
    assert_int_equal(check("nats://a", "/nowhere/file", why), ERR_PROTO);
    assert_non_null(strstr(why, "/nowhere/file"));
}

static void connects_and_says_where(void **unused)
{
    (void)unused;
    char id[NATS_SERVER_ID_LEN], monitored[NATS_SERVER_ID_LEN];
    start_server(NULL);
    open_here();
    assert_int_equal(so_far(&told.n_connected), 1);
    assert_int_equal(nats_max_payload(nats), 1 << 20);
    nats_server_id(nats, id);
    natsConnection *other = nats_server_client(port);
    assert_int_equal(natsConnection_GetConnectedServerId(other, monitored, sizeof(monitored)),
                     NATS_OK);
    assert_string_equal(id, monitored);
    natsConnection_Destroy(other);
}

static void publishes_in_order(void **unused)
{
    (void)unused;
    enum { N = 20000 };
    start_server(NULL);
    open_here();
    natsConnection *other = nats_server_client(port);
    natsSubscription *sub = nats_server_listen(other, "t.*");
    for (unsigned i = 0; i < N; i++) {
        char text[TEXT_MAX];
        snprintf(text, sizeof(text), "%u", i);
        assert_int_equal(publish_text(i % 3 ? "t.a" : "t.b", text), ERR_OK);
        if (i % 7 == 0)
            nats_flush(nats);
        if (i % 1000 == 0)
            serve(0);
    }
    nats_flush(nats);
    go_there_and_back();
    for (unsigned i = 0; i < N; i++) {
        char text[TEXT_MAX];
        int len = snprintf(text, sizeof(text), "%u", i);
        natsMsg *msg = nats_server_next(sub);
        assert_string_equal(natsMsg_GetSubject(msg), i % 3 ? "t.a" : "t.b");
        assert_int_equal(natsMsg_GetDataLength(msg), len);
        assert_memory_equal(natsMsg_GetData(msg), text, (size_t)len);
        natsMsg_Destroy(msg);
    }
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(other);
}

/* One behind the other, whichever subscriptions they are for. */
static void receives_in_order(void **unused)
{
    (void)unused;
    enum { N = 10000, SUBJECTS = 10 };
    char text[TEXT_MAX], subject[TEXT_MAX];
    start_server(NULL);
    open_here();
    for (unsigned i = 0; i < SUBJECTS; i++) {
        snprintf(subject, sizeof(subject), "t.%u", i);
        listen_to(subject);
    }
    go_there_and_back();
    unsigned before = so_far(&told.n_came);
    natsConnection *other = nats_server_client(port);
    for (unsigned i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "%u", i);
        snprintf(subject, sizeof(subject), "t.%u", i * 7 % SUBJECTS);
        assert_int_equal(natsConnection_PublishString(other, subject, text), NATS_OK);
    }
    assert_int_equal(natsConnection_Flush(other), NATS_OK);
    SERVE_UNTIL(so_far(&told.n_came) == before + N);
    for (unsigned i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "%u", i);
        assert_string_equal(told.came[before + i], text);
    }
    natsConnection_Destroy(other);
}

static void hears_no_more_when_unsubscribed(void **unused)
{
    (void)unused;
    start_server(NULL);
    open_here();
    struct nats_sub *a = listen_to("a");
    listen_to("b");
    assert_int_equal(publish_text("a", "1"), ERR_OK);
    assert_int_equal(publish_text("b", "2"), ERR_OK);
    nats_flush(nats);
    SERVE_UNTIL(so_far(&told.n_came) == 2);
    nats_unsubscribe(a);
    nats_unsubscribe(NULL);
    assert_int_equal(publish_text("a", "3"), ERR_OK);
    assert_int_equal(publish_text("b", "4"), ERR_OK);
    nats_flush(nats);
    SERVE_UNTIL(so_far(&told.n_came) == 3);
    assert_string_equal(told.came[2], "4");
    /* The server has been told, too, and not only we do not listen. */
    natsConnection *other = nats_server_client(port);
    natsMsg *reply = NULL;
    assert_int_equal(natsConnection_RequestString(&reply, other, "a", "?", PEER_WAIT_MS),
                     NATS_NO_RESPONDERS);
    natsMsg_Destroy(reply);
    natsConnection_Destroy(other);
}

static void a_message_may_be_too_long(void **unused)
{
    (void)unused;
    static char bytes[(1 << 20) + 1];
    start_server(NULL);
    open_here();
    listen_to("a");
    assert_int_equal(nats_publish(nats, "a", str_make(bytes, sizeof(bytes)), false), ERR_LIMIT);
    assert_int_equal(nats_publish(nats, "a", str_make(bytes, sizeof(bytes)), true), ERR_LIMIT);
    assert_int_equal(nats_publish(nats, "a", str_make(bytes, sizeof(bytes) - 1), false), ERR_OK);
    nats_flush(nats);
    SERVE_UNTIL(so_far(&told.n_came) == 1);
    assert_int_equal(told.n_bytes, sizeof(bytes) - 1);
    assert_int_equal(so_far(&told.n_disconnected), 0);
}

static void refuses_while_away_and_comes_back(void **unused)
{
    (void)unused;
    char before[NATS_SERVER_ID_LEN], after[NATS_SERVER_ID_LEN];
    start_server(NULL);
    open_here();
    listen_to("a");
    go_there_and_back();
    nats_server_id(nats, before);
    for (unsigned round = 1; round <= 3; round++) {
        peer_kill(&server);
        SERVE_UNTIL(so_far(&told.n_disconnected) == round);
        assert_int_equal(publish_text("a", "while away"), ERR_AWAY);
        assert_int_equal(nats_publish(nats, "a", STR("while away"), true), ERR_AWAY);
        nats_flush(nats);
        start_server(NULL);
        SERVE_UNTIL(so_far(&told.n_connected) == round + 1);
        nats_server_id(nats, after);
        assert_string_not_equal(before, after);
        /* The subscription is in force again, and what was refused does not come late. */
        unsigned n = so_far(&told.n_came);
        assert_int_equal(publish_text("a", "back again"), ERR_OK);
        nats_flush(nats);
        SERVE_UNTIL(so_far(&told.n_came) == n + 1);
        assert_string_equal(told.came[n], "back again");
    }
    assert_int_equal(so_far(&told.n_over), 0);
}

static void waits_for_a_server_that_comes_late(void **unused)
{
    (void)unused;
    struct nats_sub *s = NULL;
    char id[NATS_SERVER_ID_LEN] = "?";
    open_here();
    assert_int_equal(so_far(&told.n_connected), 0);
    assert_int_equal(publish_text("a", "1"), ERR_AWAY);
    nats_server_id(nats, id);
    assert_string_equal(id, "");
    assert_true(*nats_last_error(nats));
    start_server(NULL);
    SERVE_UNTIL(so_far(&told.n_connected) == 1);
    assert_int_equal(nats_subscribe(&s, nats, "a"), ERR_OK);
    assert_int_equal(publish_text("a", "1"), ERR_OK);
    nats_flush(nats);
    SERVE_UNTIL(so_far(&told.n_came) == 1);
}

static void goes_to_another_server(void **unused)
{
    (void)unused;
    char servers[100];
    unsigned other_port = peer_free_port();
    pid_t other = nats_server_start(other_port, NULL);
    start_server(NULL);
    snprintf(servers, sizeof(servers), " nats://127.0.0.1:%u , nats://127.0.0.1:%u", port,
             other_port);
    open_to(servers);
    listen_to("a");
    /* Whichever it took first, one of the two is enough. */
    for (unsigned round = 1; round <= 2; round++) {
        char id[NATS_SERVER_ID_LEN], id_there[NATS_SERVER_ID_LEN];
        natsConnection *there = nats_server_client(port);
        nats_server_id(nats, id);
        assert_int_equal(natsConnection_GetConnectedServerId(there, id_there, sizeof(id_there)),
                         NATS_OK);
        natsConnection_Destroy(there);
        bool is_there = strcmp(id, id_there) == 0;
        peer_kill(is_there ? &server : &other);
        SERVE_UNTIL(so_far(&told.n_connected) == round + 1);
        go_there_and_back();
        if (is_there)
            start_server(NULL);
        else
            other = nats_server_start(other_port, NULL);
    }
    peer_kill(&other);
}

/* A frozen server keeps the connection: it is lost when it does not answer pings. */
static void gives_up_a_silent_server(void **unused)
{
    (void)unused;
    start_server(NULL);
    open_here();
    go_there_and_back();
    int64_t before = peer_clock_ms();
    peer_freeze(server);
    SERVE_UNTIL(so_far(&told.n_disconnected) == 1);
    assert_true(peer_clock_ms() - before >= NATS_PING_MS);
    assert_int_equal(publish_text("a", "1"), ERR_AWAY);
    peer_thaw(server);
    SERVE_UNTIL(so_far(&told.n_connected) == 2);
    go_there_and_back();
}

/* Under ThreadSanitizer so much takes longer than a pong may, and nobody reads one meanwhile. */
static void gathers_so_much_and_no_more(void **unused)
{
    (void)unused;
    if (IS_TSAN)
        skip();
    static char bytes[1 << 20];
    enum { MIB = NATS_BUFFER_MAX >> 20 };
    unsigned n = 0;
    start_server(NULL);
    open_here();
    enum err e;
    while (!(e = nats_publish(nats, "a", str_make(bytes, sizeof(bytes)), false)) && n < 2 * MIB)
        n++;
    assert_int_equal(e, ERR_FULL);
    assert_int_equal(n, MIB);
    assert_int_equal(nats_publish(nats, "a", str_make(bytes, 1), true), ERR_OK);
    assert_int_equal(publish_text("a", "1"), ERR_FULL);
}

/* What does not fit into the socket goes on by itself, without a further flush. */
static void sends_the_rest_when_there_is_room(void **unused)
{
    (void)unused;
    static char bytes[1 << 20];
    enum { N = 12 }; /* more than both ends' sockets hold */
    start_server(NULL);
    open_here();
    listen_to("a");
    go_there_and_back();
    unsigned before = so_far(&told.n_came);
    peer_freeze(server);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(nats_publish(nats, "a", str_make(bytes, sizeof(bytes)), false), ERR_OK);
    nats_flush(nats);
    peer_thaw(server);
    SERVE_UNTIL(so_far(&told.n_came) == before + N);
    assert_int_equal(so_far(&told.n_disconnected), 0);
}

/* cnats keeps 65,536 messages a subscription for who is slow. */
static void tells_of_lost_messages(void **unused)
{
    (void)unused;
    enum { KEPT = 65536, N = KEPT + 2000 };
    start_server(NULL);
    open_here();
    listen_to("a");
    go_there_and_back();
    natsConnection *other = nats_server_client(port);
    set_gate(true);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(natsConnection_PublishString(other, "a", "x"), NATS_OK);
    assert_int_equal(natsConnection_Flush(other), NATS_OK);
    SERVE_UNTIL(so_far(&told.n_lost) > 0);
    set_gate(false);
    /* What was kept comes, and what is sent from now on. */
    SERVE_UNTIL(so_far(&told.n_came) >= KEPT);
    assert_in_range(so_far(&told.n_came), KEPT, N - 1);
    assert_int_equal(so_far(&told.n_disconnected), 0);
    natsConnection_Destroy(other);
}

static void is_over_when_it_is_refused(void **unused)
{
    (void)unused;
    start_server((const char *const[]){"--user", "ali", "--pass", "sesame", NULL});
    open_to(peer_url("nats://ali:sesam@127.0.0.1:PORT", port));
    SERVE_UNTIL(so_far(&told.n_over) == 1);
    assert_int_equal(so_far(&told.n_connected), 0);
    assert_non_null(strstr(nats_last_error(nats), "uthorization"));
    assert_null(strstr(nats_last_error(nats), "sesam"));
    assert_int_equal(publish_text("a", "1"), ERR_AWAY);
    close_it();
    open_to(peer_url("nats://ali:sesame@127.0.0.1:PORT", port));
    go_there_and_back();
}

static void tells_what_is_not_permitted(void **unused)
{
    (void)unused;
    struct peer_folder folder;
    char path[sizeof(folder.path) + 8];
    peer_folder_make(&folder);
    snprintf(path, sizeof(path), "%s/conf", folder.path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("authorization { users: [ { user: ali, password: sesame, permissions: {"
          "publish: \"there.>\", subscribe: \"there.>\" } } ] }",
          f);
    fclose(f);
    start_server((const char *const[]){"-c", path, NULL});
    open_to(peer_url("nats://ali:sesame@127.0.0.1:PORT", port));
    assert_int_equal(publish_text("no.way", "1"), ERR_OK);
    nats_flush(nats);
    SERVE_UNTIL(so_far(&told.n_refused) == 1);
    assert_non_null(strstr(told.refused, "no.way"));
    listen_to("nor.here");
    SERVE_UNTIL(so_far(&told.n_refused) == 2);
    assert_non_null(strstr(told.refused, "nor.here"));
    /* All else goes on. */
    go_there_and_back();
    assert_int_equal(so_far(&told.n_disconnected), 0);
    peer_folder_remove(&folder);
}

static atomic_bool goes_on;

static void *flood(void *other)
{
    while (atomic_load(&goes_on))
        natsConnection_PublishString(other, "a", "x");
    return NULL;
}

/* tear_down and close_it look that nothing is told afterwards. */
static void closes_while_messages_come(void **unused)
{
    (void)unused;
    enum { ROUNDS = 20 };
    pthread_t thread;
    start_server(NULL);
    natsConnection *other = nats_server_client(port);
    atomic_store(&goes_on, true);
    assert_int_equal(pthread_create(&thread, NULL, flood, other), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        open_here();
        listen_to("a");
        unsigned before = so_far(&told.n_came);
        SERVE_UNTIL(so_far(&told.n_came) > before + i);
        int64_t began = peer_clock_ms();
        close_it();
        assert_true(peer_clock_ms() - began < 4000);
    }
    atomic_store(&goes_on, false);
    pthread_join(thread, NULL);
    natsConnection_Destroy(other);
}

#define WITH_PORT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    if (!peer_is_installed("nats-server")) {
        puts("skipped: nats-server is not installed");
        return PEER_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_addresses_and_files),
        WITH_PORT(connects_and_says_where),
        WITH_PORT(publishes_in_order),
        WITH_PORT(receives_in_order),
        WITH_PORT(hears_no_more_when_unsubscribed),
        WITH_PORT(a_message_may_be_too_long),
        WITH_PORT(refuses_while_away_and_comes_back),
        WITH_PORT(waits_for_a_server_that_comes_late),
        WITH_PORT(goes_to_another_server),
        WITH_PORT(gives_up_a_silent_server),
        WITH_PORT(gathers_so_much_and_no_more),
        WITH_PORT(sends_the_rest_when_there_is_room),
        WITH_PORT(tells_of_lost_messages),
        WITH_PORT(is_over_when_it_is_refused),
        WITH_PORT(tells_what_is_not_permitted),
        WITH_PORT(closes_while_messages_come),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
