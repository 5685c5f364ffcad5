#include "base/hash.h"
#include "base/hash_set.h"
#include "hub/census.h"
#include "hub/table.h"
#include "names_text.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SOCKETS = 8 };

static struct hub *hub;
static struct hub_socket sockets[SOCKETS];
static unsigned n_sockets;

static void ignore_interest(void *ctx, const struct hub_name *name, bool on)
{
    (void)ctx;
    (void)name;
    (void)on;
}

static int set_up(void **unused)
{
    (void)unused;
    const struct hub_host host = {.interest = ignore_interest};
    const struct hub_options options = {
        .subscriptions_max = 100, .name_max = 100, .bulk_min = HUB_BULK_MIN};
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

static void answer_whole(const struct hub_question *q, bool hashes, struct buf *out)
{
    assert_int_equal(hub_answer(hub, q, hashes, HUB_CURSOR_BEGIN, SIZE_MAX, out), HUB_CURSOR_END);
}

/* By names and by hashes: both must answer the same. */
static void expect(enum hub_question_kind kind, const char *app, const char *channel,
                   const char *expected)
{
    const struct hub_question q = {
        .kind = kind, .app = str_of(app), .channel = str_of(channel), .seed = 4711};
    struct buf names = BUF_INIT, hashes = BUF_INIT;
    answer_whole(&q, false, &names);
    char *text = names_sorted(buf_as_str(&names));
    assert_string_equal(text, expected);
    free(text);

    answer_whole(&q, true, &hashes);
    assert_int_equal(hashes.len, names_count(buf_as_str(&names)) * sizeof(struct hash128));
    struct str rest = buf_as_str(&names), name;
    for (size_t at = 0; names_next(&rest, &name); at += sizeof(struct hash128)) {
        struct hash128 h = hash_wide(name, q.seed);
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
    answer_whole(&q, false, &names);
    char *text = names_sorted(buf_as_str(&names));
    assert_string_equal(text, "ann;first;");
    free(text);
    buf_fini(&names);
}

/* ---- pages, while sockets come and go in between ---- */

enum { CROWD = 300, PAGES_MAX = 4000 };

/* Sockets beside the few above: number i is user "u<i>" and listens to channel "c<i>", and to
 * "all" of them. */
static struct hub_socket crowd[CROWD];
static bool is_in[CROWD];

static void come(unsigned i, unsigned user)
{
    struct buf all = names_of("*;");
    char name[16];
    snprintf(name, sizeof name, "u%u", user);
    memset(&crowd[i], 0, sizeof crowd[i]);
    hub_join(hub, &crowd[i], STR("app"), str_of(name),
             grants_get(hub_grants_pool(hub), buf_as_str(&all), STR_EMPTY), 0);
    snprintf(name, sizeof name, "c%u", i);
    assert_int_equal(hub_subscribe(hub, &crowd[i], str_of(name)), ERR_OK);
    assert_int_equal(hub_subscribe(hub, &crowd[i], STR("all")), ERR_OK);
    buf_fini(&all);
    is_in[i] = true;
}

static void go(unsigned i)
{
    hub_leave(hub, &crowd[i]);
    is_in[i] = false;
}

static void all_go(void)
{
    for (unsigned i = 0; i < CROWD; i++) {
        if (is_in[i])
            go(i);
    }
}

/* Some leave and some come, but for the first `n_stay`. */
static void change_some(struct prng *r, unsigned n_stay)
{
    for (unsigned k = prng_below(r, 40); k > 0; k--) {
        unsigned i = n_stay + prng_below(r, CROWD - n_stay);
        if (is_in[i])
            go(i);
        else
            come(i, i);
    }
}

static const struct hub_question crowd_questions[] = {
    {HUB_CHANNELS, STR("app"), {0}, 0x1234567890},
    {HUB_USERS, STR("app"), {0}, 1},
    {HUB_USERS_OF_CHANNEL, STR("app"), STR("all"), UINT64_MAX},
};

static bool has_name(struct str list, struct str name)
{
    for (struct str one; names_next(&list, &one);) {
        if (str_eq(one, name))
            return true;
    }
    return false;
}

static bool has_hash(struct str list, struct str name, uint64_t seed)
{
    struct hash128 h = hash_wide(name, seed);
    for (size_t at = 0; at < list.len; at += sizeof h) {
        if (memcmp(list.p + at, &h, sizeof h) == 0)
            return true;
    }
    return false;
}

/* Reads all pages; `r` NULL: nobody comes or goes meanwhile. */
static unsigned read_pages(const struct hub_question *q, bool hashes, size_t page_bytes,
                           struct prng *r, unsigned n_stay, struct buf *all)
{
    uint32_t cursor = HUB_CURSOR_BEGIN;
    unsigned pages = 0;
    do {
        size_t before = all->len;
        cursor = hub_answer(hub, q, hashes, cursor, page_bytes, all);
        assert_true(cursor == HUB_CURSOR_END || all->len - before >= page_bytes);
        /* One name (of some bytes) too many, and those that share its place: not more. */
        assert_true(all->len - before < page_bytes + 32 * 20);
        if (r)
            change_some(r, n_stay);
        assert_true(++pages < PAGES_MAX);
    } while (cursor != HUB_CURSOR_END);
    return pages;
}

static void finds_who_is_there_all_the_time(void **unused)
{
    (void)unused;
    static const size_t page_bytes[] = {1, 20, 100, 1000};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct prng r = {seed};
        unsigned n_stay = 1 + prng_below(&r, 60);
        /* Those who stay come between the others, or they would be the first ones everywhere. */
        for (unsigned k = 0; k < CROWD; k++) {
            unsigned i = (k * 7) % CROWD;
            if (i < n_stay || prng_below(&r, 2))
                come(i, i);
        }
        for (unsigned k = 0; k < 3 * 4 * 2; k++) {
            const struct hub_question *q = &crowd_questions[k % 3];
            bool hashes = k / 12;
            struct buf all = BUF_INIT;
            read_pages(q, hashes, page_bytes[k / 3 % 4], &r, n_stay, &all);
            for (unsigned i = 0; i < n_stay; i++) {
                char name[16];
                snprintf(name, sizeof name, q->kind == HUB_CHANNELS ? "c%u" : "u%u", i);
                if (!(hashes ? has_hash(buf_as_str(&all), str_of(name), q->seed)
                             : has_name(buf_as_str(&all), str_of(name))))
                    fail_msg("seed %u, question %u: no %s", (unsigned)seed, k, name);
            }
            buf_fini(&all);
        }
        all_go();
    }
}

/* While nobody comes or goes, pages of any size make the same list. */
static void makes_pages_of_the_same_list(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < CROWD; i++)
        come(i, i);
    for (unsigned k = 0; k < 3; k++) {
        struct buf whole = BUF_INIT;
        const struct hub_question *q = &crowd_questions[k];
        answer_whole(q, false, &whole);
        char *expected = names_sorted(buf_as_str(&whole));
        assert_int_equal(names_count(buf_as_str(&whole)), CROWD + (k == 0));
        for (size_t bytes = 1; bytes <= 4096; bytes *= 4) {
            struct buf all = BUF_INIT;
            unsigned pages = read_pages(q, false, bytes, NULL, 0, &all);
            char *got = names_sorted(buf_as_str(&all));
            assert_string_equal(got, expected);
            assert_in_range(pages, whole.len / (bytes + 640), whole.len / bytes + 1);
            free(got);
            buf_fini(&all);
        }
        free(expected);
        buf_fini(&whole);
    }
    all_go();
}

