#include "ws/handshake.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void answers(void **unused)
{
    (void)unused;
    static const struct {
        struct str key;
        const char *accept;
    } cases[] = {
        {STR("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, /* RFC 6455, 1.3 */
        {STR("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk="},
        {STR(""), "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[WS_ACCEPT_LEN + 1];
        out[WS_ACCEPT_LEN] = 'x';
        ws_accept(out, cases[i].key);
        assert_memory_equal(out, cases[i].accept, WS_ACCEPT_LEN);
        assert_int_equal(out[WS_ACCEPT_LEN], 'x');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
