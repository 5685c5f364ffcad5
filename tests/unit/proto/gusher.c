#include "base/json.h"
#include "hub_check.h"
#include "names_text.h"
#include "proto/proto.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SUBSCRIPTIONS_MAX = 5, NOW_S = 1700000000 };

static struct hub *hub;
static struct hub_socket socket;
static char id[HUB_SOCKET_ID_LEN + 1];
static bool joined;

static void deliver(void *ctx, struct hub_socket *s, struct blob *b, bool bulk)
{
    (void)ctx;
    (void)s;
    (void)b;
    (void)bulk;
}

static void deliver_range(void *ctx, struct hub_socket *s, const struct blob_range *r)
{
    (void)ctx;
    (void)s;
    (void)r;
}

static struct blob *encode(void *ctx, unsigned encoder, const struct msg *m)
{
    (void)ctx;
    (void)encoder;
    (void)m;
    return blob_of(STR("encoded"));
}

static void ignore_interest(void *ctx, const struct hub_name *name, bool on)
{
    (void)ctx;
    (void)name;
    (void)on;
}

/* ---- the host ---- */

static struct {
    struct buf remotes; /* what was handed over, a line each */
    struct buf tokens;  /* that were to refresh, a line each, */
    const char *reason; /* and what is wrong with them */
    enum err outcome;
    struct proto_notes notes;
} host_did;

static enum err take_remote(void *ctx, struct hub_socket *s, struct str remote, struct str uid,
                            struct str payload, bool wants_reply)
{
    assert_ptr_equal(ctx, &host_did);
    assert_ptr_equal(s, &socket);
    if (host_did.outcome)
        return host_did.outcome;
    buf_printf(&host_did.remotes, "%.*s %.*s %.*s%s\n", (int)remote.len, remote.p, (int)uid.len,
               uid.p, (int)payload.len, payload.p, wants_reply ? " reply" : "");
    return ERR_OK;
}

static const char *take_token(void *ctx, struct hub_socket *s, struct str token)
{
    assert_ptr_equal(ctx, &host_did);
    assert_ptr_equal(s, &socket);
    buf_printf(&host_did.tokens, "%.*s\n", (int)token.len, token.p);
    return host_did.reason;
}

static const struct proto_host proto_host = {&host_did, take_remote, take_token, &host_did.notes};

static void drop_notes(void)
{
    buf_fini(&host_did.notes.names);
    buf_fini(&host_did.notes.added);
    buf_fini(&host_did.notes.denied);
}

/* What was noted since the last look: all names, the new ones, and the refusal. */
static void expect_notes(const char *names, const char *added, const char *denied)
{
    struct buf full = BUF_INIT;
    char *text = names_sorted(buf_as_str(&host_did.notes.names));
    assert_string_equal(text, names);
    free(text);
    text = names_sorted(buf_as_str(&host_did.notes.added));
    assert_string_equal(text, added);
    free(text);
    const char *at = strstr(denied, "\"ID\"");
    if (at)
        buf_printf(&full, "%.*s\"%.36s\"%s", (int)(at - denied), denied, id, at + 4);
    assert_true(str_eq(buf_as_str(&host_did.notes.denied), buf_as_str(&full)));
    buf_fini(&full);
    drop_notes();
}

static int set_up(void **unused)
{
    (void)unused;
    const struct hub_host host = {NULL, deliver, deliver_range, encode, ignore_interest};
    const struct hub_options options = {.node = 1,
                                        .subscriptions_max = SUBSCRIPTIONS_MAX,
                                        .name_max = 1024,
                                        .bulk_min = HUB_BULK_MIN};
    hub = hub_new(&host, &options);
    joined = false;
    host_did.outcome = ERR_OK;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    if (joined)
        hub_leave(hub, &socket);
    hub_free(hub);
    buf_fini(&host_did.remotes);
    buf_fini(&host_did.tokens);
    host_did.reason = NULL;
    drop_notes();
    return 0;
}

static void join(const char *channels, const char *remotes)
{
    struct buf c = names_of(channels), r = names_of(remotes);
    if (joined)
        hub_leave(hub, &socket);
    hub_join(hub, &socket, STR("app"), STR("ann"),
             grants_get(hub_grants_pool(hub), buf_as_str(&c), buf_as_str(&r)), 0);
    joined = true;
    hub_socket_id(hub, &socket, id);
    buf_fini(&c);
    buf_fini(&r);
}

