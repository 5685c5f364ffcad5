#include "auth/ticket.h"
#include <assert.h>
#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "auth/base64url.h"
#include "ticket_check.h"

#define NOW    1700000000
#define SECRET "a secret of the cluster"

enum { NOTE_HEAD = 13, NOTE_LEFT_AT = 9 };

/* The monotonic clocks of two nodes have nothing to do with each other. */
enum { THERE_MS = 1234567 };

static struct tickets *shared(const char *secret)
{
    struct tickets *t = NULL;
    assert_int_equal(tickets_new_shared(&t, str_of(secret)), ERR_OK);
    return t;
}

/* `ms` after the beginning, by both clocks. */
static struct ticket_time at(int64_t ms)
{
    return (struct ticket_time){.wall_s = NOW + (double)ms / 1000, .mono_ms = ms};
}

static struct ticket_time there_at(int64_t ms)
{
    return (struct ticket_time){.wall_s = NOW + (double)ms / 1000, .mono_ms = ms + THERE_MS};
}

/* Signatures are of no interest here. */
static struct buf jwt_of(struct str json)
{
    struct buf jwt = BUF_INIT;
    buf_char(&jwt, '.');
    base64url_encode(&jwt, json.p, json.len);
    buf_char(&jwt, '.');
    return jwt;
}

struct issued {
    struct buf ticket, note;
};

static void issued_fini(struct issued *i)
{
    buf_fini(&i->ticket);
    buf_fini(&i->note);
}

static enum err issue(struct issued *i, struct tickets *t, struct str json, int64_t ms)
{
    struct buf jwt = jwt_of(json);
    struct claims *c = NULL;
    *i = (struct issued){0};
    assert_int_equal(claims_from_judged_json(&c, json), ERR_OK);
    enum err e = ticket_issue(t, buf_as_str(&jwt), c, at(ms), &i->ticket, &i->note);
    assert_int_equal(i->ticket.len, e ? 0 : TICKET_UUID_LEN);
    assert_true(e ? i->note.len == 0 : i->note.len == NOTE_HEAD + json.len);
    claims_unref(c);
    buf_fini(&jwt);
    return e;
}

static struct issued issued(struct tickets *t, struct str json, int64_t ms)
{
    struct issued i;
    assert_int_equal(issue(&i, t, json, ms), ERR_OK);
    return i;
}

static struct buf user_json(unsigned user)
{
    struct buf json = BUF_INIT;
    buf_printf(&json, "{\"gusher\":{\"user_id\":\"%u\"}}", user);
    return json;
}

static struct issued issued_to(struct tickets *t, unsigned user, int64_t ms)
{
    struct buf json = user_json(user);
    struct issued i = issued(t, buf_as_str(&json), ms);
    buf_fini(&json);
    return i;
}

static void expect_user(struct tickets *t, struct str ticket, struct ticket_time now, unsigned user)
{
    struct buf json = user_json(user);
    ticket_expect_claims(t, ticket, now, buf_as_str(&json));
    buf_fini(&json);
}

#define ANN                                                                                        \
    STR("{\"gusher\":{\"user_id\":\"ann\",\"app_key\":\"app\",\"channels\":[\"a\",\"\\u00e9\"],"   \
        "\"remotes\":{\"x\":true}},\"aud\":[\"b\"],\"exp\":1700000001,\"nbf\":1699999999.5,"       \
        "\"iat\":1699999999,\"iss\":\"i\",\"jti\":\"j\",\"sub\":\"s\",\"other\":1}")

/* The JWT expires a second after it was shown, and the clock there may be behind its nbf. */
static void opens_wherever_the_note_came(void **unused)
{
    (void)unused;
    struct tickets *here = shared(SECRET), *there = shared(SECRET);
    struct issued i = issued(here, ANN, 0);
    struct str ticket = buf_as_str(&i.ticket);
    ticket_expect_claims(here, ticket, at(0), ANN);
    ticket_expect_error(there, ticket, there_at(0), ERR_AGAIN);
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS + 10), ERR_OK);
    for (unsigned n = 0; n < 3; n++) {
        ticket_expect_claims(here, ticket, at(2000), ANN);
        ticket_expect_claims(there, ticket, there_at(2000), ANN);
    }
    /* The issuer is gone. */
    tickets_free(here);
    ticket_expect_claims(there, ticket, there_at(3000), ANN);
    issued_fini(&i);
    tickets_free(there);
}

