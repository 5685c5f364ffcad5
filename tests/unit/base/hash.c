#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static bool same_wide(struct str a, struct str b)
{
    struct hash128 x = hash_wide(a, 0), y = hash_wide(b, 0);
    return x.lo == y.lo && x.hi == y.hi;
}

static void is_the_same_for_the_same_bytes(void **unused)
{
    (void)unused;
    char copy[2][300];
    memset(copy, 'x', sizeof copy);
    for (size_t len = 0; len <= 300; len++) {
        assert_true(hash_bytes(str_make(copy[0], len)) == hash_bytes(str_make(copy[1], len)));
        assert_true(same_wide(str_make(copy[0], len), str_make(copy[1], len)));
    }
    /* An empty text has no address to speak of. */
    assert_true(hash_bytes(STR("")) == hash_bytes((struct str){NULL, 0}));
    assert_true(same_wide(STR(""), (struct str){NULL, 0}));
}

static void tells_names_apart(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    static char names[N][16];
    for (unsigned i = 0; i < N; i++)
        snprintf(names[i], sizeof names[i], "%u", i);
    for (unsigned i = 0; i < N; i++) {
        for (unsigned k = 0; k < i; k++) {
            assert_true(hash_bytes(str_of(names[i])) != hash_bytes(str_of(names[k])));
            assert_false(same_wide(str_of(names[i]), str_of(names[k])));
        }
    }
    assert_true(hash_bytes(STR("a\0")) != hash_bytes(STR("a")));
}

static void is_seeded_anew(void **unused)
{
    (void)unused;
    hash_seed();
    uint64_t one = hash_bytes(STR("name"));
    struct hash128 mine = hash_wide(STR("name"), hash_own_seed());
    struct hash128 shared = hash_wide(STR("name"), 7);
    assert_true(one == hash_bytes(STR("name")));
    hash_seed();
    assert_true(one != hash_bytes(STR("name")));
    assert_true(mine.lo != hash_wide(STR("name"), hash_own_seed()).lo);
    assert_true(shared.lo == hash_wide(STR("name"), 7).lo);
    assert_true(shared.hi == hash_wide(STR("name"), 7).hi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_same_for_the_same_bytes),
        cmocka_unit_test(tells_names_apart),
        cmocka_unit_test(is_seeded_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
