#include "net/tls_tickets.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void one_key_seals_for_a_day(void **unused)
{
    (void)unused;
    struct tls_tickets *t = tls_tickets_new();
    struct tls_ticket_key first, second, found;
    bool renew = true;
    assert_true(tls_tickets_seal_with(t, 1000, &first));
    assert_true(tls_tickets_seal_with(t, 1000 + TLS_TICKET_KEY_S - 1, &second));
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(tls_tickets_open_with(t, 1000, first.name, &found, &renew), ERR_OK);
    assert_memory_equal(&first, &found, sizeof first);
    assert_false(renew);
    tls_tickets_unref(t);
}

static void a_key_opens_for_another_day(void **unused)
{
    (void)unused;
    struct tls_tickets *t = tls_tickets_new();
    struct tls_ticket_key first, second, found;
    bool renew = false;
    assert_true(tls_tickets_seal_with(t, 1000, &first));
    assert_true(tls_tickets_seal_with(t, 1000 + TLS_TICKET_KEY_S, &second));
    assert_memory_not_equal(first.name, second.name, sizeof first.name);
    assert_memory_not_equal(first.aes, second.aes, sizeof first.aes);
    assert_memory_not_equal(first.hmac, second.hmac, sizeof first.hmac);
    int64_t last = 1000 + 2L * TLS_TICKET_KEY_S - 1;
    assert_int_equal(tls_tickets_open_with(t, last, first.name, &found, &renew), ERR_OK);
    assert_memory_equal(&first, &found, sizeof first);
    assert_true(renew);
    assert_int_equal(tls_tickets_open_with(t, last + 1, first.name, &found, &renew), ERR_NOT_FOUND);
    assert_int_equal(tls_tickets_open_with(t, last + 1, second.name, &found, &renew), ERR_OK);
    tls_tickets_unref(t);
}

static void knows_no_other_names(void **unused)
{
    (void)unused;
    struct tls_tickets *t = tls_tickets_new(), *same = tls_tickets_ref(t);
    struct tls_ticket_key key, found;
    const unsigned char other[16] = "another's name";
    bool renew;
    assert_int_equal(tls_tickets_open_with(t, 5, other, &found, &renew), ERR_NOT_FOUND);
    assert_true(tls_tickets_seal_with(t, 5, &key));
    assert_int_equal(tls_tickets_open_with(t, 5, other, &found, &renew), ERR_NOT_FOUND);
    /* One more reference keeps them. */
    tls_tickets_unref(t);
    assert_int_equal(tls_tickets_open_with(same, 5, key.name, &found, &renew), ERR_OK);
    tls_tickets_unref(same);
    tls_tickets_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_seals_for_a_day),
        cmocka_unit_test(a_key_opens_for_another_day),
        cmocka_unit_test(knows_no_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
