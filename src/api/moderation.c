/* moderation.c - what backends call to close sockets and to keep somebody out (docs/API.md). */
#include <inttypes.h>
#include <stdlib.h>
#include "api/api.h"
#include "api/body.h"
#include "base/json.h"
#include "base/utf8.h"

enum {
    CLOSE_KICKED = 4002,
    LIFTED_S = 3600,  /* a ban that was lifted is remembered as such at least */
    REASON_MAX = 123, /* RFC 6455 section 5.5: a control frame has room for no more */
};

static const uint64_t SECONDS_MAX =
    999999999999; /* in a parameter; what it means is judged later */

/* {"app":..[,"<name>":..] - without its end. */
static struct buf *begin_echo(struct api_call *c, const char *name)
{
    struct buf *out = api_json(c->reply);
    buf_str(out, STR("{\"app\":"));
    json_quote(out, c->params[0]);
    if (name) {
        buf_printf(out, ",\"%s\":", name);
        json_quote(out, c->params[1]);
    }
    return out;
}

/* ---- kicks ---- */

static enum api_outcome kick_for(struct api_call *c, enum msg_kind kind, const char *name,
                                 struct str reason)
{
    struct buf payload = BUF_INIT;
    if (reason.len > REASON_MAX || !utf8_valid(reason))
        return api_problem(c->reply, PROBLEM_REASON);
    if (!reason.len)
        reason = STR("closed by the backend");
    buf_char(&payload, (char)(CLOSE_KICKED >> 8));
    buf_char(&payload, (char)(CLOSE_KICKED & 255));
    buf_str(&payload, reason);
    struct msg *m = msg_new(kind, c->params[0], name ? c->params[1] : STR_EMPTY, STR_EMPTY,
                            buf_as_str(&payload));
    enum err e = bus_publish(c->api->bus, m);
    msg_unref(m);
    buf_fini(&payload);
    if (e)
        return api_refuse(c->reply, e);
    buf_char(begin_echo(c, name), '}');
    return API_DONE;
}

/* The reason is a parameter of the seed's API, a member of the modern one's body. */
static enum api_outcome kick(struct api_call *c, enum msg_kind kind, const char *name)
{
    struct body_member reason = {.name = "reason", .types = BODY_STRING, .is_optional = true};
    struct buf scratch = BUF_INIT;
    if (!c->reply->has_problems)
        return kick_for(c, kind, name, api_param(c, STR("reason")));
    if (body_read_optional(c, &reason, 1))
        kick_for(c, kind, name, body_text(&reason, &scratch));
    buf_fini(&scratch);
    return API_DONE;
}

enum api_outcome api_kick_socket(struct api_call *c)
{
    return kick(c, MSG_KICK_SOCKET, "socket_id");
}

enum api_outcome api_kick_user(struct api_call *c)
{
    return kick(c, MSG_KICK_USER, "user_id");
}

enum api_outcome api_kick_app(struct api_call *c)
{
    return kick(c, MSG_KICK_APP, NULL);
}

/* ---- bans ---- */

static enum api_outcome ban(struct api_call *c, const struct ban *ban, const char *name)
{
    struct buf note = BUF_INIT;
    ban_write_note(&note, ban);
    /* The others first: without them it would be half a ban. */
    enum err e = bus_share(c->api->bus, BUS_NOTE_BAN, buf_as_str(&note));
    if (!e)
        e = c->api->ban(c->api->ctx, buf_as_str(&note));
    buf_fini(&note);
    if (e == ERR_FULL)
        return api_problem(c->reply, PROBLEM_TOO_MANY_BANS);
    if (e)
        return api_refuse(c->reply, e);
    struct buf *out = begin_echo(c, name);
    if (ban->lifted)
        buf_str(out, STR(",\"lifted\":true}"));
    else
        buf_printf(out, ",\"until\":%" PRId64 "}", ban->until_s);
    return API_DONE;
}

/* A whole number of seconds in a parameter, 0 without one; false: it is there and is none. */
static bool read_seconds(struct str text, int64_t *out)
{
    uint64_t seconds = 0;
    bool ok = !text.len || str_number(text, SECONDS_MAX, &seconds);
    *out = (int64_t)seconds;
    return ok;
}

static bool read_target(struct api_call *c)
{
    if (c->params[1].len && c->params[0].len + c->params[1].len <= BAN_NAME_MAX)
        return true;
    api_problem(c->reply, PROBLEM_BAN_NAME);
    return false;
}

/* What is known of the ban that the path names, said anew: later than what was said before, should
 * the clock of another node be ahead. */
static struct ban about(struct api_call *c, enum ban_kind kind)
{
    struct ban b = {.kind = kind, .app = c->params[0], .name = c->params[1]};
    int64_t now_ms = (int64_t)(c->now_s * 1000);
    if (bans_find(c->api->bans, &b) && b.set_ms >= now_ms)
        now_ms = b.set_ms + 1;
    b.set_ms = now_ms;
    b.lifted = false;
    return b;
}