/* The whole channel changes under the one who reads it: sockets leave and come again, so that every
 * place has somebody else in it. */
static void reads_a_channel_whose_subscribers_swap(void **unused)
{
    (void)unused;
    for (unsigned stays = 0; stays < CROWD; stays += 13) {
        for (unsigned i = 0; i < CROWD; i++)
            come(i, i);
        struct buf all = BUF_INIT;
        uint32_t cursor = HUB_CURSOR_BEGIN;
        unsigned next = 0, pages = 0;
        do {
            cursor = hub_answer(hub, &crowd_questions[2], false, cursor, 50, &all);
            for (unsigned n = 0; n < 17; n++, next = (next + 1) % CROWD) {
                if (next == stays)
                    continue;
                go(next);
                if (pages % 3)
                    come(next, next);
            }
            for (unsigned i = 0; pages % 3 == 2 && i < CROWD; i++) {
                if (!is_in[i])
                    come(i, i);
            }
            assert_true(++pages < PAGES_MAX);
        } while (cursor != HUB_CURSOR_END);
        char name[16];
        snprintf(name, sizeof name, "u%u", stays);
        assert_true(has_name(buf_as_str(&all), str_of(name)));
        buf_fini(&all);
        all_go();
    }
}

/* A user with sockets on several pages is on each of these, once. */
static void lists_a_user_once_a_page(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 100; i++)
        come(i, i % 3);
    uint32_t cursor = HUB_CURSOR_BEGIN;
    struct buf page = BUF_INIT;
    unsigned pages = 0;
    do {
        buf_clear(&page);
        cursor = hub_answer(hub, &crowd_questions[2], false, cursor, 12, &page);
        char *text = names_sorted(buf_as_str(&page));
        assert_true(strcmp(text, "u0;u1;") == 0 || strcmp(text, "u0;u2;") == 0 ||
                    strcmp(text, "u1;u2;") == 0 || cursor == HUB_CURSOR_END);
        free(text);
        pages++;
    } while (cursor != HUB_CURSOR_END);
    assert_int_equal(pages, 50);
    buf_fini(&page);
    all_go();
}

/* What is gone when the next page is asked for has no more names; nor has what never was. */
static void ends_when_all_are_gone(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 0; i < 50; i++)
            come(i, i);
        struct buf page = BUF_INIT;
        uint32_t cursor = hub_answer(hub, &crowd_questions[k], false, HUB_CURSOR_BEGIN, 1, &page);
        assert_int_not_equal(cursor, HUB_CURSOR_END);
        all_go();
        buf_clear(&page);
        assert_int_equal(hub_answer(hub, &crowd_questions[k], false, cursor, 1, &page),
                         HUB_CURSOR_END);
        join("app", "ann", "other;");
        assert_int_equal(hub_answer(hub, &crowd_questions[2], false, cursor, 1, &page),
                         HUB_CURSOR_END);
        assert_int_equal(page.len, 0);
        hub_leave(hub, &sockets[--n_sockets]);
        buf_fini(&page);
    }
}

