/* The bare kind; ticket_ring.c has the local one, ticket_shared.c the shared one. */
#include "auth/ticket.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static const struct ticket_time now = {1700000000, 0};

/* Whoever is shown one sees a JWT and verifies it. */
static void a_bare_ticket_is_the_jwt(void **unused)
{
    (void)unused;
    struct tickets *t;
    struct buf ticket = BUF_INIT, note = BUF_INIT, jwt = BUF_INIT;
    struct claims *c = NULL;
    assert_int_equal(tickets_new_bare(&t), ERR_OK);
    assert_int_equal(ticket_issue(t, STR("a.b.c"), c, now, &ticket, &note), ERR_OK);
    assert_true(str_eq(buf_as_str(&ticket), STR("a.b.c")));
    assert_int_equal(note.len, 0);
    assert_int_equal(tickets_take_note(t, STR("anything"), 0), ERR_OK);
    assert_int_equal(ticket_redeem(t, buf_as_str(&ticket), now, &c), ERR_NOT_FOUND);
    assert_int_equal(ticket_redeem(t, STR(""), now, &c), ERR_NOT_FOUND);
    assert_int_equal(ticket_redeem(t, STR("00000000-0000-0000-0000-000000000000"), now, &c),
                     ERR_NOT_FOUND);
    assert_null(c);
    assert_int_equal(tickets_held(t), 0);
    while (jwt.len <= JWT_BYTES_MAX)
        buf_char(&jwt, 'A');
    buf_clear(&ticket);
    assert_int_equal(ticket_issue(t, buf_as_str(&jwt), c, now, &ticket, &note), ERR_LIMIT);
    assert_int_equal(ticket.len, 0);
    buf_fini(&ticket);
    buf_fini(&jwt);
    tickets_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_ticket_is_the_jwt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
