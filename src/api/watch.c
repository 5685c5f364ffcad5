/* watch.c - what is there and what happens, for those who look (docs/API.md): nodes, sockets, names
 * with numbers, and the stream of events. */
#include "api/body.h"
#include "api/query.h"
#include "base/log.h"

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

/* ---- the log ---- */

static enum api_outcome refuse(struct api_call *c, const char *why)
{
    return api_problem_at(c->reply, PROBLEM_PARAMETER, str_of(why), STR_EMPTY);
}

static bool is_node(struct str id)
{
    unsigned i = 0;
    while (i < id.len && str_hex_digit(id.p[i]) >= 0)
        i++;
    return i == id.len && id.len <= 8;
}

/* The others first, as with a ban; one that is told by its id may be this one. */
static enum err set_log(struct api_call *c, struct str node, struct str levels)
{
    struct buf note = BUF_INIT;
    buf_str(&note, node);
    buf_char(&note, ' ');
    buf_str(&note, levels);
    enum err e = bus_share(c->api->bus, BUS_NOTE_LOG, buf_as_str(&note));
    if (!e)
        e = c->api->log(c->api->ctx, buf_as_str(&note));
    buf_fini(&note);
    return e;
}

static enum api_outcome put_log(struct api_call *c, struct str node, struct str levels)
{
    struct log_levels judged = {0};
    if (!log_levels_read(&judged, levels))
        return api_problem_at(c->reply, PROBLEM_LOG_LEVELS, STR(LOG_LEVELS_WRONG), STR("/levels"));
    if (!is_node(node))
        return refuse(c, "node is the id of one, as GET /v1/nodes tells it");
    enum err e = set_log(c, node, levels);
    if (e)
        return api_refuse(c->reply, e);
    struct buf *out = api_json(c->reply);
    buf_str(out, STR("{\"levels\":"));
    json_quote(out, levels);
    buf_str(out, STR(",\"node\":"));
    json_quote(out, node);
    buf_char(out, '}');
    return API_DONE;
}

enum api_outcome api_put_log(struct api_call *c)
{
    struct body_member m[] = {{.name = "levels", .types = BODY_STRING, .is_nonempty = true},
                              {.name = "node", .types = BODY_STRING, .is_optional = true}};
    struct buf levels = BUF_INIT, node = BUF_INIT;
    if (body_read(c, m, 2) && api_has_all_apps(c))
        put_log(c, body_text(&m[1], &node), body_text(&m[0], &levels));
    buf_fini(&levels);
    buf_fini(&node);
    return API_DONE;
}

/* ---- names with numbers ---- */

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
