#include "base/hash.h"
#include "base/mem.h"
#include "bus/seat.h"
#include "names_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { WORKER = 5, QUESTIONS_MAX = BUS_ASKS_MAX + 1 };

/* ---- a backend that keeps what it is asked ---- */

static struct {
    struct bus_question *questions[QUESTIONS_MAX];
    unsigned n, n_parts, n_published;
    enum err error;
} backend;

static struct loop loop;
static struct inbox *inbox;
static struct bus_seat *seat;

static enum err publish(void *ctx, struct msg *m, bool begun)
{
    assert_ptr_equal(ctx, &backend);
    assert_int_equal(m->kind, MSG_USER);
    assert_false(begun);
    backend.n_published++;
    return backend.error;
}

static enum err ask(void *ctx, struct bus_question *q, unsigned *n_parts)
{
    assert_ptr_equal(ctx, &backend);
    if (backend.error)
        return backend.error;
    assert_in_range(backend.n, 0, QUESTIONS_MAX - 1);
    backend.questions[backend.n++] = bus_question_ref(q);
    *n_parts = backend.n_parts;
    return ERR_OK;
}

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

static int set_up(void **unused)
{
    (void)unused;
    const struct bus_backend b = {&backend, publish, ask};
    memset(&backend, 0, sizeof backend);
    backend.n_parts = 3;
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL))
        return -1;
    seat = bus_seat_new(&b, &loop, WORKER);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    bus_seat_free(seat);
    for (unsigned i = 0; i < backend.n; i++)
        bus_question_unref(backend.questions[i]);
    assert_int_equal(timer_wait_ms(&loop.timers, loop.now_ms), -1);
    loop_fini(&loop);
    inbox_free(inbox);
    return 0;
}

/* ---- one who asks ---- */

struct asker {
    unsigned calls;
    uint64_t call, count;
    unsigned n_missing;
    char *names; /* sorted */
    bool asks_again;
};

static enum err ask_channels(struct asker *a, uint64_t call, bool count_only);

static void on_answer(void *ctx, uint64_t call, const struct bus_answer *answer)
{
    struct asker *a = ctx;
    a->calls++;
    a->call = call;
    a->count = answer->count;
    a->n_missing = answer->n_missing;
    free(a->names);
    a->names = names_sorted(answer->names);
    if (a->asks_again) {
        a->asks_again = false;
        assert_int_equal(ask_channels(a, call + 1, false), ERR_OK);
    }
}

static enum err ask_channels(struct asker *a, uint64_t call, bool count_only)
{
    const struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app"), .count_only = count_only};
    return bus_ask(seat, &q, on_answer, a, call);
}

static void expect_answer(struct asker *a, uint64_t call, const char *names, uint64_t count,
                          unsigned n_missing)
{
    assert_int_equal(a->calls, 1);
    assert_int_equal(a->call, call);
    assert_string_equal(a->names, names);
    assert_int_equal(a->count, count);
    assert_int_equal(a->n_missing, n_missing);
    a->calls = 0;
    free(a->names);
    a->names = NULL;
}

/* A part arrives for the question that was asked as number `i`. */
static void give_part(unsigned i, const char *text)
{
    struct buf names = names_of(text), hashes = BUF_INIT;
    for (struct str rest = buf_as_str(&names), name; names_next(&rest, &name);) {
        struct hash128 h = hash_wide(name);
        buf_add(&hashes, &h, sizeof h);
    }
    const struct bus_question *q = backend.questions[i];
    bus_part_arrived(seat, q->number, buf_as_str(q->count_only ? &hashes : &names));
    buf_fini(&names);
    buf_fini(&hashes);
}

static void pass_time(int64_t ms)
{
    loop.now_ms += ms;
    timer_run(&loop.timers, loop.now_ms);
}

/* ---- publishing ---- */

static void hands_messages_on(void **unused)
{
    (void)unused;
    struct msg *m = msg_new(MSG_USER, STR("app"), STR("ann"), STR_EMPTY, STR("1"));
    assert_int_equal(bus_publish(seat, m), ERR_OK);
    backend.error = ERR_FULL;
    assert_int_equal(bus_publish(seat, m), ERR_FULL);
    assert_int_equal(backend.n_published, 2);
    assert_int_equal(m->refs, 1);
    msg_unref(m);
}

/* ---- asking ---- */

