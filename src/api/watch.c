/* watch.c - what is there and what happens, for those who look (docs/API.md): nodes, sockets, names
 * with numbers, and the stream of events. */
#include "api/query.h"

enum { FIND_STANDARD = 100, FIND_MAX = 1000 };

enum api_outcome api_nodes(struct api_call *c)
{
    return api_has_all_apps(c) ? api_query_objects(c, HUB_NODES) : API_DONE;
}

enum api_outcome api_socket(struct api_call *c)
{
    return api_query_objects(c, HUB_SOCKET);
}

enum api_outcome api_trace(struct api_call *c)
{
    return api_query_objects(c, HUB_TRACE);
}

enum api_outcome api_sockets(struct api_call *c)
{
    return api_query_objects(c, HUB_SOCKETS);
}

enum api_outcome api_sockets_of_user(struct api_call *c)
{
    return api_query_objects(c, HUB_SOCKETS_OF_USER);
}

enum api_outcome api_sockets_of_channel(struct api_call *c)
{
    return api_query_objects(c, HUB_SOCKETS_OF_CHANNEL);
}

/* ---- names with numbers ---- */

static enum api_outcome refuse(struct api_call *c, const char *why)
{
    return api_problem_at(c->reply, PROBLEM_PARAMETER, str_of(why), STR_EMPTY);
}

static bool is_long(const struct api_call *c, struct str name)
{
    return name.len > c->api->options.name_max;
}

static enum api_outcome find(struct api_call *c, enum hub_question_kind kind)
{
    struct str text = api_param(c, STR("contains")), after = api_param(c, STR("after")),
               limit_text = api_param(c, STR("limit"));
    uint64_t limit = FIND_STANDARD;
    if (is_long(c, text) || is_long(c, after))
        return api_refuse_size(c->reply, PROBLEM_NAME_TOO_LONG, "a name", c->api->options.name_max);
    if (limit_text.len && (!str_number(limit_text, FIND_MAX, &limit) || !limit))
        return refuse(c, "limit is a number from 1 to 1000");
    return api_query_found(c, kind, text, after, (size_t)limit);
}

enum api_outcome api_find_channels(struct api_call *c)
{
    return find(c, HUB_FIND_CHANNELS);
}

enum api_outcome api_find_users(struct api_call *c)
{
    return find(c, HUB_FIND_USERS);
}

/* ---- events ---- */

enum api_outcome api_watch(struct api_call *c)
{
    struct str app = api_param(c, STR("app")), channel = api_param(c, STR("channel"));
    if (!app.len != !channel.len)
        return refuse(c, "app and channel belong together");
    if (is_long(c, app) || is_long(c, channel))
        return api_refuse_size(c->reply, PROBLEM_NAME_TOO_LONG, "a name", c->api->options.name_max);
    if (app.len && !api_has_app(c, app))
        return API_DONE;
    if (c->request->method == HTTP_M_HEAD) {
        c->reply->status = 200;
        c->reply->type = "text/event-stream";
        return API_DONE;
    }
    bool nodes = !c->key || master_key_has_all_apps(c->key);
    enum err e = c->api->watch(c->api->ctx, c->number, app, channel, nodes);
    return e ? api_refuse(c->reply, e) : API_LATER;
}
