#include "base/blob.h"
#include "mem_count.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void holds_a_copy(void **unused)
{
    (void)unused;
    char text[] = "a\0b";
    size_t held = mem_count.bytes;
    struct blob *b = blob_of(str_make(text, 3));
    text[0] = 'x';
    assert_int_equal(b->len, 3);
    assert_memory_equal(b->bytes, "a\0b", 3);
    blob_unref(b);
    b = blob_of(STR_EMPTY);
    assert_int_equal(b->len, 0);
    blob_unref(b);
    b = blob_of((struct str){NULL, 0});
    blob_unref(b);
    assert_int_equal(mem_count.bytes, held);
}

static void lives_as_long_as_it_is_held(void **unused)
{
    (void)unused;
    size_t held = mem_count.bytes;
    struct blob *b = blob_new(100000);
    memset(b->bytes, 'x', b->len);
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(blob_ref(b), b);
    for (int i = 0; i < 10; i++)
        blob_unref(b);
    assert_int_equal(b->bytes[99999], 'x');
    assert_true(mem_count.bytes - held >= 100000);
    blob_unref(b);
    assert_int_equal(mem_count.bytes, held);
}

/* Whoever fills one bit by bit begins with less than there is room for. */
static void counts_the_room_of_those_that_are_held(void **unused)
{
    (void)unused;
    int64_t before = blob_bytes_held();
    struct blob *b = blob_new(5000), *c = blob_of(STR("hello"));
    assert_in_range(blob_bytes_held() - before, 5005, 5100);
    b->len = 0;
    blob_ref(b);
    blob_unref(b);
    blob_unref(c);
    assert_in_range(blob_bytes_held() - before, 5000, 5050);
    b->len = 17;
    blob_unref(b);
    assert_int_equal(blob_bytes_held(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_a_copy),
        cmocka_unit_test(lives_as_long_as_it_is_held),
        cmocka_unit_test(counts_the_room_of_those_that_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
