#include "api/api.h"
#include "base/json.h"
#include "bus/seat.h"
#include "names_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CALL = 4711, NOW_S = 1700000000 };

/* ---- a bus that notes what it is given ---- */

static struct {
    struct buf published; /* "<kind> <app> <target> <event> <data>" and a line feed, each; */
    unsigned n, n_most;   /* messages it takes before it is full */
    bool quiet;           /* counts only */
    size_t message_max;
    bool is_away;
    enum err publish_error; /* instead of taking a message */
    enum err ask_error;     /* instead of taking a question */
    enum err share_error;   /* instead of taking a note; */
    struct buf note;        /* the last one */
    struct bus_question *question;
    unsigned n_more, n_unreachable;
} bus;

enum { NODES = 2 }; /* that answer: of one worker each */

static enum err publish(void *ctx, struct msg *m, bool begun, struct buf *scratch)
{
    (void)scratch;
    static const char *const kinds[] = {"channel",   "user",       "socket",
                                        "add",       "reload",     "kick-socket",
                                        "kick-user", "kick-token", "kick-app"};
    assert_ptr_equal(ctx, &bus);
    if (bus.publish_error)
        return bus.publish_error;
    if (!begun && bus.n >= bus.n_most)
        return ERR_FULL;
    bus.n++;
    if (bus.quiet)
        return ERR_OK;
    const struct str parts[] = {str_of(kinds[m->kind]), m->app, m->target, m->event, m->data};
    for (unsigned i = 0; i < 5; i++) {
        if (m->kind == MSG_RELOAD && i == 4) {
            struct str rest = m->data, name;
            while (names_next(&rest, &name)) {
                buf_str(&bus.published, name);
                buf_char(&bus.published, ';');
            }
        } else {
            buf_str(&bus.published, parts[i]);
        }
        buf_char(&bus.published, i < 4 ? ' ' : '\n');
    }
    return ERR_OK;
}

static enum err share(void *ctx, enum bus_note kind, struct str note, struct buf *scratch)
{
    assert_ptr_equal(ctx, &bus);
    assert_non_null(scratch);
    assert_in_range(kind, BUS_NOTE_TICKET, BUS_NOTE_DONE);
    if (bus.share_error)
        return bus.share_error;
    buf_clear(&bus.note);
    buf_str(&bus.note, note);
    return ERR_OK;
}

static enum bus_state state(void *ctx)
{
    assert_ptr_equal(ctx, &bus);
    return bus.is_away ? BUS_SETTLING : BUS_UP;
}

static size_t message_max(void *ctx)
{
    assert_ptr_equal(ctx, &bus);
    return bus.message_max;
}

static void sources(void *ctx, enum hub_question_kind kind, struct buf *list, unsigned *n_missing)
{
    (void)kind;
    assert_ptr_equal(ctx, &bus);
    for (unsigned i = 0; i < NODES; i++)
        buf_add(list, &(struct bus_source){i, 0}, sizeof(struct bus_source));
    *n_missing = bus.n_unreachable;
}

static enum err ask(void *ctx, struct bus_question *q, struct buf *scratch)
{
    (void)scratch;
    assert_ptr_equal(ctx, &bus);
    if (bus.ask_error)
        return bus.ask_error;
    assert_null(bus.question);
    bus.question = bus_question_ref(q);
    return ERR_OK;
}

static void more(void *ctx, struct bus_question *q, struct bus_source source, uint32_t cursor,
                 struct buf *scratch)
{
    (void)scratch;
    assert_ptr_equal(ctx, &bus);
    assert_ptr_equal(q, bus.question);
    assert_int_equal(cursor, 10 + source.node);
    bus.n_more++;
}

/* ---- one worker's API ---- */

static struct loop loop;
static struct inbox *inbox;
static struct api api;
static struct signing_key *signing_key;
static struct buf answered; /* what `answer` was called with */

/* "<status> <type> <extra headers>[close ]<body>" */
static void write_reply(struct buf *out, const struct api_reply *r)
{
    buf_printf(out, "%d ", r->status);
    if (r->type)
        buf_str(out, strcmp(r->type, HTTP_TEXT) == 0      ? STR("text ")
                     : strcmp(r->type, HTTP_JSON) == 0    ? STR("json ")
                     : strcmp(r->type, HTTP_PROBLEM) == 0 ? STR("problem ")
                                                          : STR("other "));
    buf_str(out, buf_as_str(&r->extra));
    if (r->close)
        buf_str(out, STR("close "));
    buf_str(out, buf_as_str(&r->body));
}

static void answer(void *ctx, uint64_t call, const struct api_reply *r)
{
    assert_ptr_equal(ctx, &answered);
    assert_int_equal(call, CALL);
    assert_int_equal(answered.len, 0); /* once */
    write_reply(&answered, r);
}

/* ---- the pieces of a long answer ---- */

static struct {
    struct buf got; /* "first|next|last " and the reply, each piece on a line */
    uint64_t question;
    unsigned n_left; /* pieces that the connection takes before it is gone */
    bool goes_on;    /* it has room at once: calls api_go_on itself */
} streamed;

static bool stream(void *ctx, uint64_t call, const struct api_reply *r, uint64_t question,
                   enum api_piece piece)
{
    static const char *const names[] = {"first ", "next ", "last "};
    assert_ptr_equal(ctx, &answered);
    assert_int_equal(call, CALL);
    assert_int_equal(question, bus.question->number);
    if (!streamed.n_left)
        return false;
    streamed.n_left--;
    streamed.question = question;
    buf_str(&streamed.got, str_of(names[piece]));
    write_reply(&streamed.got, r);
    buf_char(&streamed.got, '\n');
    if (streamed.goes_on && piece != API_LAST)
        api_go_on(&api, question, true);
    return true;
}

static uint32_t wait_ms; /* that handshakes are told to wait */

static uint32_t handshake(void *ctx, uint64_t call)
{
    assert_ptr_equal(ctx, &answered);
    assert_int_not_equal(call, 0);
    return wait_ms;
}

static bool is_from_here;

static bool is_local(void *ctx, uint64_t call)
{
    assert_ptr_equal(ctx, &answered);
    assert_int_not_equal(call, 0);
    return is_from_here;
}

static void write_request_id(void *ctx, uint64_t call, char out[API_REQUEST_ID_MAX])
{
    assert_ptr_equal(ctx, &answered);
    snprintf(out, API_REQUEST_ID_MAX, "request-%u", (unsigned)call);
}

static void write_metrics(void *ctx, struct buf *out)
{
    assert_ptr_equal(ctx, &answered);
    buf_str(out, STR("# EOF\n"));
}

static unsigned n_banned;

static enum err take_ban(void *ctx, struct str note)
{
    struct ban ban;
    assert_ptr_equal(ctx, &answered);
    assert_true(str_eq(note, buf_as_str(&bus.note)));
    n_banned++;
    return bans_take_note(api.bans, note, NOW_S, &ban);
}

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

static int make_keys(void **unused)
{
    (void)unused;
    struct buf private_pem = BUF_INIT, public_pem = BUF_INIT;
    struct keys *keys;
    char why[200];
    if (signing_key_generate(&private_pem, &public_pem) ||
        keys_from_pem(&keys, buf_as_str(&public_pem), why, sizeof why) ||
        signing_key_from_pem(&signing_key, buf_as_str(&private_pem), why, sizeof why))
        return -1;
    api.trust = trust_new();
    api.trust->keys = keys;
    buf_fini(&private_pem);
    buf_fini(&public_pem);
    return 0;
}

static int free_keys(void **unused)
{
    (void)unused;
    trust_unref(api.trust);
    signing_key_free(signing_key);
    return 0;
}

static const char *once_key; /* of the next requests: Idempotency-Key; NULL: none */

static int set_up(void **unused)
{
    (void)unused;
    const struct bus_backend backend = {.ctx = &bus,
                                        .node = 1,
                                        .publish = publish,
                                        .share = share,
                                        .state = state,
                                        .message_max = message_max,
                                        .sources = sources,
                                        .ask = ask,
                                        .more = more};
    memset(&bus, 0, sizeof bus);
    bus.n_most = UINT32_MAX;
    bus.message_max = SIZE_MAX;
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL) ||
        tickets_new_local(&api.tickets, 4))
        return -1;
    api.options = (struct api_options){.slave_prefix = STR("/gcs"),
                                       .master_prefix = STR("/api"),
                                       .json_bodies = true,
                                       .name_max = 5000,
                                       .payload_max = 1 << 20,
                                       .batch_max = 50};
    api.bus = bus_seat_new(&backend, &loop, 3);
    api.answer = answer;
    api.stream = stream;
    api.ban = take_ban;
    api.handshake = handshake;
    api.is_local = is_local;
    api.request_id = write_request_id;
    api.metrics = write_metrics;
    n_banned = 0;
    wait_ms = 0;
    is_from_here = false;
    api.bans = bans_new();
    api.idempotency = idempotency_new();
    once_key = NULL;
    memset(&streamed, 0, sizeof streamed);
    streamed.n_left = UINT32_MAX;
    api.ctx = &answered;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    bus_seat_free(api.bus);
    tickets_free(api.tickets);
    bans_free(api.bans);
    idempotency_free(api.idempotency);
    loop_fini(&loop);
    inbox_free(inbox);
    if (bus.question)
        bus_question_unref(bus.question);
    buf_fini(&bus.published);
    buf_fini(&bus.note);
    buf_fini(&answered);
    buf_fini(&streamed.got);
    return 0;
}

static enum http_method method_of(struct str name)
{
    static const char *const names[] = {"OTHER", "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"};
    for (unsigned i = 1; i < 7; i++) {
        if (str_eq(name, str_of(names[i])))
            return (enum http_method)i;
    }
    return HTTP_M_OTHER;
}

#define FORM "application/x-www-form-urlencoded"

static struct claims *upgraded;
static const char *authorization; /* of the next requests; NULL: none */
static const char *origin;        /* the same */

/* Handles "<method> <target>"; `type` NULL: no Content-Type. */
static enum api_outcome handle(unsigned roles, const char *line, const char *type, struct str body,
                               struct api_reply *reply)
{
    struct str target = str_of(line);
    struct http_request r = {.body = body, .keep_alive = true};
    r.method = method_of(str_cut(&target, ' '));
    r.path = str_cut(&target, '?');
    r.query = target;
    if (type)
        r.headers[HTTP_H_CONTENT_TYPE] = str_of(type);
    if (authorization)
        r.headers[HTTP_H_AUTHORIZATION] = str_of(authorization);
    if (origin)
        r.headers[HTTP_H_ORIGIN] = str_of(origin);
    if (once_key)
        r.headers[HTTP_H_IDEMPOTENCY_KEY] = str_of(once_key);
    *reply = (struct api_reply){0};
    return api_handle(&api, roles, &r, CALL, NOW_S + 0.5, 1000, reply, &upgraded);
}

static void compare(const struct buf *got, const char *expected, const char *what)
{
    if (!str_eq(buf_as_str(got), str_of(expected)))
        fail_msg("%s: got '%.*s', expected '%s'", what, (int)got->len, got->p, expected);
}

