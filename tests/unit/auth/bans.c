#include "auth/bans.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/hash.h"

#define NOW 1700000000ll
#define APP STR("app")

static struct bans *bans;

static int set_up(void **unused)
{
    (void)unused;
    bans = bans_new();
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    bans_free(bans);
    return 0;
}

static struct ban ban_of(enum ban_kind kind, struct str name, int64_t until_s, int64_t set_ms)
{
    return (struct ban){
        .kind = kind, .app = APP, .name = name, .until_s = until_s, .set_ms = set_ms};
}

static enum err take(struct bans *b, const struct ban *ban, int64_t now_s)
{
    struct buf note = BUF_INIT;
    struct ban read = {0};
    ban_write_note(&note, ban);
    enum err e = bans_take_note(b, buf_as_str(&note), now_s, &read);
    if (e != ERR_PROTO) {
        assert_int_equal(read.kind, ban->kind);
        assert_true(str_eq(read.app, ban->app) && str_eq(read.name, ban->name));
        assert_int_equal(read.until_s, ban->until_s);
        assert_int_equal(read.set_ms, ban->set_ms);
        assert_int_equal(read.lifted, ban->lifted);
    }
    buf_fini(&note);
    return e;
}

static bool user_is_out(struct bans *b, const char *user, int64_t now_s)
{
    return bans_keep_out(b, APP, str_of(user), STR_EMPTY, now_s);
}

static void keeps_out_until_then(void **unused)
{
    (void)unused;
    const struct ban ann = ban_of(BAN_USER, STR("ann"), NOW + 10, 5),
                     token = ban_of(BAN_TOKEN, STR("j1"), NOW + 20, 5);
    assert_false(user_is_out(bans, "ann", NOW));
    assert_int_equal(take(bans, &ann, NOW), ERR_OK);
    assert_int_equal(take(bans, &token, NOW), ERR_OK);
    assert_true(user_is_out(bans, "ann", NOW));
    assert_true(user_is_out(bans, "ann", NOW + 9));
    assert_false(user_is_out(bans, "ann", NOW + 10));
    /* It is that user of that app, and no token of this name. */
    assert_false(user_is_out(bans, "bob", NOW));
    assert_false(user_is_out(bans, "", NOW));
    assert_false(bans_keep_out(bans, STR("ap"), STR("pann"), STR_EMPTY, NOW));
    assert_false(bans_keep_out(bans, STR("other"), STR("ann"), STR_EMPTY, NOW));
    assert_false(bans_keep_out(bans, APP, STR("j1"), STR("ann"), NOW));
    assert_true(bans_keep_out(bans, APP, STR("bob"), STR("j1"), NOW + 19));
    assert_false(bans_keep_out(bans, APP, STR("bob"), STR("j1"), NOW + 20));
}

/* In whatever order they come. */
static void the_latest_note_counts(void **unused)
{
    (void)unused;
    struct ban first = ban_of(BAN_USER, STR("ann"), NOW + 100, 1),
               lifted = ban_of(BAN_USER, STR("ann"), NOW + 50, 2),
               again = ban_of(BAN_USER, STR("ann"), NOW + 30, 3);
    lifted.lifted = true;
    assert_int_equal(take(bans, &first, NOW), ERR_OK);
    assert_int_equal(take(bans, &first, NOW), ERR_EXPIRED);
    assert_int_equal(take(bans, &lifted, NOW), ERR_OK);
    assert_false(user_is_out(bans, "ann", NOW));
    /* As long as the first would have lasted it is known not to count. */
    assert_int_equal(take(bans, &first, NOW + 99), ERR_EXPIRED);
    assert_false(user_is_out(bans, "ann", NOW + 99));
    assert_int_equal(take(bans, &again, NOW), ERR_OK);
    assert_int_equal(take(bans, &lifted, NOW), ERR_EXPIRED);
    assert_int_equal(take(bans, &first, NOW), ERR_EXPIRED);
    assert_true(user_is_out(bans, "ann", NOW + 29));
    assert_false(user_is_out(bans, "ann", NOW + 30));
}

static void takes_nothing_malformed(void **unused)
{
    (void)unused;
    struct buf note = BUF_INIT, changed = BUF_INIT;
    struct ban ban = ban_of(BAN_USER, STR("ann"), NOW + 10, NOW * 1000), read;
    ban_write_note(&note, &ban);
    for (size_t len = 0; len < note.len - 2; len++) /* the name may be shorter, not empty */
        assert_int_equal(bans_take_note(bans, str_make(note.p, len), NOW, &read), ERR_PROTO);
    static const struct {
        size_t at;
        char byte;
    } wrong[] = {{0, 2}, {0, 0}, {1, 2}, {2, 2}, {3, 1}, {3, (char)0x80}, {11, 1}, {19, 1}};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        buf_clear(&changed);
        buf_str(&changed, buf_as_str(&note));
        changed.p[wrong[i].at] = wrong[i].byte;
        assert_int_equal(bans_take_note(bans, buf_as_str(&changed), NOW, &read), ERR_PROTO);
    }
    while (changed.len <= BAN_NOTE_MAX)
        buf_char(&changed, 'x');
    changed.p[0] = note.p[0];
    assert_int_equal(bans_take_note(bans, buf_as_str(&changed), NOW, &read), ERR_PROTO);
    ban.until_s = NOW;
    assert_int_equal(take(bans, &ban, NOW), ERR_EXPIRED);
    assert_false(user_is_out(bans, "ann", NOW - 1));
    buf_fini(&note);
    buf_fini(&changed);
}

struct count {
    unsigned n, n_lifted;
};

static void count(void *ctx, const struct ban *ban)
{
    struct count *c = ctx;
    c->n++;
    c->n_lifted += ban->lifted;
}

static struct count counted(struct bans *b, int64_t now_s)
{
    struct count c = {0};
    bans_each(b, now_s, count, &c);
    return c;
}

static void take_many(unsigned from, unsigned to, int64_t until_s)
{
    for (unsigned i = from; i < to; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "u%u", i);
        const struct ban ban = ban_of(BAN_USER, str_make(name, (size_t)len), until_s, 1);
        assert_int_equal(take(bans, &ban, NOW), ERR_OK);
    }
}

static void has_room_for_so_many(void **unused)
{
    (void)unused;
    const struct ban more = ban_of(BAN_USER, STR("more"), NOW + 100, 1);
    take_many(0, BANS_MAX / 2, NOW + 10);
    take_many(BANS_MAX / 2, BANS_MAX, NOW + 20);
    assert_int_equal(counted(bans, NOW).n, BANS_MAX);
    assert_int_equal(take(bans, &more, NOW), ERR_FULL);
    assert_false(user_is_out(bans, "more", NOW));
    /* Those that are over make room. */
    assert_int_equal(counted(bans, NOW + 10).n, BANS_MAX / 2);
    assert_int_equal(take(bans, &more, NOW + 10), ERR_OK);
    assert_int_equal(counted(bans, NOW).n, BANS_MAX / 2 + 1);
}

#define WITH_BANS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH_BANS(keeps_out_until_then),
        WITH_BANS(the_latest_note_counts),
        WITH_BANS(takes_nothing_malformed),
        WITH_BANS(has_room_for_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