static void looks_like_a_uuid(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET);
    struct issued a = issued(t, ANN, 0), b = issued(t, ANN, 0);
    unsigned n_same = 0;
    for (unsigned i = 0; i < TICKET_UUID_LEN; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        char c = a.ticket.p[i];
        assert_true(hyphen ? c == '-' : strchr("0123456789abcdef", c) != NULL);
        n_same += !hyphen && c == b.ticket.p[i];
    }
    assert_true(n_same < 16); /* two of 32 by chance */
    /* Nothing of the ticket stands in the note. */
    for (unsigned i = 0; i + 4 <= TICKET_UUID_LEN; i += 9)
        assert_null(memmem(a.note.p, a.note.len, a.ticket.p + i, 4));
    issued_fini(&a);
    issued_fini(&b);
    tickets_free(t);
}

static void lives_for_a_minute_from_issue_and_from_note(void **unused)
{
    (void)unused;
    struct tickets *here = shared(SECRET), *there = shared(SECRET);
    struct issued i = issued_to(here, 1, 0);
    struct str ticket = buf_as_str(&i.ticket);
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS + 300), ERR_OK);
    expect_user(here, ticket, at(TICKET_LIFE_MS - 1), 1);
    expect_user(there, ticket, there_at(TICKET_LIFE_MS + 299), 1);
    ticket_expect_error(here, ticket, at(TICKET_LIFE_MS), ERR_EXPIRED);
    ticket_expect_error(there, ticket, there_at(TICKET_LIFE_MS + 300), ERR_EXPIRED);
    /* Nor does a clock of another thread that is a little behind bring it back. */
    ticket_expect_error(here, ticket, (struct ticket_time){NOW + 60, TICKET_LIFE_MS - 1},
                        ERR_EXPIRED);
    assert_int_equal(tickets_held(here), 0);
    assert_int_equal(tickets_held(there), 0);
    issued_fini(&i);
    tickets_free(here);
    tickets_free(there);
}

/* Only one that was issued a moment ago, as far as clocks can tell, is worth a wait. */
static void waits_for_notes_that_may_be_under_way(void **unused)
{
    (void)unused;
    struct tickets *here = shared(SECRET), *there = shared(SECRET);
    struct issued i = issued_to(here, 1, 0);
    static const struct {
        int64_t ms;
        enum err e;
    } cases[] = {{-3600000, ERR_NOT_FOUND}, {-6001, ERR_NOT_FOUND}, {-5000, ERR_AGAIN},
                 {-1, ERR_AGAIN},           {0, ERR_AGAIN},         {TICKET_NOTE_MS, ERR_AGAIN},
                 {5999, ERR_AGAIN},         {6000, ERR_NOT_FOUND},  {59999, ERR_NOT_FOUND},
                 {60000, ERR_EXPIRED},      {3600000, ERR_EXPIRED}};
    for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++)
        ticket_expect_error(there, buf_as_str(&i.ticket), there_at(cases[n].ms), cases[n].e);
    issued_fini(&i);
    tickets_free(here);
    tickets_free(there);
}

static void of_another_secret_is_unknown_at_once(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET);
    struct tickets *others[] = {shared("another secret of a cluster"), shared(SECRET " ")};
    struct issued i = issued_to(t, 1, 0);
    for (unsigned n = 0; n < 2; n++) {
        ticket_expect_error(others[n], buf_as_str(&i.ticket), at(0), ERR_NOT_FOUND);
        assert_int_equal(tickets_take_note(others[n], buf_as_str(&i.note), 0), ERR_OK);
        ticket_expect_error(others[n], buf_as_str(&i.ticket), at(0), ERR_NOT_FOUND);
        tickets_free(others[n]);
    }
    issued_fini(&i);
    tickets_free(t);
}

/* Made by node:crypto (hkdfSync, aes-128-ecb): nodes of other versions seal the same way. */
static void has_a_form_that_stays(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET);
    static const char note[] = "\1\1\2\3\4\5\6\7\10\0\0\xea\x60{\"gusher\":{\"user_id\":\"7\"}}";
    assert_int_equal(tickets_take_note(t, str_make(note, sizeof note - 1), 0), ERR_OK);
    expect_user(t, STR("01b7b3cc-2cc3-3a64-5091-832f69a1e666"), at(0), 7);
    tickets_free(t);
}

