/* What is known of each socket, in a ring that forgets the oldest. */
#include "edge/trace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/json.h"
#include "base/names.h"
#include "prng.h"

static struct trace trace;

static int set_up(void **unused)
{
    (void)unused;
    trace = (struct trace){0};
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    trace_fini(&trace);
    return 0;
}

static struct trace_socket a_socket(unsigned i)
{
    return (struct trace_socket){.number = 1ull << 32 | i, .salt = 7, .app = STR("app")};
}

static void note(unsigned socket, int64_t at_ms, const char *word, const char *text)
{
    const struct trace_socket s = a_socket(socket);
    trace_note(&trace, &s, at_ms, str_of(word), str_of(text));
}

/* "n time event detail;" of each. */
static void expect(const struct trace_socket *s, int64_t now_ms, const char *all)
{
    struct buf list = BUF_INIT, text = BUF_INIT;
    trace_tell(&trace, s, now_ms, &list);
    struct str rest = buf_as_str(&list);
    for (struct str name; names_next(&rest, &name);) {
        struct json o, v[4];
        static const char *const members[] = {"n", "time", "event", "detail"};
        assert_int_equal(json_parse(&o, name), ERR_OK);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(json_get(o, str_of(members[i]), &v[i]));
            buf_str(&text, v[i].text);
            buf_char(&text, i < 3 ? ' ' : ';');
        }
    }
    buf_char(&text, 0);
    assert_string_equal(text.p, all);
    buf_fini(&list);
    buf_fini(&text);
}

static void tells_of_one_socket(void **unused)
{
    (void)unused;
    const struct trace_socket one = a_socket(1), two = a_socket(2), none = a_socket(3);
    expect(&one, 0, "");
    note(1, 10, "opened", "192.0.2.1");
    note(2, 20, "opened", "");
    note(1, 30, "gusher.subscribe_succeeded", "{\"channel\":\"a\"}");
    expect(&one, 40,
           "1 10 \"opened\" \"192.0.2.1\";"
           "3 30 \"gusher.subscribe_succeeded\" \"{\\\"channel\\\":\\\"a\\\"}\";");
    expect(&two, 40, "2 20 \"opened\" \"\";");
    expect(&none, 40, "");
    /* Another app's key, another salt, the next one in its slot: none of them is it. */
    struct trace_socket other = one;
    other.app = STR("other");
    expect(&other, 40, "");
    other = one;
    other.salt = 8;
    expect(&other, 40, "");
    other = one;
    other.number += 1ull << 32;
    expect(&other, 40, "");
    /* What is old is not told. */
    expect(&one, 20 + TRACE_KEEP_MS,
           "3 30 \"gusher.subscribe_succeeded\" \"{\\\"channel\\\":\\\"a\\\"}\";");
    expect(&one, 31 + TRACE_KEEP_MS, "");
}

static void cuts_what_is_long(void **unused)
{
    (void)unused;
    char word[100], text[600], all[400];
    memset(word, 'w', sizeof(word));
    word[sizeof(word) - 1] = 0;
    for (unsigned i = 0; i < sizeof(text) - 3; i += 3)
        memcpy(text + i, "\xe2\x98\x83", 4); /* a snowman, 3 bytes */
    note(1, 1, word, text);
    const struct trace_socket s = a_socket(1);
    int n = snprintf(all, sizeof(all), "1 1 \"%.*s\" \"", TRACE_WORD_MAX, word);
    snprintf(all + n, sizeof(all) - (size_t)n, "%.*s\";", TRACE_TEXT_MAX / 3 * 3, text);
    expect(&s, 1, all);
}

enum { SOCKETS = 50, NOTES = 200000, MODEL = 1 << 16 };