static void expect_from(unsigned roles, const char *line, const char *type, struct str body,
                        const char *expected)
{
    struct api_reply reply;
    struct buf got = BUF_INIT;
    enum api_outcome outcome = handle(roles, line, type, body, &reply);
    if (outcome == API_DONE)
        write_reply(&got, &reply);
    else
        buf_str(&got, outcome == API_LATER   ? STR("later")
                      : outcome == API_AGAIN ? STR("again ")
                                             : STR("upgrade"));
    if (outcome == API_AGAIN) /* what is said when there is no time left */
        write_reply(&got, &reply);
    compare(&got, expected, line);
    buf_fini(&got);
    api_reply_fini(&reply);
}

static void expect(const char *line, const char *expected)
{
    expect_from(API_SLAVE | API_MASTER, line, NULL, STR_EMPTY, expected);
}

static void expect_form(const char *line, const char *form, const char *expected)
{
    expect_from(API_SLAVE | API_MASTER, line, FORM, str_of(form), expected);
}

/* What has been published since the last look. */
static void expect_published(const char *expected)
{
    compare(&bus.published, expected, "published");
    buf_clear(&bus.published);
}

/* Node `node` gives a page. */
static void give_page(uint32_t node, const char *text, bool last)
{
    struct buf names = names_of(text), hashes = BUF_INIT;
    for (struct str rest = buf_as_str(&names), name; names_next(&rest, &name);) {
        struct hash128 h = hash_wide(name, bus.question->q.seed);
        buf_add(&hashes, &h, sizeof h);
    }
    const struct bus_part part = {.from = {node, 0},
                                  .number = bus.question->number,
                                  .cursor = last ? HUB_CURSOR_END : 10 + node,
                                  .bytes = buf_as_str(bus.question->count_only ? &hashes : &names)};
    bus_part_arrived(api.bus, &part);
    buf_fini(&hashes);
    buf_fini(&names);
}

static void drop_question(void)
{
    bus_question_unref(bus.question);
    bus.question = NULL;
}

/* Gives the two parts of an answer; `second` NULL: that one is missing. */
static void give_answer(const char *first, const char *second)
{
    give_page(0, first, true);
    if (second)
        give_page(1, second, true);
    else
        timer_run(&loop.timers, loop.now_ms += BUS_ASK_MS + 1000);
    drop_question();
}

static void expect_answered(const char *expected)
{
    compare(&answered, expected, "answered");
    buf_clear(&answered);
}

static void expect_streamed(const char *expected)
{
    compare(&streamed.got, expected, "streamed");
    buf_clear(&streamed.got);
}

static void sign(struct buf *jwt, const char *claims)
{
    buf_clear(jwt);
    assert_int_equal(jwt_sign(jwt, signing_key, str_of(claims)), ERR_OK);
}

/* ---- the slave ---- */

#define NOSNIFF "X-Content-Type-Options: nosniff\r\n"
#define CORS    "Access-Control-Allow-Origin: *\r\n"

static void answers_pings(void **unused)
{
    (void)unused;
    expect("GET /gcs/ping", "200 text pong");
    expect("GET /api/ping", "200 text pong");
    expect("HEAD /api/ping", "200 text pong");
}

/* What supervisors and load balancers ask: on every listener, below no prefix. */
static void answers_probes(void **unused)
{
    (void)unused;
    static const unsigned roles[] = {API_SLAVE, API_MASTER, API_SLAVE | API_MASTER};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned away = 0; away < 2; away++) {
            bus.is_away = away;
            expect_from(roles[i], "GET /healthz", NULL, STR_EMPTY, "200 text ok");
            expect_from(roles[i], "HEAD /healthz", NULL, STR_EMPTY, "200 text ok");
            expect_from(roles[i], "GET /readyz", NULL, STR_EMPTY,
                        away ? "503 text nats not connected" : "200 text ready");
            expect_from(roles[i], "HEAD /readyz?x=1", NULL, STR_EMPTY,
                        away ? "503 text nats not connected" : "200 text ready");
        }
        expect_from(roles[i], "POST /healthz", NULL, STR_EMPTY, "405 Allow: GET, HEAD\r\n");
        expect_from(roles[i], "POST /readyz", NULL, STR_EMPTY, "405 Allow: GET, HEAD\r\n");
        expect_from(roles[i], "GET /api/healthz", NULL, STR_EMPTY, "404 text 404 page not found\n");
        expect_from(roles[i], "GET /gcs/readyz", NULL, STR_EMPTY, "404 text 404 page not found\n");
        expect_from(roles[i], "GET /healthz/", NULL, STR_EMPTY, "404 text 404 page not found\n");
    }
    /* A process that is away is alive, and pings as ever. */
    expect("GET /api/ping", "200 text pong");
    /* With empty prefixes as well. */
    api.options.slave_prefix = api.options.master_prefix = STR_EMPTY;
    expect("GET /healthz", "200 text ok");
    expect("GET /readyz", "503 text nats not connected");
}

static const char *scarce;

static const char *trouble(void *ctx)
{
    assert_ptr_equal(ctx, &answered);
    return scarce;
}

/* Then nobody becomes a socket; backends and probes are answered. */
static void takes_no_sockets_when_something_is_scarce(void **unused)
{
    (void)unused;
    const unsigned roles = API_SLAVE | API_MASTER | API_NO_SOCKETS;
    static const char refusal[] =
        "503 text Retry-After: 10\r\nX-Content-Type-Options: nosniff\r\nclose no new sockets are "
        "taken here at the moment, try again\n";
    api.trouble = trouble;
    scarce = NULL;
    expect_from(roles, "GET /readyz", NULL, STR_EMPTY, "200 text ready");
    scarce = "memory is scarce";
    expect_from(roles, "GET /readyz", NULL, STR_EMPTY, "503 text memory is scarce");
    expect_from(roles, "GET /healthz", NULL, STR_EMPTY, "200 text ok");
    expect_from(roles, "GET /api/ping", NULL, STR_EMPTY, "200 text pong");
    expect_from(roles, "GET /gcs/ws/app?token=x", NULL, STR_EMPTY, refusal);
    expect_from(roles, "GET /gcs/wtf/app?token=x", NULL, STR_EMPTY, refusal);
    /* A page can read it. */
    expect_from(roles, "POST /gcs/auth", NULL, STR_EMPTY,
                "503 text Access-Control-Allow-Origin: *\r\nRetry-After: 10\r\n"
                "X-Content-Type-Options: nosniff\r\nclose no new sockets are taken here at the "
                "moment, try again\n");
    bus.is_away = true;
    expect_from(roles, "GET /readyz", NULL, STR_EMPTY, "503 text nats not connected");
    api.trouble = NULL;
}

/* The token in a reply of auth, or an empty text. */
static struct buf auth(const char *type, const char *body)
{
    struct api_reply reply;
    struct buf token = BUF_INIT;
    static const char head[] = "{\"token\":\"";
    assert_int_equal(handle(API_SLAVE, "POST /gcs/auth", type, str_of(body), &reply), API_DONE);
    assert_true(str_eq(buf_as_str(&reply.extra), STR(CORS)));
    assert_string_equal(reply.type, HTTP_JSON);
    assert_in_range(reply.body.len, sizeof head - 1 + 3, SIZE_MAX);
    size_t len = reply.body.len - (sizeof head - 1) - 3;
    assert_memory_equal(reply.body.p, head, sizeof head - 1);
    assert_memory_equal(reply.body.p + sizeof head - 1 + len, "\"}\n", 3);
    buf_add(&token, reply.body.p + sizeof head - 1, len);
    api_reply_fini(&reply);
    return token;
}

static void expect_upgrade(const char *path, struct str token, const char *user)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "GET %s?token=%.*s", path, (int)token.len, token.p);
    buf_char(&line, 0);
    expect_from(API_SLAVE, line.p, NULL, STR_EMPTY, "upgrade");
    assert_true(str_eq(upgraded->user_id, str_of(user)));
    claims_unref(upgraded);
    buf_fini(&line);
}

static void trades_jwts_for_tickets(void **unused)
{
    (void)unused;
    struct buf jwt = BUF_INIT, body = BUF_INIT;
    sign(&jwt, "{\"gusher\":{\"user_id\":\"ann\",\"app_key\":\"app\"}}");
    const char *const bodies[][2] = {
        {FORM, "jwt=%.*s"},
        {"application/json; charset=utf-8", "{\"x\":1,\"jwt\":\"%.*s\"}"},
        {"multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=\"jwt\"\r\n\r\n%.*s\r\n--b--\r\n"},
    };
    for (unsigned i = 0; i < 3; i++) {
        buf_clear(&body);
        buf_reserve(&body, jwt.len + 200);
        body.len = (size_t)snprintf(body.p, body.cap, bodies[i][1], (int)jwt.len, jwt.p);
        buf_char(&body, 0);
        struct buf token = auth(bodies[i][0], body.p);
        expect_upgrade("/gcs/ws/app", buf_as_str(&token), "ann");
        expect_upgrade("/gcs/wtf/app", buf_as_str(&token), "ann");
        buf_fini(&token);
    }
    /* In the query, and without one more place in the ring. */
    buf_clear(&body);
    buf_printf(&body, "POST /gcs/auth?jwt=%.*s", (int)jwt.len, jwt.p);
    buf_char(&body, 0);
    struct api_reply reply;
    assert_int_equal(handle(API_SLAVE, body.p, NULL, STR_EMPTY, &reply), API_DONE);
    assert_int_equal(reply.status, 200);
    api_reply_fini(&reply);
    expect_from(API_SLAVE, body.p, NULL, STR_EMPTY,
                "503 text " CORS "Retry-After: 10\r\n" NOSNIFF
                "too many tickets are alive, try again\n");
    buf_fini(&jwt);
    buf_fini(&body);
}

/* Another slave with the same secret, which has heard of nothing. */
static struct tickets *shared_tickets(void)
{
    struct tickets *t = NULL;
    assert_int_equal(tickets_new_shared(&t, STR("a secret of the cluster")), ERR_OK);
    return t;
}

static struct buf auth_form(const char *claims)
{
    struct buf jwt = BUF_INIT, body = BUF_INIT;
    sign(&jwt, claims);
    buf_printf(&body, "jwt=%.*s", (int)jwt.len, jwt.p);
    buf_char(&body, 0);
    buf_fini(&jwt);
    return body;
}

#define ANNS_CLAIMS "{\"gusher\":{\"user_id\":\"ann\",\"app_key\":\"app\"}}"

static void tells_others_of_tickets(void **unused)
{
    (void)unused;
    static const struct {
        enum err error;
        const char *reply; /* NULL: a ticket that is good here */
    } cases[] = {
        {ERR_OK, NULL},
        {ERR_AWAY, NULL},
        {ERR_LIMIT,
         "413 text " CORS NOSNIFF "the jwt is longer than the bus can carry to the other slaves\n"},
        {ERR_FULL,
         "503 text " CORS "Retry-After: 10\r\n" NOSNIFF "no ticket could be made, try again\n"},
    };
    struct tickets *local = api.tickets;
    struct buf body = auth_form(ANNS_CLAIMS);
    api.tickets = shared_tickets();
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        bus.share_error = cases[i].error;
        buf_clear(&bus.note);
        if (cases[i].reply) {
            expect_from(API_SLAVE, "POST /gcs/auth", FORM, str_of(body.p), cases[i].reply);
        } else {
            struct buf token = auth(FORM, body.p);
            assert_int_equal(token.len, TICKET_UUID_LEN);
            expect_upgrade("/gcs/ws/app", buf_as_str(&token), "ann");
            buf_fini(&token);
        }
        assert_true(!bus.note.len == (cases[i].error != ERR_OK));
    }
    tickets_free(api.tickets);
    /* What other kinds stand for is nobody else's business. */
    api.tickets = local;
    bus.share_error = ERR_LIMIT;
    struct buf token = auth(FORM, body.p);
    buf_fini(&token);
    buf_fini(&body);
}