static void any_change_of_the_text_makes_it_unknown(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET);
    struct issued i = issued_to(t, 1, 0);
    char text[TICKET_UUID_LEN + 1];
    memcpy(text, i.ticket.p, TICKET_UUID_LEN);
    text[TICKET_UUID_LEN] = '0';
    for (size_t len = 0; len <= sizeof text; len++)
        if (len != TICKET_UUID_LEN)
            ticket_expect_error(t, str_make(text, len), at(0), ERR_NOT_FOUND);
    for (unsigned at_byte = 0; at_byte < TICKET_UUID_LEN; at_byte++)
        for (int c = 0; c < 256; c++) {
            memcpy(text, i.ticket.p, TICKET_UUID_LEN);
            if (text[at_byte] == (char)c)
                continue;
            text[at_byte] = (char)c;
            ticket_expect_error(t, str_make(text, TICKET_UUID_LEN), at(0), ERR_NOT_FOUND);
        }
    expect_user(t, buf_as_str(&i.ticket), at(0), 1);
    issued_fini(&i);
    tickets_free(t);
}

/* Another byte is another note, or none; but never one of this ticket with other claims than it
 * says. What a note may say is up to nodes of the cluster. */
static void notes_are_read_strictly(void **unused)
{
    (void)unused;
    struct tickets *here = shared(SECRET);
    struct issued i = issued(here, ANN, 0);
    for (size_t len = 0; len < i.note.len; len++) {
        struct tickets *t = shared(SECRET);
        struct buf cut = BUF_INIT; /* as long as it says, for sanitizers */
        buf_add(&cut, i.note.p, len);
        assert_int_equal(tickets_take_note(t, buf_as_str(&cut), 0), ERR_PROTO);
        assert_int_equal(tickets_held(t), 0);
        buf_fini(&cut);
        tickets_free(t);
    }
    struct tickets *t = shared(SECRET);
    uint32_t n_held = 0;
    for (size_t n = 0; n < i.note.len; n++) {
        char was = i.note.p[n];
        for (int c = 0; c < 256; c++) {
            i.note.p[n] = (char)c;
            if ((char)c == was)
                continue;
            enum err e = tickets_take_note(t, buf_as_str(&i.note), 0);
            assert_true(e == ERR_OK || e == ERR_PROTO);
            if (n == 0)
                assert_int_equal(e, ERR_PROTO);
            else if (n < NOTE_HEAD)
                assert_int_equal(e, ERR_OK);
        }
        i.note.p[n] = was;
        /* Behind its bytes the id is that of the ticket. */
        if (n + 1 == NOTE_LEFT_AT) {
            assert_int_equal(tickets_held(t), 8 * 255);
            ticket_expect_error(t, buf_as_str(&i.ticket), at(0), ERR_AGAIN);
        } else if (n >= NOTE_LEFT_AT) {
            n_held = tickets_held(t);
            assert_int_equal(n_held, 8 * 255 + 1);
        }
    }
    assert_int_equal(n_held, 8 * 255 + 1);
    buf_char(&i.note, 'x');
    assert_int_equal(tickets_take_note(here, buf_as_str(&i.note), 0), ERR_PROTO);
    issued_fini(&i);
    tickets_free(t);
    tickets_free(here);
}

static struct buf note_with(const struct issued *i, uint32_t left_ms)
{
    struct buf note = BUF_INIT;
    buf_str(&note, buf_as_str(&i->note));
    for (unsigned n = 0; n < 4; n++)
        note.p[NOTE_LEFT_AT + n] = (char)(left_ms >> (24 - 8 * n) & 0xff);
    return note;
}

static void a_note_gives_no_longer_life_than_a_minute(void **unused)
{
    (void)unused;
    static const uint32_t lefts[] = {1, 100, 59999, 60000, 60001, 1000000, UINT32_MAX};
    struct tickets *here = shared(SECRET);
    struct issued i = issued_to(here, 1, 0);
    for (unsigned n = 0; n < sizeof lefts / sizeof *lefts; n++) {
        struct tickets *t = shared(SECRET);
        struct buf note = note_with(&i, lefts[n]);
        int64_t life = lefts[n] < TICKET_LIFE_MS ? lefts[n] : TICKET_LIFE_MS;
        assert_int_equal(tickets_take_note(t, buf_as_str(&note), 0), ERR_OK);
        expect_user(t, buf_as_str(&i.ticket), at(life - 1), 1);
        struct claims *c = NULL;
        assert_int_not_equal(ticket_redeem(t, buf_as_str(&i.ticket), at(life), &c), ERR_OK);
        assert_null(c);
        buf_fini(&note);
        tickets_free(t);
    }
    struct buf note = note_with(&i, 0);
    struct tickets *t = shared(SECRET);
    assert_int_equal(tickets_take_note(t, buf_as_str(&note), 0), ERR_PROTO);
    buf_fini(&note);
    tickets_free(t);
    issued_fini(&i);
    tickets_free(here);
}

