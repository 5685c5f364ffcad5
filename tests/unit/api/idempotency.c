#include "api/idempotency.h"
#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct idempotency *table;
static int64_t now_ms;

static int set_up(void **unused)
{
    (void)unused;
    table = idempotency_new();
    now_ms = 1000;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    idempotency_free(table);
    return 0;
}

static struct once once_of(const char *who, const char *path, const char *key, const char *body)
{
    struct once o = {0};
    assert_int_equal(once_make(&o, str_of(who), str_of(path), str_of(key), str_of(body)), ERR_OK);
    assert_true(o.has_key);
    return o;
}

static struct once numbered(unsigned i)
{
    char key[16];
    snprintf(key, sizeof key, "%u", i);
    return once_of("", "/", key, "");
}

/* What becomes of a request; an answer must be this one. */
static enum once_verdict begin(const struct once *o, const char *expected)
{
    struct buf answer = BUF_INIT;
    enum once_verdict v = idempotency_begin(table, o, now_ms, &answer);
    if (v == ONCE_ANSWERED)
        assert_true(str_eq(buf_as_str(&answer), str_of(expected)));
    else
        assert_int_equal(answer.len, 0);
    buf_fini(&answer);
    return v;
}

static void tells_requests_apart(void **unused)
{
    (void)unused;
    struct once one = once_of("who", "/path", "key", "body");
    const struct once others[] = {
        once_of("other", "/path", "key", "body"), once_of("who", "/other", "key", "body"),
        once_of("who", "/path", "other", "body"), once_of("wh", "o/path", "key", "body"),
        once_of("who", "/pathk", "ey", "body")};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        assert_memory_not_equal(one.id, others[i].id, sizeof one.id);
    struct once same = once_of("who", "/path", "key", "body"),
                body = once_of("who", "/path", "key", "other");
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_equal(one.id, body.id, sizeof one.id);
    assert_memory_not_equal(one.body, body.body, sizeof one.body);
}

static void judges_keys(void **unused)
{
    (void)unused;
    char key[257];
    memset(key, 'k', sizeof key);
    assert_false(idempotency_key_is_valid(STR_EMPTY));
    assert_true(idempotency_key_is_valid(str_make(key, 1)));
    assert_true(idempotency_key_is_valid(str_make(key, 255)));
    assert_false(idempotency_key_is_valid(str_make(key, 256)));
    for (int c = 0; c < 256; c++) {
        key[3] = (char)c;
        assert_int_equal(idempotency_key_is_valid(str_make(key, 8)), c > 32 && c < 127);
    }
}

static void answers_from_memory(void **unused)
{
    (void)unused;
    struct once one = once_of("", "/", "k", "body"), other = once_of("", "/", "k", "other");
    assert_int_equal(begin(&one, ""), ONCE_FIRST);
    assert_int_equal(begin(&one, ""), ONCE_UNDER_WAY);
    assert_int_equal(begin(&other, ""), ONCE_OTHER);
    idempotency_done(table, &other, STR("not its end"));
    idempotency_forget(table, &other);
    assert_int_equal(begin(&one, ""), ONCE_UNDER_WAY);
    idempotency_done(table, &one, STR("the answer"));
    assert_int_equal(begin(&one, "the answer"), ONCE_ANSWERED);
    assert_int_equal(begin(&other, ""), ONCE_OTHER);
    /* Once it is answered it stays so. */
    idempotency_done(table, &one, STR("another answer"));
    idempotency_forget(table, &one);
    assert_int_equal(begin(&one, "the answer"), ONCE_ANSWERED);
    now_ms += IDEMPOTENCY_KEEP_MS - 1;
    assert_int_equal(begin(&one, "the answer"), ONCE_ANSWERED);
    now_ms++;
    assert_int_equal(begin(&other, ""), ONCE_FIRST);
}