static void handles_again_what_may_become_known(void **unused)
{
    (void)unused;
    struct tickets *local = api.tickets, *issuer = shared_tickets();
    struct buf body = auth_form(ANNS_CLAIMS), line = BUF_INIT;
    api.tickets = issuer;
    struct buf token = auth(FORM, body.p);
    api.tickets = shared_tickets();
    buf_printf(&line, "GET /gcs/ws/app?token=%.*s", (int)token.len, token.p);
    buf_char(&line, 0);
    for (unsigned i = 0; i < 3; i++)
        expect_from(API_SLAVE, line.p, NULL, STR_EMPTY, "again 401 text " NOSNIFF "token error\n");
    assert_int_equal(tickets_take_note(api.tickets, buf_as_str(&bus.note), 1000), ERR_OK);
    expect_upgrade("/gcs/ws/app", buf_as_str(&token), "ann");
    expect_from(API_SLAVE, "GET /gcs/ws/app?token=00000000-0000-0000-0000-000000000000", NULL,
                STR_EMPTY, "401 text " NOSNIFF "token error\n");
    tickets_free(api.tickets);
    tickets_free(issuer);
    api.tickets = local;
    buf_fini(&token);
    buf_fini(&body);
    buf_fini(&line);
}

/* As many permissions as a JWT may have, in names that fit into its bytes. */
static void trades_long_jwts_for_tickets_of_every_kind(void **unused)
{
    (void)unused;
    struct buf claims = BUF_INIT, jwt = BUF_INIT, body = BUF_INIT;
    buf_str(&claims, STR("{\"gusher\":{\"user_id\":\"ann\",\"app_key\":\"app\",\"channels\":["));
    for (unsigned i = 0; i < JWT_CHANNELS_MAX; i++)
        buf_printf(&claims, "%s\"%u\"", i ? "," : "", i % 10);
    buf_str(&claims, STR("]}}"));
    buf_char(&claims, 0);
    sign(&jwt, claims.p);
    buf_printf(&body, "jwt=%.*s", (int)jwt.len, jwt.p);
    buf_char(&body, 0);

    struct tickets *kinds[3] = {api.tickets};
    assert_int_equal(tickets_new_shared(&kinds[1], STR("a secret of the cluster")), ERR_OK);
    assert_int_equal(tickets_new_bare(&kinds[2]), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        api.tickets = kinds[i];
        struct buf token = auth(FORM, body.p);
        assert_in_range(token.len, 1, TICKET_BYTES_MAX);
        expect_upgrade("/gcs/ws/app", buf_as_str(&token), "ann");
        /* The JWT itself is a token, whatever auth gives out. */
        expect_upgrade("/gcs/ws/app", buf_as_str(&jwt), "ann");
        buf_fini(&token);
    }
    api.tickets = kinds[0];
    tickets_free(kinds[1]);
    tickets_free(kinds[2]);
    buf_fini(&claims);
    buf_fini(&jwt);
    buf_fini(&body);
}

static void refuses_wrong_jwts(void **unused)
{
    (void)unused;
    static const char refused[] = "401 text " CORS NOSNIFF "jwt decode fail\n";
    struct buf jwt = BUF_INIT, form = BUF_INIT;
    expect("POST /gcs/auth", refused);
    expect_form("POST /gcs/auth", "jwt=", refused);
    expect_form("POST /gcs/auth", "jwt=a.b.c", refused);
    sign(&jwt, "{\"gusher\":{\"app_key\":\"app\"},\"exp\":1700000000}"); /* half a second ago */
    buf_printf(&form, "jwt=%.*s", (int)jwt.len, jwt.p);
    buf_char(&form, 0);
    expect_form("POST /gcs/auth", form.p, refused);
    sign(&jwt, "{\"gusher\":{\"app_key\":1}}");
    buf_clear(&form);
    buf_printf(&form, "jwt=%.*s", (int)jwt.len, jwt.p);
    buf_char(&form, 0);
    expect_form("POST /gcs/auth", form.p, refused);
    buf_fini(&jwt);
    buf_fini(&form);
}

static void answers_the_preflight(void **unused)
{
    (void)unused;
    expect("OPTIONS /gcs/auth",
           "204 " CORS "Access-Control-Allow-Methods: POST\r\n"
           "Access-Control-Allow-Headers: Content-Type\r\nAccess-Control-Max-Age: 86400\r\n");
    expect("OPTIONS /gcs/ping", "405 Allow: GET, HEAD\r\n");
}

static void judges_tokens_in_order(void **unused)
{
    (void)unused;
    struct buf jwt = BUF_INIT, line = BUF_INIT;
    expect("GET /gcs/ws/app", "401 text " NOSNIFF "app_key is nil\n");
    expect("GET /gcs/ws/app?token=", "401 text " NOSNIFF "app_key is nil\n");
    expect("GET /gcs/ws/app?token=x", "401 text " NOSNIFF "token error\n");
    expect("GET /gcs/ws/app?token=a.b.c", "401 text " NOSNIFF "token error\n");
    expect("GET /gcs/ws/app?token=00000000-0000-0000-0000-000000000000",
           "401 text " NOSNIFF "token error\n");
    /* A body of a GET is not read. */
    sign(&jwt, "{\"gusher\":{\"user_id\":\"bob\",\"app_key\":\"app\"}}");
    buf_printf(&line, "token=%.*s", (int)jwt.len, jwt.p);
    expect_from(API_SLAVE, "GET /gcs/ws/app", FORM, buf_as_str(&line),
                "401 text " NOSNIFF "app_key is nil\n");
    /* The JWT itself is good as a token. */
    expect_upgrade("/gcs/ws/app", buf_as_str(&jwt), "bob");
    expect_upgrade("/gcs/ws/a%70p", buf_as_str(&jwt), "bob");
    buf_clear(&line);
    buf_printf(&line, "GET /gcs/ws/other?token=%.*s", (int)jwt.len, jwt.p);
    buf_char(&line, 0);
    expect(line.p, "401 text " NOSNIFF "appkey error\n");
    expect("GET /gcs/ws?token=x", "404 text 404 page not found\n");
    buf_fini(&jwt);
    buf_fini(&line);
}

#define FOREIGN "403 text " NOSNIFF "pages of this origin may not connect\n"

static void opens_sockets_to_listed_origins(void **unused)
{
    (void)unused;
    struct buf jwt = BUF_INIT;
    api.trust->origins = origins_new();
    origins_add(api.trust->origins, STR("https://shop.example"));
    sign(&jwt, "{\"gusher\":{\"user_id\":\"bob\",\"app_key\":\"app\"}}");
    expect_upgrade("/gcs/ws/app", buf_as_str(&jwt), "bob"); /* no browser */
    origin = "https://shop.example";
    expect_upgrade("/gcs/ws/app", buf_as_str(&jwt), "bob");
    expect("POST /gcs/auth",
           "401 text Vary: Origin\r\n"
           "Access-Control-Allow-Origin: https://shop.example\r\n" NOSNIFF "jwt decode fail\n");
    static const char *const others[] = {"https://evil.example", "null", ""};
    for (unsigned i = 0; i < 3; i++) {
        origin = others[i];
        expect("GET /gcs/ws/app", FOREIGN);
        expect("GET /gcs/wtf/app?token=x", FOREIGN);
        expect("POST /gcs/auth", "401 text Vary: Origin\r\n" NOSNIFF "jwt decode fail\n");
        expect("OPTIONS /gcs/auth", "204 Vary: Origin\r\nAccess-Control-Allow-Methods: POST\r\n"
                                    "Access-Control-Allow-Headers: Content-Type\r\n"
                                    "Access-Control-Max-Age: 86400\r\n");
        expect("GET /gcs/ping", "200 text pong");
    }
    origins_free(api.trust->origins);
    api.trust->origins = NULL;
    expect_upgrade("/gcs/ws/app", buf_as_str(&jwt), "bob"); /* any origin */
    origin = NULL;
    buf_fini(&jwt);
}

/* ---- pushes ---- */

