/* Compressed messages and how they are agreed upon. */
#include "ws/deflate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "mem_count.h"
#include "prng.h"

#define PLAIN  "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
#define WINDOW PLAIN "; server_max_window_bits=15"

static void answers_offers(void **unused)
{
    (void)unused;
    static const struct {
        const char *offers, *answer;
    } cases[] = {
        {"permessage-deflate", PLAIN},
        {"permessage-deflate; client_max_window_bits", PLAIN}, /* browsers */
        {" Permessage-Deflate ;CLIENT_MAX_WINDOW_BITS = 9", PLAIN},
        {"permessage-deflate; client_max_window_bits=\"15\"", PLAIN},
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover", PLAIN},
        {"permessage-deflate; server_max_window_bits=15", WINDOW},
        {"permessage-deflate; server_max_window_bits=\"15\"", WINDOW},
        {"permessage-deflate; server_max_window_bits=10, permessage-deflate", PLAIN},
        {"x-webkit-deflate-frame, permessage-deflate", PLAIN},
        {"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=15", WINDOW},
        {"", ""},
        {",,;", ""},
        {"permessage-bzip2", ""},
        {"permessage-deflate;", PLAIN},
        {"permessage-deflate; ;", ""},
        {"permessage-deflate; server_max_window_bits", ""},
        {"permessage-deflate; server_max_window_bits=12", ""},
        {"permessage-deflate; server_max_window_bits=015", ""},
        {"permessage-deflate; client_max_window_bits=7", ""},
        {"permessage-deflate; client_max_window_bits=16", ""},
        {"permessage-deflate; client_max_window_bits=\"\"", ""},
        {"permessage-deflate; client_max_window_bits=\"", ""},
        {"permessage-deflate; server_no_context_takeover=1", ""},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
        {"permessage-deflate; client_max_window_bits; client_max_window_bits", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct str answer = ws_deflate_answer(str_of(cases[i].offers));
        if (!str_eq(answer, str_of(cases[i].answer)))
            fail_msg("'%s' is answered '%.*s'", cases[i].offers, (int)answer.len, answer.p);
    }
}

/* RFC 7692 section 7.2.3.1. */
static void knows_the_examples(void **unused)
{
    (void)unused;
    const struct str cases[] = {
        STR("\xf2\x48\xcd\xc9\xc9\x07\x00"),                         /* one block */
        STR("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),         /* not compressed */
        STR("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),                     /* BFINAL */
        STR("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), /* two blocks */
    };
    struct ws_deflate *d = ws_deflate_new();
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        buf_clear(&out);
        assert_int_equal(ws_inflate(d, cases[i], 100, &out), ERR_OK);
        assert_true(str_eq(buf_as_str(&out), STR("Hello")));
    }
    buf_fini(&out);
    ws_deflate_free(d);
}

static struct buf some_text(struct prng *r, size_t len)
{
    struct buf text = BUF_INIT;
    while (text.len < len) {
        if (prng_below(r, 4))
            buf_printf(&text, "{\"price\":%u},", prng_below(r, 1000));
        else
            buf_char(&text, (char)prng_below(r, 256));
    }
    text.len = len;
    return text;
}

static void gives_back_what_it_was_given(void **unused)
{
    (void)unused;
    struct prng r = {3};
    struct ws_deflate *d = ws_deflate_new();
    static const size_t lens[] = {0, 1, 5, 100, 4096, 16383, 16384, 70000, 300000};
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        struct buf text = some_text(&r, lens[i]), small = BUF_INIT, back = BUF_INIT;
        buf_str(&small, STR("<"));
        ws_deflate(d, buf_as_str(&text), &small);
        if (lens[i] > 1000)
            assert_true(small.len < text.len / 2);
        buf_str(&back, STR(">"));
        struct str data = str_make(small.p + 1, small.len - 1);
        assert_int_equal(ws_inflate(d, data, text.len, &back), ERR_OK);
        assert_int_equal(back.len, 1 + text.len);
        assert_true(!text.len || memcmp(back.p + 1, text.p, text.len) == 0);
        /* One byte less is allowed, and no more is written. */
        if (text.len) {
            back.len = 1;
            assert_int_equal(ws_inflate(d, data, text.len - 1, &back), ERR_LIMIT);
            assert_int_equal(back.len, text.len);
        }
        buf_fini(&text);
        buf_fini(&small);
        buf_fini(&back);
    }
    ws_deflate_free(d);
}

/* A thousand to one: the memory follows the limit, not the promise. */
static void is_no_bomb(void **unused)
{
    (void)unused;
    struct ws_deflate *d = ws_deflate_new();
    struct buf zeros = BUF_INIT, small = BUF_INIT, out = BUF_INIT;
    memset(buf_reserve(&zeros, 8 << 20), 0, 8 << 20);
    zeros.len = 8 << 20;
    ws_deflate(d, buf_as_str(&zeros), &small);
    assert_true(small.len < 40000);
    assert_int_equal(ws_inflate(d, buf_as_str(&small), 1000, &out), ERR_LIMIT);
    assert_int_equal(out.len, 1000);
    assert_true(out.cap < 64 * 1024);
    buf_fini(&zeros);
    buf_fini(&small);
    buf_fini(&out);
    ws_deflate_free(d);
}

static void refuses_what_is_not_compressed(void **unused)
{
    (void)unused;
    struct ws_deflate *d = ws_deflate_new();
    struct buf out = BUF_INIT;
    assert_int_equal(ws_inflate(d, STR("\xff\xff\xff"), 100, &out), ERR_PROTO);
    assert_int_equal(ws_inflate(d, STR("\x00\x05\x00\x00\x00Hello"), 100, &out), ERR_PROTO);
    /* And is as good as new. */
    buf_clear(&out);
    assert_int_equal(ws_inflate(d, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 5, &out), ERR_OK);
    assert_true(str_eq(buf_as_str(&out), STR("Hello")));
    buf_fini(&out);
    ws_deflate_free(d);
}

static void has_bounded_memory(void **unused)
{
    (void)unused;
    size_t held = mem_count.bytes;
    struct ws_deflate *d = ws_deflate_new();
    assert_true(mem_count.bytes - held < 1024);
    struct buf out = BUF_INIT;
    for (unsigned i = 0; i < 100; i++) {
        buf_clear(&out);
        ws_deflate(d, STR("hello"), &out);
        assert_int_equal(ws_inflate(d, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 5, &out), ERR_OK);
    }
    buf_fini(&out);
    assert_in_range(mem_count.bytes - held, 1, 400 * 1024);
    ws_deflate_free(d);
    assert_int_equal(mem_count.bytes, held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_offers),
        cmocka_unit_test(knows_the_examples),
        cmocka_unit_test(gives_back_what_it_was_given),
        cmocka_unit_test(is_no_bomb),
        cmocka_unit_test(refuses_what_is_not_compressed),
        cmocka_unit_test(has_bounded_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