static void forgets_what_was_not_carried_out(void **unused)
{
    (void)unused;
    struct once one = once_of("", "/", "k", "body"), other = once_of("", "/", "k", "other");
    assert_int_equal(begin(&one, ""), ONCE_FIRST);
    idempotency_forget(table, &one);
    idempotency_forget(table, &one);
    idempotency_done(table, &one, STR("too late"));
    assert_int_equal(begin(&other, ""), ONCE_FIRST);
    /* An end that never comes is not waited for longer than all others are kept. */
    now_ms += IDEMPOTENCY_KEEP_MS;
    assert_int_equal(begin(&one, ""), ONCE_FIRST);
}

static void bounds_entries(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < IDEMPOTENCY_ENTRIES_MAX; i++) {
        struct once o = numbered(i);
        assert_int_equal(begin(&o, ""), ONCE_FIRST);
        if (i % 2)
            idempotency_done(table, &o, STR("done"));
    }
    struct once first = numbered(0), second = numbered(1), one_more = numbered(UINT32_MAX);
    assert_int_equal(begin(&first, ""), ONCE_UNDER_WAY);
    assert_int_equal(begin(&one_more, ""), ONCE_FIRST);
    assert_int_equal(begin(&second, "done"), ONCE_ANSWERED);
    /* The oldest went, and its end is nobody's. */
    idempotency_done(table, &first, STR("done"));
    assert_int_equal(begin(&first, ""), ONCE_FIRST);
    assert_int_equal(begin(&second, ""), ONCE_FIRST);
}

static void bounds_bytes(void **unused)
{
    (void)unused;
    enum { N = 20, BYTES = 4 << 20 };
    char *text = calloc(1, BYTES);
    unsigned kept = 0;
    for (unsigned i = 0; i < N; i++) {
        struct once o = numbered(i);
        assert_int_equal(begin(&o, ""), ONCE_FIRST);
        idempotency_done(table, &o, str_make(text, BYTES));
    }
    for (unsigned i = 0; i < N; i++) {
        struct once o = numbered(i);
        struct buf answer = BUF_INIT;
        bool is_kept = idempotency_begin(table, &o, now_ms, &answer) == ONCE_ANSWERED;
        assert_true(is_kept == (answer.len == BYTES));
        assert_true(is_kept || !kept); /* the oldest are those that went */
        kept += is_kept;
        buf_fini(&answer);
    }
    assert_int_equal(kept, IDEMPOTENCY_BYTES_MAX / BYTES - 1);
    free(text);
}

static void keeps_what_others_tell(void **unused)
{
    (void)unused;
    struct once one = once_of("", "/", "k", "body"), other = once_of("", "/", "k", "other");
    struct buf note = BUF_INIT;
    idempotency_write_note(&note, &one, STR("the answer"));
    for (size_t len = 0; len < 2 * IDEMPOTENCY_HASH_BYTES; len++)
        assert_int_equal(idempotency_take_note(table, str_make(note.p, len), now_ms), ERR_PROTO);
    assert_int_equal(idempotency_take_note(table, buf_as_str(&note), now_ms), ERR_OK);
    assert_int_equal(idempotency_take_note(table, buf_as_str(&note), now_ms), ERR_OK);
    assert_int_equal(begin(&one, "the answer"), ONCE_ANSWERED);
    assert_int_equal(begin(&other, ""), ONCE_OTHER);
    now_ms += IDEMPOTENCY_KEEP_MS;
    /* It stands before what is under way here, whatever that says, and behind what is answered. */
    assert_int_equal(begin(&other, ""), ONCE_FIRST);
    assert_int_equal(idempotency_take_note(table, buf_as_str(&note), now_ms), ERR_OK);
    idempotency_forget(table, &other);
    assert_int_equal(begin(&one, "the answer"), ONCE_ANSWERED);
    buf_clear(&note);
    idempotency_write_note(&note, &other, STR("another"));
    assert_int_equal(idempotency_take_note(table, buf_as_str(&note), now_ms), ERR_OK);
    assert_int_equal(begin(&one, "the answer"), ONCE_ANSWERED);
    buf_fini(&note);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH_TABLE(tells_requests_apart),   WITH_TABLE(judges_keys),
        WITH_TABLE(answers_from_memory),    WITH_TABLE(forgets_what_was_not_carried_out),
        WITH_TABLE(bounds_entries),         WITH_TABLE(bounds_bytes),
        WITH_TABLE(keeps_what_others_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
