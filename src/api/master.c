/* master.c - what backends call (API section 4). */
#include "api/push.h"
#include "api/query.h"

static enum api_outcome refuse(struct api_call *c, int status, const char *text)
{
    api_text(c->reply, status, text);
    return API_DONE;
}

/* The JSON of a `data` parameter (API section 5): the text itself when it is JSON, else the text
 * as a JSON string, written to `scratch`. ERR_LIMIT: JSON, but nested too deep. */
static enum err data_json(struct str text, struct buf *scratch, struct str *out)
{
    struct json value;
    enum err e = json_parse(&value, text);
    if (e == ERR_LIMIT)
        return e;
    if (e == ERR_OK) {
        *out = value.text;
        return ERR_OK;
    }
    json_quote(scratch, text);
    *out = buf_as_str(scratch);
    return ERR_OK;
}

/* The data of a push. False: it is refused. */
static bool read_data(struct api_call *c, struct str text, struct buf *scratch, struct str *data)
{
    if (!text.len)
        refuse(c, 400, "empty data");
    else if (text.len > c->api->options.payload_max)
        api_refuse_size(c->reply, PROBLEM_DATA_TOO_LONG, "data", c->api->options.payload_max);
    else if (data_json(text, scratch, data))
        api_problem(c->reply, PROBLEM_TOO_DEEP);
    else
        return true;
    return false;
}

/* ---- pushes ---- */

static enum api_outcome on_push_channel(struct api_call *c)
{
    struct str text = api_param(c, STR("data")), data;
    struct str app = c->params[0], channel = c->params[1], event = c->params[2];
    struct buf scratch = BUF_INIT;
    if (!read_data(c, text, &scratch, &data))
        return API_DONE;
    enum err e = api_publish(c->api, MSG_CHANNEL, app, channel, event, data);
    if (e) {
        buf_fini(&scratch);
        return api_refuse_publish(c->reply, e);
    }
    struct buf *out = api_json(c->reply);
    buf_reserve(out, 40 + channel.len + event.len + data.len);
    buf_str(out, STR("{\"channel\":"));
    json_quote(out, channel);
    buf_str(out, STR(",\"event\":"));
    json_quote(out, event);
    buf_str(out, STR(",\"data\":"));
    buf_str(out, data);
    buf_char(out, '}');
    buf_fini(&scratch);
    return API_DONE;
}

/* {"<name>":"<target>","data":"<the text as given>"} */
static enum api_outcome echo(struct api_call *c, const char *name, struct str target,
                             struct str text)
{
    struct buf *out = api_json(c->reply);
    buf_printf(out, "{\"%s\":", name);
    json_quote(out, target);
    buf_str(out, STR(",\"data\":"));
    json_quote(out, text);
    buf_char(out, '}');
    return API_DONE;
}

static enum api_outcome push_to(struct api_call *c, enum msg_kind kind, const char *name)
{
    struct str text = api_param(c, STR("data")), data;
    struct buf scratch = BUF_INIT;
    if (!read_data(c, text, &scratch, &data))
        return API_DONE;
    enum err e = api_publish(c->api, kind, c->params[0], c->params[1], STR_EMPTY, data);
    buf_fini(&scratch);
    return e ? api_refuse_publish(c->reply, e) : echo(c, name, c->params[1], text);
}

static enum api_outcome on_push_user(struct api_call *c)
{
    return push_to(c, MSG_USER, "user_id");
}

static enum api_outcome on_push_socket(struct api_call *c)
{
    return push_to(c, MSG_SOCKET, "socket_id");
}

static enum api_outcome on_push_pattern(struct api_call *c)
{
    struct str expression = api_param(c, STR("channel_pattern"));
    struct str event = api_param(c, STR("event")), text = api_param(c, STR("data")), data;
    struct buf scratch = BUF_INIT;
    struct pattern *pattern;
    if (!expression.len || !event.len)
        return refuse(c, 400, "empty param");
    if (event.len > c->api->options.name_max)
        return api_refuse_size(c->reply, PROBLEM_NAME_TOO_LONG, "event", c->api->options.name_max);
    if (pattern_new(&pattern, expression))
        return api_problem(c->reply, PROBLEM_PATTERN);
    if (!read_data(c, text, &scratch, &data)) {
        pattern_free(pattern);
        return API_DONE;
    }
    enum api_outcome outcome = api_push_pattern(c, pattern, expression, event, data);
    buf_fini(&scratch);
    return outcome;
}

/* ---- push of a batch ---- */

/* One element of a batch: member names in any case, missing or null members are empty, others
 * are dropped. */
static bool read_element(struct api_call *c, unsigned i, struct json object,
                         struct batch_element *out)
{
    static const struct json null = {JSON_NULL, {"null", 4}};
    struct json_iter it;
    struct json key, value;
    *out = (struct batch_element){null, null, null};
    (void)i;
    if (object.type == JSON_OBJECT)
        json_iter_init(&it, object);
    while (object.type == JSON_OBJECT && json_next(&it, &key, &value)) {
        struct buf scratch = BUF_INIT;
        struct str name = json_text(key, &scratch);
        if (str_eq_nocase(name, STR("channel")))
            out->channel = value;
        else if (str_eq_nocase(name, STR("event")))
            out->event = value;
        else if (str_eq_nocase(name, STR("data")))
            out->data = value;
        buf_fini(&scratch);
    }
    bool ok = object.type == JSON_OBJECT &&
              (out->channel.type == JSON_STRING || out->channel.type == JSON_NULL) &&
              (out->event.type == JSON_STRING || out->event.type == JSON_NULL);
    if (!ok)
        refuse(c, 400, "data error");
    return ok;
}

