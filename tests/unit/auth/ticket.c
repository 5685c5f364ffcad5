/* The bare kind; ticket_ring.c has the local one, ticket_shared.c the shared one. */
#include "auth/ticket.h"
#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "ticket_check.h"

#define NOW 1700000000

static struct keys *keys, *other_keys;
static struct signing_key *signing_key;

static int make_keys(void **unused)
{
    (void)unused;
    struct buf private_pem = BUF_INIT, public_pem = BUF_INIT, other_private = BUF_INIT,
               other_public = BUF_INIT;
    char why[160];
    if (keys_generate(&private_pem, &public_pem) || keys_generate(&other_private, &other_public) ||
        keys_from_pem(&keys, buf_as_str(&public_pem), why, sizeof why) ||
        keys_from_pem(&other_keys, buf_as_str(&other_public), why, sizeof why) ||
        signing_key_from_pem(&signing_key, buf_as_str(&private_pem), why, sizeof why))
        return -1;
    buf_fini(&private_pem);
    buf_fini(&public_pem);
    buf_fini(&other_private);
    buf_fini(&other_public);
    return 0;
}

static int free_keys(void **unused)
{
    (void)unused;
    keys_free(keys);
    keys_free(other_keys);
    signing_key_free(signing_key);
    return 0;
}

/* The monotonic clock of another node is another one: this kind must not look at it. */
static struct ticket_time at(double wall_s)
{
    static int64_t mono_ms = INT64_MIN;
    return (struct ticket_time){.wall_s = wall_s, .mono_ms = mono_ms += 1234567890123};
}

static struct tickets *bare(const struct keys *k)
{
    struct tickets *t = NULL;
    assert_int_equal(tickets_new_bare(&t, k), ERR_OK);
    return t;
}

/* The ticket for `json`, as auth makes it. */
static struct buf issued(struct tickets *t, struct str json, double now_s)
{
    struct buf jwt = BUF_INIT, ticket = BUF_INIT, note = BUF_INIT;
    struct claims *c;
    assert_int_equal(jwt_sign(&jwt, signing_key, json), ERR_OK);
    assert_int_equal(jwt_verify(&c, keys, buf_as_str(&jwt), now_s), ERR_OK);
    assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, at(now_s), &ticket, &note), ERR_OK);
    assert_in_range(ticket.len, 1, TICKET_BYTES_MAX);
    assert_int_equal(note.len, 0);
    assert_int_equal(tickets_take_note(t, STR("anything"), 0), ERR_OK);
    claims_unref(c);
    buf_fini(&jwt);
    return ticket;
}

static void expect_error(struct tickets *t, struct str ticket, double now_s, enum err expected)
{
    ticket_expect_error(t, ticket, at(now_s), expected);
}

static void expect_claims(struct tickets *t, struct str ticket, double now_s, struct str json)
{
    ticket_expect_claims(t, ticket, at(now_s), json);
}

#define ANN                                                                                        \
    STR("{\"gusher\":{\"user_id\":\"ann\",\"app_key\":\"app\",\"channels\":[\"a\",\"\\u00e9\"],"   \
        "\"remotes\":{\"x\":true}},\"aud\":[\"b\"],\"exp\":1700000001,\"nbf\":1699999999.5,"       \
        "\"iat\":1699999999,\"iss\":\"i\",\"jti\":\"j\",\"sub\":\"s\",\"other\":1}")

static void carries_all_permissions(void **unused)
{
    (void)unused;
    struct tickets *t = bare(keys);
    struct buf json = ticket_many_permissions(), ticket = issued(t, buf_as_str(&json), NOW);
    expect_claims(t, buf_as_str(&ticket), NOW, buf_as_str(&json));
    buf_fini(&ticket);
    buf_fini(&json);
    tickets_free(t);
}

static void bare_ones_are_verified_each_time(void **unused)
{
    (void)unused;
    struct tickets *t = bare(keys), *other = bare(other_keys);
    struct buf ticket = issued(t, ANN, NOW);
    expect_claims(t, buf_as_str(&ticket), NOW, ANN);
    expect_claims(t, buf_as_str(&ticket), NOW + 1, ANN);
    expect_error(t, buf_as_str(&ticket), NOW + 2, ERR_EXPIRED);
    expect_error(other, buf_as_str(&ticket), NOW, ERR_NOT_FOUND);
    ticket.p[ticket.len / 2] ^= 1;
    expect_error(t, buf_as_str(&ticket), NOW, ERR_NOT_FOUND);
    expect_error(t, STR(""), NOW, ERR_NOT_FOUND);
    expect_error(t, STR("00000000-0000-0000-0000-000000000000"), NOW, ERR_NOT_FOUND);
    while (ticket.len <= JWT_BYTES_MAX)
        buf_char(&ticket, 'A');
    expect_error(t, buf_as_str(&ticket), NOW, ERR_NOT_FOUND);
    assert_int_equal(tickets_held(t), 0);
    buf_fini(&ticket);
    tickets_free(t);
    tickets_free(other);
}

enum { THREADS = 4, ROUNDS = 500 };

struct load {
    struct tickets *tickets;
    struct str jwt;
    unsigned n_good, n_forged;
};

/* No assertions of cmocka here: it takes them on one thread only. */
static void *issue_and_redeem(void *arg)
{
    struct load *l = arg;
    struct buf text = BUF_INIT, note = BUF_INIT;
    const struct ticket_time now = {NOW, 0};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct claims *c = NULL, *got = NULL, *none = NULL;
        buf_clear(&text);
        if (jwt_verify(&c, keys, l->jwt, NOW) ||
            ticket_issue(l->tickets, l->jwt, c, now, &text, &note))
            break;
        l->n_good += ticket_redeem(l->tickets, buf_as_str(&text), now, &got) == ERR_OK &&
                     str_eq(got->user_id, STR("ann"));
        text.p[text.len / 2] ^= 1;
        l->n_forged += ticket_redeem(l->tickets, buf_as_str(&text), now, &none) == ERR_NOT_FOUND;
        claims_unref(c);
        claims_unref(got);
    }
    buf_fini(&text);
    return NULL;
}

static void serves_many_threads(void **unused)
{
    (void)unused;
    struct tickets *t = bare(keys);
    struct buf jwt = BUF_INIT;
    pthread_t threads[THREADS];
    struct load loads[THREADS];
    assert_int_equal(jwt_sign(&jwt, signing_key, ANN), ERR_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        loads[i] = (struct load){.tickets = t, .jwt = buf_as_str(&jwt)};
        assert_int_equal(pthread_create(&threads[i], NULL, issue_and_redeem, &loads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(loads[i].n_good, ROUNDS);
        assert_int_equal(loads[i].n_forged, ROUNDS);
    }
    tickets_free(t);
    buf_fini(&jwt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_all_permissions),
        cmocka_unit_test(bare_ones_are_verified_each_time),
        cmocka_unit_test(serves_many_threads),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
