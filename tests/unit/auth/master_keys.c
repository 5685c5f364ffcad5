#include "auth/master_keys.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* The hashes of "one" and "two". */
#define ONE "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

static struct master_keys *parsed(const char *text)
{
    struct master_keys *k = NULL;
    char why[200] = "";
    if (master_keys_parse(&k, str_of(text), why, sizeof why))
        fail_msg("%s", why);
    return k;
}

static void expect_refused(const char *text, const char *expected)
{
    struct master_keys *k = NULL;
    char why[200] = "";
    assert_int_equal(master_keys_parse(&k, str_of(text), why, sizeof why), ERR_PROTO);
    assert_null(k);
    if (!strstr(why, expected))
        fail_msg("\"%s\": \"%s\", not \"%s\"", text, why, expected);
}

static void finds_whom_it_knows(void **unused)
{
    (void)unused;
    struct master_keys *k = parsed("# backends\n\n  shop " ONE " demo,shop publish,query\n"
                                   "\tops\t" TWO " * admin \r\n   # the end");
    const struct master_key *shop = master_keys_find(k, STR("one")),
                            *ops = master_keys_find(k, STR("two"));
    assert_non_null(shop);
    assert_non_null(ops);
    assert_true(str_eq(master_key_name(shop), STR("shop")));
    assert_true(str_eq(master_key_name(ops), STR("ops")));
    assert_true(master_key_has_right(shop, MASTER_PUBLISH));
    assert_true(master_key_has_right(shop, MASTER_QUERY));
    assert_false(master_key_has_right(shop, MASTER_ADMIN));
    assert_true(master_key_has_right(ops, MASTER_ADMIN));
    assert_false(master_key_has_right(ops, MASTER_PUBLISH));
    assert_true(master_key_has_app(shop, STR("demo")));
    assert_true(master_key_has_app(shop, STR("shop")));
    assert_false(master_key_has_app(shop, STR("sho")));
    assert_false(master_key_has_app(shop, STR("demo,shop")));
    assert_false(master_key_has_app(shop, STR("")));
    assert_false(master_key_has_app(shop, STR("*")));
    assert_true(master_key_has_app(ops, STR("any")));
    assert_null(master_keys_find(k, STR("three")));
    assert_null(master_keys_find(k, STR("One")));
    assert_null(master_keys_find(k, STR("one ")));
    assert_null(master_keys_find(k, STR("")));
    assert_null(master_keys_find(k, STR(ONE)));
    char longest[MASTER_KEY_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_null(master_keys_find(k, str_make(longest, sizeof longest)));
    master_keys_free(k);
}

/* A file without keys lets nobody in, as opposed to no file. */
static void nobody_is_known_without_lines(void **unused)
{
    (void)unused;
    struct master_keys *k = parsed("");
    assert_null(master_keys_find(k, STR("")));
    assert_null(master_keys_find(k, STR("one")));
    master_keys_free(k);
}

static void says_which_line_is_wrong(void **unused)
{
    (void)unused;
    expect_refused("a", "line 1: behind the name");
    expect_refused("#\n\na " ONE, "line 3: behind the hash");
    expect_refused("a sha256:12 * publish", "line 1: behind the name");
    expect_refused("a sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431eg * "
                   "publish",
                   "line 1: behind the name");
    expect_refused("a " ONE "0 * publish", "behind the name");
    expect_refused(
        "a sha1:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed * query",
        "behind the name");
    expect_refused("a " ONE " ,x publish", "behind the hash");
    expect_refused("a " ONE " x,,y publish", "behind the hash");
    expect_refused("a " ONE " *", "behind the apps");
    expect_refused("a " ONE " * read", "behind the apps");
    expect_refused("a " ONE " * publish,", "behind the apps");
    expect_refused("a " ONE " * publish, query", "behind the apps");
    expect_refused("a " ONE " * publish query", "more behind the rights");
    expect_refused("a " ONE " * publish\na " TWO " * query", "line 2: a key of this name");
    expect_refused("\303\244 " ONE " * publish", "the name");
    struct buf longest = BUF_INIT;
    for (unsigned i = 0; i <= MASTER_KEY_NAME_MAX; i++)
        buf_char(&longest, 'x');
    buf_str(&longest, STR(" " ONE " * publish"));
    buf_char(&longest, 0);
    expect_refused(longest.p, "the name");
    master_keys_free(parsed(longest.p + 1)); /* one less is fine */
    buf_fini(&longest);
}

static void has_limits(void **unused)
{
    (void)unused;
    struct buf text = BUF_INIT;
    struct master_keys *k = NULL;
    char why[200];
    for (unsigned i = 0; i < MASTER_KEYS_MAX; i++)
        buf_printf(&text, "key-%u " ONE " * publish\n", i);
    assert_int_equal(master_keys_parse(&k, buf_as_str(&text), why, sizeof why), ERR_OK);
    master_keys_free(k);
    buf_str(&text, STR("more " TWO " * publish\n"));
    assert_int_equal(master_keys_parse(&k, buf_as_str(&text), why, sizeof why), ERR_PROTO);
    assert_non_null(strstr(why, "line 1001: there are too many keys"));
    buf_clear(&text);
    while (text.len <= MASTER_KEYS_FILE_MAX)
        buf_char(&text, '\n');
    assert_int_equal(master_keys_parse(&k, buf_as_str(&text), why, sizeof why), ERR_LIMIT);
    buf_fini(&text);
}

static void makes_keys(void **unused)
{
    (void)unused;
    struct buf secrets[2] = {BUF_INIT, BUF_INIT}, file = BUF_INIT;
    char why[200] = "";
    assert_int_equal(master_key_make(&secrets[0], &file, STR("shop"), STR("demo,shop"),
                                     STR("publish"), why, sizeof why),
                     ERR_OK);
    assert_int_equal(master_key_make(&secrets[1], &file, STR("ops"), STR("*"), STR("query,admin"),
                                     why, sizeof why),
                     ERR_OK);
    assert_false(str_eq(buf_as_str(&secrets[0]), buf_as_str(&secrets[1])));
    buf_char(&file, 0);
    struct master_keys *k = parsed(file.p);
    const struct master_key *shop = master_keys_find(k, buf_as_str(&secrets[0])),
                            *ops = master_keys_find(k, buf_as_str(&secrets[1]));
    assert_non_null(shop);
    assert_non_null(ops);
    assert_true(str_eq(master_key_name(shop), STR("shop")));
    assert_true(master_key_has_app(shop, STR("shop")));
    assert_true(master_key_has_right(ops, MASTER_ADMIN));
    /* The file does not hold them. */
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(secrets[i].len, 3 + 43);
        buf_char(&secrets[i], 0);
        assert_null(strstr(file.p, secrets[i].p));
    }
    master_keys_free(k);
    buf_fini(&secrets[0]);
    buf_fini(&secrets[1]);
    buf_fini(&file);
}