/* Cursors come from other nodes: any number is answered, and leads to an end. */
static void takes_any_cursor(void **unused)
{
    (void)unused;
    struct prng r = {3};
    for (unsigned i = 0; i < 50; i++)
        come(i, i);
    for (unsigned k = 0; k < 3000; k++) {
        uint32_t cursor = k < 3 ? UINT32_MAX - k : (uint32_t)prng_next(&r) >> prng_below(&r, 32);
        struct buf page = BUF_INIT;
        unsigned pages = 0;
        do {
            cursor = hub_answer(hub, &crowd_questions[k % 3], false, cursor, 10, &page);
            assert_true(++pages < PAGES_MAX);
        } while (cursor != HUB_CURSOR_END);
        buf_fini(&page);
    }
    all_go();
}

#define WITH_HUB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* ---- a census ---- */

enum { CITIZENS = 10000, CENSUS_APPS = 3 };

/* Takes a census in pages; the sums of each app "app<i>", whose users are hashed once a page. */
static void take_census(size_t page_bytes, uint32_t connections[], uint32_t users[],
                        unsigned *n_pages)
{
    const struct hub_question q = {.kind = HUB_CENSUS, .seed = 99};
    struct hash_set seen = {0};
    uint32_t cursor = HUB_CURSOR_BEGIN;
    *n_pages = 0;
    do {
        struct buf page = BUF_INIT;
        cursor = hub_answer(hub, &q, false, cursor, page_bytes, &page);
        assert_true(census_valid(buf_as_str(&page)));
        assert_true(page_bytes > SIZE_MAX / 2 || page.len < page_bytes + 100);
        struct str rest = buf_as_str(&page);
        for (struct census_record r; census_next(&rest, &r);) {
            unsigned app = (unsigned)(r.app.p[3] - '0');
            assert_in_range(app, 0, CENSUS_APPS - 1);
            assert_in_range(r.n_users, 0, CENSUS_USERS_MAX);
            connections[app] += r.connections;
            for (size_t at = 0; at < r.users.len; at += sizeof(struct hash128)) {
                struct hash128 h;
                memcpy(&h, r.users.p + at, sizeof(h));
                users[app] += hash_set_add(&seen, h);
            }
        }
        buf_fini(&page);
        ++*n_pages;
    } while (cursor != HUB_CURSOR_END);
    hash_set_fini(&seen);
}

static void takes_a_census(void **unused)
{
    (void)unused;
    static struct hub_socket citizens[CITIZENS];
    const size_t sizes[] = {1, 100, 4096, 128 << 10, SIZE_MAX};
    uint32_t connections[CENSUS_APPS] = {0}, users[CENSUS_APPS] = {0};
    unsigned n_pages;
    take_census(4096, connections, users, &n_pages);
    assert_int_equal(n_pages, 1);
    assert_int_equal(connections[0], 0);

    for (unsigned i = 0; i < CITIZENS; i++) {
        char app[8], user[16] = "";
        snprintf(app, sizeof app, "app%u", i % 7 ? 0 : 1);
        if (i % 5)
            snprintf(user, sizeof user, "u%u", i % 1000);
        hub_join(hub, &citizens[i], str_of(app), str_of(user),
                 grants_get(hub_grants_pool(hub), STR_EMPTY, STR_EMPTY), 0);
    }
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(connections, 0, sizeof connections);
        memset(users, 0, sizeof users);
        take_census(sizes[i], connections, users, &n_pages);
        assert_int_equal(connections[0], 8571);
        assert_int_equal(connections[1], 1429);
        assert_int_equal(connections[2], 0);
        assert_int_equal(users[0], 800);
        assert_int_equal(users[1], 800);
        assert_true(sizes[i] > 1 ? n_pages < CITIZENS / 2 : n_pages == CITIZENS + 1);
        assert_true(n_pages >= 3); /* a page has its bound, whatever its bytes */
    }
    for (unsigned i = 0; i < CITIZENS; i++)
        hub_leave(hub, &citizens[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(lists_each_user_once),
        WITH_HUB(lists_no_anonymous_user),
        WITH_HUB(lists_no_empty_channel),
        WITH_HUB(knows_apps_apart),
        WITH_HUB(counts_on_when_marks_wrap),
        WITH_HUB(appends_to_what_is_there),
        WITH_HUB(finds_who_is_there_all_the_time),
        WITH_HUB(makes_pages_of_the_same_list),
        WITH_HUB(reads_a_channel_whose_subscribers_swap),
        WITH_HUB(lists_a_user_once_a_page),
        WITH_HUB(ends_when_all_are_gone),
        WITH_HUB(takes_any_cursor),
        WITH_HUB(takes_a_census),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
