/* ticket_check.h - what tickets stand for, or that they stand for nothing; whatever their kind. */
#ifndef TESTS_TICKET_CHECK_H
#define TESTS_TICKET_CHECK_H
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "auth/ticket.h"

/* OpenSSL's list of errors stays empty, too. */
static inline void ticket_expect_error(struct tickets *t, struct str ticket, struct ticket_time now,
                                       enum err expected)
{
    struct claims *c = NULL;
    assert_int_equal(ticket_redeem(t, ticket, now, &c), expected);
    assert_null(c);
    assert_int_equal(ERR_peek_error(), 0);
}

/* The claims are those of `json`, to the last of them. */
static inline void ticket_expect_claims(struct tickets *t, struct str ticket,
                                        struct ticket_time now, struct str json)
{
    struct buf expected = BUF_INIT, got = BUF_INIT;
    struct claims *c = NULL, *original = NULL;
    assert_int_equal(claims_from_judged_json(&original, json), ERR_OK);
    assert_int_equal(ticket_redeem(t, ticket, now, &c), ERR_OK);
    claims_write_json(&expected, original);
    claims_write_json(&got, c);
    assert_true(str_eq(buf_as_str(&got), buf_as_str(&expected)));
    assert_true(c->exp_s == original->exp_s);
    claims_unref(c);
    claims_unref(original);
    buf_fini(&expected);
    buf_fini(&got);
}

/* As many permissions as there may be; their names are short, for a JWT has a limit as well. */
static inline struct buf ticket_many_permissions(void)
{
    struct buf json = BUF_INIT;
    buf_str(&json, STR("{\"gusher\":{\"channels\":["));
    for (unsigned i = 0; i < JWT_CHANNELS_MAX; i++)
        buf_printf(&json, "%s\"%c\"", i ? "," : "", 'a' + (char)(i % 26));
    buf_str(&json, STR("]}}"));
    return json;
}

#endif