/* Against a model that keeps all: what is told is the end of it, and that end is long. */
static void forgets_the_oldest(void **unused)
{
    (void)unused;
    static struct {
        unsigned socket, len;
    } model[MODEL]; /* the last ones, by number */
    struct prng random = {5};
    char text[TRACE_TEXT_MAX + 1];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    for (unsigned n = 1; n <= NOTES; n++) {
        unsigned socket = prng_below(&random, SOCKETS), len = prng_below(&random, TRACE_TEXT_MAX);
        const struct trace_socket s = a_socket(socket);
        trace_note(&trace, &s, n, STR("e"), str_make(text, len));
        model[n % MODEL].socket = socket;
        model[n % MODEL].len = len;
        assert_true(trace.cap <= TRACE_BYTES && trace.used <= trace.cap);
        if (n % 9973 && n != NOTES)
            continue;
        struct buf list = BUF_INIT;
        const struct trace_socket asked = a_socket(prng_below(&random, SOCKETS));
        trace_tell(&trace, &asked, n, &list);
        struct str rest = buf_as_str(&list), name;
        unsigned n_told = 0, before = 0;
        while (names_next(&rest, &name)) {
            unsigned number = (unsigned)strtoul(name.p + 5, NULL, 10);
            assert_true(number > before && number <= n);
            /* Every one of the model in between is somebody else's. */
            for (unsigned k = before ? before + 1 : number; k < number; k++)
                assert_int_not_equal(model[k % MODEL].socket, (uint32_t)asked.number);
            assert_int_equal(model[number % MODEL].socket, (uint32_t)asked.number);
            before = number;
            n_told++;
        }
        for (unsigned k = before + 1; k <= n; k++)
            assert_int_not_equal(model[k % MODEL].socket, (uint32_t)asked.number);
        /* Of so many bytes each has its share. */
        unsigned most = n < TRACE_BYTES / 200 ? n : TRACE_BYTES / 200;
        assert_true(n_told > most / SOCKETS / 2);
        buf_fini(&list);
    }
    assert_int_equal(trace.cap, TRACE_BYTES);
}

static void tells_the_last_ones(void **unused)
{
    (void)unused;
    const struct trace_socket s = a_socket(1);
    struct buf list = BUF_INIT;
    for (unsigned i = 0; i < TRACE_TOLD_MAX + 50; i++)
        note(1, 1, "e", "");
    trace_tell(&trace, &s, 1, &list);
    assert_int_equal(names_count(buf_as_str(&list)), TRACE_TOLD_MAX);
    struct str rest = buf_as_str(&list), first;
    names_next(&rest, &first);
    assert_true(str_starts(first, STR("{\"n\":51,")));
    buf_fini(&list);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void answer(unsigned socket, int64_t at_ms)
{
    const struct trace_socket s = a_socket(socket);
    trace_note_answer(&trace, &s, at_ms, STR("a"), STR(""));
}

/* As many as come at once, then at a rate; what was left out is told with the next one. Other
 * sockets have theirs. */
static void leaves_out_what_is_too_much(void **unused)
{
    (void)unused;
    const struct trace_socket one = a_socket(1), two = a_socket(2);
    const int64_t calm_ms = 1000000 + (int64_t)TRACE_BURST * TRACE_EACH_MS;
    for (unsigned i = 0; i < TRACE_BURST + 5; i++)
        answer(1, 1000000);
    assert_int_equal(trace.n_noted, TRACE_BURST);
    answer(2, 1000000);
    expect(&two, 1000000, "129 1000000 \"a\" \"\";");
    answer(1, 1000000 + TRACE_EACH_MS);
    answer(1, 1000000 + TRACE_EACH_MS);
    assert_int_equal(trace.n_noted, TRACE_BURST + 3);
    note(1, calm_ms, "closed", "");
    answer(1, calm_ms);
    const int64_t late_ms = 1000000 + TRACE_KEEP_MS + 1;
    expect(&one, late_ms,
           "130 1000250 \"left_out\" \"5\";131 1000250 \"a\" \"\";132 1032000 \"closed\" \"\";"
           "133 1032000 \"left_out\" \"1\";134 1032000 \"a\" \"\";");
    /* A clock that was set back keeps nobody waiting. */
    for (unsigned i = 0; i < TRACE_BURST; i++)
        answer(1, 1000);
    assert_int_equal(trace.n_noted, 134 + TRACE_BURST);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH(tells_of_one_socket), WITH(cuts_what_is_long),           WITH(forgets_the_oldest),
        WITH(tells_the_last_ones), WITH(leaves_out_what_is_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
