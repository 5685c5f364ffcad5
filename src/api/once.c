/* once.c - a publish with an Idempotency-Key: carried out at its first coming, answered from memory
 * at the next ones. */
#include "api/api.h"

enum api_outcome api_once(struct api_call *c, const struct api_entry *entry)
{
    struct str key = c->request->headers[HTTP_H_IDEMPOTENCY_KEY];
    struct str who = c->key ? master_key_name(c->key) : STR_EMPTY;
    struct buf answer = BUF_INIT;
    if (!key.p || !c->api->idempotency)
        return entry->handle(c);
    if (!idempotency_key_is_valid(key))
        return api_problem(c->reply, PROBLEM_IDEMPOTENCY_KEY);
    if (once_make(&c->once, who, c->request->path, key, c->request->body))
        return api_refuse(c->reply, ERR_FULL);
    switch (idempotency_begin(c->api->idempotency, &c->once, c->now_ms, &answer)) {
    case ONCE_FIRST:
        break;
    case ONCE_ANSWERED:
        *api_json(c->reply) = answer;
        buf_str(&c->reply->extra, STR("Idempotency-Replayed: true\r\n"));
        return API_DONE;
    case ONCE_UNDER_WAY:
        buf_str(&c->reply->extra, STR("Retry-After: 1\r\n"));
        return api_problem(c->reply, PROBLEM_IDEMPOTENCY_BUSY);
    case ONCE_OTHER:
        return api_problem(c->reply, PROBLEM_IDEMPOTENCY_REUSED);
    }
    enum api_outcome outcome = entry->handle(c);
    if (outcome == API_DONE)
        api_once_end(c->api, &c->once, c->reply);
    return outcome;
}

void api_once_end(struct api *a, const struct once *o, const struct api_reply *r)
{
    struct buf note = BUF_INIT;
    if (!o->has_key)
        return;
    if (r->status != 200) {
        idempotency_forget(a->idempotency, o);
        return;
    }
    idempotency_done(a->idempotency, o, buf_as_str(&r->body));
    /* Other masters are told before the answer goes out. Who cannot be told, or not of so much,
     * would carry it out again: that is said in docs/API.md. */
    idempotency_write_note(&note, o, buf_as_str(&r->body));
    bus_share(a->bus, BUS_NOTE_DONE, buf_as_str(&note));
    buf_fini(&note);
}