static void asks_with_copies(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    char app[] = "app", channel[] = "channel";
    struct bus_ask q = {.kind = HUB_USERS_OF_CHANNEL,
                        .app = str_of(app),
                        .channel = str_of(channel),
                        .count_only = true};
    assert_int_equal(bus_ask(seat, &q, on_answer, &a, 1), ERR_OK);
    memset(app, 'x', 3);
    memset(channel, 'x', 7);
    const struct bus_question *asked = backend.questions[0];
    assert_int_equal(asked->from, WORKER);
    assert_int_equal(asked->q.kind, HUB_USERS_OF_CHANNEL);
    assert_true(str_eq(asked->q.app, STR("app")));
    assert_true(str_eq(asked->q.channel, STR("channel")));
    assert_true(asked->count_only);
    assert_null(asked->pattern);
    assert_int_equal(a.calls, 0);
    give_part(0, "");
    give_part(0, "");
    give_part(0, "");
    expect_answer(&a, 1, "", 0, 0);

    struct pattern *p;
    assert_int_equal(pattern_new(&p, STR("^a")), ERR_OK);
    q = (struct bus_ask){.kind = HUB_CHANNELS, .app = STR_EMPTY, .pattern = p};
    assert_int_equal(bus_ask(seat, &q, on_answer, &a, 2), ERR_OK);
    assert_ptr_equal(backend.questions[1]->pattern, p);
    assert_false(backend.questions[1]->count_only);
    /* The question may outlive its asker: whoever still has it may still match. */
    pass_time(BUS_ASK_MS + 100);
    expect_answer(&a, 2, "", 0, 3);
    assert_true(pattern_match(backend.questions[1]->pattern, STR("abc")));
}

static void merges_parts_in_any_order(void **unused)
{
    (void)unused;
    static const char *const parts[] = {"a;b;;", "b;c;a;", ";d;"};
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct asker a = {.calls = 0};
    for (unsigned o = 0; o < 6; o++) {
        for (unsigned count_only = 0; count_only < 2; count_only++) {
            unsigned question = backend.n;
            assert_int_equal(ask_channels(&a, 100 + o, count_only), ERR_OK);
            for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(a.calls, 0);
                give_part(question, parts[orders[o][i]]);
            }
            expect_answer(&a, 100 + o, count_only ? "" : ";a;b;c;d;", 5, 0);
        }
    }
}

static void takes_one_part_as_it_is(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    backend.n_parts = 1;
    assert_int_equal(ask_channels(&a, 1, false), ERR_OK);
    give_part(0, "b;a;");
    expect_answer(&a, 1, "a;b;", 2, 0);
    assert_int_equal(ask_channels(&a, 2, true), ERR_OK);
    give_part(1, "b;a;");
    expect_answer(&a, 2, "", 2, 0);
    assert_int_equal(ask_channels(&a, 3, true), ERR_OK);
    pass_time(BUS_ASK_MS + 100);
    expect_answer(&a, 3, "", 0, 1);
}

static void merges_many_names(void **unused)
{
    (void)unused;
    enum { N = 5000 };
    struct asker a = {.calls = 0};
    for (unsigned count_only = 0; count_only < 2; count_only++) {
        unsigned question = backend.n;
        assert_int_equal(ask_channels(&a, 1, count_only), ERR_OK);
        /* Each part overlaps the next one by half. */
        for (unsigned part = 0; part < 3; part++) {
            struct buf text = BUF_INIT;
            for (unsigned i = 0; i < N; i++)
                buf_printf(&text, "%05u;", part * N / 2 + i);
            buf_char(&text, 0);
            give_part(question, text.p);
            buf_fini(&text);
        }
        assert_int_equal(a.calls, 1);
        assert_int_equal(a.count, 2 * N);
        if (!count_only) {
            for (unsigned i = 0; i < 2 * N; i++)
                assert_int_equal(strtoul(a.names + 6 * (size_t)i, NULL, 10), i);
        }
        a.calls = 0;
    }
    free(a.names);
}

static void answers_at_the_deadline(void **unused)
{
    (void)unused;
    struct asker early = {.calls = 0}, late = {.calls = 0};
    assert_int_equal(ask_channels(&early, 1, false), ERR_OK);
    give_part(0, "a;");
    pass_time(BUS_ASK_MS / 2);
    assert_int_equal(ask_channels(&late, 2, true), ERR_OK);
    give_part(1, "a;b;");
    give_part(1, "b;");
    pass_time(BUS_ASK_MS / 2 - 1);
    assert_int_equal(early.calls + late.calls, 0);
    pass_time(1 + TIMER_GRAIN_MS);
    expect_answer(&early, 1, "a;", 1, 2);
    assert_int_equal(late.calls, 0);
    pass_time(BUS_ASK_MS / 2);
    expect_answer(&late, 2, "", 2, 1);

    /* What comes now comes too late, and for nobody else. */
    struct asker next = {.calls = 0};
    assert_int_equal(ask_channels(&next, 3, false), ERR_OK);
    give_part(0, "x;");
    give_part(1, "x;");
    bus_part_arrived(seat, 0, STR_EMPTY);
    bus_part_arrived(seat, UINT64_MAX, STR_EMPTY);
    assert_int_equal(early.calls + late.calls + next.calls, 0);
    give_part(2, "c;");
    give_part(2, "");
    give_part(2, "");
    expect_answer(&next, 3, "c;", 1, 0);
    give_part(2, "d;");
    assert_int_equal(next.calls, 0);
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(next.calls, 0);
}

