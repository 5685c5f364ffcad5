#include "edge/held.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct held_queue queue;
static struct grants_pool pool;

static int set_up(void **unused)
{
    (void)unused;
    held_queue_init(&queue);
    grants_pool_init(&pool);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    for (struct held_reply *r; (r = held_take(&queue, UINT64_MAX));)
        held_reply_free(r, &pool);
    grants_pool_fini(&pool);
    return 0;
}

/* Takes the next reply, which must be this one. */
static void expect_next(struct held_reply *r, uint64_t sure, bool is_last)
{
    assert_ptr_equal(held_take(&queue, sure), r);
    assert_int_equal(held_done(r), is_last);
    held_reply_free(r, &pool);
}

static void gives_what_is_sure_in_its_order(void **unused)
{
    (void)unused;
    int conns[2];
    struct held *a = held_new(&conns[0]), *b = held_new(&conns[1]);
    assert_null(held_take(&queue, UINT64_MAX));
    struct held_reply *first = held_add(&queue, a, 5), *second = held_add(&queue, b, 5),
                      *third = held_add(&queue, a, 6), *last = held_add(&queue, a, 9);
    assert_ptr_equal(second->of->conn, &conns[1]);
    assert_null(held_take(&queue, 4));
    expect_next(first, 5, false);
    expect_next(second, 5, true);
    assert_null(held_take(&queue, 5));
    expect_next(third, 8, false);
    assert_null(held_take(&queue, 8));
    expect_next(last, 9, true);
    /* The queue is as good as new. */
    struct held_reply *again = held_add(&queue, b, 10);
    expect_next(again, 10, true);
    held_drop(a, &queue, &pool);
    held_drop(b, &queue, &pool);
}

static void replies_of_who_is_gone_go_with_him(void **unused)
{
    (void)unused;
    struct held *a = held_new(NULL), *b = held_new(NULL);
    held_add(&queue, a, 1);
    struct held_reply *first = held_add(&queue, b, 1);
    held_add(&queue, a, 2);
    struct held_reply *second = held_add(&queue, b, 3);
    held_add(&queue, a, 3);
    held_drop(a, &queue, &pool);
    expect_next(first, 2, false);
    assert_null(held_take(&queue, 2));
    struct held_reply *third = held_add(&queue, b, 4);
    expect_next(second, 9, false);
    expect_next(third, 9, true);
    held_drop(b, &queue, &pool);
    assert_null(held_take(&queue, UINT64_MAX));
}

static void owns_what_it_holds(void **unused)
{
    (void)unused;
    struct held *h = held_new(NULL);
    struct held_reply *r = held_add(&queue, h, 1);
    r->frame = blob_of(STR("yes"));
    r->denied = blob_of(STR("no"));
    r->grants = grants_get(&pool, STR_EMPTY, STR_EMPTY);
    buf_str(&r->names, STR("names"));
    buf_str(&r->added, STR("added"));
    held_drop(h, &queue, &pool);
    /* A sanitizer, and the end of the pool, see that nothing stays. */
}

#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(gives_what_is_sure_in_its_order),
        WITH_QUEUE(replies_of_who_is_gone_go_with_him),
        WITH_QUEUE(owns_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
