/* v1.c - the modern API (docs/API.md): what backends call, below /v1 (the slave's part is in
 * slave.c). */
#include "api/body.h"
#include "api/push.h"
#include "api/query.h"

/* ---- messages ---- */

static struct body_member event_member(void)
{
    return (struct body_member){.name = "event", .types = BODY_STRING, .is_nonempty = true};
}

static struct body_member data_member(void)
{
    return (struct body_member){.name = "data", .types = BODY_ANY};
}

static bool is_name(struct api_call *c, const char *what, const struct body_member *m)
{
    if (!api_is_long_name(m->value, c->api->options.name_max))
        return true;
    api_refuse_size(c->reply, PROBLEM_NAME_TOO_LONG, what, c->api->options.name_max);
    return false;
}

static bool is_payload(struct api_call *c, const struct body_member *m)
{
    if (m->value.text.len <= c->api->options.payload_max)
        return true;
    api_refuse_size(c->reply, PROBLEM_DATA_TOO_LONG, "data", c->api->options.payload_max);
    return false;
}

/* {"<name>":"<target>" */
static struct buf *begin_echo(struct api_call *c, struct str name, struct str target, size_t more)
{
    struct buf *out = api_json(c->reply);
    buf_reserve(out, 32 + target.len + more);
    buf_str(out, STR("{\""));
    buf_str(out, name);
    buf_str(out, STR("\":"));
    json_quote(out, target);
    return out;
}

static enum api_outcome end_echo(struct buf *out, struct str data)
{
    buf_str(out, STR(",\"data\":"));
    buf_str(out, data);
    buf_char(out, '}');
    return API_DONE;
}

static enum api_outcome on_channel_message(struct api_call *c)
{
    struct body_member m[] = {event_member(), data_member()};
    struct buf scratch = BUF_INIT;
    if (!body_read(c, m, 2) || !is_name(c, "event", &m[0]) || !is_payload(c, &m[1]))
        return API_DONE;
    struct str event = body_text(&m[0], &scratch), data = m[1].value.text;
    enum err e = api_publish(c->api, MSG_CHANNEL, c->params[0], c->params[1], event, data);
    buf_fini(&scratch);
    if (e)
        return api_refuse_publish(c->reply, e);
    struct buf *out =
        begin_echo(c, STR("channel"), c->params[1], 32 + m[0].value.text.len + data.len);
    buf_str(out, STR(",\"event\":"));
    buf_str(out, m[0].value.text);
    return end_echo(out, data);
}

static enum api_outcome message_to(struct api_call *c, enum msg_kind kind, struct str name)
{
    struct body_member data = data_member();
    if (!body_read(c, &data, 1) || !is_payload(c, &data))
        return API_DONE;
    struct str text = data.value.text;
    enum err e = api_publish(c->api, kind, c->params[0], c->params[1], STR_EMPTY, text);
    return e ? api_refuse_publish(c->reply, e)
             : end_echo(begin_echo(c, name, c->params[1], 32 + text.len), text);
}

static enum api_outcome on_user_message(struct api_call *c)
{
    return message_to(c, MSG_USER, STR("user_id"));
}

static enum api_outcome on_socket_message(struct api_call *c)
{
    return message_to(c, MSG_SOCKET, STR("socket_id"));
}

static enum api_outcome on_pattern_message(struct api_call *c)
{
    struct body_member m[] = {
        {.name = "channel_pattern", .types = BODY_STRING, .is_nonempty = true},
        event_member(),
        data_member()};
    struct buf expression_text = BUF_INIT, event_text = BUF_INIT;
    enum api_outcome outcome = API_DONE;
    struct pattern *pattern;
    if (!body_read(c, m, 3) || !is_name(c, "event", &m[1]) || !is_payload(c, &m[2]))
        return API_DONE;
    struct str expression = body_text(&m[0], &expression_text);
    if (pattern_new(&pattern, expression))
        api_problem(c->reply, PROBLEM_PATTERN);
    else
        outcome = api_push_pattern(c, pattern, expression, body_text(&m[1], &event_text),
                                   m[2].value.text);
    buf_fini(&expression_text);
    buf_fini(&event_text);
    return outcome;
}

