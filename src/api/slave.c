/* slave.c - what browsers call: auth, ws, ping (API section 3). */
#include "api/api.h"
#include "api/body.h"
#include "base/log.h"

#define LOG_AREA LOG_HTTP

static enum api_outcome on_ping(struct api_call *c)
{
    api_text(c->reply, 200, "pong");
    return API_DONE;
}

static enum api_outcome refuse(struct api_call *c, enum problem why)
{
    api_problem(c->reply, why);
    buf_str(&c->reply->extra, STR("X-Content-Type-Options: nosniff\r\n"));
    return API_DONE;
}

/* Tokens stand in the query: what auth gives out must fit there, whatever its kind, beside prefix
 * and app key. */
_Static_assert(HTTP_TARGET_MAX >= TICKET_BYTES_MAX + 8 * 1024, "a handshake with a long ticket");

static struct ticket_time moment(const struct api_call *c)
{
    return (struct ticket_time){.wall_s = c->now_s, .mono_ms = c->now_ms};
}

/* The others are told before the answer goes out, so whoever shows the ticket there comes behind
 * the note or shortly before it. */
static enum err issue(struct api_call *c, struct str jwt, struct claims *claims, struct buf *ticket)
{
    struct buf note = BUF_INIT;
    enum err e = ticket_issue(c->api->tickets, jwt, claims, moment(c), ticket, &note);
    if (!e && note.len) {
        e = bus_share(c->api->bus, BUS_NOTE_TICKET, buf_as_str(&note));
        /* Without a bus this slave is all there is for its clients: here the ticket is good. */
        if (e == ERR_AWAY)
            e = ERR_OK;
        else if (e == ERR_FULL)
            e = ERR_SYS; /* it is the bus that is full, not the table */
    }
    buf_fini(&note);
    return e;
}

static enum api_outcome refuse_ticket(struct api_call *c, enum err e)
{
    /* A ticket that opens nothing elsewhere would be a riddle to its holder. */
    if (e == ERR_LIMIT)
        return refuse(c, PROBLEM_TICKET_TOO_LONG);
    buf_str(&c->reply->extra, STR("Retry-After: 10\r\n"));
    return refuse(c, e == ERR_FULL ? PROBLEM_TOO_MANY_TICKETS : PROBLEM_NO_TICKET);
}

static enum api_outcome refuse_socket(struct api_call *c)
{
    buf_str(&c->reply->extra, STR("Retry-After: 10\r\n"));
    c->reply->close = true;
    return refuse(c, PROBLEM_NO_SOCKETS);
}

static bool is_banned(struct api_call *c, const struct claims *claims)
{
    return bans_keep_out(c->api->bans, claims->app_key, claims->user_id, claims->jti_text,
                         (int64_t)c->now_s);
}

/* With a list the answer is for one origin, and a cache must not show it to another. */
static void allow_origin(struct api_call *c)
{
    const struct origins *origins = c->api->trust->origins;
    struct str origin = c->request->headers[HTTP_H_ORIGIN];
    struct buf *out = &c->reply->extra;
    if (!origins) {
        buf_str(out, STR("Access-Control-Allow-Origin: *\r\n"));
        return;
    }
    buf_str(out, STR("Vary: Origin\r\n"));
    if (!origin.p || !origins_allow(origins, origin))
        return;
    buf_str(out, STR("Access-Control-Allow-Origin: "));
    buf_str(out, origin);
    buf_str(out, STR("\r\n"));
}

/* Whether there were too many handshakes of this peer: then the refusal is in the reply. */
static bool is_hasty(struct api_call *c)
{
    uint32_t wait_ms = c->api->handshake(c->api->ctx, c->number);
    if (!wait_ms)
        return false;
    buf_printf(&c->reply->extra, "Retry-After: %u\r\n", (unsigned)(wait_ms + 999) / 1000);
    refuse(c, PROBLEM_TOO_MANY_HANDSHAKES);
    return true;
}

/* Where the JWT stands: a parameter of the seed's API, a member of the modern one's body. */
typedef bool read_jwt_fn(struct api_call *c, struct buf *scratch, struct str *jwt);

static enum api_outcome trade(struct api_call *c, struct str jwt)
{
    struct claims *claims;
    if (trust_verify(&claims, c->api->trust, jwt, c->now_s))
        return refuse(c, PROBLEM_AUTH);
    if (is_banned(c, claims)) {
        claims_unref(claims);
        return refuse(c, PROBLEM_BANNED);
    }

    struct buf ticket = BUF_INIT;
    enum err e = issue(c, jwt, claims, &ticket);
    claims_unref(claims);
    if (e) {
        buf_fini(&ticket);
        return refuse_ticket(c, e);
    }
    struct buf *out = api_json(c->reply);
    buf_str(out, STR("{\"token\":\""));
    buf_str(out, buf_as_str(&ticket));
    buf_str(out, STR("\"}\n"));
    buf_fini(&ticket);
    return API_DONE;
}

