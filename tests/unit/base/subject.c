#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/subject.h"

static void expect(struct str name, const char *token)
{
    struct buf out = BUF_INIT;
    buf_str(&out, STR("before."));
    subject_token(&out, name);
    buf_char(&out, 0);
    assert_string_equal(out.p + 7, token);
    assert_memory_equal(out.p, "before.", 7);
    buf_fini(&out);
}

static void names_of_any_bytes(void **state)
{
    (void)state;
    expect(STR("order-42_A"), "order-42_A");
    expect(STR(""), "=");
    expect(STR("a.b"), "a=2Eb");
    expect(STR("*"), "=2A");
    expect(STR(">"), "=3E");
    expect(STR("a b\r\n\t"), "a=20b=0D=0A=09");
    expect(STR("="), "=3D");
    expect(STR("\0\xff"), "=00=FF");
    expect(STR("\xc3\xbc"), "=C3=BC");
    expect(STR("=~0"), "=3D=7E0");
}

static void different_names_have_different_tokens(void **state)
{
    (void)state;
    struct buf tokens[512];
    for (unsigned i = 0; i < 512; i++) {
        /* All names of one byte, and the same with a plain letter in front. */
        char name[2] = {'x', (char)i};
        tokens[i] = BUF_INIT;
        subject_token(&tokens[i], i < 256 ? str_make(name + 1, 1) : str_make(name, 2));
        for (unsigned k = 0; k < i; k++)
            assert_false(str_eq(buf_as_str(&tokens[k]), buf_as_str(&tokens[i])));
    }
    for (unsigned i = 0; i < 512; i++)
        buf_fini(&tokens[i]);
}

static void long_names_are_hashed(void **state)
{
    (void)state;
    struct buf name = BUF_INIT, at_limit = BUF_INIT, over = BUF_INIT, again = BUF_INIT,
               other = BUF_INIT;
    for (unsigned i = 0; i < SUBJECT_TOKEN_MAX; i++)
        buf_char(&name, 'n');
    subject_token(&at_limit, buf_as_str(&name));
    assert_true(str_eq(buf_as_str(&at_limit), buf_as_str(&name)));

    buf_char(&name, 'n');
    subject_token(&over, buf_as_str(&name));
    assert_int_equal(over.len, 2 + 32);
    assert_memory_equal(over.p, "=~", 2);
    subject_token(&again, buf_as_str(&name));
    assert_true(str_eq(buf_as_str(&over), buf_as_str(&again)));
    /* It is the same on every node and in every version. */
    assert_memory_equal(over.p, "=~0bd490dda96c14a3e40fd44dca553b50", 34);
    name.p[SUBJECT_TOKEN_MAX] = 'm';
    subject_token(&other, buf_as_str(&name));
    assert_false(str_eq(buf_as_str(&over), buf_as_str(&other)));

    buf_fini(&name);
    buf_fini(&at_limit);
    buf_fini(&over);
    buf_fini(&again);
    buf_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_any_bytes),
        cmocka_unit_test(different_names_have_different_tokens),
        cmocka_unit_test(long_names_are_hashed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
