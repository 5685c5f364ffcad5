#include "auth/ticket.h"
#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "ticket_check.h"

/* Claims with `user` as the user; the tests tell tickets apart by it. */
static struct claims *claims_for(unsigned user)
{
    char json[64];
    snprintf(json, sizeof json, "{\"gusher\":{\"user_id\":\"%u\"}}", user);
    struct claims *c = NULL;
    assert_int_equal(claims_from_json(&c, str_of(json), NULL, 0), ERR_OK);
    return c;
}

static bool is_user(const struct claims *c, unsigned user)
{
    char text[16];
    snprintf(text, sizeof text, "%u", user);
    return str_eq(c->user_id, str_of(text));
}

static struct tickets *new_tickets(uint32_t max)
{
    struct tickets *t = NULL;
    assert_int_equal(tickets_new_local(&t, max), ERR_OK);
    return t;
}

/* Only the monotonic clock matters here, and what stands in the JWT does not. */
static struct ticket_time at(int64_t mono_ms)
{
    return (struct ticket_time){.wall_s = -1, .mono_ms = mono_ms};
}

static enum err issue(struct tickets *t, unsigned user, int64_t now_ms, char out[TICKET_UUID_LEN])
{
    struct claims *c = claims_for(user);
    struct buf text = BUF_INIT, note = BUF_INIT;
    enum err e = ticket_issue(t, STR_EMPTY, c, at(now_ms), &text, &note);
    assert(note.len == 0);
    claims_unref(c);
    if (text.len == TICKET_UUID_LEN)
        memcpy(out, text.p, TICKET_UUID_LEN);
    else
        assert(e && text.len == 0);
    buf_fini(&text);
    return e;
}

static void expect_user(struct tickets *t, const char ticket[TICKET_UUID_LEN], int64_t now_ms,
                        unsigned user)
{
    struct claims *c = NULL;
    assert_int_equal(ticket_redeem(t, str_make(ticket, TICKET_UUID_LEN), at(now_ms), &c), ERR_OK);
    assert_true(is_user(c, user));
    claims_unref(c);
}

static void expect_error(struct tickets *t, struct str ticket, int64_t now_ms, enum err expected)
{
    ticket_expect_error(t, ticket, at(now_ms), expected);
}

static void looks_like_a_uuid(void **unused)
{
    (void)unused;
    struct tickets *t = new_tickets(TICKETS_MAX);
    char a[TICKET_UUID_LEN], b[TICKET_UUID_LEN];
    assert_int_equal(issue(t, 1, 0, a), ERR_OK);
    assert_int_equal(issue(t, 1, 0, b), ERR_OK);
    unsigned n_same = 0;
    for (unsigned i = 0; i < TICKET_UUID_LEN; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        assert_true(hyphen ? a[i] == '-' : strchr("0123456789abcdef", a[i]) != NULL);
        n_same += !hyphen && a[i] == b[i];
    }
    /* Two in a row have nothing in common: about 2 of 32 digits are equal by chance. */
    assert_true(n_same < 16);
    tickets_free(t);
}

static void redeems_as_often_as_wanted_and_for_a_minute(void **unused)
{
    (void)unused;
    struct tickets *t = new_tickets(TICKETS_MAX);
    char a[TICKET_UUID_LEN], b[TICKET_UUID_LEN];
    assert_int_equal(issue(t, 1, 1000, a), ERR_OK);
    assert_int_equal(issue(t, 2, 31000, b), ERR_OK);
    for (int64_t now = 1000; now < 61000; now += 999) {
        expect_user(t, a, now, 1);
        expect_user(t, b, now, 2);
    }
    expect_user(t, a, 60999, 1);
    expect_error(t, str_make(a, TICKET_UUID_LEN), 61000, ERR_EXPIRED);
    expect_user(t, b, 90999, 2);
    expect_error(t, str_make(b, TICKET_UUID_LEN), 91000, ERR_EXPIRED);
    expect_error(t, str_make(a, TICKET_UUID_LEN), 91000, ERR_EXPIRED);
    /* A clock of another thread that is a little behind does not bring it back. */
    expect_error(t, str_make(a, TICKET_UUID_LEN), 60000, ERR_EXPIRED);
    tickets_free(t);
}

