/* log_levels.c - what nodes are to log from now on: PUT /v1/log. The note that tells them is
 * "[NODE] LEVELS", without a node for all of them. */
#include "api/body.h"
#include "base/log.h"

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
        return api_problem_at(c->reply, PROBLEM_PARAMETER,
                              STR("node is the id of one, as GET /v1/nodes tells it"),
                              STR("/node"));
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