/* Carries out a command and compares: the reply, in which "ID" stands for the socket's id, or
 * "<close code> <reason>". */
static void expect_bytes(struct str text, const char *expected)
{
    struct buf reply = BUF_INIT, full = BUF_INIT;
    /* A copy of just this size: a sanitizer sees a step too far. */
    char *copy = malloc(text.len ? text.len : 1);
    memcpy(copy, text.p, text.len);
    struct proto_outcome o =
        proto_gusher.command(&proto_host, hub, &socket, str_make(copy, text.len), NOW_S, &reply);
    free(copy);
    if (o.close_code) {
        assert_int_equal(reply.len, 0);
        assert_in_range(strlen(o.close_reason), 1, 123);
        buf_printf(&reply, "%u %s", o.close_code, o.close_reason);
    }
    const char *at = strstr(expected, "\"ID\"");
    if (at)
        buf_printf(&full, "%.*s\"%.36s\"%s", (int)(at - expected), expected, id, at + 4);
    else
        buf_str(&full, str_of(expected));
    if (!str_eq(buf_as_str(&reply), buf_as_str(&full)))
        fail_msg("'%.*s': got '%.*s', expected '%.*s'", (int)text.len, text.p, (int)reply.len,
                 reply.p, (int)full.len, full.p);
    const char *wrong = hub_check(hub);
    if (wrong)
        fail_msg("%s", wrong);
    buf_fini(&reply);
    buf_fini(&full);
}

static void expect(const char *text, const char *expected)
{
    expect_bytes(str_of(text), expected);
}

#define REPLY(event, data) "{\"event\":\"gusher." event "\",\"socket_id\":\"ID\",\"data\":" data "}"

static void expect_channels(const char *expected)
{
    const struct hub_question q = {.kind = HUB_CHANNELS, .app = STR("app")};
    struct buf names = BUF_INIT;
    assert_int_equal(hub_answer(hub, &q, false, HUB_CURSOR_BEGIN, SIZE_MAX, &names),
                     HUB_CURSOR_END);
    char *text = names_sorted(buf_as_str(&names));
    assert_string_equal(text, expected);
    free(text);
    buf_fini(&names);
}

/* ---- commands ---- */

static void subscribes(void **unused)
{
    (void)unused;
    join("a;b*;;", "");
#define SUBSCRIBE(channel) "{\"event\":\"gusher.subscribe\",\"data\":{\"channel\":" channel "}}"
    expect(SUBSCRIBE("\"a\""), REPLY("subscribe_succeeded", "{\"channel\":\"a\"}"));
    expect_channels("a;");
    expect(SUBSCRIBE("\"a\""), REPLY("subscribe_succeeded", "{\"channel\":\"a\"}"));
    expect(SUBSCRIBE("\"bc\""), REPLY("subscribe_succeeded", "{\"channel\":\"bc\"}"));
    expect(SUBSCRIBE("\"\""), REPLY("subscribe_succeeded", "{\"channel\":\"\"}"));
    assert_int_equal(socket.n_subs, 3);
    expect(SUBSCRIBE("\"b\""), REPLY("subscribe_error", "{\"channel\":\"b\"}"));
    expect(SUBSCRIBE("\"A\""), REPLY("subscribe_error", "{\"channel\":\"A\"}"));
    assert_int_equal(socket.n_subs, 3);

    /* Past the limit of subscriptions it is an error, not a kick. */
    expect(SUBSCRIBE("\"b1\""), REPLY("subscribe_succeeded", "{\"channel\":\"b1\"}"));
    expect(SUBSCRIBE("\"b2\""), REPLY("subscribe_succeeded", "{\"channel\":\"b2\"}"));
    expect(SUBSCRIBE("\"b3\""), REPLY("subscribe_error", "{\"channel\":\"b3\"}"));
    expect(SUBSCRIBE("\"b2\""), REPLY("subscribe_succeeded", "{\"channel\":\"b2\"}"));
}

