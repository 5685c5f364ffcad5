/* gusher.c - the seed API's own dialect (API section 7). */
#include "base/json.h"
#include "base/names.h"
#include "proto/proto.h"

static const struct proto_outcome stays = {0, NULL};

static struct proto_outcome kick(uint16_t code, const char *reason)
{
    return (struct proto_outcome){code, reason};
}

/* One command while it is carried out. */
struct command {
    struct hub *hub;
    struct hub_socket *socket;
    struct json object; /* the whole command */
    struct json data;
    int64_t now_s;
    struct buf *reply;
};

/* {"event":"<event>","socket_id":"<id>","data": - the caller goes on with the data and a brace. */
static void begin_reply(struct command *c, const char *event)
{
    char id[HUB_SOCKET_ID_LEN];
    hub_socket_id(c->hub, c->socket, id);
    buf_str(c->reply, STR("{\"event\":\""));
    buf_str(c->reply, str_of(event));
    buf_str(c->reply, STR("\",\"socket_id\":\""));
    buf_add(c->reply, id, sizeof(id));
    buf_str(c->reply, STR("\",\"data\":"));
}

/* The channel is echoed as the client wrote it. */
static void reply_channel(struct command *c, const char *event, struct str channel_json)
{
    begin_reply(c, event);
    buf_str(c->reply, STR("{\"channel\":"));
    buf_str(c->reply, channel_json);
    buf_str(c->reply, STR("}}"));
}

static bool get_string(struct json object, struct str name, struct json *out)
{
    return json_get(object, name, out) && out->type == JSON_STRING;
}

typedef enum err channel_fn(struct hub *h, struct hub_socket *s, struct str channel);

static struct proto_outcome with_channel(struct command *c, channel_fn *act, const char *succeeded,
                                         const char *error)
{
    struct json channel;
    if (!get_string(c->data, STR("channel"), &channel))
        return kick(PROTO_CLOSE_POLICY, "channel must be a string");
    struct buf scratch = BUF_INIT;
    enum err e = act(c->hub, c->socket, json_text(channel, &scratch));
    buf_fini(&scratch);
    reply_channel(c, e ? error : succeeded, channel.text);
    return stays;
}

static struct proto_outcome on_subscribe(struct command *c)
{
    return with_channel(c, hub_subscribe, "gusher.subscribe_succeeded", "gusher.subscribe_error");
}

static struct proto_outcome on_unsubscribe(struct command *c)
{
    return with_channel(c, hub_unsubscribe, "gusher.unsubscribe_succeeded",
                        "gusher.unsubscribe_error");
}

/* Reads an array of strings into a list of names; false if it is something else or empty. */
static bool read_names(struct json array, struct buf *names)
{
    struct json_iter it;
    struct json value;
    if (array.type != JSON_ARRAY)
        return false;
    json_iter_init(&it, array);
    while (json_next(&it, NULL, &value)) {
        struct buf scratch = BUF_INIT;
        if (value.type != JSON_STRING)
            return false;
        names_add(names, json_text(value, &scratch));
        buf_fini(&scratch);
    }
    return names->len > 0;
}

static struct proto_outcome on_multi_subscribe(struct command *c)
{
    struct json list;
    struct buf names = BUF_INIT;
    bool is_list = json_get(c->data, STR("multi_channel"), &list) && list.type == JSON_ARRAY;
    bool ok = is_list && read_names(list, &names) &&
              hub_subscribe_all(c->hub, c->socket, buf_as_str(&names)) == ERR_OK;
    buf_fini(&names);
    reply_channel(c, ok ? "gusher.multi_subscribe_succeeded" : "gusher.multi_subscribe_error",
                  is_list ? list.text : STR("[]"));
    return stays;
}

static void add_channel_list(struct buf *out, struct str names)
{
    buf_char(out, '[');
    bool first = true;
    for (struct str name; names_next(&names, &name); first = false) {
        if (!first)
            buf_char(out, ',');
        json_quote(out, name);
    }
    buf_char(out, ']');
}

