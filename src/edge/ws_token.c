/* ws_token.c - what the token of a WebSocket says: what it permits, when it is over, and how a new
 * one takes its place. */
#include <math.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/names.h"
#include "edge/ws_own.h"

/* ---- what it permits ---- */

struct grants *ws_grants_of(struct hub *hub, const struct claims *c)
{
    struct buf channels = BUF_INIT, remotes = BUF_INIT;
    for (unsigned i = 0; i < c->n_channels; i++)
        names_add(&channels, c->channels[i]);
    for (unsigned i = 0; i < c->n_remotes; i++) {
        if (c->remotes[i].allowed)
            names_add(&remotes, c->remotes[i].name);
    }
    struct grants *g =
        grants_get(hub_grants_pool(hub), buf_as_str(&channels), buf_as_str(&remotes));
    buf_fini(&channels);
    buf_fini(&remotes);
    return g;
}

/* ---- which one it is: by a hash, 64 bits are enough not to take one for another ---- */

static uint64_t token_hash(struct str jti)
{
    return jti.len ? hash_bytes(jti) | 1 : 0;
}

bool ws_conn_is_of_token(void *worker, const struct hub_socket *socket, struct str jti)
{
    (void)worker;
    const struct ws_conn *s = container_of(socket, const struct ws_conn, socket);
    return s->token && s->token == token_hash(jti);
}

/* ---- its end, when asked for (--enforce-exp) ---- */

void ws_token_begins(struct ws_conn *s, const struct claims *c)
{
    const struct worker *w = ws_worker(s);
    double end_s = ceil(claims_end_s(c, &w->api.trust->rules));
    bool is_known = w->options->api.enforce_exp && end_s > 0 && end_s < UINT32_MAX;
    s->ends_s = is_known ? (uint32_t)end_s : 0;
    s->is_warned = !w->options->exp_warning_s;
    s->token = token_hash(c->jti_text);
}

static double seconds_left(const struct ws_conn *s)
{
    return s->ends_s - ws_worker(s)->loop.now_s;
}

int64_t ws_token_wait_ms(const struct ws_conn *s)
{
    if (!s->ends_s)
        return INT64_MAX;
    double wait_s = seconds_left(s) - (s->is_warned ? 0 : ws_worker(s)->options->exp_warning_s);
    return wait_s <= 0 ? 0 : (int64_t)ceil(wait_s * 1000);
}

static void warn(struct ws_conn *s)
{
    s->is_warned = true;
    struct buf *out = ws_begin_payload(ws_worker(s));
    ws_proto_of(&s->socket)
        ->token_expires(ws_worker(s)->hub, &s->socket, (int64_t)ceil(seconds_left(s)), out);
    ws_reply(s, out, WS_TEXT);
}

void ws_token_is_due(struct ws_conn *s)
{
    if (seconds_left(s) <= 0)
        ws_close(s, REASON_EXPIRED, STR("the token is over"));
    else
        warn(s);
}

/* ---- a new one ---- */

static const char *reason_of(enum err e)
{
    return e == ERR_EXPIRED ? "the token is expired or not good yet" : "the token is not good";
}

/* NULL: the claims may take the place of those that opened the socket. */
static const char *objection(const struct hub_socket *s, const struct claims *c)
{
    if (!str_eq(c->app_key, hub_app_of(s)))
        return "the token is for another app";
    if (!str_eq(c->user_id, hub_user_of(s)))
        return "the token is for another user";
    return NULL;
}

/* A word for each subscription that has ended. In a buffer of its own: the worker's holds the
 * answer that is being written. */
static void tell_revoked(struct ws_conn *s, struct str names)
{
    for (struct str name; names_next(&names, &name) && !conn_is_ending(&s->conn);) {
        struct buf out = BUF_INIT;
        ws_begin_payload_in(&out);
        ws_proto_of(&s->socket)->revoked(ws_worker(s)->hub, &s->socket, name, &out);
        ws_answer(s, &out);
        buf_fini(&out);
    }
}

const char *ws_refresh(void *worker, struct hub_socket *socket, struct str token)
{
    struct worker *w = worker;
    struct ws_conn *s = container_of(socket, struct ws_conn, socket);
    struct buf revoked = BUF_INIT;
    struct claims *claims;
    /* To look at a JWT costs as much here as when a socket is opened. */
    const struct visitor v = {.address = s->address};
    if (gate_take(ws_gate(s), LIMIT_HANDSHAKES, v, w->loop.now_us))
        return "too many handshakes from your address";
    enum err e = trust_verify(&claims, w->api.trust, token, w->loop.now_s);
    if (e)
        return reason_of(e);
    const char *why = objection(socket, claims);
    if (!why && bans_keep_out(w->api.bans, claims->app_key, claims->user_id, claims->jti_text,
                              (int64_t)w->loop.now_s))
        why = "banned";
    if (!why) {
        hub_set_grants(w->hub, socket, ws_grants_of(w->hub, claims), &revoked);
        ws_token_begins(s, claims);
        ws_set_timer(s);
        tell_revoked(s, buf_as_str(&revoked));
    }
    claims_unref(claims);
    buf_fini(&revoked);
    return why;
}