static void a_note_that_comes_twice_changes_nothing(void **unused)
{
    (void)unused;
    struct tickets *here = shared(SECRET), *there = shared(SECRET);
    struct issued i = issued_to(here, 1, 0), other = issued_to(here, 2, 0);
    memcpy(other.note.p + 1, i.note.p + 1, 8); /* the id of the one, the claims of the other */
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS), ERR_OK);
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS + 5000), ERR_OK);
    assert_int_equal(tickets_take_note(there, buf_as_str(&other.note), THERE_MS), ERR_OK);
    assert_int_equal(tickets_take_note(here, buf_as_str(&other.note), 0), ERR_OK);
    assert_int_equal(tickets_held(there), 1);
    expect_user(there, buf_as_str(&i.ticket), there_at(59999), 1);
    expect_user(here, buf_as_str(&i.ticket), at(59999), 1);
    ticket_expect_error(there, buf_as_str(&i.ticket), there_at(60000), ERR_EXPIRED);
    issued_fini(&i);
    issued_fini(&other);
    tickets_free(here);
    tickets_free(there);
}

/* Notes with all kinds of lives, in no order: each ticket ends at its own time, and its memory goes
 * with it, although nothing is issued any more. */
static void expires_in_order_of_time_not_of_coming(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    static struct issued all[N];
    static uint32_t lefts[N];
    struct tickets *here = shared(SECRET), *there = shared(SECRET);
    uint32_t draw = 1;
    for (unsigned i = 0; i < N; i++) {
        all[i] = issued_to(here, i, 0);
        draw = draw * 1664525 + 1013904223;
        lefts[i] = 1 + (draw >> 8) % TICKET_LIFE_MS;
        struct buf note = note_with(&all[i], lefts[i]);
        assert_int_equal(tickets_take_note(there, buf_as_str(&note), THERE_MS), ERR_OK);
        buf_fini(&note);
    }
    assert_int_equal(tickets_held(there), N);
    for (int64_t ms = 0; ms <= TICKET_LIFE_MS; ms += TICKET_LIFE_MS / 16) {
        uint32_t n_alive = 0;
        for (unsigned i = 0; i < N; i++) {
            struct claims *c = NULL;
            enum err e = ticket_redeem(there, buf_as_str(&all[i].ticket), there_at(ms), &c);
            assert_true((e == ERR_OK) == (ms < lefts[i]));
            claims_unref(c);
            n_alive += e == ERR_OK;
        }
        assert_int_equal(tickets_held(there), n_alive);
    }
    assert_int_equal(tickets_held(there), 0);
    for (unsigned i = 0; i < N; i++)
        issued_fini(&all[i]);
    tickets_free(here);
    tickets_free(there);
}

static void carries_all_permissions(void **unused)
{
    (void)unused;
    struct tickets *here = shared(SECRET), *there = shared(SECRET);
    struct buf json = ticket_many_permissions();
    struct issued i = issued(here, buf_as_str(&json), 0);
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS), ERR_OK);
    ticket_expect_claims(here, buf_as_str(&i.ticket), at(0), buf_as_str(&json));
    ticket_expect_claims(there, buf_as_str(&i.ticket), there_at(0), buf_as_str(&json));
    issued_fini(&i);
    buf_fini(&json);
    tickets_free(here);
    tickets_free(there);
}