static enum api_outcome auth(struct api_call *c, read_jwt_fn *read)
{
    struct buf scratch = BUF_INIT;
    struct str jwt;
    allow_origin(c);
    if (c->no_sockets)
        return refuse_socket(c);
    if (is_hasty(c))
        return API_DONE;
    if (read(c, &scratch, &jwt))
        trade(c, jwt);
    buf_fini(&scratch);
    return API_DONE;
}

static bool jwt_of_form(struct api_call *c, struct buf *scratch, struct str *jwt)
{
    (void)scratch;
    *jwt = api_param(c, STR("jwt"));
    return true;
}

static enum api_outcome on_auth(struct api_call *c)
{
    return auth(c, jwt_of_form);
}

static enum api_outcome on_v1_auth(struct api_call *c)
{
    return auth(c, body_jwt);
}

static enum api_outcome on_auth_preflight(struct api_call *c)
{
    c->reply->status = 204;
    allow_origin(c);
    buf_str(&c->reply->extra, STR("Access-Control-Allow-Methods: POST\r\n"
                                  "Access-Control-Allow-Headers: Content-Type\r\n"
                                  "Access-Control-Max-Age: 86400\r\n"));
    return API_DONE;
}

/* A ticket from auth, or the JWT itself: that is taken whatever auth gives out. */
static enum err find_claims(struct api_call *c, struct str token, struct claims **out)
{
    if (memchr(token.p, '.', token.len))
        return trust_verify(out, c->api->trust, token, c->now_s);
    return ticket_redeem(c->api->tickets, token, moment(c), out);
}

/* A ticket may outlive the JWT that it was given for. */
static bool is_over(const struct api_call *c, const struct claims *claims)
{
    double end_s = claims_end_s(claims, &c->api->trust->rules);
    return c->api->options.enforce_exp && end_s != 0 && c->now_s > end_s;
}

/* Without the header it is no browser, and not to be kept away by this. */
static bool is_from_elsewhere(const struct api_call *c)
{
    const struct origins *origins = c->api->trust->origins;
    struct str origin = c->request->headers[HTTP_H_ORIGIN];
    if (!origins || !origin.p || origins_allow(origins, origin))
        return false;
    char request[API_REQUEST_ID_MAX];
    c->api->request_id(c->api->ctx, c->number, request);
    LOG(LOG_WARN, "origin_refused", LOG_CSTR("request", request), LOG_STR("origin", origin));
    return true;
}

static enum api_outcome on_ws(struct api_call *c)
{
    struct str token = api_param(c, STR("token"));
    struct claims *claims;
    if (is_from_elsewhere(c))
        return refuse(c, PROBLEM_ORIGIN);
    if (c->no_sockets)
        return refuse_socket(c);
    if (!token.len)
        return refuse(c, PROBLEM_TOKEN_NEEDED); /* the seed's own wording */
    if (is_hasty(c))
        return API_DONE;
    enum err e = find_claims(c, token, &claims);
    if (e) {
        refuse(c, PROBLEM_TOKEN);
        return e == ERR_AGAIN ? API_AGAIN : API_DONE;
    }
    bool is_other_app = !str_eq(claims->app_key, c->params[0]);
    if (is_other_app || is_over(c, claims)) {
        claims_unref(claims);
        return refuse(c, is_other_app ? PROBLEM_TOKEN_APP : PROBLEM_TOKEN);
    }
    if (is_banned(c, claims)) {
        claims_unref(claims);
        return refuse(c, PROBLEM_BANNED);
    }
    *c->claims = claims;
    return API_UPGRADE;
}

#define ENTRY(handler)                                                                             \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler, 0                                                                                 \
    }

const struct route api_slave_routes[] = {
    {HTTP_M_GET, "ping", ENTRY(on_ping)},
    {HTTP_M_POST, "auth", ENTRY(on_auth)},
    {HTTP_M_OPTIONS, "auth", ENTRY(on_auth_preflight)},
    {HTTP_M_GET, "ws/{}", ENTRY(on_ws)},
    {HTTP_M_GET, "wtf/{}", ENTRY(on_ws)},
};
const unsigned api_n_slave_routes = sizeof(api_slave_routes) / sizeof(api_slave_routes[0]);

const struct route api_v1_slave_routes[] = {
    {HTTP_M_POST, "auth", ENTRY(on_v1_auth)},
    {HTTP_M_OPTIONS, "auth", ENTRY(on_auth_preflight)},
    {HTTP_M_GET, "apps/{}/ws", ENTRY(on_ws)},
};
const unsigned api_n_v1_slave_routes = sizeof(api_v1_slave_routes) / sizeof(api_v1_slave_routes[0]);