static void outlives_the_issuers_reference(void **unused)
{
    (void)unused;
    struct tickets *t = new_tickets(4);
    char a[TICKET_UUID_LEN];
    struct claims *redeemed = NULL;
    assert_int_equal(issue(t, 7, 0, a), ERR_OK);
    assert_int_equal(ticket_redeem(t, str_make(a, TICKET_UUID_LEN), at(5), &redeemed), ERR_OK);
    tickets_free(t);
    assert_true(is_user(redeemed, 7));
    claims_unref(redeemed);
}

static void is_strict_about_the_text(void **unused)
{
    (void)unused;
    struct tickets *t = new_tickets(TICKETS_MAX);
    char good[TICKET_UUID_LEN + 1], text[TICKET_UUID_LEN + 1];
    assert_int_equal(issue(t, 1, 0, good), ERR_OK);
    good[TICKET_UUID_LEN] = '0';

    expect_error(t, STR(""), 0, ERR_NOT_FOUND);
    for (size_t len = 0; len < TICKET_UUID_LEN; len++)
        expect_error(t, str_make(good, len), 0, ERR_NOT_FOUND);
    expect_error(t, str_make(good, TICKET_UUID_LEN + 1), 0, ERR_NOT_FOUND);

    /* Every other byte at every place: another digit is a forgery, the rest no ticket at all. */
    for (unsigned i = 0; i < TICKET_UUID_LEN; i++)
        for (int c = 0; c < 256; c++) {
            memcpy(text, good, TICKET_UUID_LEN);
            if (text[i] == (char)c)
                continue;
            text[i] = (char)c;
            expect_error(t, str_make(text, TICKET_UUID_LEN), 0, ERR_NOT_FOUND);
        }
    expect_user(t, good, 0, 1);
    tickets_free(t);
}

static void knows_only_its_own(void **unused)
{
    (void)unused;
    struct tickets *t = new_tickets(TICKETS_MAX), *other = new_tickets(TICKETS_MAX);
    char a[TICKET_UUID_LEN], b[TICKET_UUID_LEN];
    assert_int_equal(issue(t, 1, 0, a), ERR_OK);
    assert_int_equal(issue(other, 2, 0, b), ERR_OK);
    expect_error(t, str_make(b, TICKET_UUID_LEN), 0, ERR_NOT_FOUND);
    expect_error(other, str_make(a, TICKET_UUID_LEN), 0, ERR_NOT_FOUND);
    tickets_free(t);
    tickets_free(other);
}

static void grows_to_its_limit(void **unused)
{
    (void)unused;
    enum { MAX = 1000 }; /* no power of two */
    static char texts[MAX][TICKET_UUID_LEN];
    struct tickets *t = new_tickets(MAX);
    char one_more[TICKET_UUID_LEN] = "untouched";
    for (unsigned i = 0; i < MAX; i++)
        assert_int_equal(issue(t, i, i, texts[i]), ERR_OK);
    assert_int_equal(issue(t, MAX, MAX, one_more), ERR_FULL);
    assert_string_equal(one_more, "untouched");
    for (unsigned i = 0; i < MAX; i++)
        expect_user(t, texts[i], MAX, i);

    /* As soon as the oldest goes there is room. */
    assert_int_equal(issue(t, MAX, TICKET_LIFE_MS - 1, one_more), ERR_FULL);
    assert_int_equal(issue(t, MAX, TICKET_LIFE_MS, one_more), ERR_OK);
    expect_error(t, str_make(texts[0], TICKET_UUID_LEN), TICKET_LIFE_MS, ERR_EXPIRED);
    expect_user(t, texts[1], TICKET_LIFE_MS, 1);
    expect_user(t, one_more, TICKET_LIFE_MS, MAX);
    assert_int_equal(tickets_held(t), MAX);
    tickets_free(t);
}

