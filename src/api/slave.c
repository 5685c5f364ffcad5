/* slave.c - what browsers call: auth, ws, ping (API section 3). */
#include "api/api.h"

static enum api_outcome on_ping(struct api_call *c)
{
    api_text(c->reply, 200, "pong");
    return API_DONE;
}

static enum api_outcome refuse(struct api_call *c, int status, const char *text)
{
    api_text(c->reply, status, text);
    buf_str(&c->reply->extra, STR("X-Content-Type-Options: nosniff\r\n"));
    return API_DONE;
}

static enum api_outcome on_auth(struct api_call *c)
{
    struct claims *claims;
    buf_str(&c->reply->extra, STR("Access-Control-Allow-Origin: *\r\n"));
    if (jwt_verify(&claims, c->api->keys, api_param(c, STR("jwt")), c->now_s))
        return refuse(c, 401, "jwt decode fail\n");

    char ticket[TICKET_LEN];
    enum err e = ticket_issue(c->api->tickets, claims, c->now_ms, ticket);
    claims_unref(claims);
    if (e) {
        buf_str(&c->reply->extra, STR("Retry-After: 10\r\n"));
        return refuse(c, 503, "too many tickets are alive, try again\n");
    }
    struct buf *out = api_json(c->reply);
    buf_str(out, STR("{\"token\":\""));
    buf_add(out, ticket, sizeof(ticket));
    buf_str(out, STR("\"}\n"));
    return API_DONE;
}

static enum api_outcome on_auth_preflight(struct api_call *c)
{
    c->reply->status = 204;
    buf_str(&c->reply->extra, STR("Access-Control-Allow-Origin: *\r\n"
                                  "Access-Control-Allow-Methods: POST\r\n"
                                  "Access-Control-Allow-Headers: Content-Type\r\n"
                                  "Access-Control-Max-Age: 86400\r\n"));
    return API_DONE;
}

/* A ticket from auth, or the JWT itself. */
static enum err find_claims(struct api_call *c, struct str token, struct claims **out)
{
    if (memchr(token.p, '.', token.len))
        return jwt_verify(out, c->api->keys, token, c->now_s);
    return ticket_redeem(c->api->tickets, token, c->now_ms, out);
}

static enum api_outcome on_ws(struct api_call *c)
{
    struct str token = api_param(c, STR("token"));
    struct claims *claims;
    if (!token.len)
        return refuse(c, 401, "app_key is nil\n"); /* the seed's own wording */
    if (find_claims(c, token, &claims))
        return refuse(c, 401, "token error\n");
    if (!str_eq(claims->app_key, c->params[0])) {
        claims_unref(claims);
        return refuse(c, 401, "appkey error\n");
    }
    *c->claims = claims;
    return API_UPGRADE;
}

#define ENTRY(handler)                                                                             \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler                                                                                    \
    }

const struct route api_slave_routes[] = {
    {HTTP_M_GET, "ping", ENTRY(on_ping)},
    {HTTP_M_POST, "auth", ENTRY(on_auth)},
    {HTTP_M_OPTIONS, "auth", ENTRY(on_auth_preflight)},
    {HTTP_M_GET, "ws/{}", ENTRY(on_ws)},
    {HTTP_M_GET, "wtf/{}", ENTRY(on_ws)},
};
const unsigned api_n_slave_routes = sizeof(api_slave_routes) / sizeof(api_slave_routes[0]);