static void makes_no_other_lines_than_one(void **unused)
{
    (void)unused;
    static const struct {
        struct str name, apps, rights;
    } wrong[] = {
        {STR(""), STR("*"), STR("publish")},
        {STR("#"), STR("*"), STR("publish")},
        {STR("a b"), STR("*"), STR("publish")},
        {STR("a"), STR(""), STR("publish")},
        {STR("a"), STR("x y"), STR("publish")},
        {STR("a"), STR("x,"), STR("")},
        {STR("a"), STR("*"), STR("root")},
        {STR("a"), STR("*"), STR("publish\nb " ONE " * admin")},
        {STR("a"), STR("* publish\nb " ONE " *"), STR("admin")},
        {STR("#a\nb"), STR("*"), STR("publish")},
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct buf secret = BUF_INIT, line = BUF_INIT;
        char why[200] = "";
        assert_int_equal(master_key_make(&secret, &line, wrong[i].name, wrong[i].apps,
                                         wrong[i].rights, why, sizeof why),
                         ERR_PROTO);
        assert_true(why[0]);
        assert_int_equal(secret.len + line.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_whom_it_knows),
        cmocka_unit_test(nobody_is_known_without_lines),
        cmocka_unit_test(says_which_line_is_wrong),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(makes_keys),
        cmocka_unit_test(makes_no_other_lines_than_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
