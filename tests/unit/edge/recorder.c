#include "edge/recorder.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "base/names.h"

static void add(struct recorder *r, const char *app, const char *user, int64_t now_ms)
{
    const struct recorder_end e = {.socket = STR("id"),
                                   .app = str_of(app),
                                   .user = str_of(user),
                                   .why = REASON_SLOW,
                                   .code = 1008,
                                   .detail = STR("send \"queue\" full"),
                                   .since_s = 100,
                                   .ended_s = 160};
    recorder_add(r, &e, now_ms);
}

/* All pages; gives how many records there were, and the first of them. */
static unsigned ask(struct recorder *r, const char *app, const char *user, size_t page_bytes,
                    int64_t now_ms, struct buf *first)
{
    unsigned n = 0, pages = 0;
    uint32_t cursor = 0;
    do {
        struct buf page = BUF_INIT;
        cursor = recorder_page(r, str_of(app), str_of(user), cursor, page_bytes, now_ms, &page);
        struct str rest = buf_as_str(&page), one;
        while (names_next(&rest, &one)) {
            struct json value;
            assert_int_equal(json_parse(&value, one), ERR_OK);
            assert_int_equal(value.type, JSON_OBJECT);
            if (!n++ && first)
                buf_str(first, one);
        }
        buf_fini(&page);
        assert_true(++pages < 100000);
    } while (cursor != RECORDER_CURSOR_END);
    return n;
}

static void tells_what_ended(void **unused)
{
    (void)unused;
    struct recorder *r = recorder_new();
    struct buf first = BUF_INIT;
    assert_int_equal(ask(r, "app", "", 100, 0, NULL), 0);
    add(r, "app", "ann", 1000);
    add(r, "app", "bob", 1001);
    add(r, "other", "ann", 1002);
    add(r, "app", "", 1003);
    for (size_t page_bytes = 1; page_bytes < 1000; page_bytes += 50) {
        assert_int_equal(ask(r, "app", "", page_bytes, 2000, NULL), 3);
        assert_int_equal(ask(r, "app", "ann", page_bytes, 2000, NULL), 1);
        assert_int_equal(ask(r, "nobody", "", page_bytes, 2000, NULL), 0);
    }
    ask(r, "app", "ann", 1, 2000, &first);
    assert_true(
        str_eq(buf_as_str(&first),
               STR("{\"socket_id\":\"id\",\"user_id\":\"ann\",\"reason\":\"slow\",\"code\":"
                   "1008,\"detail\":\"send \\\"queue\\\" full\",\"since\":100,\"ended\":160}")));
    buf_fini(&first);
    /* After its time each is forgotten. */
    assert_int_equal(ask(r, "app", "", 1000, 1001 + RECORDER_KEEP_MS, NULL), 2);
    assert_int_equal(ask(r, "app", "", 1000, 1004 + RECORDER_KEEP_MS, NULL), 0);
    recorder_free(r);
}

static void keeps_to_its_budget(void **unused)
{
    (void)unused;
    struct recorder *r = recorder_new();
    char user[5000];
    memset(user, 'u', sizeof user - 1);
    user[sizeof user - 1] = 0;
    for (unsigned i = 0; i < 20000; i++)
        add(r, "app", user, 1000 + i);
    unsigned n = ask(r, "app", "", 4096, 30000, NULL);
    assert_in_range(n, RECORDER_BYTES / 700, RECORDER_BYTES / 200);
    /* A long name is found by what is kept of it. */
    assert_int_equal(ask(r, "app", user, 4096, 30000, NULL), n);
    recorder_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_ended),
        cmocka_unit_test(keeps_to_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