static bool period_of_form(struct api_call *c, int64_t *until, int64_t *life)
{
    if (read_seconds(api_param(c, STR("until")), until) &&
        read_seconds(api_param(c, STR("for")), life))
        return true;
    api_text(c->reply, 400, "until (unix time) and for are whole numbers of seconds");
    return false;
}

static bool read_number(struct api_call *c, const struct body_member *m, int64_t *out)
{
    *out = 0;
    if (!m->is_there || read_seconds(m->value.text, out))
        return true;
    body_wrong_type(c, m, "a whole number of seconds, not negative");
    return false;
}

static bool period_of_body(struct api_call *c, int64_t *until, int64_t *life)
{
    struct body_member m[] = {{.name = "until", .types = BODY_NUMBER, .is_optional = true},
                              {.name = "for", .types = BODY_NUMBER, .is_optional = true}};
    if (!body_read(c, m, 2) || !read_number(c, &m[0], until) || !read_number(c, &m[1], life))
        return false;
    if (m[0].is_there != m[1].is_there)
        return true;
    api_problem(c->reply, PROBLEM_PERIOD); /* neither says how long, both say it twice */
    return false;
}

static enum api_outcome begin_ban(struct api_call *c, enum ban_kind kind, const char *name)
{
    const int64_t most = BAN_YEARS_MAX * 365ll * 86400, now = (int64_t)c->now_s;
    int64_t until, life;
    if (!read_target(c) ||
        !(c->reply->has_problems ? period_of_body : period_of_form)(c, &until, &life))
        return API_DONE;
    if (life)
        until = now + life;
    if (until <= now || until > now + most)
        return api_problem(c->reply, PROBLEM_PERIOD);
    struct ban b = about(c, kind);
    b.until_s = until;
    return ban(c, &b, name);
}

static enum api_outcome lift(struct api_call *c, enum ban_kind kind, const char *name)
{
    if (!read_target(c))
        return API_DONE;
    /* Remembered until the ban would have ended; one that is still on its way here is known soon.
     */
    struct ban b = about(c, kind);
    int64_t least = (int64_t)c->now_s + LIFTED_S;
    b.until_s = b.until_s > least ? b.until_s : least;
    b.lifted = true;
    return ban(c, &b, name);
}

enum api_outcome api_ban_user(struct api_call *c)
{
    return begin_ban(c, BAN_USER, "user_id");
}

enum api_outcome api_ban_token(struct api_call *c)
{
    return begin_ban(c, BAN_TOKEN, "jti");
}

enum api_outcome api_unban_user(struct api_call *c)
{
    return lift(c, BAN_USER, "user_id");
}

enum api_outcome api_unban_token(struct api_call *c)
{
    return lift(c, BAN_TOKEN, "jti");
}

struct listing {
    struct buf *out;
    struct str app;
    bool any;
};

static void list_ban(void *ctx, const struct ban *ban)
{
    struct listing *l = ctx;
    if (ban->lifted || !str_eq(ban->app, l->app))
        return;
    buf_printf(l->out, "%s{\"%s\":", l->any ? "," : "", ban->kind == BAN_USER ? "user_id" : "jti");
    json_quote(l->out, ban->name);
    buf_printf(l->out, ",\"until\":%" PRId64 "}", ban->until_s);
    l->any = true;
}

enum api_outcome api_bans(struct api_call *c)
{
    struct listing l = {.out = api_json(c->reply), .app = c->params[0]};
    buf_char(l.out, '[');
    bans_each(c->api->bans, (int64_t)c->now_s, list_ban, &l);
    buf_char(l.out, ']');
    return API_DONE;
}

#define ENTRY(handler)                                                                             \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler, MASTER_ADMIN                                                                      \
    }

const struct route api_moderation_routes[] = {
    {HTTP_M_POST, "kick/socket/{}/{}", ENTRY(api_kick_socket)},
    {HTTP_M_POST, "kick/user/{}/{}", ENTRY(api_kick_user)},
    {HTTP_M_POST, "kick/app/{}", ENTRY(api_kick_app)},
    {HTTP_M_POST, "ban/user/{}/{}", ENTRY(api_ban_user)},
    {HTTP_M_POST, "ban/token/{}/{}", ENTRY(api_ban_token)},
    {HTTP_M_POST, "unban/user/{}/{}", ENTRY(api_unban_user)},
    {HTTP_M_POST, "unban/token/{}/{}", ENTRY(api_unban_token)},
    {HTTP_M_GET, "bans/{}", ENTRY(api_bans)},
};
const unsigned api_n_moderation_routes =
    sizeof(api_moderation_routes) / sizeof(api_moderation_routes[0]);