static bool read_element(struct api_call *c, unsigned i, struct json value,
                         struct batch_element *out)
{
    struct body_member m[] = {
        {.name = "channel", .types = BODY_STRING}, event_member(), data_member()};
    if (!body_read_element(c, i, value, m, 3))
        return false;
    *out = (struct batch_element){m[0].value, m[1].value, m[2].value};
    return true;
}

static enum api_outcome on_batch(struct api_call *c)
{
    struct json batch;
    unsigned n;
    if (body_read_array(c, &batch) && api_push_batch(c, batch, read_element, &n))
        buf_printf(api_json(c->reply), "{\"total\":%u}", n);
    return API_DONE;
}

/* ---- a user's channels ---- */

/* The list that a user's sockets, or the name that they may from now on listen to. */
static enum api_outcome change_grants(struct api_call *c, enum msg_kind kind, struct str grants,
                                      struct str data)
{
    enum err e = api_publish(c->api, kind, c->params[0], c->params[1], STR_EMPTY, grants);
    return e ? api_refuse_publish(c->reply, e)
             : end_echo(begin_echo(c, STR("user_id"), c->params[1], 32 + data.len), data);
}

static enum api_outcome on_add_channel(struct api_call *c)
{
    struct body_member m = {.name = "channel", .types = BODY_STRING, .is_nonempty = true};
    struct buf scratch = BUF_INIT;
    if (!body_read(c, &m, 1))
        return API_DONE;
    struct str channel = body_text(&m, &scratch);
    enum api_outcome outcome = channel.len > API_GRANTS_BYTES_MAX
                                   ? api_problem(c->reply, PROBLEM_CHANNEL_TOO_LONG)
                                   : change_grants(c, MSG_ADD, channel, m.value.text);
    buf_fini(&scratch);
    return outcome;
}

static enum api_outcome on_put_channels(struct api_call *c)
{
    struct body_member m = {.name = "channels", .types = BODY_ARRAY};
    struct buf names = BUF_INIT;
    if (!body_read(c, &m, 1))
        return API_DONE;
    if (body_names(c, &m, &names))
        change_grants(c, MSG_RELOAD, buf_as_str(&names), m.value.text);
    buf_fini(&names);
    return API_DONE;
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

static enum api_outcome on_users(struct api_call *c)
{
    return api_query(c, HUB_USERS, false);
}

static enum api_outcome on_users_count(struct api_call *c)
{
    return api_query(c, HUB_USERS, true);
}

static enum api_outcome on_users_of_channel(struct api_call *c)
{
    return api_query(c, HUB_USERS_OF_CHANNEL, false);
}

static enum api_outcome on_users_of_channel_count(struct api_call *c)
{
    return api_query(c, HUB_USERS_OF_CHANNEL, true);
}

static enum api_outcome on_disconnects(struct api_call *c)
{
    return api_query_objects(c, HUB_ENDED);
}

static enum api_outcome on_stats(struct api_call *c)
{
    return api_query_apps(c, true);
}

static enum api_outcome on_apps(struct api_call *c)
{
    return api_query_apps(c, false);
}

static enum api_outcome on_decode(struct api_call *c)
{
    struct buf scratch = BUF_INIT;
    struct str jwt;
    if (body_jwt(c, &scratch, &jwt))
        api_decode(c, jwt, false);
    buf_fini(&scratch);
    return API_DONE;
}

static enum api_outcome on_openapi(struct api_call *c)
{
    buf_add(api_json(c->reply), api_openapi, api_openapi_len);
    return API_DONE;
}

#define ENTRY(handler, right)                                                                      \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler, right                                                                             \
    }
#define APP     "apps/{}"
#define CHANNEL APP "/channels/{}"
#define USER    APP "/users/{}"
#define SOCKET  APP "/sockets/{}"