static void unsubscribes(void **unused)
{
    (void)unused;
    join("a;b*;", "");
#define UNSUBSCRIBE(channel) "{\"event\":\"gusher.unsubscribe\",\"data\":{\"channel\":" channel "}}"
    expect(SUBSCRIBE("\"a\""), REPLY("subscribe_succeeded", "{\"channel\":\"a\"}"));
    expect(SUBSCRIBE("\"bx\""), REPLY("subscribe_succeeded", "{\"channel\":\"bx\"}"));
    expect(UNSUBSCRIBE("\"a\""), REPLY("unsubscribe_succeeded", "{\"channel\":\"a\"}"));
    expect_channels("bx;");
    expect(UNSUBSCRIBE("\"a\""), REPLY("unsubscribe_succeeded", "{\"channel\":\"a\"}"));
    /* The name of a pattern does not end what it covers. */
    expect(UNSUBSCRIBE("\"b*\""), REPLY("unsubscribe_succeeded", "{\"channel\":\"b*\"}"));
    expect_channels("bx;");
    expect(UNSUBSCRIBE("\"c\""), REPLY("unsubscribe_error", "{\"channel\":\"c\"}"));
}

static void subscribes_many(void **unused)
{
    (void)unused;
    join("a;b*;c;", "");
#define MULTI(list)       "{\"event\":\"gusher.multi_subscribe\",\"data\":{\"multi_channel\":" list "}}"
#define MULTI_OK(list)    REPLY("multi_subscribe_succeeded", "{\"channel\":" list "}")
#define MULTI_ERROR(list) REPLY("multi_subscribe_error", "{\"channel\":" list "}")
    expect(MULTI("[\"a\",\"b1\"]"), MULTI_OK("[\"a\",\"b1\"]"));
    expect_channels("a;b1;");
    /* All or nothing; duplicates are echoed; the list is echoed as it was written. */
    expect(MULTI("[\"c\",\"no\"]"), MULTI_ERROR("[\"c\",\"no\"]"));
    expect_channels("a;b1;");
    expect(MULTI("[ \"c\" ,\"c\", \"\\u0061\" ]"), MULTI_OK("[ \"c\" ,\"c\", \"\\u0061\" ]"));
    expect_channels("a;b1;c;");
    expect(MULTI("[\"b2\",\"b3\",\"b4\"]"), MULTI_ERROR("[\"b2\",\"b3\",\"b4\"]"));
    expect_channels("a;b1;c;");

    expect(MULTI("[]"), MULTI_ERROR("[]"));
    expect(MULTI("[ ]"), MULTI_ERROR("[ ]"));
    expect(MULTI("[\"a\",1]"), MULTI_ERROR("[\"a\",1]"));
    expect(MULTI("[null]"), MULTI_ERROR("[null]"));
    expect(MULTI("[[\"a\"]]"), MULTI_ERROR("[[\"a\"]]"));
    expect(MULTI("\"a\""), MULTI_ERROR("[]"));
    expect(MULTI("null"), MULTI_ERROR("[]"));
    expect(MULTI("{\"0\":\"a\"}"), MULTI_ERROR("[]"));
    expect("{\"event\":\"gusher.multi_subscribe\",\"data\":{}}", MULTI_ERROR("[]"));
    expect("{\"event\":\"gusher.multi_subscribe\",\"data\":null}", MULTI_ERROR("[]"));
    expect("{\"event\":\"gusher.multi_subscribe\",\"data\":[\"a\"]}", MULTI_ERROR("[]"));
    expect_channels("a;b1;c;");
}

static void tells_the_permissions(void **unused)
{
    (void)unused;
    join("a;b*;\";x\ny;", "");
    expect("{\"event\":\"gusher.querychannel\",\"data\":null}",
           REPLY("querychannel_succeeded", "{\"channels\":[\"a\",\"b*\",\"\\\"\",\"x\\ny\"]}"));
    struct msg *m = msg_new(MSG_ADD, STR("app"), STR("ann"), STR_EMPTY, STR("new"));
    hub_dispatch(hub, m);
    msg_unref(m);
    expect("{\"event\":\"gusher.querychannel\",\"data\":{\"any\":[1]}}",
           REPLY("querychannel_succeeded",
                 "{\"channels\":[\"a\",\"b*\",\"\\\"\",\"x\\ny\",\"new\"]}"));
    join("", "");
    expect("{\"event\":\"gusher.querychannel\",\"data\":1}",
           REPLY("querychannel_succeeded", "{\"channels\":[]}"));
}