static void goes_round_many_times(void **unused)
{
    (void)unused;
    enum { ALIVE = 100, ALL = 20000 };
    static char texts[ALL][TICKET_UUID_LEN];
    struct tickets *t = new_tickets(ALIVE + 1);
    for (unsigned i = 0; i < ALL; i++) {
        int64_t now = (int64_t)i * TICKET_LIFE_MS / ALIVE;
        assert_int_equal(issue(t, i, now, texts[i]), ERR_OK);
        expect_user(t, texts[i], now, i);
        if (i >= ALIVE) {
            expect_user(t, texts[i - ALIVE + 1], now, i - ALIVE + 1);
            expect_error(t, str_make(texts[i - ALIVE], TICKET_UUID_LEN), now, ERR_EXPIRED);
        }
    }
    assert_true(tickets_held(t) <= ALIVE + 1);
    tickets_free(t);
}

/* The memory of a crowd that came at once is given back although nobody issues any more. */
static void redeeming_releases_expired_claims(void **unused)
{
    (void)unused;
    enum { CROWD = 5000 };
    struct tickets *t = new_tickets(TICKETS_MAX);
    char text[TICKET_UUID_LEN];
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(issue(t, i, 0, text), ERR_OK);
    expect_user(t, text, TICKET_LIFE_MS - 1, CROWD - 1);
    assert_int_equal(tickets_held(t), CROWD);
    for (unsigned i = 0; i < CROWD && tickets_held(t); i++)
        expect_error(t, str_make(text, TICKET_UUID_LEN), TICKET_LIFE_MS, ERR_EXPIRED);
    assert_int_equal(tickets_held(t), 0);
    tickets_free(t);
}

enum { THREADS = 4, ROUNDS = 3000 };

static atomic_llong shared_clock;

struct load {
    struct tickets *tickets;
    unsigned first_user, n_good, n_forged;
};

/* The clock runs while the threads work, so that some release what others issued. A thread that
 * slept for a minute of this clock finds its ticket gone, as it should. */
static bool is_answered_well(struct load *l, struct str ticket, unsigned user, int64_t now)
{
    struct claims *got = NULL;
    enum err e = ticket_redeem(l->tickets, ticket, at(now), &got);
    bool good = e == ERR_OK
                    ? is_user(got, user)
                    : e == ERR_EXPIRED && atomic_load(&shared_clock) >= now + TICKET_LIFE_MS;
    claims_unref(got);
    return good;
}

static void *issue_and_redeem(void *arg)
{
    struct load *l = arg;
    char text[TICKET_UUID_LEN];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct claims *none = NULL;
        int64_t now = atomic_fetch_add(&shared_clock, 20);
        l->n_good += issue(l->tickets, l->first_user + i, now, text) == ERR_OK &&
                     is_answered_well(l, str_make(text, TICKET_UUID_LEN), l->first_user + i, now);
        text[0] = text[0] == '0' ? '1' : '0';
        l->n_forged += ticket_redeem(l->tickets, str_make(text, TICKET_UUID_LEN), at(now), &none) ==
                       ERR_NOT_FOUND;
    }
    return NULL;
}

static void serves_many_threads(void **unused)
{
    (void)unused;
    struct tickets *t = new_tickets(TICKETS_MAX);
    pthread_t threads[THREADS];
    struct load loads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        loads[i] = (struct load){.tickets = t, .first_user = i * ROUNDS};
        assert_int_equal(pthread_create(&threads[i], NULL, issue_and_redeem, &loads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(loads[i].n_good, ROUNDS);
        assert_int_equal(loads[i].n_forged, ROUNDS);
    }
    /* 3000 are issued in the life of one. */
    assert_true(tickets_held(t) < THREADS * ROUNDS / 2);
    tickets_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_like_a_uuid),
        cmocka_unit_test(redeems_as_often_as_wanted_and_for_a_minute),
        cmocka_unit_test(outlives_the_issuers_reference),
        cmocka_unit_test(is_strict_about_the_text),
        cmocka_unit_test(knows_only_its_own),
        cmocka_unit_test(grows_to_its_limit),
        cmocka_unit_test(goes_round_many_times),
        cmocka_unit_test(redeeming_releases_expired_claims),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