/* The table is full of bytes: of one claims object many times, so the test needs no such memory. */
static void holds_so_many_bytes(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET), *other = shared(SECRET);
    struct buf json = ticket_many_permissions(), jwt = jwt_of(buf_as_str(&json)), out = BUF_INIT,
               note = BUF_INIT;
    struct claims *c;
    assert_int_equal(claims_from_judged_json(&c, buf_as_str(&json)), ERR_OK);
    size_t n = TICKETS_BYTES_MAX / c->bytes;
    for (size_t i = 0; i < n; i++) {
        buf_clear(&out);
        buf_clear(&note);
        assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, at(i ? 1000 : 0), &out, &note),
                         ERR_OK);
    }
    buf_clear(&out);
    buf_clear(&note);
    assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, at(1000), &out, &note), ERR_FULL);
    assert_int_equal(out.len + note.len, 0);

    struct issued strange = issued(other, buf_as_str(&json), 1000);
    assert_int_equal(tickets_take_note(t, buf_as_str(&strange.note), 1000), ERR_FULL);
    ticket_expect_error(t, buf_as_str(&strange.ticket), at(1000), ERR_AGAIN);
    /* The first one's minute is over. */
    assert_int_equal(tickets_take_note(t, buf_as_str(&strange.note), TICKET_LIFE_MS), ERR_OK);
    ticket_expect_claims(t, buf_as_str(&strange.ticket), at(TICKET_LIFE_MS), buf_as_str(&json));
    assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, at(TICKET_LIFE_MS), &out, &note),
                     ERR_FULL);
    assert_int_equal(tickets_held(t), n);
    issued_fini(&strange);
    claims_unref(c);
    buf_fini(&json);
    buf_fini(&jwt);
    buf_fini(&out);
    buf_fini(&note);
    tickets_free(t);
    tickets_free(other);
}

static void holds_so_many(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET), *other = shared(SECRET);
    struct buf jwt = jwt_of(STR("{}")), out = BUF_INIT, note = BUF_INIT;
    struct claims *c;
    assert_int_equal(claims_from_judged_json(&c, STR("{}")), ERR_OK);
    assert_true((size_t)TICKETS_MAX * c->bytes <= TICKETS_BYTES_MAX);
    for (uint32_t i = 0; i < TICKETS_MAX; i++) {
        out.len = note.len = 0;
        enum err e = ticket_issue(t, buf_as_str(&jwt), c, at(0), &out, &note);
        assert(!e);
    }
    assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, at(0), &out, &note), ERR_FULL);
    struct issued strange = issued(other, STR("{}"), 0);
    assert_int_equal(tickets_take_note(t, buf_as_str(&strange.note), 0), ERR_FULL);
    ticket_expect_claims(t, buf_as_str(&out), at(0), STR("{}"));
    assert_int_equal(tickets_held(t), TICKETS_MAX);
    assert_int_equal(tickets_take_note(t, buf_as_str(&strange.note), TICKET_LIFE_MS), ERR_OK);
    assert_true(tickets_held(t) < TICKETS_MAX);
    issued_fini(&strange);
    claims_unref(c);
    buf_fini(&jwt);
    buf_fini(&out);
    buf_fini(&note);
    tickets_free(t);
    tickets_free(other);
}

static void a_secret_has_a_least_length(void **unused)
{
    (void)unused;
    struct tickets *t = NULL;
    assert_int_equal(tickets_new_shared(&t, STR("")), ERR_LIMIT);
    assert_int_equal(tickets_new_shared(&t, STR("fifteen bytes..")), ERR_LIMIT);
    assert_null(t);
    assert_int_equal(tickets_new_shared(&t, STR("sixteen bytes...")), ERR_OK);
    tickets_free(t);
}

static void issuing_needs_a_jwt(void **unused)
{
    (void)unused;
    struct tickets *t = shared(SECRET);
    struct buf jwt = BUF_INIT, out = BUF_INIT, note = BUF_INIT;
    struct claims *c;
    assert_int_equal(claims_from_json(&c, STR("{}"), NULL, NOW), ERR_OK);
    buf_str(&out, STR("before"));
    buf_str(&note, STR("this"));
    static const char *const wrong[] = {"", "e30.e30", "e30.e3.e30"};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ticket_issue(t, str_of(wrong[i]), c, at(0), &out, &note), ERR_PROTO);
    buf_str(&jwt, STR("e30."));
    while (jwt.len <= JWT_BYTES_MAX)
        buf_char(&jwt, 'A');
    buf_char(&jwt, '.');
    assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, at(0), &out, &note), ERR_LIMIT);
    assert_true(str_eq(buf_as_str(&out), STR("before")));
    assert_true(str_eq(buf_as_str(&note), STR("this")));
    assert_int_equal(tickets_held(t), 0);

    /* The longest one: its note passes, one that is longer does not. */
    struct buf json = BUF_INIT;
    buf_str(&json, STR("{}"));
    while (json.len < (JWT_BYTES_MAX - 2) / 4 * 3)
        buf_char(&json, ' ');
    struct issued i = issued(t, buf_as_str(&json), 0);
    struct tickets *there = shared(SECRET);
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS), ERR_OK);
    ticket_expect_claims(there, buf_as_str(&i.ticket), there_at(0), STR("{}"));
    i.note.p[1] ^= 1;
    while (i.note.len <= NOTE_HEAD + JWT_BYTES_MAX / 4 * 3)
        buf_char(&i.note, ' ');
    assert_int_equal(tickets_take_note(there, buf_as_str(&i.note), THERE_MS), ERR_LIMIT);
    issued_fini(&i);
    claims_unref(c);
    buf_fini(&json);
    buf_fini(&jwt);
    buf_fini(&out);
    buf_fini(&note);
    tickets_free(t);
    tickets_free(there);
}