static struct proto_outcome on_querychannel(struct command *c)
{
    begin_reply(c, "gusher.querychannel_succeeded");
    buf_str(c->reply, STR("{\"channels\":"));
    add_channel_list(c->reply, grants_channels(c->socket->grants));
    buf_str(c->reply, STR("}}"));
    return stays;
}

static struct proto_outcome on_ping(struct command *c)
{
    begin_reply(c, "gusher.pong_succeeded");
    buf_str(c->reply, c->data.text);
    buf_printf(c->reply, ",\"time\":%lld}", (long long)c->now_s);
    return stays;
}

/* A remote command is handed to a sink of the operator's. This process has none, so even a
 * permitted one is answered by an error: it must never look as if it had been taken. */
static struct proto_outcome on_remote(struct command *c)
{
    struct json remote, uid, payload;
    if (!get_string(c->data, STR("remote"), &remote) || !get_string(c->data, STR("uid"), &uid) ||
        !json_get(c->data, STR("payload"), &payload))
        return kick(PROTO_CLOSE_POLICY, "remote and uid must be strings, payload must be there");
    begin_reply(c, "gusher.remote_error");
    buf_str(c->reply, STR("{\"remote\":"));
    buf_str(c->reply, remote.text);
    buf_str(c->reply, STR(",\"msg\":null}}"));
    return stays;
}

static const struct {
    const char *event;
    struct proto_outcome (*carry_out)(struct command *c);
} commands[] = {
    {"gusher.subscribe", on_subscribe},       {"gusher.multi_subscribe", on_multi_subscribe},
    {"gusher.unsubscribe", on_unsubscribe},   {"gusher.ping", on_ping},
    {"gusher.querychannel", on_querychannel}, {"gusher.remote", on_remote},
};

static struct proto_outcome command(struct hub *h, struct hub_socket *s, struct str text,
                                    int64_t now_s, struct buf *reply)
{
    struct command c = {.hub = h, .socket = s, .now_s = now_s, .reply = reply};
    struct json event;
    if (json_parse(&c.object, text))
        return kick(PROTO_CLOSE_INVALID, "not JSON");
    if (c.object.type != JSON_OBJECT)
        return kick(PROTO_CLOSE_POLICY, "a command is a JSON object");
    if (!get_string(c.object, STR("event"), &event))
        return kick(PROTO_CLOSE_POLICY, "event must be a string");
    if (!json_get(c.object, STR("data"), &c.data))
        return kick(PROTO_CLOSE_POLICY, "data is missing");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (json_is(event, str_of(commands[i].event)))
            return commands[i].carry_out(&c);
    }
    return kick(PROTO_CLOSE_POLICY, "unknown event");
}

static void encode(const struct msg *m, struct buf *out)
{
    switch (m->kind) {
    case MSG_CHANNEL:
        buf_reserve(out, 40 + m->target.len + m->event.len + m->data.len);
        buf_str(out, STR("{\"channel\":"));
        json_quote(out, m->target);
        buf_str(out, STR(",\"event\":"));
        json_quote(out, m->event);
        buf_str(out, STR(",\"data\":"));
        buf_str(out, m->data);
        buf_char(out, '}');
        break;
    case MSG_USER:
    case MSG_SOCKET:
        buf_str(out, m->data);
        break;
    case MSG_ADD:
        buf_str(out, STR("{\"event\":\"gusher.addchannel\",\"socket_id\":\"\",\"data\":"
                         "{\"channel\":"));
        json_quote(out, m->data);
        buf_str(out, STR("}}"));
        break;
    case MSG_RELOAD:
        buf_str(out, STR("{\"event\":\"gusher.reloadchannel\",\"socket_id\":\"\",\"data\":"
                         "{\"channels\":"));
        add_channel_list(out, m->data);
        buf_str(out, STR("}}"));
        break;
    }
}

const struct proto proto_gusher = {.name = "gusher", .command = command, .encode = encode};
