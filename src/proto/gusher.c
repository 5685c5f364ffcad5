/* gusher.c - the seed API's own dialect (API section 7). */
#include "base/json.h"
#include "base/names.h"
#include "proto/proto.h"

static const struct proto_outcome stays = {0};
static const struct proto_outcome subscribed = {.subscribed = true};
static const struct proto_outcome unordered = {.unordered = true};

static struct proto_outcome kick(uint16_t code, const char *reason)
{
    return (struct proto_outcome){.close_code = code, .close_reason = reason};
}

/* One command while it is carried out. */
struct command {
    const struct proto_host *host;
    struct hub *hub;
    struct hub_socket *socket;
    struct json object; /* the whole command */
    struct json data;
    int64_t now_s;
    struct buf *reply;
};

/* {"event":"<event>","socket_id":"<id>","data": - the caller goes on with the data and a brace. */
static void begin_reply(struct command *c, struct buf *out, const char *event)
{
    char id[HUB_SOCKET_ID_LEN];
    hub_socket_id(c->hub, c->socket, id);
    buf_str(out, STR("{\"event\":\""));
    buf_str(out, str_of(event));
    buf_str(out, STR("\",\"socket_id\":\""));
    buf_add(out, id, sizeof(id));
    buf_str(out, STR("\",\"data\":"));
}

/* The channel is echoed as the client wrote it. */
static void reply_channel(struct command *c, struct buf *out, const char *event,
                          struct str channel_json)
{
    begin_reply(c, out, event);
    buf_str(out, STR("{\"channel\":"));
    buf_str(out, channel_json);
    buf_str(out, STR("}}"));
}

static bool get_string(struct json object, struct str name, struct json *out)
{
    return json_get(object, name, out) && out->type == JSON_STRING;
}

/* Before it is subscribed: is it new? */
static void note_name(struct command *c, struct str channel)
{
    struct proto_notes *notes = c->host->notes;
    if (!notes)
        return;
    names_add(&notes->names, channel);
    if (!hub_is_subscribed(c->socket, channel))
        names_add(&notes->added, channel);
}

static struct proto_outcome succeeded(struct command *c, const char *error_event,
                                      struct str channel_json)
{
    if (c->host->notes)
        reply_channel(c, &c->host->notes->denied, error_event, channel_json);
    return subscribed;
}

typedef enum err channel_fn(struct hub *h, struct hub_socket *s, struct str channel);

static struct proto_outcome with_channel(struct command *c, channel_fn *act, const char *success,
                                         const char *error)
{
    struct json channel;
    if (!get_string(c->data, STR("channel"), &channel))
        return kick(PROTO_CLOSE_POLICY, "channel must be a string");
    struct buf scratch = BUF_INIT;
    struct str name = json_text(channel, &scratch);
    bool subscribes = act == hub_subscribe;
    if (subscribes)
        note_name(c, name);
    enum err e = act(c->hub, c->socket, name);
    buf_fini(&scratch);
    reply_channel(c, c->reply, e ? error : success, channel.text);
    return !e && subscribes ? succeeded(c, error, channel.text) : stays;
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
    bool is_good = is_list && read_names(list, &names);
    struct str rest = buf_as_str(&names);
    for (struct str name; is_good && names_next(&rest, &name);)
        note_name(c, name);
    bool ok = is_good && hub_subscribe_all(c->hub, c->socket, buf_as_str(&names)) == ERR_OK;
    buf_fini(&names);
    static const char error[] = "gusher.multi_subscribe_error";
    reply_channel(c, c->reply, ok ? "gusher.multi_subscribe_succeeded" : error,
                  is_list ? list.text : STR("[]"));
    return ok ? succeeded(c, error, list.text) : stays;
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
    begin_reply(c, c->reply, "gusher.querychannel_succeeded");
    buf_str(c->reply, STR("{\"channels\":"));
    add_channel_list(c->reply, grants_channels(c->socket->grants));
    buf_str(c->reply, STR("}}"));
    return unordered;
}

static struct proto_outcome on_ping(struct command *c)
{
    begin_reply(c, c->reply, "gusher.pong_succeeded");
    buf_str(c->reply, c->data.text);
    buf_printf(c->reply, ",\"time\":%lld}", (long long)c->now_s);
    return unordered;
}