enum { THREADS = 4, ROUNDS = 2000 };

static atomic_llong shared_clock;

struct load {
    struct tickets *mine, *other;
    unsigned first_user, n_good;
};

static bool opens(struct tickets *t, struct str ticket, int64_t ms, unsigned user)
{
    struct claims *c = NULL;
    char text[16];
    snprintf(text, sizeof text, "%u", user);
    enum err e = ticket_redeem(t, ticket, at(ms), &c);
    /* A thread that slept for a minute of this clock finds its ticket gone, as it should. */
    bool good =
        e ? atomic_load(&shared_clock) >= ms + TICKET_LIFE_MS : str_eq(c->user_id, str_of(text));
    claims_unref(c);
    return good;
}

/* No assertions of cmocka here: it takes them on one thread only. */
static void *issue_note_and_redeem(void *arg)
{
    struct load *l = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int64_t ms = atomic_fetch_add(&shared_clock, 20);
        struct buf json = user_json(l->first_user + i), jwt = jwt_of(buf_as_str(&json)),
                   ticket = BUF_INIT, note = BUF_INIT;
        struct claims *c = NULL;
        l->n_good += !claims_from_judged_json(&c, buf_as_str(&json)) &&
                     !ticket_issue(l->mine, buf_as_str(&jwt), c, at(ms), &ticket, &note) &&
                     !tickets_take_note(l->other, buf_as_str(&note), ms) &&
                     opens(l->mine, buf_as_str(&ticket), ms, l->first_user + i) &&
                     opens(l->other, buf_as_str(&ticket), ms, l->first_user + i);
        claims_unref(c);
        buf_fini(&json);
        buf_fini(&jwt);
        buf_fini(&ticket);
        buf_fini(&note);
    }
    return NULL;
}

static void serves_many_threads(void **unused)
{
    (void)unused;
    struct tickets *t[2] = {shared(SECRET), shared(SECRET)};
    pthread_t threads[THREADS];
    struct load loads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        loads[i] = (struct load){t[i % 2], t[1 - i % 2], i * ROUNDS, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, issue_note_and_redeem, &loads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(loads[i].n_good, ROUNDS);
    for (unsigned i = 0; i < 2; i++) {
        assert_in_range(tickets_held(t[i]), 1, THREADS * ROUNDS / 2);
        tickets_free(t[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_wherever_the_note_came),
        cmocka_unit_test(looks_like_a_uuid),
        cmocka_unit_test(lives_for_a_minute_from_issue_and_from_note),
        cmocka_unit_test(waits_for_notes_that_may_be_under_way),
        cmocka_unit_test(of_another_secret_is_unknown_at_once),
        cmocka_unit_test(has_a_form_that_stays),
        cmocka_unit_test(any_change_of_the_text_makes_it_unknown),
        cmocka_unit_test(notes_are_read_strictly),
        cmocka_unit_test(a_note_gives_no_longer_life_than_a_minute),
        cmocka_unit_test(a_note_that_comes_twice_changes_nothing),
        cmocka_unit_test(expires_in_order_of_time_not_of_coming),
        cmocka_unit_test(carries_all_permissions),
        cmocka_unit_test(holds_so_many_bytes),
        cmocka_unit_test(holds_so_many),
        cmocka_unit_test(a_secret_has_a_least_length),
        cmocka_unit_test(issuing_needs_a_jwt),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
