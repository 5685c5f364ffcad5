#include "hub/census.h"
#include "base/names.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void add(struct buf *list, const char *app, uint32_t connections, uint32_t n_users)
{
    struct hash128 users[CENSUS_USERS_MAX];
    for (uint32_t i = 0; i < n_users; i++)
        users[i] = (struct hash128){i + 1, connections};
    const struct census_record r = {.app = str_of(app),
                                    .connections = connections,
                                    .n_users = n_users,
                                    .users = str_make((char *)users, n_users * sizeof(*users))};
    census_add(list, &r);
}

static void reads_what_was_written(void **unused)
{
    (void)unused;
    struct buf list = BUF_INIT;
    struct census_record r;
    struct hash128 h;
    add(&list, "shop", 70000, CENSUS_USERS_MAX);
    add(&list, "", 1, 0);
    add(&list, "chat", 0, 1);
    assert_true(census_valid(buf_as_str(&list)));
    assert_int_equal(names_count(buf_as_str(&list)), 3);
    struct str rest = buf_as_str(&list);
    assert_true(census_next(&rest, &r));
    assert_true(str_eq(r.app, STR("shop")));
    assert_int_equal(r.connections, 70000);
    assert_int_equal(r.n_users, CENSUS_USERS_MAX);
    memcpy(&h, r.users.p + 5 * sizeof(h), sizeof(h));
    assert_int_equal(h.lo, 6);
    assert_true(census_next(&rest, &r));
    assert_true(str_eq(r.app, STR_EMPTY));
    assert_int_equal(r.users.len, 0);
    assert_true(census_next(&rest, &r));
    assert_int_equal(r.connections, 0);
    assert_int_equal(r.users.len, sizeof(h));
    assert_false(census_next(&rest, &r));
    buf_fini(&list);
}

static void knows_what_is_none(void **unused)
{
    (void)unused;
    struct buf list = BUF_INIT;
    add(&list, "app", 2, 2);
    /* Cut anywhere it is no list; with its names' lengths right, records may still be too short. */
    for (size_t len = 1; len < list.len; len++)
        assert_false(census_valid(str_make(list.p, len)));
    assert_true(census_valid(STR_EMPTY));
    buf_clear(&list);
    names_add(&list, STR("short"));
    assert_false(census_valid(buf_as_str(&list)));
    buf_clear(&list);
    names_add(&list, STR("\1\0\0\0\1\0\0\0fifteen bytes.."));
    assert_false(census_valid(buf_as_str(&list)));
    buf_clear(&list);
    names_add(&list, STR("\1\0\0\0\377\377\377\377app"));
    assert_false(census_valid(buf_as_str(&list)));
    buf_fini(&list);
}

static void tells_users_of_apps_apart(void **unused)
{
    (void)unused;
    struct hash128 a = census_user(STR("u"), census_seed(STR("one"), 7));
    struct hash128 b = census_user(STR("u"), census_seed(STR("two"), 7));
    struct hash128 c = census_user(STR("u"), census_seed(STR("one"), 7));
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_memory_equal(&a, &c, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(knows_what_is_none),
        cmocka_unit_test(tells_users_of_apps_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
