/* Frames that are kept once, and what is given of them. */
#include "hub/tail.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "base/buf.h"
#include "mem_count.h"
#include "prng.h"

static void append(struct tail *t, const char *text)
{
    struct blob *b = blob_of(str_of(text));
    tail_append(t, b);
    blob_unref(b);
}

/* All from number `from` on, asked for as often as it takes. */
static struct buf all_from(struct tail *t, uint32_t from)
{
    struct buf all = BUF_INIT;
    while (from != t->end) {
        const struct blob_range *ranges;
        unsigned n = tail_ranges(t, from, &ranges, &from);
        assert_in_range(n, 1, TAIL_RANGES);
        for (unsigned i = 0; i < n; i++)
            buf_str(&all, str_make(ranges[i].blob->bytes + ranges[i].from,
                                   ranges[i].to - ranges[i].from));
    }
    return all;
}

static void expect(struct tail *t, uint32_t from, const char *text)
{
    struct buf all = all_from(t, from);
    if (!str_eq(buf_as_str(&all), str_of(text)))
        fail_msg("'%.*s' instead of '%s'", (int)all.len, all.p, text);
    buf_fini(&all);
}

static void gives_one_range_of_many_frames(void **unused)
{
    (void)unused;
    struct tail t = {.end = TAIL_NUMBERS}; /* the next number is 0 */
    append(&t, "one ");
    append(&t, "two ");
    append(&t, "three");
    assert_int_equal(t.end, 2);
    const struct blob_range *ranges;
    uint32_t next;
    assert_int_equal(tail_ranges(&t, TAIL_NUMBERS, &ranges, &next), 1);
    assert_int_equal(next, 2);
    expect(&t, TAIL_NUMBERS, "one two three");
    expect(&t, 0, "two three");
    expect(&t, 1, "three");
    append(&t, "!");
    expect(&t, 1, "three!"); /* not what was found before */
    tail_trim(&t, 1);
    assert_int_equal(t.n, 2);
    expect(&t, 2, "!");
    tail_fini(&t);
}

static void keeps_long_frames_where_they_are(void **unused)
{
    (void)unused;
    struct tail t = {0};
    struct blob *b = blob_new(TAIL_COPY_MAX + 1);
    memset(b->bytes, 'x', b->len);
    append(&t, "a");
    tail_append(&t, b);
    append(&t, "b");
    assert_int_equal(b->refs, 2);
    struct buf all = all_from(&t, 0);
    assert_int_equal(all.len, b->len + 2);
    assert_int_equal(all.p[all.len - 1], 'b');
    buf_fini(&all);
    tail_trim(&t, 2);
    assert_int_equal(b->refs, 1);
    blob_unref(b);
    tail_fini(&t);
}

static void gives_so_many_ranges_at_once(void **unused)
{
    (void)unused;
    struct tail t = {0};
    struct blob *b = blob_new(TAIL_COPY_MAX + 1);
    const struct blob_range *ranges;
    uint32_t next;
    for (unsigned i = 0; i < TAIL_RANGES + 3; i++)
        tail_append(&t, b);
    assert_int_equal(tail_ranges(&t, 0, &ranges, &next), TAIL_RANGES);
    assert_int_equal(next, TAIL_RANGES);
    assert_int_equal(tail_ranges(&t, next, &ranges, &next), 3);
    assert_int_equal(next, t.end);
    blob_unref(b);
    tail_fini(&t);
}

static void tells_when_it_is_full(void **unused)
{
    (void)unused;
    struct tail t = {0};
    for (unsigned i = 0; i < TAIL_FRAMES_MAX; i++) {
        assert_false(tail_is_full(&t));
        append(&t, "x");
    }
    assert_true(tail_is_full(&t));
    tail_trim(&t, 1);
    assert_false(tail_is_full(&t));
    struct blob *b = blob_new(TAIL_BYTES_MAX);
    tail_append(&t, b);
    assert_true(tail_is_full(&t));
    blob_unref(b);
    tail_fini(&t);
}

static void agrees_with_the_model(void **unused)
{
    (void)unused;
    enum { FRAMES = 4000 };
    size_t held = mem_count.bytes;
    struct prng r = {7};
    struct tail t = {0};
    struct buf texts = BUF_INIT;
    size_t *begins = calloc(FRAMES + 1, sizeof(*begins));
    uint32_t base = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct blob *b = blob_new(1 + prng_below(&r, prng_below(&r, 20) ? 300 : 2 * TAIL_COPY_MAX));
        for (uint32_t k = 0; k < b->len; k++)
            b->bytes[k] = (char)prng_below(&r, 256);
        tail_append(&t, b);
        buf_str(&texts, str_make(b->bytes, b->len));
        begins[i + 1] = texts.len;
        blob_unref(b);
        if (prng_below(&r, 10) == 0) {
            base += prng_below(&r, t.n + 1);
            tail_trim(&t, base);
        }
        assert_int_equal(t.n, i + 1 - base);
        assert_int_equal(t.bytes, texts.len - begins[base]);
        uint32_t from = base + prng_below(&r, t.n + 1);
        struct buf all = all_from(&t, from);
        assert_int_equal(all.len, texts.len - begins[from]);
        assert_true(!all.len || memcmp(all.p, texts.p + begins[from], all.len) == 0);
        buf_fini(&all);
    }
    tail_fini(&t);
    buf_fini(&texts);
    free(begins);
    assert_int_equal(mem_count.bytes, held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_one_range_of_many_frames),
        cmocka_unit_test(keeps_long_frames_where_they_are),
        cmocka_unit_test(gives_so_many_ranges_at_once),
        cmocka_unit_test(tells_when_it_is_full),
        cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