static void pushes_to_a_channel(void **unused)
{
    (void)unused;
    expect_form(
        "POST /api/push/app/ch/ev", "data={\"b\":1,\"a\":[0.10,1e400]}",
        "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":{\"b\":1,\"a\":[0.10,1e400]}}");
    expect_published("channel app ch ev {\"b\":1,\"a\":[0.10,1e400]}\n");
    expect_form("POST /api/push/app/ch/ev", "data=+%0a1.50%09",
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":1.50}");
    expect_published("channel app ch ev 1.50\n");
    expect_form("POST /api/push/app/ch/ev", "data=say+%22hi%22%0a",
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":\"say \\\"hi\\\"\\n\"}");
    expect_published("channel app ch ev \"say \\\"hi\\\"\\n\"\n");
    expect_form("POST /api/push/app/ch/ev", "data=null",
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":null}");
    expect_published("channel app ch ev null\n");
    /* Names are decoded once, and quoted in the reply. */
    expect_form("POST /api/push/a%2Fp/c%20%22/e+%25", "data=%22x%22",
                "200 json {\"channel\":\"c \\\"\",\"event\":\"e+%\",\"data\":\"x\"}");
    expect_published("channel a/p c \" e+% \"x\"\n");
}

static void wants_data(void **unused)
{
    (void)unused;
    static const char *const lines[] = {"POST /api/push/app/ch/ev", "POST /api/push/user/app/ann",
                                        "POST /api/push/socket/app/id"};
    for (unsigned i = 0; i < 3; i++) {
        expect(lines[i], "400 text empty data");
        expect_form(lines[i], "", "400 text empty data");
        expect_form(lines[i], "data=", "400 text empty data");
        expect_form(lines[i], "Data=1", "400 text empty data");
        expect_from(API_MASTER, lines[i], "text/plain", STR("data=1"), "400 text empty data");
        expect_from(API_MASTER, lines[i], NULL, STR("data=1"), "400 text empty data");
    }
    assert_int_equal(bus.n, 0);
}

static struct buf nested(unsigned depth, const char *before)
{
    struct buf text = BUF_INIT;
    buf_str(&text, str_of(before));
    for (unsigned i = 0; i < depth; i++)
        buf_char(&text, '[');
    for (unsigned i = 0; i < depth; i++)
        buf_char(&text, ']');
    buf_char(&text, 0);
    return text;
}

static void refuses_deep_data(void **unused)
{
    (void)unused;
    struct buf text = nested(513, "data=");
    expect_form("POST /api/push/app/ch/ev", text.p, "400 text data is nested too deep");
    expect_form("POST /api/push/user/app/ann", text.p, "400 text data is nested too deep");
    expect_form("POST /api/push/socket/app/id", text.p, "400 text data is nested too deep");
    expect_form("POST /api/push/app?channel_pattern=a&event=e", text.p,
                "400 text data is nested too deep");
    buf_fini(&text);
    text = nested(513, "batch_data=");
    expect_form("POST /api/push_batch/app", text.p, "400 text data is nested too deep");
    buf_fini(&text);
    assert_int_equal(bus.n, 0);
    /* A list in a list in a list and so on is fine up to there. */
    text = nested(512, "data=");
    struct api_reply reply;
    assert_int_equal(handle(API_MASTER, "POST /api/push/app/ch/ev", FORM,
                            str_make(text.p, text.len - 1), &reply),
                     API_DONE);
    assert_int_equal(reply.status, 200);
    api_reply_fini(&reply);
    buf_fini(&text);
}

static void pushes_to_users_and_sockets(void **unused)
{
    (void)unused;
    expect_form("POST /api/push/user/app/ann", "data=+{\"a\":1}",
                "200 json {\"user_id\":\"ann\",\"data\":\" {\\\"a\\\":1}\"}");
    expect_published("user app ann  {\"a\":1}\n");
    expect_form("POST /api/push/socket/app/some-id", "data=hello",
                "200 json {\"socket_id\":\"some-id\",\"data\":\"hello\"}");
    expect_published("socket app some-id  \"hello\"\n");
    /* The literal words win over app keys of that name. */
    expect_form("POST /api/push/user/app/ann?data=2", "data=1",
                "200 json {\"user_id\":\"ann\",\"data\":\"1\"}");
    expect_published("user app ann  1\n");
}

static void tells_that_the_bus_is_full(void **unused)
{
    (void)unused;
    static const char full[] = "503 text Retry-After: 1\r\nserver busy, try again";
    bus.n_most = 0;
    expect_form("POST /api/push/app/ch/ev", "data=text", full);
    expect_form("POST /api/push/user/app/ann", "data=text", full);
    expect_form("POST /api/push/socket/app/id", "data=1", full);
    expect_form("POST /api/reload/channel/user/app/ann", "data=[]", full);
    expect_form("POST /api/add/channel/user/app/ann", "data=c", full);
    bus.ask_error = ERR_FULL;
    expect_form("POST /api/push/app", "channel_pattern=a&event=e&data=1", full);
    expect("GET /api/app/channels", full);
    bus.ask_error = ERR_AWAY;
    expect("GET /api/app/online/count", "503 text Retry-After: 1\r\nthe bus is away, try again");
}

static void tells_that_the_bus_is_away(void **unused)
{
    (void)unused;
    static const char away[] = "503 text Retry-After: 1\r\nthe bus is away, try again";
    bus.publish_error = bus.ask_error = ERR_AWAY;
    expect_form("POST /api/push/app/ch/ev", "data=text", away);
    expect_form("POST /api/push/user/app/ann", "data=text", away);
    expect_form("POST /api/push/socket/app/id", "data=1", away);
    expect_form("POST /api/push_batch/app", "batch_data=[{}]", away);
    expect_form("POST /api/reload/channel/user/app/ann", "data=[]", away);
    expect_form("POST /api/add/channel/user/app/ann", "data=c", away);
    expect_form("POST /api/push/app", "channel_pattern=a&event=e&data=1", away);
    expect("GET /api/app/channels", away);
    expect("GET /api/app/online/bychannel/c/count", away);
    /* What is wrong with the request itself is told first. */
    expect_form("POST /api/push/app/ch/ev", "data=", "400 text empty data");
    assert_null(bus.question);
    assert_int_equal(bus.n, 0);
    /* It may go away between a question and what is made of its answer. */
    bus.ask_error = ERR_OK;
    expect_form("POST /api/push/app", "channel_pattern=a&event=e&data=1", "later");
    give_answer("a;", "");
    expect_answered(away);
}

#define TOO_LONG "413 text the message is longer than the bus takes"

/* App, target, event and data together: to the byte. */
static void refuses_what_the_bus_does_not_take(void **unused)
{
    (void)unused;
    bus.message_max = 3 + 2 + 2 + 4;
    expect_form("POST /api/push/app/ch/ev", "data=1234",
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":1234}");
    expect_published("channel app ch ev 1234\n");
    expect_form("POST /api/push/app/ch/ev", "data=12345", TOO_LONG);
    expect_form("POST /api/push/app/ch/ev", "data=abc", TOO_LONG); /* quotes count */
    expect_form("POST /api/push/user/app/ann", "data=123456", TOO_LONG);
    expect_form("POST /api/push/socket/app/id-id", "data=1234", TOO_LONG);
    expect_form("POST /api/reload/channel/user/app/ann", "data=[\"c\",\"d\"]", TOO_LONG);
    expect_form("POST /api/add/channel/user/app/ann", "data=123456", TOO_LONG);
    expect_published("");
    /* The backend itself may find out. */
    bus.message_max = SIZE_MAX;
    bus.publish_error = ERR_LIMIT;
    expect_form("POST /api/push/app/ch/ev", "data=1", TOO_LONG);
    expect_form("POST /api/add/channel/user/app/ann", "data=c", TOO_LONG);
}

/* ---- push by pattern ---- */

static void judges_pattern_pushes_in_order(void **unused)
{
    (void)unused;
    expect_form("POST /api/push/app", "", "400 text empty param");
    expect_form("POST /api/push/app", "channel_pattern=(&data=1", "400 text empty param");
    expect_form("POST /api/push/app", "event=e&data=1", "400 text empty param");
    expect_form("POST /api/push/app", "channel_pattern=(&event=e",
                "400 text channel_pattern cant regex");
    expect_form("POST /api/push/app", "channel_pattern=a(%3f=b)&event=e&data=1",
                "400 text channel_pattern cant regex");
    expect_form("POST /api/push/app", "channel_pattern=a&event=e", "400 text empty data");
    assert_null(bus.question);
}

static void pushes_by_pattern(void **unused)
{
    (void)unused;
    expect_form("POST /api/push/app", "channel_pattern=^a.%2A%22%3F&event=ev&data=[1.0]", "later");
    assert_int_equal(bus.question->q.kind, HUB_CHANNELS);
    assert_int_equal(bus.question->from, 3);
    assert_false(bus.question->count_only);
    assert_true(str_eq(bus.question->q.app, STR("app")));
    assert_true(pattern_match(bus.question->pattern, STR("abc")));
    assert_false(pattern_match(bus.question->pattern, STR("bc")));
    assert_int_equal(bus.n, 0);
    give_answer("a1;a2;", "a2;a\"3;");
    expect_answered("200 json {\"total\":3,\"pattern\":\"^a.*\\\"?\"}");
    expect_published(
        "channel app a1 ev [1.0]\nchannel app a2 ev [1.0]\nchannel app a\"3 ev [1.0]\n");

    expect_form("POST /api/push/app", "channel_pattern=z&event=ev&data=text", "later");
    give_answer("", "");
    expect_answered("200 json {\"total\":0,\"pattern\":\"z\"}");
    expect_published("");
}

static void tells_of_missing_nodes(void **unused)
{
    (void)unused;
    expect_form("POST /api/push/app", "channel_pattern=a&event=ev&data=text", "later");
    give_answer("a1;", NULL);
    expect_answered("504 text Gusher-Missing-Nodes: 1\r\n"
                    "the channels were not matched in time, nothing was sent");
    expect_published("");
    expect("GET /api/app/channels/count", "later");
    give_answer("a;b;", NULL);
    expect_answered("200 json Gusher-Missing-Nodes: 1\r\n{\"count\":2}");
    expect("GET /api/app/online", "later");
    give_answer("ann;", NULL);
    expect_answered("200 json Gusher-Missing-Nodes: 1\r\n[\"ann\"]");
}

static void stops_a_pattern_push_at_a_full_bus(void **unused)
{
    (void)unused;
    bus.n_most = 1;
    expect_form("POST /api/push/app", "channel_pattern=a&event=ev&data=1", "later");
    give_answer("a1;a2;", "");
    expect_answered("200 json {\"total\":2,\"pattern\":\"a\"}");
    expect_published("channel app a1 ev 1\nchannel app a2 ev 1\n");
    expect_form("POST /api/push/app", "channel_pattern=a&event=ev&data=1", "later");
    give_answer("a1;a2;", "");
    expect_answered("503 text Retry-After: 1\r\nserver busy, try again");
    expect_published("");
}

/* The data of one request, many times over, is bounded. */
static void limits_pattern_pushes(void **unused)
{
    (void)unused;
    enum { CHANNELS = 1024 };
    struct buf form = BUF_INIT, names = BUF_INIT;
    buf_printf(&form, "data=\"%0*d\"",
               API_PATTERN_BYTES_MAX / CHANNELS - API_PATTERN_MESSAGE_BYTES - 2, 0);
    buf_char(&form, 0);
    for (unsigned i = 0; i < CHANNELS; i++)
        buf_printf(&names, "%u;", i);
    buf_char(&names, 0);
    bus.quiet = true;
    expect_form("POST /api/push/app?channel_pattern=.&event=e", form.p, "later");
    give_answer(names.p, "");
    expect_answered("200 json {\"total\":1024,\"pattern\":\".\"}");
    assert_int_equal(bus.n, CHANNELS);

    expect_form("POST /api/push/app?channel_pattern=.&event=e", form.p, "later");
    give_answer(names.p, "one more;");
    expect_answered("413 text data is too large for the number of channels that match");
    assert_int_equal(bus.n, CHANNELS);
    buf_fini(&form);
    buf_fini(&names);
}

/* One of the messages would be too long: none is sent. */
static void judges_all_messages_of_a_pattern_push(void **unused)
{
    (void)unused;
    bus.message_max = 3 + 5 + 2 + 1;
    expect_form("POST /api/push/app", "channel_pattern=.&event=ev&data=1", "later");
    give_answer("c;chann;", "a;");
    expect_answered("200 json {\"total\":3,\"pattern\":\".\"}");
    expect_published("channel app c ev 1\nchannel app chann ev 1\nchannel app a ev 1\n");
    expect_form("POST /api/push/app", "channel_pattern=.&event=ev&data=1", "later");
    give_answer("c;", "channe;a;");
    expect_answered(TOO_LONG);
    expect_published("");
}

/* It needs all names at once, in one page. */
static void asks_for_whole_answers_to_push(void **unused)
{
    (void)unused;
    expect_form("POST /api/push/app", "channel_pattern=^a&event=ev&data=1", "later");
    assert_int_equal(bus.question->page_bytes, SIZE_MAX);
    assert_true(str_eq(bus.question->expression, STR("^a")));
    give_answer("", "");
    expect_answered("200 json {\"total\":0,\"pattern\":\"^a\"}");
    expect("GET /api/app/channels", "later");
    assert_int_not_equal(bus.question->page_bytes, SIZE_MAX);
    give_answer("", "");
    expect_answered("200 json []");
}

/* ---- batches ---- */

static void expect_batch(const char *batch, const char *expected)
{
    struct buf json = BUF_INIT;
    /* As a JSON body, so that nothing in it needs an escape of the form's. */
    buf_str(&json, STR("{\"batch_data\":"));
    json_quote(&json, str_of(batch));
    buf_char(&json, '}');
    expect_from(API_MASTER, "POST /api/push_batch/app", "application/json", buf_as_str(&json),
                expected);
    buf_fini(&json);
}

static void pushes_batches(void **unused)
{
    (void)unused;
    static const char batch[] = "[{\"channel\":\"a\",\"event\":\"e\",\"data\":{\"x\":1.0}},"
                                "{\"data\":\"[1]\",\"event\":\"\\u0066\",\"channel\":\"b\\n\"}, "
                                "{\"channel\":\"a\",\"event\":\"e\",\"data\":2,\"more\":true}]";
    char expected[60];
    snprintf(expected, sizeof expected, "200 json {\"total\":3,\"cap\":%zu}", strlen(batch));
    expect_batch(batch, expected);
    expect_published("channel app a e {\"x\":1.0}\nchannel app b\n f \"[1]\"\nchannel app a e 2\n");
    expect_batch("[]", "200 json {\"total\":0,\"cap\":2}");
    expect_batch("[{\"CHANNEL\":\"a\",\"Event\":\"e\",\"dATA\":1}]",
                 "200 json {\"total\":1,\"cap\":38}");
    expect_published("channel app a e 1\n");
    expect_batch("[{},{\"channel\":null,\"event\":null,\"data\":null}]",
                 "200 json {\"total\":2,\"cap\":46}");
    expect_published("channel app   null\nchannel app   null\n");
    /* As an array itself, not as the text of one. */
    expect_from(API_MASTER, "POST /api/push_batch/app", "application/json",
                STR("{\"batch_data\":[{\"channel\":\"a\",\"event\":\"e\",\"data\":1}]}"),
                "200 json {\"total\":1,\"cap\":38}");
    expect_published("channel app a e 1\n");
}

static void refuses_wrong_batches_whole(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {
        "null",
        "{}",
        "\"text\"",
        "[1]",
        "[null]",
        "[{\"channel\":\"a\",\"event\":\"e\",\"data\":1},[]]",
        "[{\"channel\":1,\"event\":\"e\",\"data\":1}]",
        "[{\"channel\":\"a\",\"event\":{},\"data\":1}]",
        "[{\"channel\":\"a\",\"event\":\"e\",\"data\":1}] x",
        "[{\"channel\":\"a\",\"event\":\"e\",\"data\":1},]",
        "text",
    };
    expect("POST /api/push_batch/app", "400 text empty batch data");
    expect_form("POST /api/push_batch/app", "batch_data=", "400 text empty batch data");
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_batch(wrong[i], "400 text data error");
    assert_int_equal(bus.n, 0);
}

static void limits_batches(void **unused)
{
    (void)unused;
    bus.quiet = true;
    for (unsigned more = 0; more <= 1; more++) {
        struct buf batch = BUF_INIT;
        char expected[60];
        for (unsigned i = 0; i < api.options.batch_max + more; i++)
            buf_str(&batch, i ? STR(",{}") : STR("[{}"));
        buf_str(&batch, STR("]"));
        snprintf(expected, sizeof expected, "200 json {\"total\":50,\"cap\":%zu}", batch.len);
        buf_char(&batch, 0);
        expect_batch(batch.p, more ? "413 text batch_data has too many elements" : expected);
        buf_fini(&batch);
    }
    assert_int_equal(bus.n, api.options.batch_max);
}

static void limits_names_and_data(void **unused)
{
    (void)unused;
    struct buf url = BUF_INIT, name = BUF_INIT, text = BUF_INIT;
    static const char *const paths[] = {"/api/push/app/%s/e", "/api/push/app/c/%s",
                                        "/api/push/%s/c/e", "/api/push/user/app/%s",
                                        "/api/reload/channel/user/app/%s"};
    bus.quiet = true;
    api.options.name_max = 64;
    for (unsigned i = 0; i < api.options.name_max + 1; i++)
        buf_char(&name, 'n');
    buf_char(&name, 0);
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        char target[200];
        buf_clear(&url);
        buf_str(&url, STR("POST "));
        snprintf(target, sizeof target, paths[i], name.p);
        buf_str(&url, str_of(target));
        buf_char(&url, 0);
        expect_form(url.p, "data=1", "413 text a name is longer than 64 bytes\n");
    }
    buf_printf(&text, "[{\"channel\":\"a\",\"data\":1},{\"channel\":\"%s\",\"data\":1}]", name.p);
    expect_batch(text.p, "413 text a name in batch_data is longer than 64 bytes\n");
    buf_clear(&text);
    /* 64 bytes, however they are written. */
    buf_printf(&text, "[{\"channel\":\"\\u006e%s\",\"data\":1}]", name.p + 2);
    expect_batch(text.p, "200 json {\"total\":1,\"cap\":94}");
    assert_int_equal(bus.n, 1);

    api.options.payload_max = 5;
    expect_form("POST /api/push/app/c/e", "data=123456", "413 text data is longer than 5 bytes\n");
    expect_form("POST /api/push/user/app/u", "data=123456",
                "413 text data is longer than 5 bytes\n");
    expect_batch("[{\"channel\":\"a\",\"data\":123456}]",
                 "413 text data in batch_data is longer than 5 bytes\n");
    assert_int_equal(bus.n, 1);
    buf_fini(&url);
    buf_fini(&name);
    buf_fini(&text);
}