/* The data comes back byte for byte. */
static void answers_pings(void **unused)
{
    (void)unused;
    static const char *const datas[] = {
        "null",
        "0.10",
        "1e400",
        "-0",
        "9007199254740993",
        "\"\\u00e9\\/\"",
        "{\"b\" : 1,\"a\":[ ]}",
        "[1,  2]",
        "\"\\ud800\"",
        "{\"a\":1,\"a\":2}",
    };
    join("", "");
    for (unsigned i = 0; i < sizeof datas / sizeof *datas; i++) {
        char text[200], expected[200];
        snprintf(text, sizeof text, "{\"event\":\"gusher.ping\",\"data\": %s }", datas[i]);
        snprintf(expected, sizeof expected,
                 "{\"event\":\"gusher.pong_succeeded\",\"socket_id\":\"ID\",\"data\":%s,"
                 "\"time\":1700000000}",
                 datas[i]);
        expect(text, expected);
    }
}

#define REMOTE(data) "{\"event\":\"gusher.remote\",\"debug\":true,\"data\":{" data "}}"

static void expect_handed_over(const char *expected)
{
    buf_char(&host_did.remotes, 0);
    assert_string_equal(host_did.remotes.p, expected);
    buf_clear(&host_did.remotes);
}

static void hands_permitted_remotes_over(void **unused)
{
    (void)unused;
    join("", "cmd;c\n;");
    expect(REMOTE("\"remote\":\"cmd\",\"uid\":\"u\",\"payload\":{ \"b\":1e400}"), "");
    expect_handed_over("cmd u { \"b\":1e400} reply\n");
    /* Only the boolean true asks for a reply. */
    static const char *const debugs[] = {"false", "1", "\"true\"", "null"};
    for (unsigned i = 0; i < 4; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"event\":\"gusher.remote\",\"debug\":%s,\"data\":"
                 "{\"remote\":\"c\\n\",\"uid\":\"\\u0061\",\"payload\":\"123\"}}",
                 debugs[i]);
        expect(text, "");
        expect_handed_over("c\n a \"123\"\n");
    }
    struct buf reply = BUF_INIT;
    proto_gusher.remote_reply(hub, &socket, STR("c\n"), true, &reply);
    proto_gusher.remote_reply(hub, &socket, STR("cmd"), false, &reply);
    buf_char(&reply, 0);
    char expected[400];
    snprintf(expected, sizeof expected,
             "{\"event\":\"gusher.remote_succeeded\",\"socket_id\":\"%.36s\",\"data\":"
             "{\"remote\":\"c\\n\",\"msg\":null}}{\"event\":\"gusher.remote_error\","
             "\"socket_id\":\"%.36s\",\"data\":{\"remote\":\"cmd\",\"msg\":null}}",
             id, id);
    assert_string_equal(reply.p, expected);
    buf_fini(&reply);
}

static void refuses_remotes(void **unused)
{
    (void)unused;
    join("", "cmd;");
    host_did.outcome = ERR_FULL;
    expect(REMOTE("\"remote\":\"cmd\",\"uid\":\"u\",\"payload\":{}"),
           REPLY("remote_error", "{\"remote\":\"cmd\",\"msg\":null}"));
    host_did.outcome = ERR_OK;
    expect(REMOTE("\"remote\":\"c\\n\",\"uid\":\"\",\"payload\":null"),
           REPLY("remote_error", "{\"remote\":\"c\\n\",\"msg\":null}"));
    static const char wrong[] = "1008 remote and uid must be strings, payload must be there";
    expect(REMOTE("\"remote\":\"cmd\",\"uid\":\"u\""), wrong);
    expect(REMOTE("\"remote\":\"cmd\",\"payload\":1"), wrong);
    expect(REMOTE("\"uid\":\"u\",\"payload\":1"), wrong);
    expect(REMOTE("\"remote\":1,\"uid\":\"u\",\"payload\":1"), wrong);
    expect(REMOTE("\"remote\":\"cmd\",\"uid\":1,\"payload\":1"), wrong);
    expect("{\"event\":\"gusher.remote\",\"data\":null}", wrong);
    expect_handed_over("");
}

#define REFRESH(data) "{\"event\":\"gusher.refresh\",\"data\":{" data "}}"