static enum api_outcome on_push_batch(struct api_call *c)
{
    struct str text = api_param(c, STR("batch_data"));
    struct json batch;
    unsigned n;
    if (!text.len)
        return refuse(c, 400, "empty batch data");
    enum err e = json_parse(&batch, text);
    if (e == ERR_LIMIT)
        return api_problem(c->reply, PROBLEM_TOO_DEEP);
    if (e || batch.type != JSON_ARRAY)
        return refuse(c, 400, "data error");
    if (api_push_batch(c, batch, read_element, &n))
        buf_printf(api_json(c->reply), "{\"total\":%u,\"cap\":%zu}", n, text.len);
    return API_DONE;
}

/* ---- a user's channels ---- */

static enum api_outcome on_reload(struct api_call *c)
{
    struct str text = api_param(c, STR("data"));
    struct buf names = BUF_INIT;
    struct json list;
    enum err e = text.len > API_GRANTS_BYTES_MAX ? ERR_LIMIT
                 : json_parse(&list, text)       ? ERR_PROTO
                                                 : api_read_names(list, &names);
    if (e) {
        buf_fini(&names);
        return e == ERR_LIMIT ? api_problem(c->reply, PROBLEM_TOO_MANY_CHANNELS)
                              : refuse(c, 400, "data unmarshal error");
    }
    e = api_publish(c->api, MSG_RELOAD, c->params[0], c->params[1], STR_EMPTY, buf_as_str(&names));
    buf_fini(&names);
    return e ? api_refuse_publish(c->reply, e) : echo(c, "user_id", c->params[1], text);
}

static enum api_outcome on_add(struct api_call *c)
{
    struct str channel = api_param(c, STR("data"));
    if (!channel.len)
        return refuse(c, 400, "data empty error");
    if (channel.len > API_GRANTS_BYTES_MAX)
        return api_problem(c->reply, PROBLEM_CHANNEL_TOO_LONG);
    enum err e = api_publish(c->api, MSG_ADD, c->params[0], c->params[1], STR_EMPTY, channel);
    return e ? api_refuse_publish(c->reply, e) : echo(c, "user_id", c->params[1], channel);
}

/* ---- decode, ping ---- */

enum api_outcome api_decode(struct api_call *c, struct str jwt, bool with_line_feed)
{
    struct claims *claims;
    if (trust_verify(&claims, c->api->trust, jwt, c->now_s))
        return api_problem(c->reply, PROBLEM_JWT);
    if (api_has_app(c, claims->app_key)) {
        struct buf *out = api_json(c->reply);
        claims_write_json(out, claims);
        if (with_line_feed)
            buf_char(out, '\n');
    }
    claims_unref(claims);
    return API_DONE;
}

static enum api_outcome on_decode(struct api_call *c)
{
    return api_decode(c, api_param(c, STR("data")), true);
}

static enum api_outcome on_ping(struct api_call *c)
{
    return refuse(c, 200, "pong");
}

/* ---- queries ---- */

static enum api_outcome on_channels(struct api_call *c)
{
    return api_query(c, HUB_CHANNELS, false);
}

static enum api_outcome on_channels_count(struct api_call *c)
{
    return api_query(c, HUB_CHANNELS, true);
}

static enum api_outcome on_online(struct api_call *c)
{
    return api_query(c, HUB_USERS, false);
}

static enum api_outcome on_online_count(struct api_call *c)
{
    return api_query(c, HUB_USERS, true);
}

static enum api_outcome on_bychannel(struct api_call *c)
{
    return api_query(c, HUB_USERS_OF_CHANNEL, false);
}

static enum api_outcome on_bychannel_count(struct api_call *c)
{
    return api_query(c, HUB_USERS_OF_CHANNEL, true);
}

#define ENTRY(handler, right)                                                                      \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler, right                                                                             \
    }

/* The literal routes stand first: app keys "user" and "socket" cannot use the plain push. */
const struct route api_master_commands[] = {
    {HTTP_M_GET, "ping", ENTRY(on_ping, 0)},
    {HTTP_M_POST, "decode", ENTRY(on_decode, MASTER_QUERY)},
    {HTTP_M_POST, "push_batch/{}", ENTRY(on_push_batch, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/user/{}/{}", ENTRY(on_push_user, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/socket/{}/{}", ENTRY(on_push_socket, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/{}/{}/{}", ENTRY(on_push_channel, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/{}", ENTRY(on_push_pattern, MASTER_PUBLISH)},
    {HTTP_M_POST, "reload/channel/user/{}/{}", ENTRY(on_reload, MASTER_ADMIN)},
    {HTTP_M_POST, "add/channel/user/{}/{}", ENTRY(on_add, MASTER_ADMIN)},
};
const unsigned api_n_master_commands = sizeof(api_master_commands) / sizeof(api_master_commands[0]);

const struct route api_master_queries[] = {
    {HTTP_M_GET, "{}/channels", ENTRY(on_channels, MASTER_QUERY)},
    {HTTP_M_GET, "{}/channels/count", ENTRY(on_channels_count, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online", ENTRY(on_online, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online/count", ENTRY(on_online_count, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online/bychannel/{}", ENTRY(on_bychannel, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online/bychannel/{}/count", ENTRY(on_bychannel_count, MASTER_QUERY)},
};
const unsigned api_n_master_queries = sizeof(api_master_queries) / sizeof(api_master_queries[0]);