static void refuses_hasty_handshakes(void **unused)
{
    (void)unused;
    wait_ms = 1001;
    expect("POST /gcs/auth",
           "429 text Access-Control-Allow-Origin: *\r\nRetry-After: 2\r\nX-Content-Type-Options: "
           "nosniff\r\ntoo many handshakes from your address, try again\n");
    expect("GET /gcs/ws/app?token=a.b.c",
           "429 text Retry-After: 2\r\nX-Content-Type-Options: nosniff\r\ntoo many handshakes from "
           "your address, try again\n");
    expect("GET /gcs/ping", "200 text pong");
}

/* A push of several messages is sent whole or not at all. */
static void sends_a_batch_whole_or_not_at_all(void **unused)
{
    (void)unused;
    bus.n_most = 1;
    expect_batch("[{\"data\":1},{\"data\":2}]", "200 json {\"total\":2,\"cap\":23}");
    expect_published("channel app   1\nchannel app   2\n");
    expect_batch("[{\"data\":1},{\"data\":2}]",
                 "503 text Retry-After: 1\r\nserver busy, try again");
    expect_published("");
}

static void refuses_a_batch_with_too_long_an_element(void **unused)
{
    (void)unused;
    /* In a batch an element counts as it is written there. */
    bus.message_max = 3 + 3 + 3 + 4;
    expect_batch("[{\"channel\":\"c\",\"event\":\"e\",\"data\":1234}]",
                 "200 json {\"total\":1,\"cap\":41}");
    expect_published("channel app c e 1234\n");
    static const char too_long[] = "413 text an element of batch_data is longer than the bus takes";
    expect_batch("[{\"channel\":\"c\",\"event\":\"e\",\"data\":1},"
                 "{\"channel\":\"c\",\"event\":\"e\",\"data\":12345}]",
                 too_long);
    expect_batch("[{\"channel\":\"c\",\"event\":\"e\",\"data\":1},"
                 "{\"channel\":\"chan\",\"event\":\"e\",\"data\":12},"
                 "{\"channel\":\"c\",\"event\":\"e\",\"data\":1}]",
                 too_long);
    /* An app key alone may be too much. */
    bus.message_max = 2;
    expect_batch("[{}]", too_long);
    expect_published("");
    assert_int_equal(bus.n, 1);
}

/* ---- a user's channels ---- */