const struct route api_v1_master_routes[] = {
    {HTTP_M_POST, CHANNEL "/messages", ENTRY(on_channel_message, MASTER_PUBLISH)},
    {HTTP_M_POST, APP "/messages", ENTRY(on_pattern_message, MASTER_PUBLISH)},
    {HTTP_M_POST, APP "/messages/batch", ENTRY(on_batch, MASTER_PUBLISH)},
    {HTTP_M_POST, USER "/messages", ENTRY(on_user_message, MASTER_PUBLISH)},
    {HTTP_M_POST, SOCKET "/messages", ENTRY(on_socket_message, MASTER_PUBLISH)},
    {HTTP_M_POST, USER "/channels", ENTRY(on_add_channel, MASTER_ADMIN)},
    {HTTP_M_PUT, USER "/channels", ENTRY(on_put_channels, MASTER_ADMIN)},
    {HTTP_M_GET, APP "/channels", ENTRY(on_channels, MASTER_QUERY)},
    {HTTP_M_GET, APP "/channels/count", ENTRY(on_channels_count, MASTER_QUERY)},
    {HTTP_M_GET, APP "/users", ENTRY(on_users, MASTER_QUERY)},
    {HTTP_M_GET, APP "/users/count", ENTRY(on_users_count, MASTER_QUERY)},
    {HTTP_M_GET, CHANNEL "/users", ENTRY(on_users_of_channel, MASTER_QUERY)},
    {HTTP_M_GET, CHANNEL "/users/count", ENTRY(on_users_of_channel_count, MASTER_QUERY)},
    {HTTP_M_GET, APP "/channels/search", ENTRY(api_find_channels, MASTER_QUERY)},
    {HTTP_M_GET, APP "/users/search", ENTRY(api_find_users, MASTER_QUERY)},
    {HTTP_M_GET, APP "/disconnects", ENTRY(on_disconnects, MASTER_QUERY)},
    {HTTP_M_GET, USER "/disconnects", ENTRY(on_disconnects, MASTER_QUERY)},
    {HTTP_M_GET, APP "/sockets", ENTRY(api_sockets, MASTER_QUERY)},
    {HTTP_M_GET, SOCKET, ENTRY(api_socket, MASTER_QUERY)},
    {HTTP_M_GET, SOCKET "/events", ENTRY(api_trace, MASTER_QUERY)},
    {HTTP_M_GET, USER "/sockets", ENTRY(api_sockets_of_user, MASTER_QUERY)},
    {HTTP_M_GET, CHANNEL "/sockets", ENTRY(api_sockets_of_channel, MASTER_QUERY)},
    {HTTP_M_PUT, "log", ENTRY(api_put_log, MASTER_ADMIN)},
    {HTTP_M_POST, "dev/token", ENTRY(api_dev_token, 0)},
    {HTTP_M_GET, "nodes", ENTRY(api_nodes, MASTER_QUERY)},
    {HTTP_M_GET, "events", ENTRY(api_watch, MASTER_QUERY)},
    {HTTP_M_GET, "stats", ENTRY(on_stats, MASTER_QUERY)},
    {HTTP_M_GET, "apps", ENTRY(on_apps, MASTER_QUERY)},
    {HTTP_M_POST, "auth/decode", ENTRY(on_decode, MASTER_QUERY)},
    {HTTP_M_POST, APP "/kick", ENTRY(api_kick_app, MASTER_ADMIN)},
    {HTTP_M_POST, USER "/kick", ENTRY(api_kick_user, MASTER_ADMIN)},
    {HTTP_M_POST, SOCKET "/kick", ENTRY(api_kick_socket, MASTER_ADMIN)},
    {HTTP_M_GET, APP "/bans", ENTRY(api_bans, MASTER_ADMIN)},
    {HTTP_M_PUT, APP "/bans/users/{}", ENTRY(api_ban_user, MASTER_ADMIN)},
    {HTTP_M_DELETE, APP "/bans/users/{}", ENTRY(api_unban_user, MASTER_ADMIN)},
    {HTTP_M_PUT, APP "/bans/tokens/{}", ENTRY(api_ban_token, MASTER_ADMIN)},
    {HTTP_M_DELETE, APP "/bans/tokens/{}", ENTRY(api_unban_token, MASTER_ADMIN)},
};
const unsigned api_n_v1_master_routes =
    sizeof(api_v1_master_routes) / sizeof(api_v1_master_routes[0]);

const struct route api_v1_routes[] = {
    {HTTP_M_GET, "openapi.json", ENTRY(on_openapi, 0)},
};
const unsigned api_n_v1_routes = sizeof(api_v1_routes) / sizeof(api_v1_routes[0]);
