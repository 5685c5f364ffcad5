#include "auth/base64url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* RFC 4648 section 10, without the padding, and the two characters of the URL's own alphabet. */
static void knows_the_vectors_of_the_rfc(void **unused)
{
    (void)unused;
    static const struct {
        struct str bytes, text;
    } vectors[] = {
        {STR(""), STR("")},
        {STR("f"), STR("Zg")},
        {STR("fo"), STR("Zm8")},
        {STR("foo"), STR("Zm9v")},
        {STR("foob"), STR("Zm9vYg")},
        {STR("fooba"), STR("Zm9vYmE")},
        {STR("foobar"), STR("Zm9vYmFy")},
        {STR("\xfb\xff\xfe"), STR("-__-")},
        {STR("\0\0"), STR("AAA")},
    };
    for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct buf text = BUF_INIT, bytes = BUF_INIT;
        base64url_encode(&text, vectors[i].bytes.p, vectors[i].bytes.len);
        assert_true(str_eq(buf_as_str(&text), vectors[i].text));
        assert_true(base64url_is(vectors[i].text));
        assert_true(base64url_decode(&bytes, vectors[i].text));
        assert_true(str_eq(buf_as_str(&bytes), vectors[i].bytes));
        buf_fini(&text);
        buf_fini(&bytes);
    }
}

static void has_one_text_for_some_bytes(void **unused)
{
    (void)unused;
    static const struct str others[] = {
        STR("Z"),     STR("Zg=="),  STR("Zh"),      STR("Zm9"),   STR("Zm8="),
        STR("Zm9vY"), STR("Zm9+"),  STR("Zm9/"),    STR("Zm9v "), STR("\n"),
        STR("Zm.v"),  STR("Zm\0v"), STR("Zm\xe9v"),
    };
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        struct buf bytes = BUF_INIT;
        buf_char(&bytes, 'x');
        assert_false(base64url_is(others[i]));
        assert_false(base64url_decode(&bytes, others[i]));
        assert_int_equal(bytes.len, 1);
        buf_fini(&bytes);
    }
}

static void takes_every_byte_there_and_back(void **unused)
{
    (void)unused;
    unsigned char all[256];
    for (unsigned i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    for (size_t len = 0; len <= sizeof all; len++) {
        struct buf text = BUF_INIT, bytes = BUF_INIT;
        base64url_encode(&text, all, len);
        assert_true(base64url_decode(&bytes, buf_as_str(&text)));
        assert_int_equal(bytes.len, len);
        assert_true(len == 0 || memcmp(bytes.p, all, len) == 0);
        buf_fini(&text);
        buf_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_vectors_of_the_rfc),
        cmocka_unit_test(has_one_text_for_some_bytes),
        cmocka_unit_test(takes_every_byte_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