static void reloads_channels(void **unused)
{
    (void)unused;
    expect_form("POST /api/reload/channel/user/app/ann", "data=[\"a\",\"b*\",\"\\u0063\",\"a\"]",
                "200 json {\"user_id\":\"ann\",\"data\":\"[\\\"a\\\",\\\"b*\\\",\\\"\\\\u0063\\\","
                "\\\"a\\\"]\"}");
    expect_published("reload app ann  a;b*;c;a;\n");
    expect_form("POST /api/reload/channel/user/app/ann", "data=[]",
                "200 json {\"user_id\":\"ann\",\"data\":\"[]\"}");
    expect_published("reload app ann  \n");
    static const char *const wrong[] = {"",          "data=",       "data=null",      "data={}",
                                        "data=a",    "data=\"a\"",  "data=[\"a\",1]", "data=[null]",
                                        "data=[[]]", "data=[\"a\"", "data=[\"a\"] x"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_form("POST /api/reload/channel/user/app/ann", wrong[i],
                    "400 text data unmarshal error");
    expect_published("");
}

static void limits_reloads(void **unused)
{
    (void)unused;
    bus.quiet = true;
    for (unsigned more = 0; more <= 1; more++) {
        struct buf form = BUF_INIT;
        buf_str(&form, STR("data=["));
        for (unsigned i = 0; i < API_GRANTS_MAX + more; i++)
            buf_str(&form, i ? STR(",\"\"") : STR("\"\""));
        buf_str(&form, STR("]"));
        struct api_reply reply;
        handle(API_MASTER, "POST /api/reload/channel/user/app/ann", FORM, buf_as_str(&form),
               &reply);
        assert_int_equal(reply.status, more ? 413 : 200);
        if (more)
            assert_true(str_eq(buf_as_str(&reply.body), STR("too many channels")));
        api_reply_fini(&reply);

        buf_clear(&form);
        buf_printf(&form, "data=[\"%0*d\"]", API_GRANTS_BYTES_MAX - 4 + (int)more, 0);
        handle(API_MASTER, "POST /api/reload/channel/user/app/ann", FORM, buf_as_str(&form),
               &reply);
        assert_int_equal(reply.status, more ? 413 : 200);
        api_reply_fini(&reply);

        buf_clear(&form);
        buf_printf(&form, "data=%0*d", API_GRANTS_BYTES_MAX + (int)more, 0);
        handle(API_MASTER, "POST /api/add/channel/user/app/ann", FORM, buf_as_str(&form), &reply);
        assert_int_equal(reply.status, more ? 413 : 200);
        api_reply_fini(&reply);
        buf_fini(&form);
    }
    assert_int_equal(bus.n, 3);
}

static void adds_channels(void **unused)
{
    (void)unused;
    expect_form("POST /api/add/channel/user/app/ann", "data=\"c\"+x",
                "200 json {\"user_id\":\"ann\",\"data\":\"\\\"c\\\" x\"}");
    expect_published("add app ann  \"c\" x\n");
    expect("POST /api/add/channel/user/app/ann", "400 text data empty error");
    expect_published("");
}

/* ---- decode ---- */

static void decodes_jwts(void **unused)
{
    (void)unused;
    struct buf jwt = BUF_INIT, form = BUF_INIT;
    sign(&jwt, "{\"exp\":1700000001,\"gusher\":{\"channels\":[\"a\"],\"user_id\":\"ann\"}}");
    buf_printf(&form, "data=%.*s", (int)jwt.len, jwt.p);
    buf_char(&form, 0);
    expect_form("POST /api/decode", form.p,
                "200 json {\"gusher\":{\"channels\":[\"a\"],\"user_id\":\"ann\",\"app_key\":\"\","
                "\"remotes\":null},\"exp\":1700000001}\n");
    expect("POST /api/decode", "400 text data error");
    expect_form("POST /api/decode", "data=a.b.c", "400 text data error");
    buf_fini(&jwt);
    buf_fini(&form);
}

/* ---- queries ---- */

static void expect_query(const char *line, enum hub_question_kind kind, const char *app,
                         const char *channel, const char *expected)
{
    expect(line, "later");
    assert_int_equal(bus.question->q.kind, kind);
    assert_true(str_eq(bus.question->q.app, str_of(app)));
    assert_true(str_eq(bus.question->q.channel, str_of(channel)));
    assert_null(bus.question->pattern);
    give_answer("x;y\";", "z;x;");
    expect_answered(expected);
}

static void answers_queries(void **unused)
{
    (void)unused;
    static const char *const prefixes[] = {"/api", ""};
    static const struct {
        const char *path;
        enum hub_question_kind kind;
        const char *channel;
    } queries[] = {
        {"/app/channels", HUB_CHANNELS, ""},
        {"/app/online", HUB_USERS, ""},
        {"/app/online/bychannel/c%2F1", HUB_USERS_OF_CHANNEL, "c/1"},
    };
    for (unsigned p = 0; p < 2; p++) {
        for (unsigned q = 0; q < 3; q++) {
            char line[100];
            snprintf(line, sizeof line, "GET %s%s", prefixes[p], queries[q].path);
            expect_query(line, queries[q].kind, "app", queries[q].channel,
                         "200 json [\"x\",\"y\\\"\",\"z\"]");
            snprintf(line, sizeof line, "HEAD %s%s/count", prefixes[p], queries[q].path);
            expect_query(line, queries[q].kind, "app", queries[q].channel,
                         "200 json {\"count\":3}");
        }
    }
    expect("GET /api/app/channels", "later");
    give_answer("", "");
    expect_answered("200 json []");
    expect("GET /api/app/channels/count", "later");
    give_answer("", "");
    expect_answered("200 json {\"count\":0}");
}

/* ---- lists that do not fit into one page ---- */

static const char first_piece[] = "first 200 json Trailer: Gusher-Missing-Nodes\r\n[\"a\",\"b\"\n";

static void streams_long_lists(void **unused)
{
    (void)unused;
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    expect_streamed("");
    give_page(1, "b;", false);
    expect_streamed(first_piece);
    /* Nothing more is asked for before there is room for it. */
    assert_int_equal(bus.n_more, 0);
    api_go_on(&api, streamed.question, true);
    assert_int_equal(bus.n_more, 2);
    give_page(0, "c\";a;", false);
    give_page(1, "", true);
    expect_streamed("next 200 json ,\"c\\\"\"\n");
    api_go_on(&api, streamed.question, true);
    /* Nothing that is new: no comma either. */
    give_page(0, "a;b;", false);
    expect_streamed("next 200 json \n");
    api_go_on(&api, streamed.question, true);
    assert_int_equal(bus.n_more, 4);
    give_page(0, "d;e;", true);
    expect_streamed("last 200 json ,\"d\",\"e\"]\n");
    expect_answered(""); /* it was all streamed */
    /* It is over: what comes late from the connection is for nobody. */
    api_go_on(&api, streamed.question, true);
    api_go_on(&api, streamed.question, false);
    drop_question();
}

/* Pages may be empty: at first, in between, at the end, all of them. */
static void streams_lists_of_empty_pages(void **unused)
{
    (void)unused;
    streamed.goes_on = true; /* from within */
    expect("GET /api/app/channels", "later");
    give_page(0, "", false);
    give_page(1, "", false);
    give_page(0, "", false);
    give_page(1, "a;", false);
    give_page(0, "b;", true);
    give_page(1, "", true);
    expect_streamed("first 200 json Trailer: Gusher-Missing-Nodes\r\n[\nnext 200 json \"a\"\n"
                    "last 200 json ,\"b\"]\n");
    drop_question();

    expect("GET /api/app/online/bychannel/c", "later");
    give_page(0, "", false);
    give_page(1, "", true);
    give_page(0, "", true);
    expect_streamed("first 200 json Trailer: Gusher-Missing-Nodes\r\n[\nlast 200 json ]\n");
    drop_question();
}

/* What goes missing before the first piece stands in the headers, later in the trailers. */
static void tells_of_missing_nodes_behind_the_list(void **unused)
{
    (void)unused;
    streamed.goes_on = true;
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    give_page(1, "b;", false);
    buf_clear(&streamed.got);
    give_page(1, "c;", true);
    timer_run(&loop.timers, loop.now_ms += BUS_ASK_MS + 1000);
    expect_streamed("last 200 json Gusher-Missing-Nodes: 1\r\n,\"c\"]\n");
    drop_question();

    bus.n_unreachable = 3;
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    give_page(1, "b;", true);
    expect_streamed("first 200 json Gusher-Missing-Nodes: 3\r\nTrailer: Gusher-Missing-Nodes\r\n"
                    "[\"a\",\"b\"\n");
    bus_node_gone(api.bus, 0, false);
    expect_streamed("last 200 json Gusher-Missing-Nodes: 4\r\n]\n");
    drop_question();
    expect_answered("");
}

/* A connection that is gone when a piece comes ends the question. */
static void ends_with_its_connection(void **unused)
{
    (void)unused;
    for (unsigned pieces = 0; pieces < 3; pieces++) {
        streamed.n_left = pieces;
        expect("GET /api/app/online", "later");
        for (unsigned i = 0; i <= pieces; i++) {
            give_page(0, "a;", false);
            if (i == 0)
                give_page(1, "b;", true);
            if (i < pieces)
                api_go_on(&api, streamed.question, true);
        }
        uint64_t number = bus.question->number;
        assert_null(bus_cancel(api.bus, number)); /* is not there any more */
        assert_int_equal(bus.question->refs, 1);  /* nor known to anybody */
        buf_clear(&streamed.got);
        give_page(0, "x;", true);
        timer_run(&loop.timers, loop.now_ms += 2 * BUS_ASK_MS);
        expect_streamed("");
        expect_answered("");
        drop_question();
    }
}

/* Or goes while the next piece is not asked for yet, */
static void ends_when_its_connection_does_not_go_on(void **unused)
{
    (void)unused;
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    give_page(1, "b;", true);
    expect_streamed(first_piece);
    api_go_on(&api, streamed.question, false);
    assert_int_equal(bus.question->refs, 1);
    assert_null(bus_cancel(api.bus, streamed.question));
    api_go_on(&api, streamed.question, false);
    api_go_on(&api, streamed.question, true);
    assert_int_equal(bus.n_more, 0);
    drop_question();

    /* or is asked for already. */
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    give_page(1, "b;", true);
    api_go_on(&api, streamed.question, true);
    assert_int_equal(bus.n_more, 1);
    api_go_on(&api, streamed.question, false);
    assert_int_equal(bus.question->refs, 1);
    drop_question();

    /* The last piece needs nobody: nothing is left either way. */
    streamed.n_left = 1;
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    give_page(1, "b;", true);
    api_go_on(&api, streamed.question, true);
    give_page(0, "", true);
    assert_int_equal(bus.question->refs, 1);
    drop_question();
}

/* The seat goes while a list is under way: it ends, and says that it is not whole. */
static void ends_with_its_seat(void **unused)
{
    (void)unused;
    expect("GET /api/app/online", "later");
    give_page(0, "a;", false);
    give_page(1, "b;", true);
    expect_streamed(first_piece);
    bus_seat_free(api.bus);
    api.bus = NULL;
    expect_streamed("last 200 json Gusher-Missing-Nodes: 1\r\n]\n");
    assert_int_equal(bus.question->refs, 1);
}

/* A count is one number, however many pages it is made of. */
static void counts_over_pages(void **unused)
{
    (void)unused;
    expect("GET /api/app/online/count", "later");
    give_page(0, "a;b;", false);
    give_page(1, "b;", false);
    assert_int_equal(bus.n_more, 2);
    give_page(0, "c;", true);
    expect_answered("");
    give_page(1, "a;", true);
    expect_answered("200 json {\"count\":3}");
    expect_streamed("");
    drop_question();
}

static void knows_its_paths(void **unused)
{
    (void)unused;
    static const char none[] = "404 text 404 page not found\n";
    expect("GET /", none);
    expect("GET /ping", none);
    expect("GET /api", none);
    expect("GET /api/", none);
    expect("GET /api/ping/", none);
    expect("GET /api/channels", none); /* no app of the name "api" */
    expect("GET /api/online/count", none);
    expect("GET /api//app/channels", none);
    expect("POST /push/app/ch/ev?data=1", none); /* only queries go without the prefix */
    expect("GET /api/%zz", "400 text close 400 Bad Request");
    expect("POST /api/ping", "405 Allow: GET, HEAD\r\n");
    expect("GET /api/push/app/ch/ev?data=1", "405 Allow: POST\r\n");
    expect("HEAD /gcs/auth", "405 Allow: POST, OPTIONS\r\n");
    expect("POST /app/channels", "405 Allow: GET, HEAD\r\n");
    expect("OTHER /api/app/channels", "405 Allow: GET, HEAD\r\n");
    /* An app of any name, also one that looks like a path of ours. */
    expect_query("GET /apix/channels", HUB_CHANNELS, "apix", "",
                 "200 json [\"x\",\"y\\\"\",\"z\"]");
    expect_query("GET /api/push/channels", HUB_CHANNELS, "push", "",
                 "200 json [\"x\",\"y\\\"\",\"z\"]");
    expect_query("GET /api/api/channels", HUB_CHANNELS, "api", "",
                 "200 json [\"x\",\"y\\\"\",\"z\"]");
    assert_int_equal(bus.n, 0);
}

static void serves_the_roles_of_the_listener(void **unused)
{
    (void)unused;
    static const char none[] = "404 text 404 page not found\n";
    expect_from(API_SLAVE, "GET /gcs/ping", NULL, STR_EMPTY, "200 text pong");
    expect_from(API_SLAVE, "GET /api/ping", NULL, STR_EMPTY, none);
    expect_from(API_SLAVE, "GET /app/channels", NULL, STR_EMPTY, none);
    expect_from(API_SLAVE, "POST /api/push/app/ch/ev?data=1", NULL, STR_EMPTY, none);
    expect_from(API_MASTER, "GET /api/ping", NULL, STR_EMPTY, "200 text pong");
    expect_from(API_MASTER, "GET /gcs/ping", NULL, STR_EMPTY, none);
    expect_from(API_MASTER, "POST /gcs/auth", NULL, STR_EMPTY, none);

    /* Prefixes may be empty, or the same. */
    api.options.slave_prefix = api.options.master_prefix = STR_EMPTY;
    expect("GET /ping", "200 text pong");
    expect("GET /ws/app", "401 text " NOSNIFF "app_key is nil\n");
    expect_form("POST /push/app/ch/ev", "data=1",
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":1}");
    expect_query("GET /app/channels", HUB_CHANNELS, "app", "", "200 json [\"x\",\"y\\\"\",\"z\"]");
    expect("GET /api/ping", none);
}

/* ---- parameters ---- */

static void reads_parameters_alike(void **unused)
{
    (void)unused;
    static const char path[] = "POST /api/push/app/ch/ev?data=query";
    static const char from_query[] =
        "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":\"query\"}";
    static const char from_body[] =
        "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":\"body\"}";
    expect(path, from_query);
    expect_form(path, "data=body", from_body);
    expect_form(path, "other=1", from_query);
    expect_from(API_MASTER, path, "Application/X-WWW-Form-URLencoded;charset=utf-8",
                STR("data=body&data=second"), from_body);
    expect_from(API_MASTER, path, "application/json", STR("{\"data\":\"body\"}"), from_body);
    expect_from(API_MASTER, path, "Application/JSON ; charset=utf-8", STR(" {\"data\":\"body\"} "),
                from_body);
    expect_from(API_MASTER, path, "text/plain", STR("data=body"), from_query);
    expect_from(API_MASTER, path, "multipart/form-data; boundary=x",
                STR("--x\r\nContent-Disposition: form-data; name=data\r\n\r\nbody\r\n--x--\r\n"),
                from_body);
    /* A value that is no string stands for its JSON text. */
    expect_from(API_MASTER, path, "application/json", STR("{\"data\": {\"a\" : 1.0} }"),
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":{\"a\" : 1.0}}");
}

static void reads_json_bodies_only_when_told(void **unused)
{
    (void)unused;
    static const char path[] = "POST /api/push/app/ch/ev?data=query";
    static const char from_query[] =
        "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":\"query\"}";
    api.options.json_bodies = false;
    expect_from(API_MASTER, path, "application/json", STR("{\"data\":\"body\"}"), from_query);
    expect_from(API_MASTER, path, "application/json;x=y", STR("not JSON"), from_query);
    expect_from(API_MASTER, path, FORM, STR("data=1"),
                "200 json {\"channel\":\"ch\",\"event\":\"ev\",\"data\":1}");
}

static void refuses_malformed_bodies(void **unused)
{
    (void)unused;
    static const char path[] = "POST /api/push/app/ch/ev?data=query";
    static const char malformed[] = "400 text malformed body";
    expect_from(API_MASTER, path, "application/json", STR("{"), malformed);
    expect_from(API_MASTER, path, "application/json", STR("[]"), malformed);
    expect_from(API_MASTER, path, "multipart/form-data; boundary=x", STR("--x\r\n"), malformed);
    expect_from(API_MASTER, path, "multipart/form-data", STR("--x--\r\n"), malformed);

    struct buf form = BUF_INIT;
    for (unsigned i = 0; i <= FORM_PARAMS_MAX; i++)
        buf_printf(&form, "p%u=%u&", i, i);
    buf_char(&form, 0);
    expect_form("POST /api/push/app/ch/ev", form.p, "413 text too many parameters");
    buf_fini(&form);
    assert_int_equal(bus.n, 0);
}

/* The one table from errors to replies. */
static void answers_errors(void **unused)
{
    (void)unused;
    static const struct {
        enum err e;
        const char *expected;
    } cases[] = {
        {ERR_FULL, "503 text Retry-After: 1\r\nserver busy, try again"},
        {ERR_AWAY, "503 text Retry-After: 1\r\nthe bus is away, try again"},
        {ERR_TIMEOUT, "504 text no answer in time"},
        {ERR_LIMIT, "413 text a limit was passed"},
        {ERR_NOT_FOUND, "404 text 404 page not found\n"},
        {ERR_DENIED, "401 text not permitted"},
        {ERR_EXPIRED, "401 text not permitted"},
        {ERR_PROTO, "400 text close 400 Bad Request"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_reply reply = {0};
        struct buf got = BUF_INIT;
        assert_int_equal(api_refuse(&reply, cases[i].e), API_DONE);
        write_reply(&got, &reply);
        compare(&got, cases[i].expected, err_text(cases[i].e));
        buf_fini(&got);
        api_reply_fini(&reply);
    }
}

#define WITH_API(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* ---- kicks and bans ---- */

static void kicks(void **unused)
{
    (void)unused;
    expect("POST /api/kick/socket/app/some-id",
           "200 json {\"app\":\"app\",\"socket_id\":\"some-id\"}");
    expect_published("kick-socket app some-id  \017\242closed by the backend\n");
    expect_form("POST /api/kick/user/app/an%20n", "reason=bye",
                "200 json {\"app\":\"app\",\"user_id\":\"an n\"}");
    expect_published("kick-user app an n  \017\242bye\n");
    expect("POST /api/kick/app/app", "200 json {\"app\":\"app\"}");
    expect_published("kick-app app   \017\242closed by the backend\n");
    struct buf form = BUF_INIT;
    buf_str(&form, STR("reason="));
    for (unsigned i = 0; i < 123; i++)
        buf_char(&form, 'x');
    buf_char(&form, 0);
    expect_form("POST /api/kick/app/app", form.p, "200 json {\"app\":\"app\"}");
    buf_clear(&bus.published);
    form.p[form.len - 1] = 'x';
    buf_char(&form, 0);
    static const char refused[] = "400 text the reason must have at most 123 bytes of UTF-8";
    expect_form("POST /api/kick/app/app", form.p, refused);
    expect_form("POST /api/kick/app/app", "reason=%ff", refused);
    bus.publish_error = ERR_AWAY;
    expect("POST /api/kick/app/app", "503 text Retry-After: 1\r\nthe bus is away, try again");
    expect_published("");
    buf_fini(&form);
}

static void bans(void **unused)
{
    (void)unused;
    struct buf text = BUF_INIT, jwt = BUF_INIT;
    buf_printf(&text, "200 json {\"app\":\"app\",\"user_id\":\"ann\",\"until\":%d}", NOW_S + 60);
    buf_char(&text, 0);
    expect_form("POST /api/ban/user/app/ann", "for=60", text.p);
    assert_int_equal(n_banned, 1);
    assert_true(bus.note.len > 0); /* the other nodes were told */
    sign(&jwt, "{\"gusher\":{\"app_key\":\"app\",\"user_id\":\"ann\"}}");
    buf_clear(&text);
    buf_printf(&text, "jwt=%.*s", (int)jwt.len, jwt.p);
    buf_char(&text, 0);
    expect_form("POST /gcs/auth", text.p, "403 text " CORS NOSNIFF "banned\n");
    buf_clear(&text);
    buf_printf(&text, "GET /gcs/ws/app?token=%.*s", (int)jwt.len, jwt.p);
    buf_char(&text, 0);
    expect(text.p, "403 text " NOSNIFF "banned\n");
    buf_clear(&text);
    buf_printf(&text, "until=%d", NOW_S + 100);
    buf_char(&text, 0);
    expect_form("POST /api/ban/token/app/j%221", text.p,
                "200 json {\"app\":\"app\",\"jti\":\"j\\\"1\",\"until\":1700000100}");
    expect("POST /api/unban/user/app/ann",
           "200 json {\"app\":\"app\",\"user_id\":\"ann\",\"lifted\":true}");
    expect("GET /api/bans/app", "200 json [{\"jti\":\"j\\\"1\",\"until\":1700000100}]");
    expect("GET /api/bans/other", "200 json []");
    static const char how_long[] =
        "400 text for how long? until (unix time) or for, in seconds, at most ten years";
    static const char number[] = "400 text until (unix time) and for are whole numbers of seconds";
    expect("POST /api/ban/user/app/ann", how_long);
    expect_form("POST /api/ban/user/app/ann", "until=1700000000", how_long);
    expect_form("POST /api/ban/user/app/ann", "for=315360001", how_long);
    expect_form("POST /api/ban/user/app/ann", "for=-1", number);
    expect_form("POST /api/ban/user/app/ann", "for=1e3", number);
    expect_form("POST /api/ban/user/app/ann", "for=9999999999999", number);
    struct buf path = BUF_INIT;
    buf_str(&path, STR("POST /api/ban/user/app/"));
    for (unsigned i = 0; i < BAN_NAME_MAX; i++)
        buf_char(&path, 'x');
    buf_char(&path, 0);
    expect_form(path.p, "for=10", "400 text the name is empty or too long");
    buf_fini(&path);
    unsigned before = n_banned;
    bus.share_error = ERR_AWAY;
    expect_form("POST /api/ban/user/app/bob", "for=10",
                "503 text Retry-After: 1\r\nthe bus is away, try again");
    assert_int_equal(n_banned, before); /* half a ban is none */
    buf_fini(&text);
    buf_fini(&jwt);
}

/* ---- keys of the master ---- */

#define REFUSED(status, challenge, why)                                                            \
    status " text WWW-Authenticate: Bearer" challenge "\r\n" why "\n"
#define NO_KEY  REFUSED("401", "", "a key is needed: Authorization: Bearer KEY")
#define UNKNOWN REFUSED("401", " error=\"invalid_token\"", "the key is not known")
#define NO_RIGHT                                                                                   \
    REFUSED("403", " error=\"insufficient_scope\"", "the key does not have the right for this")
#define WRONG_APP REFUSED("403", " error=\"insufficient_scope\"", "the key is not for this app")

#define PUSHED_C "200 json {\"channel\":\"c\",\"event\":\"e\",\"data\":1}"

/* "push", "ask" and "rule" have one right each, for the app "app"; "ops" has all for all apps. */
static void only_known_keys_call_the_master(void **unused)
{
    (void)unused;
    static const char *const names[] = {"push", "ask", "rule", "ops"};
    static const char *const rights[] = {"publish", "query", "admin", "publish,query,admin"};
    struct buf file = BUF_INIT, bearer[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    struct master_keys *keys;
    char why[200];
    for (unsigned i = 0; i < 4; i++) {
        buf_str(&bearer[i], STR("Bearer "));
        assert_int_equal(master_key_make(&bearer[i], &file, str_of(names[i]),
                                         i < 3 ? STR("app,other") : STR("*"), str_of(rights[i]),
                                         why, sizeof why),
                         ERR_OK);
        buf_char(&bearer[i], 0);
    }
    assert_int_equal(master_keys_parse(&keys, buf_as_str(&file), why, sizeof why), ERR_OK);
    api.trust->master_keys = keys;

    static const struct {
        const char *line;
        int right; /* the number of the key that has it */
    } calls[] = {{"POST /api/push/app/c/e", 0},
                 {"POST /api/push/app", 0},
                 {"POST /api/push/user/app/u", 0},
                 {"POST /api/push/socket/app/s", 0},
                 {"POST /api/push_batch/app", 0},
                 {"GET /api/app/channels", 1},
                 {"HEAD /api/app/channels/count", 1},
                 {"GET /api/app/online", 1},
                 {"GET /api/app/online/count", 1},
                 {"GET /api/app/online/bychannel/c", 1},
                 {"GET /api/app/online/bychannel/c/count", 1},
                 {"GET /app/channels", 1},
                 {"POST /api/reload/channel/user/app/u", 2},
                 {"POST /api/add/channel/user/app/u", 2},
                 {"POST /api/kick/socket/app/s", 2},
                 {"POST /api/kick/user/app/u", 2},
                 {"POST /api/kick/app/app", 2},
                 {"POST /api/ban/user/app/u", 2},
                 {"POST /api/ban/token/app/t", 2},
                 {"POST /api/unban/user/app/u", 2},
                 {"POST /api/unban/token/app/t", 2},
                 {"GET /api/bans/app", 2}};
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        authorization = NULL;
        expect(calls[i].line, NO_KEY);
        static const char *const none[] = {"", "Bearer", "Bearer ",
                                           "Basic b25lOg==", "BearerX one"};
        for (unsigned k = 0; k < sizeof none / sizeof none[0]; k++) {
            authorization = none[k];
            expect(calls[i].line, NO_KEY);
        }
        authorization = "Bearer gk_unknown";
        expect(calls[i].line, UNKNOWN);
        for (int k = 0; k < 3; k++) {
            authorization = bearer[k].p;
            if (k != calls[i].right)
                expect(calls[i].line, NO_RIGHT);
        }
    }
    expect_published("");
    assert_null(bus.question);

    authorization = bearer[0].p;
    expect_form("POST /api/push/app/c/e", "data=1", PUSHED_C);
    expect_published("channel app c e 1\n");
    expect_form("POST /api/push/other/c/e", "data=1", PUSHED_C);
    expect_form("POST /api/push/third/c/e", "data=1", WRONG_APP);
    /* The app of a path is compared as it is used: decoded. */
    expect_form("POST /api/push/%61pp/c/e", "data=1", PUSHED_C);
    buf_clear(&bus.published);
    authorization = bearer[3].p;
    expect_form("POST /api/push/third/c/e", "data=1", PUSHED_C);
    buf_clear(&bus.published);

    /* What a JWT says is for its own app. */
    struct buf jwt = BUF_INIT, form = BUF_INIT;
    sign(&jwt, "{\"gusher\":{\"app_key\":\"third\"}}");
    buf_printf(&form, "data=%.*s", (int)jwt.len, jwt.p);
    buf_char(&form, 0);
    authorization = bearer[0].p;
    expect_form("POST /api/decode", form.p, NO_RIGHT);
    authorization = bearer[1].p;
    expect_form("POST /api/decode", form.p, WRONG_APP);
    buf_fini(&jwt);
    buf_fini(&form);

    /* These tell nothing, and the slave has keys of its own. */
    authorization = NULL;
    expect("GET /api/ping", "200 text pong");
    expect("GET /healthz", "200 text ok");
    expect("GET /gcs/ping", "200 text pong");

    api.trust->master_keys = NULL;
    master_keys_free(keys);
    buf_fini(&file);
    for (unsigned i = 0; i < 4; i++)
        buf_fini(&bearer[i]);
}

/* ---- the modern API: the rest of it is in tests/e2e, made of its document ---- */

#define PROBLEM(status, title, code, detail)                                                       \
#status " problem {\"type\":\"about:blank\",\"title\":\"" title "\",\"status\":" #status       \
            ",\"code\":\"" code "\",\"detail\":\"" detail "\""

static void expect_body(const char *line, const char *body, const char *expected)
{
    expect_from(API_SLAVE | API_MASTER, line, NULL, str_of(body), expected);
}

static void publishes_typed_json(void **unused)
{
    (void)unused;
    expect_body("POST /v1/apps/a%2Fb/channels/c%20d/messages",
                " {\"x\":1, \"data\" : \"\\u0041\" , \"\\u0065vent\":\"\\n\"}",
                "200 json {\"channel\":\"c d\",\"event\":\"\\n\",\"data\":\"\\u0041\"}");
    expect_published("channel a/b c d \n \"\\u0041\"\n");
    expect_body("POST /v1/apps/app/users/u/messages", "{\"data\":[1.0 ]}",
                "200 json {\"user_id\":\"u\",\"data\":[1.0 ]}");
    expect_body("POST /v1/apps/app/sockets/s/messages", "{\"data\":null}",
                "200 json {\"socket_id\":\"s\",\"data\":null}");
    expect_published("user app u  [1.0 ]\nsocket app s  null\n");
    expect_body("PUT /v1/apps/app/users/u/channels", "{\"channels\":[\"a\",\"\\u0062\"]}",
                "200 json {\"user_id\":\"u\",\"data\":[\"a\",\"\\u0062\"]}");
    expect_body("POST /v1/apps/app/users/u/channels", "{\"channel\":\"c\"}",
                "200 json {\"user_id\":\"u\",\"data\":\"c\"}");
    expect_published("reload app u  a;b;\nadd app u  c\n");
    expect_body("POST /v1/apps/app/messages/batch",
                "[{\"channel\":\"\",\"event\":\"e\",\"data\":1}]", "200 json {\"total\":1}");
    expect_published("channel app  e 1\n");
    /* The query is no body. */
    expect_body("POST /v1/apps/app/users/u/messages?data=1", "",
                PROBLEM(400, "Bad Request", "malformed_json", "The body is not JSON.") "}");
    expect_published("");
}

static void tells_what_the_bus_refuses(void **unused)
{
    (void)unused;
    static const char line[] = "POST /v1/apps/app/channels/c/messages",
                      body[] = "{\"event\":\"e\",\"data\":1}";
    bus.publish_error = ERR_AWAY;
    struct api_reply reply;
    assert_int_equal(handle(API_MASTER, line, NULL, str_of(body), &reply), API_DONE);
    assert_int_equal(reply.status, 503);
    assert_true(str_eq(buf_as_str(&reply.extra), STR("Retry-After: 1\r\n")));
    assert_non_null(memmem(reply.body.p, reply.body.len, "\"bus_away\"", 10));
    api_reply_fini(&reply);
    bus.publish_error = ERR_LIMIT;
    expect_body(line, body,
                PROBLEM(413, "Content Too Large", "message_too_long",
                        "The message is longer than the bus takes.") "}");
    bus.publish_error = ERR_OK;
    bus.ask_error = ERR_FULL;
    assert_int_equal(handle(API_MASTER, "GET /v1/stats", NULL, STR_EMPTY, &reply), API_DONE);
    assert_non_null(memmem(reply.body.p, reply.body.len, "\"server_busy\"", 13));
    api_reply_fini(&reply);
}

static void tells_late_problems(void **unused)
{
    (void)unused;
    static const char line[] = "POST /v1/apps/app/messages",
                      body[] = "{\"channel_pattern\":\"^a\",\"event\":\"e\",\"data\":1}";
    once_key = "k";
    for (unsigned i = 0; i < 2; i++) { /* what was not carried out may come again */
        expect_body(line, body, "later");
        assert_true(str_eq(bus.question->expression, STR("^a")));
        give_answer("ab;", NULL);
        assert_non_null(memmem(answered.p, answered.len, "\"not_matched_in_time\"", 21));
        assert_non_null(memmem(answered.p, answered.len, "504 problem Gusher-Missing", 26));
        buf_clear(&answered);
    }
    expect_body(line, body, "later");
    struct api_reply reply;
    assert_int_equal(handle(API_MASTER, line, NULL, str_of(body), &reply), API_DONE);
    assert_int_equal(reply.status, 409);
    api_reply_fini(&reply);
    give_answer("ab;ac;", "ab;");
    expect_answered("200 json {\"total\":2,\"pattern\":\"^a\"}");
    buf_clear(&bus.published);
    expect_body(line, body,
                "200 json Idempotency-Replayed: true\r\n{\"total\":2,\"pattern\":\"^a\"}");
    expect_published("");
    /* Other masters have been told, or could not be. */
    struct once o;
    assert_int_equal(once_make(&o, STR_EMPTY, str_of(line + 5), STR("k"), str_of(body)), ERR_OK);
    assert_true(bus.note.len > sizeof o.id);
    assert_memory_equal(bus.note.p, o.id, sizeof o.id);
    bus.share_error = ERR_AWAY;
    once_key = "k2";
    expect_body("POST /v1/apps/app/users/u/messages", "{\"data\":1}",
                "200 json {\"user_id\":\"u\",\"data\":1}");
    expect_published("user app u  1\n");
}

/* What was said of a key of the seed's API stays as it was, and its publishes know no such header.
 */
static void leaves_the_seed_alone(void **unused)
{
    (void)unused;
    once_key = "k k";
    for (unsigned i = 0; i < 2; i++) {
        expect_form("POST /api/push/app/c/e", "data=1", PUSHED_C);
        expect_published("channel app c e 1\n");
    }
    expect("GET /v1/nothing",
           PROBLEM(404, "Not Found", "not_found", "There is nothing at this path.") "}");
    expect("GET /v1/channels",
           PROBLEM(404, "Not Found", "not_found", "There is nothing at this path.") "}");
    expect("GET /v2/nothing", "404 text 404 page not found\n");
    /* A prefix that is below /v1 is the seed's all the same. */
    struct str prefix = api.options.master_prefix;
    api.options.master_prefix = STR("/v1/old");
    expect("GET /v1/old/ping", "200 text pong");
    expect("GET /v1/apps/app/ping",
           PROBLEM(404, "Not Found", "not_found", "There is nothing at this path.") "}");
    api.options.master_prefix = prefix;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_API(answers_pings),
        WITH_API(answers_probes),
        WITH_API(takes_no_sockets_when_something_is_scarce),
        WITH_API(trades_jwts_for_tickets),
        WITH_API(trades_long_jwts_for_tickets_of_every_kind),
        WITH_API(tells_others_of_tickets),
        WITH_API(handles_again_what_may_become_known),
        WITH_API(refuses_wrong_jwts),
        WITH_API(answers_the_preflight),
        WITH_API(judges_tokens_in_order),
        WITH_API(opens_sockets_to_listed_origins),
        WITH_API(pushes_to_a_channel),
        WITH_API(wants_data),
        WITH_API(refuses_deep_data),
        WITH_API(pushes_to_users_and_sockets),
        WITH_API(tells_that_the_bus_is_full),
        WITH_API(tells_that_the_bus_is_away),
        WITH_API(refuses_what_the_bus_does_not_take),
        WITH_API(judges_pattern_pushes_in_order),
        WITH_API(pushes_by_pattern),
        WITH_API(tells_of_missing_nodes),
        WITH_API(stops_a_pattern_push_at_a_full_bus),
        WITH_API(limits_pattern_pushes),
        WITH_API(judges_all_messages_of_a_pattern_push),
        WITH_API(asks_for_whole_answers_to_push),
        WITH_API(pushes_batches),
        WITH_API(refuses_wrong_batches_whole),
        WITH_API(limits_batches),
        WITH_API(limits_names_and_data),
        WITH_API(refuses_hasty_handshakes),
        WITH_API(sends_a_batch_whole_or_not_at_all),
        WITH_API(refuses_a_batch_with_too_long_an_element),
        WITH_API(reloads_channels),
        WITH_API(limits_reloads),
        WITH_API(adds_channels),
        WITH_API(decodes_jwts),
        WITH_API(answers_queries),
        WITH_API(streams_long_lists),
        WITH_API(streams_lists_of_empty_pages),
        WITH_API(tells_of_missing_nodes_behind_the_list),
        WITH_API(ends_with_its_connection),
        WITH_API(ends_when_its_connection_does_not_go_on),
        WITH_API(ends_with_its_seat),
        WITH_API(counts_over_pages),
        WITH_API(knows_its_paths),
        WITH_API(serves_the_roles_of_the_listener),
        WITH_API(reads_parameters_alike),
        WITH_API(reads_json_bodies_only_when_told),
        WITH_API(refuses_malformed_bodies),
        WITH_API(answers_errors),
        WITH_API(only_known_keys_call_the_master),
        WITH_API(kicks),
        WITH_API(bans),
        WITH_API(publishes_typed_json),
        WITH_API(tells_what_the_bus_refuses),
        WITH_API(tells_late_problems),
        WITH_API(leaves_the_seed_alone),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