static void write_remote_reply(struct command *c, const char *event, struct str remote)
{
    begin_reply(c, c->reply, event);
    buf_str(c->reply, STR("{\"remote\":"));
    json_quote(c->reply, remote);
    buf_str(c->reply, STR(",\"msg\":null}}"));
}

/* A success reply would say that the sink has the command, so it waits for that. */
static struct proto_outcome on_remote(struct command *c)
{
    struct json remote, uid, payload, debug;
    if (!get_string(c->data, STR("remote"), &remote) || !get_string(c->data, STR("uid"), &uid) ||
        !json_get(c->data, STR("payload"), &payload))
        return kick(PROTO_CLOSE_POLICY, "remote and uid must be strings, payload must be there");
    struct buf remote_text = BUF_INIT, uid_text = BUF_INIT;
    struct str name = json_text(remote, &remote_text);
    bool wants_reply = json_get(c->object, STR("debug"), &debug) && debug.type == JSON_TRUE;
    if (!grants_allow_remote(c->socket->grants, name) ||
        c->host->remote(c->host->ctx, c->socket, name, json_text(uid, &uid_text), payload.text,
                        wants_reply))
        write_remote_reply(c, "gusher.remote_error", name);
    buf_fini(&remote_text);
    buf_fini(&uid_text);
    return stays;
}

static void remote_reply(struct hub *h, struct hub_socket *s, struct str remote, bool succeeded,
                         struct buf *reply)
{
    struct command c = {.hub = h, .socket = s, .reply = reply};
    write_remote_reply(&c, succeeded ? "gusher.remote_succeeded" : "gusher.remote_error", remote);
}

static void token_expires(struct hub *h, struct hub_socket *s, int64_t left_s, struct buf *out)
{
    struct command c = {.hub = h, .socket = s};
    begin_reply(&c, out, "gusher.token_expires");
    buf_printf(out, "{\"expires_in\":%lld}}", (long long)left_s);
}

static void revoked(struct hub *h, struct hub_socket *s, struct str channel, struct buf *out)
{
    struct command c = {.hub = h, .socket = s};
    begin_reply(&c, out, "gusher.subscription_revoked");
    buf_str(out, STR("{\"channel\":"));
    json_quote(out, channel);
    buf_str(out, STR("}}"));
}

/* The token is not echoed: what a client is told may be logged there. */
static struct proto_outcome on_refresh(struct command *c)
{
    struct json token;
    struct buf scratch = BUF_INIT;
    if (!get_string(c->data, STR("token"), &token))
        return kick(PROTO_CLOSE_POLICY, "token must be a string");
    const char *why = c->host->refresh(c->host->ctx, c->socket, json_text(token, &scratch));
    buf_fini(&scratch);
    begin_reply(c, c->reply, why ? "gusher.refresh_error" : "gusher.refresh_succeeded");
    if (why)
        buf_printf(c->reply, "{\"reason\":\"%s\"}}", why);
    else
        buf_str(c->reply, STR("{}}"));
    return stays;
}

static const struct {
    const char *event;
    struct proto_outcome (*carry_out)(struct command *c);
} commands[] = {
    {"gusher.subscribe", on_subscribe},       {"gusher.multi_subscribe", on_multi_subscribe},
    {"gusher.unsubscribe", on_unsubscribe},   {"gusher.ping", on_ping},
    {"gusher.querychannel", on_querychannel}, {"gusher.remote", on_remote},
    {"gusher.refresh", on_refresh},
};

static struct proto_outcome command(const struct proto_host *host, struct hub *h,
                                    struct hub_socket *s, struct str text, int64_t now_s,
                                    struct buf *reply)
{
    struct command c = {.host = host, .hub = h, .socket = s, .now_s = now_s, .reply = reply};
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
    default: /* kicks have no text */
        break;
    }
}

const struct proto proto_gusher = {.name = "gusher",
                                   .command = command,
                                   .remote_reply = remote_reply,
                                   .token_expires = token_expires,
                                   .revoked = revoked,
                                   .encode = encode};
