/* The input is shown as a ticket of two kinds, and it is laid over a good one of each: neither may
 * be taken, except when it is the good one. It is taken as a note of a shared ticket, and laid over
 * a good one; and it is the payload of a JWT: another node that got the note gives the claims that
 * were put in. */
#include "auth/ticket.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include "auth/base64url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SECRET STR("a secret of the cluster")

static const struct ticket_time now = {1700000000, 1};

struct kind {
    struct tickets *tickets;
    struct buf good;
};
static struct kind local, shared;

/* The good shared one stays the same from run to run; tests/unit/auth/ticket_shared.c says what it
 * is. */
static const char good_note[] = "\1\1\2\3\4\5\6\7\10\0\0\xea\x60{\"gusher\":{\"user_id\":\"7\"}}";

static struct str note_text(void)
{
    return str_make(good_note, sizeof good_note - 1);
}

static struct tickets *new_shared(void)
{
    struct tickets *t;
    if (tickets_new_shared(&t, SECRET))
        abort();
    return t;
}

static void prepare(void)
{
    struct claims *c;
    struct buf none = BUF_INIT;
    if (tickets_new_local(&local.tickets, 8) || claims_from_json(&c, STR("{}"), NULL, 0) ||
        ticket_issue(local.tickets, STR_EMPTY, c, now, &local.good, &none))
        abort();
    claims_unref(c);
    shared.tickets = new_shared();
    if (tickets_take_note(shared.tickets, note_text(), now.mono_ms))
        abort();
    buf_str(&shared.good, STR("01b7b3cc-2cc3-3a64-5091-832f69a1e666"));
}

static void show(const struct kind *k, struct str text)
{
    struct claims *c = NULL;
    enum err e = ticket_redeem(k->tickets, text, now, &c);
    bool is_good = str_eq(text, buf_as_str(&k->good));
    assert(e == (is_good ? ERR_OK : ERR_NOT_FOUND));
    assert((c != NULL) == is_good);
    claims_unref(c);
}

/* A byte 0 of the input leaves that of the good one. */
static void lay_over(const struct kind *k, const uint8_t *data, size_t len)
{
    struct buf changed = BUF_INIT;
    for (size_t i = 0; i < k->good.len; i++)
        buf_char(&changed, i < len && data[i] ? (char)data[i] : k->good.p[i]);
    show(k, buf_as_str(&changed));
    buf_fini(&changed);
}

/* Whatever is taken is held once, however often it comes, and for a minute at most. */
static void take(struct str note)
{
    struct tickets *t = new_shared();
    struct claims *c = NULL;
    enum err e = tickets_take_note(t, note, 0);
    assert(e == ERR_OK || e == ERR_PROTO || e == ERR_LIMIT);
    assert(tickets_take_note(t, note, 0) == e);
    assert(tickets_held(t) == (e ? 0 : 1));
    const struct ticket_time end = {now.wall_s, TICKET_LIFE_MS};
    assert(ticket_redeem(t, buf_as_str(&shared.good), end, &c) == ERR_AGAIN);
    assert(tickets_held(t) == 0);
    tickets_free(t);
}

/* The input flips bits of the good note. */
static void flip_note(const uint8_t *data, size_t len)
{
    struct buf note = BUF_INIT;
    buf_str(&note, note_text());
    for (size_t i = 0; i < len && i < note.len; i++)
        note.p[i] ^= (char)data[i];
    take(buf_as_str(&note));
    buf_fini(&note);
}

static struct buf written(const struct claims *c)
{
    struct buf text = BUF_INIT;
    claims_write_json(&text, c);
    return text;
}

static void tell(struct str payload)
{
    struct buf jwt = BUF_INIT, ticket = BUF_INIT, note = BUF_INIT;
    struct claims *in = NULL, *out = NULL;
    if (claims_from_judged_json(&in, payload))
        return;
    buf_char(&jwt, '.');
    base64url_encode(&jwt, payload.p, payload.len);
    buf_char(&jwt, '.');
    struct tickets *here = new_shared(), *there = new_shared();
    enum err e = ticket_issue(here, buf_as_str(&jwt), in, now, &ticket, &note);
    assert(e == (jwt.len > JWT_BYTES_MAX ? ERR_LIMIT : ERR_OK));
    if (!e) {
        e = ticket_redeem(there, buf_as_str(&ticket), now, &out);
        assert(e == ERR_AGAIN);
        e = tickets_take_note(there, buf_as_str(&note), now.mono_ms);
        assert(!e);
        e = ticket_redeem(there, buf_as_str(&ticket), now, &out);
        assert(!e);
        struct buf a = written(in), b = written(out);
        assert(str_eq(buf_as_str(&a), buf_as_str(&b)));
        buf_fini(&a);
        buf_fini(&b);
    }
    claims_unref(in);
    claims_unref(out);
    tickets_free(here);
    tickets_free(there);
    buf_fini(&jwt);
    buf_fini(&ticket);
    buf_fini(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!local.tickets)
        prepare();
    struct str input = str_make(len ? (const char *)data : "", len);
    show(&local, input);
    show(&shared, input);
    lay_over(&local, data, len);
    lay_over(&shared, data, len);
    take(input);
    flip_note(data, len);
    tell(input);
    return 0;
}
