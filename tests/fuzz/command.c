/* command.c - the seed's dialect on a hub of a few sockets: whatever comes, a socket gets one
 * reply that is JSON or a close code with its reason, and the hub's tables stay whole.
 *
 * The input is a list of lines. The first byte of each says whether the rest is a command, and of
 * which socket, or a message from the bus, and of which kind. */
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz_check.h"
#include "jansson_beside.h"
#include "hub_check.h"
#include "names_text.h"
#include "proto/proto.h"

enum { INPUT_MAX = 4096, SOCKETS = 4, SUBSCRIPTIONS_MAX = 8 };

static struct hub *hub;
static struct hub_socket sockets[SOCKETS];
static int n_interests;

static struct json parse(struct str text)
{
    struct json value;
    CHECK(json_parse(&value, text) == ERR_OK);
    return value;
}

static bool theirs_take(struct str text)
{
    json_t *theirs = json_loadb(text.p, text.len,
                                JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    json_decref(theirs);
    return theirs != NULL;
}

/* Jansson refuses some JSON: lone surrogates, zeros in names, numbers that no double holds. What
 * is made of a text that it takes it takes as well. */
static void check_json(struct str text, bool made_of_theirs)
{
    CHECK(utf8_valid(text));
    parse(text);
    CHECK(!made_of_theirs || theirs_take(text));
}

static bool data_is_theirs; /* of the message that is being sent */

static void deliver(void *ctx, struct hub_socket *s, struct blob *b, bool bulk)
{
    (void)bulk;
    (void)ctx;
    CHECK(s >= sockets && s < sockets + SOCKETS);
    CHECK(b->len);
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
    struct buf text = BUF_INIT;
    proto_gusher.encode(m, &text);
    check_json(buf_as_str(&text), data_is_theirs);
    struct blob *b = blob_of(buf_as_str(&text));
    buf_fini(&text);
    return b;
}

static void interest(void *ctx, const struct hub_name *name, bool on)
{
    (void)ctx;
    CHECK(str_eq(name->app, STR("app")));
    n_interests += on ? 1 : -1;
    CHECK(n_interests >= 0);
}

static void join(unsigned i, const char *user, const char *channels, const char *remotes)
{
    struct buf list = names_of(channels), remote_list = names_of(remotes);
    hub_join(hub, &sockets[i], STR("app"), str_of(user),
             grants_get(hub_grants_pool(hub), buf_as_str(&list), buf_as_str(&remote_list)), 0);
    buf_fini(&list);
    buf_fini(&remote_list);
}

static bool starts_as_a_reply(struct str reply, const struct hub_socket *s)
{
    struct json event, id, data, object = parse(reply);
    char expected[HUB_SOCKET_ID_LEN];
    hub_socket_id(hub, s, expected);
    return object.type == JSON_OBJECT && json_get(object, STR("event"), &event) &&
           event.type == JSON_STRING && str_starts(event.text, STR("\"gusher.")) &&
           json_get(object, STR("socket_id"), &id) &&
           json_is(id, str_make(expected, sizeof expected)) && json_get(object, STR("data"), &data);
}

/* Takes every other command. */
static enum err take_remote(void *handed_over, struct hub_socket *s, struct str remote,
                            struct str uid, struct str payload, bool wants_reply)
{
    static unsigned n;
    struct json value;
    (void)wants_reply;
    CHECK(grants_allow_remote(s->grants, remote));
    CHECK(json_parse(&value, payload) == ERR_OK);
    CHECK(uid.len <= 3 * INPUT_MAX);
    *(bool *)handed_over = n % 2 == 0;
    return n++ % 2 ? ERR_FULL : ERR_OK;
}

/* Takes every other token, and what it stands for permits little. */
static const char *take_token(void *handed_over, struct hub_socket *s, struct str token)
{
    static unsigned n;
    struct buf list = names_of("a*;"), revoked = BUF_INIT;
    (void)handed_over;
    CHECK(token.len <= 3 * INPUT_MAX);
    if (n++ % 2 == 0)
        hub_set_grants(hub, s, grants_get(hub_grants_pool(hub), buf_as_str(&list), STR_EMPTY),
                       &revoked);
    CHECK(names_valid(buf_as_str(&revoked)));
    struct str rest = buf_as_str(&revoked);
    for (struct str name; names_next(&rest, &name);) {
        struct buf text = BUF_INIT;
        CHECK(!hub_is_subscribed(s, name) && !grants_allow(s->grants, name));
        proto_gusher.revoked(hub, s, name, &text);
        check_json(buf_as_str(&text), false);
        buf_fini(&text);
    }
    buf_fini(&list);
    buf_fini(&revoked);
    return n % 2 ? NULL : "the token is not good";
}

static void run_command(struct hub_socket *s, struct str text)
{
    struct buf reply = BUF_INIT;
    struct proto_notes notes = {0};
    bool handed_over = false;
    const struct proto_host host = {&handed_over, take_remote, take_token, &notes};
    struct proto_outcome o = proto_gusher.command(&host, hub, s, text, 1700000000, &reply);
    CHECK(names_valid(buf_as_str(&notes.names)) && names_valid(buf_as_str(&notes.added)));
    if (o.subscribed)
        check_json(buf_as_str(&notes.denied), theirs_take(text));
    buf_fini(&notes.names);
    buf_fini(&notes.added);
    buf_fini(&notes.denied);
    if (handed_over) {
        CHECK(!o.close_code && !reply.len);
        return;
    }
    if (o.close_code) {
        CHECK(o.close_code == PROTO_CLOSE_INVALID || o.close_code == PROTO_CLOSE_POLICY);
        CHECK(o.close_reason && strlen(o.close_reason) && strlen(o.close_reason) < 124);
        CHECK(!reply.len);
        struct json value;
        CHECK((o.close_code == PROTO_CLOSE_INVALID) == (json_parse(&value, text) != ERR_OK));
    } else {
        CHECK(reply.len);
        check_json(buf_as_str(&reply), theirs_take(text));
        CHECK(starts_as_a_reply(buf_as_str(&reply), s));
    }
    CHECK(s->n_subs <= SUBSCRIPTIONS_MAX);
    buf_fini(&reply);
}

static void send_message(unsigned kind, unsigned user, struct str text)
{
    static const char *const users[] = {"ann", "bob"};
    struct str name = str_cut(&text, ':'), target = str_of(users[user]);
    struct buf names = BUF_INIT;
    struct json value;
    struct str data = text;
    switch ((enum msg_kind)kind) {
    case MSG_CHANNEL:
        target = name;
        /* fall through */
    case MSG_USER:
    case MSG_SOCKET:
        if (json_parse(&value, data))
            data = STR("null");
        break;
    case MSG_ADD:
        break;
    case MSG_RELOAD:
        while (text.len)
            names_add(&names, str_cut(&text, ';'));
        data = buf_as_str(&names);
        break;
    default: /* kicks are not the hub's */
        return;
    }
    data_is_theirs = kind > MSG_SOCKET || theirs_take(data);
    struct msg *m = msg_new((enum msg_kind)kind, STR("app"), target, name, data);
    hub_dispatch(hub, m);
    msg_unref(m);
    buf_fini(&names);
}

static void check_tables(void)
{
    const char *wrong = hub_check(hub);
    if (wrong) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
    struct hub_question q = {.kind = HUB_CHANNELS, .app = STR("app")};
    struct buf names = BUF_INIT;
    CHECK(hub_answer(hub, &q, false, HUB_CURSOR_BEGIN, SIZE_MAX, &names) == HUB_CURSOR_END);
    for (struct str rest = buf_as_str(&names), name; names_next(&rest, &name);)
        CHECK(name.len);
    buf_fini(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > INPUT_MAX)
        return 0;
    const struct hub_host host = {NULL, deliver, deliver_range, encode, interest};
    const struct hub_options options = {.node = 1,
                                        .subscriptions_max = SUBSCRIPTIONS_MAX,
                                        .name_max = 1024,
                                        .bulk_min = HUB_BULK_MIN};
    hub = hub_new(&host, &options);
    join(0, "ann", "*;", "cmd;");
    join(1, "ann", "a;b;ch*;*x*;", "");
    join(2, "bob", "a;;", "cmd;");
    join(3, "", "", "");

    struct str input = str_make(len ? (const char *)data : "", len);
    while (input.len) {
        struct str line = str_cut(&input, '\n');
        if (!line.len)
            continue;
        /* A copy of just this size: a sanitizer sees a step too far. */
        char *copy = malloc(line.len);
        CHECK(copy);
        line.p = memcpy(copy, line.p, line.len);
        unsigned first = (unsigned char)line.p[0];
        struct str text = str_make(line.p + 1, line.len - 1);
        /* '0' to '3': a command of this socket; 'A' to 'E', 'a' to 'e': a message of this kind. */
        unsigned kind = (first & 31) - 1;
        if (first >= 'A' && kind < 5)
            send_message(kind, first >> 5 & 1, text);
        else
            run_command(&sockets[first & 3], text);
        free(copy);
        check_tables();
    }
    for (unsigned i = 0; i < SOCKETS; i++) {
        hub_leave(hub, &sockets[i]);
        check_tables();
    }
    CHECK(n_interests == 0);
    hub_free(hub);
    return 0;
}