static void keeps_questions_apart(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0}, b = {.calls = 0};
    assert_int_equal(ask_channels(&a, 1, false), ERR_OK);
    assert_int_equal(ask_channels(&b, 2, false), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        give_part(1, "b;");
        give_part(0, "a;");
    }
    expect_answer(&a, 1, "a;", 1, 0);
    expect_answer(&b, 2, "b;", 1, 0);
}

/* From its own answer one may ask again. */
static void may_ask_when_answered(void **unused)
{
    (void)unused;
    struct asker a = {.asks_again = true};
    assert_int_equal(ask_channels(&a, 1, false), ERR_OK);
    for (unsigned i = 0; i < 3; i++)
        give_part(0, "a;");
    expect_answer(&a, 1, "a;", 1, 0);
    for (unsigned i = 0; i < 3; i++)
        give_part(1, "b;");
    expect_answer(&a, 2, "b;", 1, 0);

    a.asks_again = true;
    assert_int_equal(ask_channels(&a, 3, false), ERR_OK);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, 3, "", 0, 3);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, 4, "", 0, 3);
}

/* ---- limits ---- */

static struct pattern *some_pattern(void)
{
    struct pattern *p = NULL;
    assert_int_equal(pattern_new(&p, STR("a")), ERR_OK);
    return p;
}

static void hands_the_backends_refusal_on(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    static const enum err errors[] = {ERR_FULL, ERR_AWAY};
    for (unsigned i = 0; i < 2; i++) {
        backend.error = errors[i];
        assert_int_equal(ask_channels(&a, 1, false), errors[i]);
        /* Refused or not, the pattern was taken over. */
        const struct bus_ask q = {
            .kind = HUB_CHANNELS, .app = STR("app"), .pattern = some_pattern()};
        assert_int_equal(bus_ask(seat, &q, on_answer, &a, 2), errors[i]);
    }
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(a.calls, 0);
    /* Nothing is left of them: as many as ever may be asked. */
    backend.error = ERR_OK;
    for (unsigned i = 0; i < BUS_ASKS_MAX; i++)
        assert_int_equal(ask_channels(&a, i, false), ERR_OK);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    assert_int_equal(a.calls, BUS_ASKS_MAX);
    free(a.names);
}

static void limits_questions(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    for (unsigned i = 0; i < BUS_ASKS_MAX; i++)
        assert_int_equal(ask_channels(&a, i, false), ERR_OK);
    assert_int_equal(ask_channels(&a, 1, false), ERR_FULL);
    const struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app"), .pattern = some_pattern()};
    assert_int_equal(bus_ask(seat, &q, on_answer, &a, 1), ERR_FULL);
    assert_int_equal(backend.n, BUS_ASKS_MAX);
    /* One that is answered makes room for one. */
    for (unsigned i = 0; i < 3; i++)
        give_part(7, "");
    expect_answer(&a, 7, "", 0, 0);
    assert_int_equal(ask_channels(&a, 1, false), ERR_OK);
    assert_int_equal(ask_channels(&a, 1, false), ERR_FULL);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    free(a.names);
}

static void limits_patterns(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app")};
    for (unsigned i = 0; i <= BUS_PATTERNS_MAX; i++) {
        q.pattern = some_pattern();
        assert_int_equal(bus_ask(seat, &q, on_answer, &a, i),
                         i < BUS_PATTERNS_MAX ? ERR_OK : ERR_FULL);
    }
    assert_int_equal(ask_channels(&a, 1, false), ERR_OK); /* others go on */
    for (unsigned i = 0; i < 3; i++)
        give_part(0, "a;");
    expect_answer(&a, 0, "a;", 1, 0);
    q.pattern = some_pattern();
    assert_int_equal(bus_ask(seat, &q, on_answer, &a, 1), ERR_OK);
    q.pattern = some_pattern();
    assert_int_equal(bus_ask(seat, &q, on_answer, &a, 1), ERR_FULL);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    assert_int_equal(a.calls, BUS_PATTERNS_MAX + 1);
    free(a.names);
}

static void answers_when_the_seat_is_freed(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0}, b = {.calls = 0};
    assert_int_equal(ask_channels(&a, 1, false), ERR_OK);
    give_part(0, "a;");
    assert_int_equal(ask_channels(&b, 2, true), ERR_OK);
    bus_seat_free(seat);
    seat = NULL;
    expect_answer(&a, 1, "", 0, 3);
    expect_answer(&b, 2, "", 0, 3);
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(a.calls + b.calls, 0);
}

#define WITH_SEAT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SEAT(hands_messages_on),
        WITH_SEAT(asks_with_copies),
        WITH_SEAT(merges_parts_in_any_order),
        WITH_SEAT(takes_one_part_as_it_is),
        WITH_SEAT(merges_many_names),
        WITH_SEAT(answers_at_the_deadline),
        WITH_SEAT(keeps_questions_apart),
        WITH_SEAT(may_ask_when_answered),
        WITH_SEAT(hands_the_backends_refusal_on),
        WITH_SEAT(limits_questions),
        WITH_SEAT(limits_patterns),
        WITH_SEAT(answers_when_the_seat_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
