#include "hub/msg.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void holds_copies(void **unused)
{
    (void)unused;
    char text[] = "app"
                  "target"
                  "event"
                  "{\"a\":1}";
    struct msg *m = msg_new(MSG_CHANNEL, str_make(text, 3), str_make(text + 3, 6),
                            str_make(text + 9, 5), str_make(text + 14, 7));
    memset(text, 'x', sizeof text);
    assert_int_equal(m->kind, MSG_CHANNEL);
    assert_true(str_eq(m->app, STR("app")));
    assert_true(str_eq(m->target, STR("target")));
    assert_true(str_eq(m->event, STR("event")));
    assert_true(str_eq(m->data, STR("{\"a\":1}")));
    msg_unref(m);

    m = msg_new(MSG_USER, STR_EMPTY, (struct str){NULL, 0}, STR_EMPTY, STR("a\0b"));
    assert_int_equal(m->target.len, 0);
    assert_true(str_eq(m->data, STR("a\0b")));
    msg_unref(m);
}

enum { TIMES = 20000 };

static void *hold_and_let_go(void *ctx)
{
    struct msg *m = ctx;
    for (int i = 0; i < TIMES; i++) {
        msg_ref(m);
        assert_int_equal(m->data.p[0], 'd');
        msg_unref(m);
    }
    msg_unref(m);
    return NULL;
}

/* Whoever is last frees it, on whichever thread. */
static void is_held_by_several_threads(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    struct msg *m = msg_new(MSG_USER, STR("a"), STR("t"), STR_EMPTY, STR("d"));
    for (int i = 0; i < 4; i++) {
        msg_ref(m);
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, m), 0);
    }
    msg_unref(m);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_copies),
        cmocka_unit_test(is_held_by_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