static void refreshes(void **unused)
{
    (void)unused;
    join("", "");
    expect(REFRESH("\"token\":\"a.b\\u002ec\""), REPLY("refresh_succeeded", "{}"));
    host_did.reason = "the token is for another app";
    expect(REFRESH("\"token\":\"\",\"more\":1"),
           REPLY("refresh_error", "{\"reason\":\"the token is for another app\"}"));
    buf_char(&host_did.tokens, 0);
    assert_string_equal(host_did.tokens.p, "a.b.c\n\n");
    static const char wrong[] = "1008 token must be a string";
    expect(REFRESH(""), wrong);
    expect(REFRESH("\"token\":null"), wrong);
    expect(REFRESH("\"Token\":\"a\""), wrong);
    expect("{\"event\":\"gusher.refresh\",\"data\":\"a.b.c\"}", wrong);
}

static void tells_of_tokens_and_subscriptions(void **unused)
{
    (void)unused;
    join("", "");
    struct buf out = BUF_INIT;
    char expected[400];
    proto_gusher.token_expires(hub, &socket, 60, &out);
    proto_gusher.revoked(hub, &socket, STR("a\"\n"), &out);
    snprintf(expected, sizeof expected,
             "{\"event\":\"gusher.token_expires\",\"socket_id\":\"%.36s\",\"data\":"
             "{\"expires_in\":60}}{\"event\":\"gusher.subscription_revoked\","
             "\"socket_id\":\"%.36s\",\"data\":{\"channel\":\"a\\\"\\n\"}}",
             id, id);
    assert_true(str_eq(buf_as_str(&out), str_of(expected)));
    buf_fini(&out);
}

/* What a host needs to know, should the reply have to wait. */
static void notes_what_it_subscribes(void **unused)
{
    (void)unused;
    join("a;b;;", "");
#define SUBSCRIBE(channel) "{\"event\":\"gusher.subscribe\",\"data\":{\"channel\":" channel "}}"
#define MULTI(list)        "{\"event\":\"gusher.multi_subscribe\",\"data\":{\"multi_channel\":" list "}}"
    expect(SUBSCRIBE("\"\\u0061\""), REPLY("subscribe_succeeded", "{\"channel\":\"\\u0061\"}"));
    expect_notes("a;", "a;", REPLY("subscribe_error", "{\"channel\":\"\\u0061\"}"));
    expect(SUBSCRIBE("\"a\""), REPLY("subscribe_succeeded", "{\"channel\":\"a\"}"));
    expect_notes("a;", "", REPLY("subscribe_error", "{\"channel\":\"a\"}"));
    expect(MULTI("[\"a\",\"b\",\"\"]"),
           REPLY("multi_subscribe_succeeded", "{\"channel\":[\"a\",\"b\",\"\"]}"));
    expect_notes(";a;b;", ";b;",
                 REPLY("multi_subscribe_error", "{\"channel\":[\"a\",\"b\",\"\"]}"));
    expect("{\"event\":\"gusher.unsubscribe\",\"data\":{\"channel\":\"a\"}}",
           REPLY("unsubscribe_succeeded", "{\"channel\":\"a\"}"));
    expect_notes("", "", "");
}

/* ---- the form of commands ---- */

static void takes_members_as_they_come(void **unused)
{
    (void)unused;
    join("*;", "");
    expect(" { \"data\" : {\"x\":1,\"channel\":\"a\"} , \"other\" : [] ,\n"
           "\"event\":\"gusher.subscribe\"} ",
           REPLY("subscribe_succeeded", "{\"channel\":\"a\"}"));
    /* Escapes in names of members, of events and of channels. */
    expect("{\"\\u0065vent\":\"gusher\\u002esubscribe\",\"dat\\u0061\":{\"ch\\u0061nnel\":"
           "\"\\u0062\\n\\ud83d\\ude00\"}}",
           REPLY("subscribe_succeeded", "{\"channel\":\"\\u0062\\n\\ud83d\\ude00\"}"));
    expect_channels("a;b\n\xf0\x9f\x98\x80;");
    expect(SUBSCRIBE("\"caf\xc3\xa9\""),
           REPLY("subscribe_succeeded", "{\"channel\":\"caf\xc3\xa9\"}"));
    expect(SUBSCRIBE("\"caf\\u00E9\""),
           REPLY("subscribe_succeeded", "{\"channel\":\"caf\\u00E9\"}"));
    expect(UNSUBSCRIBE("\"\\u0061\""), REPLY("unsubscribe_succeeded", "{\"channel\":\"\\u0061\"}"));
    expect_channels("b\n\xf0\x9f\x98\x80;caf\xc3\xa9;");
    expect(SUBSCRIBE("\"a\\u0000b\""), REPLY("subscribe_succeeded", "{\"channel\":\"a\\u0000b\"}"));
    assert_int_equal(socket.n_subs, 3);
}

