#include "base/hash.h"
#include "hub/table.h"
#include "names_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SOCKETS = 8 };

static struct hub *hub;
static struct hub_socket sockets[SOCKETS];
static unsigned n_sockets;

static void ignore_interest(void *ctx, uint64_t hash, bool on)
{
    (void)ctx;
    (void)hash;
    (void)on;
}

static int set_up(void **unused)
{
    (void)unused;
    const struct hub_host host = {.interest = ignore_interest};
    const struct hub_options options = {.subscriptions_max = 100};
    hub = hub_new(&host, &options);
    n_sockets = 0;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    while (n_sockets)
        hub_leave(hub, &sockets[--n_sockets]);
    hub_free(hub);
    return 0;
}

static void join(const char *app, const char *user, const char *channels)
{
    struct hub_socket *s = &sockets[n_sockets++];
    struct buf all = names_of("*;"), list = names_of(channels);
    hub_join(hub, s, str_of(app), str_of(user),
             grants_get(hub_grants_pool(hub), buf_as_str(&all), STR_EMPTY), 0);
    assert_int_equal(hub_subscribe_all(hub, s, buf_as_str(&list)), ERR_OK);
    buf_fini(&all);
    buf_fini(&list);
}

/* By names and by hashes: both must answer the same. */
static void expect(enum hub_question_kind kind, const char *app, const char *channel,
                   const char *expected)
{
    const struct hub_question q = {.kind = kind, .app = str_of(app), .channel = str_of(channel)};
    struct buf names = BUF_INIT, hashes = BUF_INIT;
    hub_answer_names(hub, &q, &names);
    char *text = names_sorted(buf_as_str(&names));
    assert_string_equal(text, expected);
    free(text);

    hub_answer_hashes(hub, &q, &hashes);
    assert_int_equal(hashes.len, names_count(buf_as_str(&names)) * sizeof(struct hash128));
    struct str rest = buf_as_str(&names), name;
    for (size_t at = 0; names_next(&rest, &name); at += sizeof(struct hash128)) {
        struct hash128 h = hash_wide(name);
        assert_memory_equal(hashes.p + at, &h, sizeof h);
    }
    buf_fini(&names);
    buf_fini(&hashes);
}

static void lists_each_user_once(void **unused)
{
    (void)unused;
    join("app", "ann", "a;b;");
    join("app", "ann", "a;");
    join("app", "bob", "a;");
    join("app", "eve", "");
    join("app", "ann", "b;");
    expect(HUB_USERS, "app", "", "ann;bob;eve;");
    expect(HUB_USERS_OF_CHANNEL, "app", "a", "ann;bob;");
    expect(HUB_USERS_OF_CHANNEL, "app", "b", "ann;");
    /* Asked again, answered the same. */
    expect(HUB_USERS_OF_CHANNEL, "app", "a", "ann;bob;");
    expect(HUB_USERS_OF_CHANNEL, "app", "c", "");
    expect(HUB_USERS_OF_CHANNEL, "app", "", "");
}

static void lists_no_anonymous_user(void **unused)
{
    (void)unused;
    join("app", "", "a;");
    join("app", "", "a;b;");
    join("app", "ann", "b;");
    expect(HUB_USERS, "app", "", "ann;");
    expect(HUB_USERS_OF_CHANNEL, "app", "a", "");
    expect(HUB_USERS_OF_CHANNEL, "app", "b", "ann;");
    expect(HUB_CHANNELS, "app", "", "a;b;");
}

static void lists_no_empty_channel(void **unused)
{
    (void)unused;
    join("app", "ann", ";a;");
    expect(HUB_CHANNELS, "app", "", "a;");
    expect(HUB_USERS_OF_CHANNEL, "app", "", "ann;");
}

static void knows_apps_apart(void **unused)
{
    (void)unused;
    join("one", "ann", "a;");
    join("two", "bob", "b;");
    join("", "eve", "c;");
    expect(HUB_USERS, "one", "", "ann;");
    expect(HUB_USERS, "", "", "eve;");
    expect(HUB_CHANNELS, "two", "", "b;");
    expect(HUB_USERS_OF_CHANNEL, "two", "a", "");
    expect(HUB_USERS, "on*", "", "");
    expect(HUB_CHANNELS, "three", "", "");
}

/* The mark that tells who has been counted starts anew after so many questions. */
static void counts_on_when_marks_wrap(void **unused)
{
    (void)unused;
    join("app", "ann", "a;");
    join("app", "ann", "a;");
    hub->mark = UINT32_MAX - 2;
    for (int i = 0; i < 6; i++)
        expect(HUB_USERS_OF_CHANNEL, "app", "a", "ann;");
    /* One that came since then has never been marked. */
    hub->mark = UINT32_MAX;
    join("app", "bob", "a;");
    expect(HUB_USERS_OF_CHANNEL, "app", "a", "ann;bob;");
}

static void appends_to_what_is_there(void **unused)
{
    (void)unused;
    join("app", "ann", "a;");
    const struct hub_question q = {.kind = HUB_USERS, .app = STR("app")};
    struct buf names = names_of("first;");
    hub_answer_names(hub, &q, &names);
    char *text = names_sorted(buf_as_str(&names));
    assert_string_equal(text, "ann;first;");
    free(text);
    buf_fini(&names);
}

#define WITH_HUB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(lists_each_user_once),      WITH_HUB(lists_no_anonymous_user),
        WITH_HUB(lists_no_empty_channel),    WITH_HUB(knows_apps_apart),
        WITH_HUB(counts_on_when_marks_wrap), WITH_HUB(appends_to_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