static void counts_the_first_of_duplicates(void **unused)
{
    (void)unused;
    join("*;", "");
    expect("{\"event\":\"gusher.subscribe\",\"event\":\"gusher.ping\",\"data\":{\"channel\":\"a\","
           "\"channel\":\"b\"},\"data\":{\"channel\":\"c\"}}",
           REPLY("subscribe_succeeded", "{\"channel\":\"a\"}"));
    expect_channels("a;");
    expect("{\"event\":1,\"event\":\"gusher.ping\",\"data\":1}", "1008 event must be a string");
}

static void kicks(void **unused)
{
    (void)unused;
    static const char not_json[] = "1007 not JSON", no_object[] = "1008 a command is a JSON object";
    static const char no_event[] = "1008 event must be a string",
                      no_data[] = "1008 data is missing";
    static const char unknown[] = "1008 unknown event";
    static const char no_channel[] = "1008 channel must be a string";
    join("*;", "");
    expect("", not_json);
    expect(" ", not_json);
    expect("hello", not_json);
    expect("{", not_json);
    expect("{\"event\":\"gusher.ping\",\"data\":1", not_json);
    expect("{\"event\":\"gusher.ping\",\"data\":1} x", not_json);
    expect("{\"event\":\"gusher.ping\" \"data\":1}", not_json);
    expect("{\"event\":\"gusher.ping\",\"data\":1,}", not_json);
    expect("{'event':'gusher.ping','data':1}", not_json);
    expect("\xef\xbb\xbf{\"event\":\"gusher.ping\",\"data\":1}", not_json);
    expect(SUBSCRIBE("\"caf\xe9\""), not_json);
    expect_bytes(STR("{\"event\":\"gusher.ping\",\"data\":1}\0"), not_json);

    expect("[]", no_object);
    expect("null", no_object);
    expect("\"gusher.ping\"", no_object);
    expect("1", no_object);

    expect("{}", no_event);
    expect("{\"data\":1}", no_event);
    expect("{\"event\":null,\"data\":1}", no_event);
    expect("{\"event\":[\"gusher.ping\"],\"data\":1}", no_event);
    expect("{\"Event\":\"gusher.ping\",\"data\":1}", no_event);

    expect("{\"event\":\"gusher.ping\"}", no_data);
    expect("{\"event\":\"gusher.nothing\"}", no_data);
    expect("{\"event\":\"gusher.subscribe\",\"Data\":{}}", no_data);

    expect("{\"event\":\"\",\"data\":1}", unknown);
    expect("{\"event\":\"ping\",\"data\":1}", unknown);
    expect("{\"event\":\"gusher.Ping\",\"data\":1}", unknown);
    expect("{\"event\":\"gusher.pin\",\"data\":1}", unknown);
    expect("{\"event\":\"gusher.pings\",\"data\":1}", unknown);
    expect("{\"event\":\"gusher.ping\\u0000\",\"data\":1}", unknown);
    expect("{\"event\":\"gusher.subscribe_succeeded\",\"data\":{\"channel\":\"a\"}}", unknown);

    expect(SUBSCRIBE("1"), no_channel);
    expect(SUBSCRIBE("null"), no_channel);
    expect(SUBSCRIBE("[\"a\"]"), no_channel);
    expect(UNSUBSCRIBE("{}"), no_channel);
    expect("{\"event\":\"gusher.subscribe\",\"data\":{}}", no_channel);
    expect("{\"event\":\"gusher.subscribe\",\"data\":\"a\"}", no_channel);
    expect("{\"event\":\"gusher.subscribe\",\"data\":null}", no_channel);
    expect("{\"event\":\"gusher.unsubscribe\",\"data\":{\"Channel\":\"a\"}}", no_channel);
    assert_int_equal(socket.n_subs, 0);
}

static void kicks_what_is_nested_too_deep(void **unused)
{
    (void)unused;
    join("*;", "");
    for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
        struct buf text = BUF_INIT, reply = BUF_INIT;
        buf_str(&text, STR("{\"event\":\"gusher.ping\",\"data\":"));
        for (unsigned i = 0; i < depth; i++)
            buf_char(&text, '[');
        for (unsigned i = 0; i < depth; i++)
            buf_char(&text, ']');
        buf_char(&text, '}');
        struct proto_outcome o =
            proto_gusher.command(&proto_host, hub, &socket, buf_as_str(&text), NOW_S, &reply);
        assert_int_equal(o.close_code, depth < JSON_DEPTH_MAX ? 0 : PROTO_CLOSE_INVALID);
        buf_fini(&text);
        buf_fini(&reply);
    }
}

/* ---- messages ---- */

static void expect_encoded(enum msg_kind kind, struct str target, struct str event, struct str data,
                           const char *expected)
{
    struct msg *m = msg_new(kind, STR("app"), target, event, data);
    struct buf out = BUF_INIT;
    buf_str(&out, STR("before"));
    proto_gusher.encode(m, &out);
    assert_memory_equal(out.p, "before", 6);
    if (!str_eq(str_make(out.p + 6, out.len - 6), str_of(expected)))
        fail_msg("got '%.*s', expected '%s'", (int)out.len - 6, out.p + 6, expected);
    buf_fini(&out);
    msg_unref(m);
}

static void encodes_pushes(void **unused)
{
    (void)unused;
    static const char *const datas[] = {"{\"b\":1,\"a\":[0.10,1e400,9223372036854775808]}",
                                        "\"\\u003c\\/\\ud83d\\ude00\xe2\x80\xa8\"", "null"};
    for (unsigned i = 0; i < 3; i++) {
        char expected[200];
        snprintf(expected, sizeof expected, "{\"channel\":\"c\",\"event\":\"e\",\"data\":%s}",
                 datas[i]);
        expect_encoded(MSG_CHANNEL, STR("c"), STR("e"), str_of(datas[i]), expected);
        expect_encoded(MSG_USER, STR("ann"), STR_EMPTY, str_of(datas[i]), datas[i]);
        expect_encoded(MSG_SOCKET, STR("id"), STR_EMPTY, str_of(datas[i]), datas[i]);
    }
    expect_encoded(MSG_CHANNEL, STR("a\"\n\0"), STR("caf\xe9\x01"), STR("1"),
                   "{\"channel\":\"a\\\"\\n\\u0000\",\"event\":\"caf\xef\xbf\xbd\\u0001\","
                   "\"data\":1}");
    expect_encoded(MSG_CHANNEL, STR_EMPTY, STR_EMPTY, STR("\"\""),
                   "{\"channel\":\"\",\"event\":\"\",\"data\":\"\"}");
}

static void encodes_notifications(void **unused)
{
    (void)unused;
    expect_encoded(MSG_ADD, STR("ann"), STR_EMPTY, STR("a\"b"),
                   "{\"event\":\"gusher.addchannel\",\"socket_id\":\"\","
                   "\"data\":{\"channel\":\"a\\\"b\"}}");
    static const char *const lists[][2] = {
        {"", "[]"}, {"a;", "[\"a\"]"}, {"a*;;x\n;", "[\"a*\",\"\",\"x\\n\"]"}};
    for (unsigned i = 0; i < 3; i++) {
        struct buf list = names_of(lists[i][0]);
        char expected[200];
        snprintf(expected, sizeof expected,
                 "{\"event\":\"gusher.reloadchannel\",\"socket_id\":\"\","
                 "\"data\":{\"channels\":%s}}",
                 lists[i][1]);
        expect_encoded(MSG_RELOAD, STR("ann"), STR_EMPTY, buf_as_str(&list), expected);
        buf_fini(&list);
    }
}

#define WITH_HUB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(subscribes),
        WITH_HUB(unsubscribes),
        WITH_HUB(subscribes_many),
        WITH_HUB(tells_the_permissions),
        WITH_HUB(answers_pings),
        WITH_HUB(hands_permitted_remotes_over),
        WITH_HUB(refuses_remotes),
        WITH_HUB(refreshes),
        WITH_HUB(tells_of_tokens_and_subscriptions),
        WITH_HUB(notes_what_it_subscribes),
        WITH_HUB(takes_members_as_they_come),
        WITH_HUB(counts_the_first_of_duplicates),
        WITH_HUB(kicks),
        WITH_HUB(kicks_what_is_nested_too_deep),
        cmocka_unit_test(encodes_pushes),
        cmocka_unit_test(encodes_notifications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
