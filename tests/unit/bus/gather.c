/* Questions: who is asked, and what becomes of the pages that come back. */
#include "bus/gather.h"
#include "base/hash.h"
#include "base/mem.h"
#include "hub/census.h"
#include "names_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { WORKER = 5, NODE = 77, QUESTIONS_MAX = BUS_ASKS_MAX + 1, SOURCES_MAX = 600, MORE_MAX = 64 };

#define END HUB_CURSOR_END

/* ---- a backend that keeps what it is asked ---- */

struct asked_more {
    const struct bus_question *question;
    struct bus_source who;
    uint32_t cursor;
};

static struct {
    struct bus_question *questions[QUESTIONS_MAX];
    unsigned n;
    struct bus_source sources[SOURCES_MAX];
    unsigned n_sources, n_unreachable, n_flushed;
    struct asked_more more[MORE_MAX]; /* since the last look */
    unsigned n_more;
    enum err error;
} backend;

static struct loop loop;
static struct inbox *inbox;
static struct bus_seat *seat;

static void sources(void *ctx, enum hub_question_kind kind, struct buf *list, unsigned *n_missing)
{
    (void)kind;
    assert_ptr_equal(ctx, &backend);
    buf_add(list, backend.sources, backend.n_sources * sizeof(struct bus_source));
    *n_missing = backend.n_unreachable;
}

static enum err ask(void *ctx, struct bus_question *q, struct buf *scratch)
{
    assert_ptr_equal(ctx, &backend);
    assert_non_null(scratch);
    if (backend.error)
        return backend.error;
    assert_in_range(backend.n, 0, QUESTIONS_MAX - 1);
    backend.questions[backend.n++] = bus_question_ref(q);
    return ERR_OK;
}

static void more(void *ctx, struct bus_question *q, struct bus_source who, uint32_t cursor,
                 struct buf *scratch)
{
    assert_ptr_equal(ctx, &backend);
    assert_non_null(scratch);
    assert_in_range(backend.n_more, 0, MORE_MAX - 1);
    backend.more[backend.n_more++] = (struct asked_more){q, who, cursor};
}

static void flush(void *ctx)
{
    assert_ptr_equal(ctx, &backend);
    backend.n_flushed++;
}

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

/* Who answers: "1.0 1.1 2.0", nodes and their workers. */
static void set_sources(const char *text)
{
    backend.n_sources = 0;
    for (struct str rest = str_of(text); rest.len; backend.n_sources++) {
        struct str one = str_cut(&rest, ' ');
        backend.sources[backend.n_sources] =
            (struct bus_source){(uint32_t)(one.p[0] - '0'), (uint32_t)(one.p[2] - '0')};
    }
}

static int set_up(void **unused)
{
    (void)unused;
    const struct bus_backend b = {.ctx = &backend,
                                  .node = NODE,
                                  .flush = flush,
                                  .sources = sources,
                                  .ask = ask,
                                  .more = more};
    memset(&backend, 0, sizeof backend);
    set_sources("1.0 2.0 3.0");
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL))
        return -1;
    seat = bus_seat_new(&b, &loop, WORKER);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    if (seat) {
        assert_int_equal(seat->n_gathers, 0);
        assert_int_equal(seat->n_patterns, 0);
        assert_int_equal(seat->bytes, 0);
    }
    bus_seat_free(seat);
    /* Nobody but us holds a question. */
    for (unsigned i = 0; i < backend.n; i++) {
        assert_int_equal(backend.questions[i]->refs, 1);
        bus_question_unref(backend.questions[i]);
    }
    assert_int_equal(timer_wait_ms(&loop.timers, loop.now_ms), -1);
    loop_fini(&loop);
    inbox_free(inbox);
    return 0;
}

/* ---- one who asks ---- */

struct asker {
    unsigned calls;
    uint64_t question; /* as bus_ask gave it */
    uint64_t count;
    unsigned n_missing;
    bool last;
    char *names;                  /* of this page, sorted */
    unsigned asks_again, goes_on; /* from within its answer, so many times */
    bool cancels;
};

static enum err ask_channels(struct asker *a, bool count_only);

static void on_page(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct asker *a = ctx;
    assert_int_equal(question, a->question);
    a->calls++;
    a->count = p->count;
    a->n_missing = p->n_missing;
    a->last = p->last;
    free(a->names);
    a->names = names_sorted(p->names);
    if (a->asks_again) {
        a->asks_again--;
        assert_int_equal(ask_channels(a, false), ERR_OK);
    }
    if (a->cancels) {
        assert_ptr_equal(bus_cancel(seat, question), a);
    } else if (a->goes_on && !p->last) {
        a->goes_on--;
        bus_more(seat, question);
    }
}

static enum err ask_channels(struct asker *a, bool count_only)
{
    const struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app"), .count_only = count_only};
    return bus_ask(seat, &q, on_page, a, &a->question);
}

static void expect_any_page(struct asker *a, const char *names, uint64_t count, unsigned n_missing,
                            bool last)
{
    assert_int_equal(a->calls, 1);
    assert_string_equal(a->names, names);
    assert_int_equal(a->count, count);
    assert_int_equal(a->n_missing, n_missing);
    assert_int_equal(a->last, last);
    a->calls = 0;
    free(a->names);
    a->names = NULL;
}

static void expect_page(struct asker *a, const char *names, uint64_t count)
{
    expect_any_page(a, names, count, 0, false);
}

static void expect_answer(struct asker *a, const char *names, uint64_t count, unsigned n_missing)
{
    expect_any_page(a, names, count, n_missing, true);
}

/* A part arrives of source "1.0" for the question that was asked as number `i`: names, or their
 * hashes by the asker's seed. */
static void give(unsigned i, const char *from, const char *text, uint32_t cursor, bool follows)
{
    struct buf names = names_of(text), hashes = BUF_INIT;
    const struct bus_question *q = backend.questions[i];
    for (struct str rest = buf_as_str(&names), name; names_next(&rest, &name);) {
        struct hash128 h = hash_wide(name, q->q.seed);
        buf_add(&hashes, &h, sizeof h);
    }
    const struct bus_part p = {.from = {(uint32_t)(from[0] - '0'), (uint32_t)(from[2] - '0')},
                               .number = q->number,
                               .cursor = cursor,
                               .follows = follows,
                               .bytes = buf_as_str(q->count_only ? &hashes : &names)};
    bus_part_arrived(seat, &p);
    buf_fini(&names);
    buf_fini(&hashes);
}

static void give_last(unsigned i, const char *from, const char *text)
{
    give(i, from, text, END, false);
}

/* All three answer alike, with all they have. */
static void give_all(unsigned i, const char *text)
{
    give_last(i, "1.0", text);
    give_last(i, "2.0", text);
    give_last(i, "3.0", text);
}

/* Who was asked for a further page, and at which cursor, since the last look: "1.0@7 2.0@9". */
static void expect_more(const char *expected)
{
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < backend.n_more; i++) {
        const struct asked_more *m = &backend.more[i];
        buf_printf(&text, "%s%u.%u@%u", i ? " " : "", m->who.node, m->who.worker, m->cursor);
        assert_ptr_equal(m->question, backend.questions[0]);
    }
    buf_char(&text, 0);
    assert_string_equal(text.p, expected);
    backend.n_more = 0;
    buf_fini(&text);
}

static void pass_time(int64_t ms)
{
    loop.now_ms += ms;
    timer_run(&loop.timers, loop.now_ms);
}

/* ---- asking ---- */

static void asks_with_copies(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    char app[] = "app", channel[] = "channel", expression[] = "^a";
    struct bus_ask q = {.kind = HUB_USERS_OF_CHANNEL,
                        .app = str_of(app),
                        .channel = str_of(channel),
                        .count_only = true};
    assert_int_equal(bus_ask(seat, &q, on_page, &a, &a.question), ERR_OK);
    memset(app, 'x', 3);
    memset(channel, 'x', 7);
    const struct bus_question *asked = backend.questions[0];
    assert_int_equal(asked->node, NODE);
    assert_int_equal(asked->from, WORKER);
    assert_int_equal(asked->number, a.question);
    assert_int_equal(asked->q.kind, HUB_USERS_OF_CHANNEL);
    assert_true(str_eq(asked->q.app, STR("app")));
    assert_true(str_eq(asked->q.channel, STR("channel")));
    assert_int_equal(asked->q.seed, hash_own_seed());
    assert_true(asked->count_only);
    assert_null(asked->pattern);
    assert_int_equal(asked->expression.len, 0);
    assert_int_equal(a.calls, 0);
    give_all(0, "");
    expect_answer(&a, "", 0, 0);

    struct pattern *p;
    assert_int_equal(pattern_new(&p, STR("^a")), ERR_OK);
    q = (struct bus_ask){.kind = HUB_CHANNELS,
                         .app = STR_EMPTY,
                         .pattern = p,
                         .expression = str_of(expression),
                         .whole = true};
    assert_int_equal(bus_ask(seat, &q, on_page, &a, &a.question), ERR_OK);
    memset(expression, 'x', 2);
    asked = backend.questions[1];
    assert_ptr_equal(asked->pattern, p);
    assert_true(str_eq(asked->expression, STR("^a")));
    assert_false(asked->count_only);
    assert_int_equal(asked->page_bytes, SIZE_MAX);
    /* The question may outlive its asker: whoever still has it may still match. */
    pass_time(BUS_ASK_MS + 100);
    expect_answer(&a, "", 0, 3);
    assert_true(pattern_match(asked->pattern, STR("abc")));
}

/* A question goes out with the turn's end, and so does its continuation. */
static void is_flushed(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 1);
    give(0, "1.0", "a;", 5, false);
    give_last(0, "2.0", "");
    give_last(0, "3.0", "");
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 1);
    bus_more(seat, a.question);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 2);
    give_last(0, "1.0", "");
    free(a.names);
}

/* All pages of a round together are about so large, however many there are. */
static void bounds_pages_by_their_number(void **unused)
{
    (void)unused;
    static const struct {
        unsigned n_sources;
        size_t bytes;
    } cases[] = {{0, BUS_PAGE_BYTES_MAX},      {1, BUS_PAGE_BYTES_MAX},
                 {31, BUS_PAGE_BYTES_MAX},     {63, BUS_ROUND_BYTES / 64},
                 {511, BUS_ROUND_BYTES / 512}, {SOURCES_MAX, BUS_ROUND_BYTES / (SOURCES_MAX + 1)}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asker a = {.calls = 0};
        backend.n_sources = cases[i].n_sources;
        for (unsigned k = 0; k < cases[i].n_sources; k++)
            backend.sources[k] = (struct bus_source){k, 0};
        assert_int_equal(ask_channels(&a, false), ERR_OK);
        assert_int_equal(backend.questions[i]->page_bytes, cases[i].bytes);
        assert_in_range(backend.questions[i]->page_bytes, BUS_PAGE_BYTES_MIN, BUS_PAGE_BYTES_MAX);
        assert_ptr_equal(bus_cancel(seat, a.question), &a);
    }
}

/* ---- answers of one page ---- */

static void merges_parts_in_any_order(void **unused)
{
    (void)unused;
    static const char *const from[] = {"1.0", "2.0", "3.0"};
    static const char *const parts[] = {"a;b;;", "b;c;a;", ";d;"};
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct asker a = {.calls = 0};
    for (unsigned o = 0; o < 6; o++) {
        for (unsigned count_only = 0; count_only < 2; count_only++) {
            unsigned question = backend.n;
            assert_int_equal(ask_channels(&a, count_only), ERR_OK);
            for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(a.calls, 0);
                give_last(question, from[orders[o][i]], parts[orders[o][i]]);
            }
            expect_answer(&a, count_only ? "" : ";a;b;c;d;", 5, 0);
        }
    }
}

static void takes_one_part_as_it_is(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    set_sources("4.2");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "4.2", "b;a;");
    expect_answer(&a, "a;b;", 2, 0);
    assert_int_equal(ask_channels(&a, true), ERR_OK);
    give_last(1, "4.2", "b;a;");
    expect_answer(&a, "", 2, 0);
    assert_int_equal(ask_channels(&a, true), ERR_OK);
    pass_time(BUS_ASK_MS + 100);
    expect_answer(&a, "", 0, 1);
}

static void merges_many_names(void **unused)
{
    (void)unused;
    enum { N = 5000 };
    static const char *const from[] = {"1.0", "2.0", "3.0"};
    struct asker a = {.calls = 0};
    for (unsigned count_only = 0; count_only < 2; count_only++) {
        unsigned question = backend.n;
        assert_int_equal(ask_channels(&a, count_only), ERR_OK);
        /* Each part overlaps the next one by half. */
        for (unsigned part = 0; part < 3; part++) {
            struct buf text = BUF_INIT;
            for (unsigned i = 0; i < N; i++)
                buf_printf(&text, "%05u;", part * N / 2 + i);
            buf_char(&text, 0);
            give_last(question, from[part], text.p);
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

/* Whoever was not asked, or has answered, is not heard. */
static void takes_one_part_of_each(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "4.0", "x;");
    give_last(0, "1.1", "x;");
    give_last(0, "1.0", "a;");
    give_last(0, "1.0", "x;");
    give(0, "1.0", "x;", 3, false);
    give(0, "1.0", "x;", 3, true);
    give_last(0, "2.0", "b;");
    assert_int_equal(a.calls, 0);
    give_last(0, "3.0", "");
    expect_answer(&a, "a;b;", 2, 0);
}

/* Every worker of a node answers for itself, and the backend names them in any order. */
static void knows_workers_apart(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    set_sources("9.1 2.0 1.3 9.0 1.2 2.1");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "1.2", "a;");
    give_last(0, "1.3", "b;");
    give_last(0, "2.0", "c;");
    give_last(0, "2.1", "d;");
    give_last(0, "9.0", "e;");
    assert_int_equal(a.calls, 0);
    give_last(0, "9.1", "f;");
    expect_answer(&a, "a;b;c;d;e;f;", 6, 0);
}

/* A page in pieces counts when its last one is there. */
static void puts_pieces_together(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    for (unsigned count_only = 0; count_only < 2; count_only++) {
        unsigned q = backend.n;
        assert_int_equal(ask_channels(&a, count_only), ERR_OK);
        give(q, "1.0", "a;b;", END, true);
        give_last(q, "2.0", "a;");
        give_last(q, "3.0", "");
        give(q, "1.0", "c;", 7, true);
        assert_int_equal(a.calls, 0);
        give_last(q, "1.0", "d;");
        expect_answer(&a, count_only ? "" : "a;b;c;d;", 4, 0);
    }
    /* Pieces that came before time ran out are part of the answer, and the node is missing. */
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(2, "1.0", "a;b;", END, true);
    give_last(2, "2.0", "b;");
    give_last(2, "3.0", "");
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, "a;b;", 2, 1);
    /* So are those of one alone. */
    set_sources("1.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(3, "1.0", "a;", END, true);
    give(3, "1.0", "b;", END, true);
    assert_int_equal(a.calls, 0);
    give_last(3, "1.0", "");
    expect_answer(&a, "a;b;", 2, 0);
}

static void keeps_questions_apart(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0}, b = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    assert_int_equal(ask_channels(&b, false), ERR_OK);
    assert_int_not_equal(a.question, b.question);
    give_last(1, "1.0", "b;");
    give_last(0, "1.0", "a;");
    give_last(1, "2.0", "b;");
    give_last(0, "2.0", "a;");
    give_last(1, "3.0", "");
    give_last(0, "3.0", "");
    expect_answer(&a, "a;", 1, 0);
    expect_answer(&b, "b;", 1, 0);
}

/* ---- pages ---- */

static void goes_on_in_rounds(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;b;", 7, false);
    give_last(0, "2.0", "b;c;");
    assert_int_equal(a.calls, 0);
    give(0, "3.0", "d;", 0x80000000, false);
    expect_page(&a, "a;b;c;d;", 4);
    /* Nobody is asked before there is room, and nothing is heard. */
    expect_more("");
    give(0, "1.0", "x;", 8, false);
    give_last(0, "2.0", "x;");
    pass_time(10 * BUS_ASK_MS);
    assert_int_equal(a.calls, 0);

    bus_more(seat, a.question);
    expect_more("1.0@7 3.0@2147483648");
    bus_more(seat, a.question); /* once */
    expect_more("");
    give_last(0, "2.0", "x;"); /* was done */
    give(0, "1.0", "c;", 9, false);
    assert_int_equal(a.calls, 0);
    bus_more(seat, a.question); /* not while one of the round is awaited */
    expect_more("");
    give_last(0, "3.0", "a;e;");
    expect_page(&a, "e;", 5);

    /* A round may bring nothing new: the asker decides all the same. */
    bus_more(seat, a.question);
    expect_more("1.0@9");
    give(0, "1.0", "a;b;", 10, false);
    expect_page(&a, "", 5);
    bus_more(seat, a.question);
    expect_more("1.0@10");
    give_last(0, "1.0", "f;a;f;");
    expect_answer(&a, "f;", 6, 0);
    bus_more(seat, a.question); /* over */
    assert_null(bus_cancel(seat, a.question));
    expect_more("");
}

/* What one has twice in its pages comes once as well. */
static void merges_pages_of_one(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    set_sources("1.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;b;", 7, false);
    expect_page(&a, "a;b;", 2);
    bus_more(seat, a.question);
    give_last(0, "1.0", "b;c;");
    expect_answer(&a, "c;", 3, 0);
}

/* To count, nobody reads: rounds follow each other, and the asker gets one page. */
static void counts_over_rounds(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, true), ERR_OK);
    give(0, "1.0", "a;b;", 7, false);
    give(0, "2.0", "b;c;", 8, false);
    give_last(0, "3.0", "a;");
    expect_more("1.0@7 2.0@8");
    assert_int_equal(a.calls, 0);
    bus_more(seat, a.question); /* for nothing: it goes on by itself */
    expect_more("");
    give_last(0, "1.0", "c;");
    give(0, "2.0", "d;a;", 9, false);
    expect_more("2.0@9");
    assert_int_equal(a.calls, 0);
    give_last(0, "2.0", "");
    /* a, b, c, d: each once, on however many nodes and pages. */
    expect_answer(&a, "", 4, 0);

    set_sources("1.0");
    assert_int_equal(ask_channels(&a, true), ERR_OK);
    give(1, "1.0", "a;b;", 7, false);
    backend.n_more = 0;
    give_last(1, "1.0", "b;");
    expect_answer(&a, "", 2, 0);
}

/* Each round has its own time. */
/* Whoever reaches the bus can answer in another's name; what is no list of names is no answer. */
static void passes_over_rubbish(void **unused)
{
    (void)unused;
    static const char rubbish[] = "\xff\xff\xff\xff 16 bytes of it ";
    struct asker a = {.calls = 0};
    for (unsigned count_only = 0; count_only < 2; count_only++) {
        unsigned i = backend.n;
        assert_int_equal(ask_channels(&a, count_only), ERR_OK);
        /* 16 bytes could be a hash, 17 could not. */
        const struct bus_part p = {.from = {1, 0},
                                   .number = backend.questions[i]->number,
                                   .cursor = END,
                                   .bytes = str_make(rubbish, count_only ? 17 : 16)};
        bus_part_arrived(seat, &p);
        give_last(i, "2.0", "b;");
        give_last(i, "3.0", "c;");
        assert_int_equal(a.calls, 0);
        give_last(i, "1.0", "a;");
        expect_any_page(&a, count_only ? "" : "a;b;c;", 3, 0, true);
    }
}

static void gives_each_round_its_time(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    pass_time(BUS_ASK_MS - 100);
    give(0, "1.0", "a;", 7, false);
    give(0, "2.0", "b;", 8, false);
    give_last(0, "3.0", "c;");
    expect_page(&a, "a;b;c;", 3);
    bus_more(seat, a.question);
    pass_time(BUS_ASK_MS - 100);
    assert_int_equal(a.calls, 0);
    give(0, "1.0", "d;", 9, false);
    assert_int_equal(a.calls, 0);
    pass_time(100 + TIMER_GRAIN_MS);
    /* The one who was too late is out; the other one goes on. */
    expect_any_page(&a, "d;", 4, 1, false);
    give_last(0, "2.0", "x;");
    backend.n_more = 0;
    bus_more(seat, a.question);
    expect_more("1.0@9");
    give_last(0, "2.0", "x;");
    give_last(0, "1.0", "e;");
    expect_answer(&a, "e;", 5, 1);
}

static void goes_on_from_within_its_page(void **unused)
{
    (void)unused;
    struct asker a = {.goes_on = 2};
    set_sources("1.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;", 7, false);
    expect_page(&a, "a;", 1);
    expect_more("1.0@7");
    give(0, "1.0", "b;", 8, false);
    expect_page(&a, "b;", 2);
    expect_more("1.0@8");
    give(0, "1.0", "c;", 9, false);
    expect_page(&a, "c;", 3);
    expect_more("");
    bus_more(seat, a.question);
    give_last(0, "1.0", "d;");
    expect_answer(&a, "d;", 4, 0);
}

/* ---- ending a question ---- */

static void cancels(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_null(bus_cancel(seat, 0));
    assert_null(bus_cancel(seat, 4711));
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;", 7, false);
    give_last(0, "2.0", "");
    give_last(0, "3.0", "");
    expect_page(&a, "a;", 1);
    assert_ptr_equal(bus_cancel(seat, a.question), &a);
    assert_null(bus_cancel(seat, a.question));
    bus_more(seat, a.question);
    expect_more("");
    give_last(0, "1.0", "b;");
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(a.calls, 0);
    /* It has made room. */
    assert_int_equal(seat->n_gathers, 0);
    assert_int_equal(seat->bytes, 0);
}

static void cancels_from_within_its_page(void **unused)
{
    (void)unused;
    struct asker a = {.cancels = true};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;b;", 7, false);
    give_last(0, "2.0", "");
    give_last(0, "3.0", "b;");
    expect_page(&a, "a;b;", 2);
    give_last(0, "1.0", "b;");
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(a.calls, 0);
}

/* ---- those who do not answer ---- */

static void answers_at_the_deadline(void **unused)
{
    (void)unused;
    struct asker early = {.calls = 0}, late = {.calls = 0};
    assert_int_equal(ask_channels(&early, false), ERR_OK);
    give_last(0, "1.0", "a;");
    pass_time(BUS_ASK_MS / 2);
    assert_int_equal(ask_channels(&late, true), ERR_OK);
    give_last(1, "1.0", "a;b;");
    give_last(1, "2.0", "b;");
    pass_time(BUS_ASK_MS / 2 - 1);
    assert_int_equal(early.calls + late.calls, 0);
    pass_time(1 + TIMER_GRAIN_MS);
    expect_answer(&early, "a;", 1, 2);
    assert_int_equal(late.calls, 0);
    pass_time(BUS_ASK_MS / 2);
    expect_answer(&late, "", 2, 1);

    /* What comes now comes too late, and for nobody else. */
    struct asker next = {.calls = 0};
    assert_int_equal(ask_channels(&next, false), ERR_OK);
    give_last(0, "2.0", "x;");
    give_last(1, "3.0", "x;");
    for (unsigned i = 0; i < 2; i++) {
        const struct bus_part p = {
            .from = {1, 0}, .number = i ? UINT64_MAX : 0, .cursor = END, .bytes = STR_EMPTY};
        bus_part_arrived(seat, &p);
    }
    assert_int_equal(early.calls + late.calls + next.calls, 0);
    give_all(2, "c;");
    expect_answer(&next, "c;", 1, 0);
    give_last(2, "1.0", "d;");
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(next.calls, 0);
}

/* Its workers are one node, however many of them are missing. */
static void counts_missing_nodes_once(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    set_sources("3.0 1.0 1.1 1.2 2.0 2.1 3.1");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "1.1", "a;");
    give_last(0, "2.0", "b;");
    give_last(0, "2.1", "c;");
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, "a;b;c;", 3, 2);

    assert_int_equal(ask_channels(&a, true), ERR_OK);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, "", 0, 3);
}

/* Nodes that live but cannot be asked are missing from the beginning. */
static void tells_of_unreachable_nodes(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    backend.n_unreachable = 4;
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "1.0", "a;");
    give_last(0, "2.0", "");
    give(0, "3.0", "b;", 3, false);
    expect_any_page(&a, "a;b;", 2, 4, false);
    bus_more(seat, a.question);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, "", 2, 5);
}

/* Then the answer is empty, but does not come before bus_ask is over. */
static void answers_with_nobody_to_ask(void **unused)
{
    (void)unused;
    for (unsigned count_only = 0; count_only < 2; count_only++) {
        struct asker a = {.calls = 0};
        set_sources("");
        backend.n_unreachable = count_only;
        assert_int_equal(ask_channels(&a, count_only), ERR_OK);
        assert_int_equal(a.calls, 0);
        bus_node_gone(seat, 1, false);
        assert_int_equal(a.calls, 0);
        pass_time(TIMER_GRAIN_MS);
        expect_answer(&a, "", 0, count_only);
    }
}

static void does_not_wait_for_who_is_gone(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    set_sources("1.0 1.1 2.0 3.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.1", "a;", END, true);
    give_last(0, "2.0", "b;");
    bus_node_gone(seat, 4, false); /* was not asked */
    bus_node_gone(seat, 2, false); /* has answered */
    bus_node_gone(seat, 1, false);
    assert_int_equal(a.calls, 0);
    give_last(0, "1.0", "x;"); /* too late */
    bus_node_gone(seat, 1, false);
    assert_int_equal(a.calls, 0);
    give_last(0, "3.0", "c;");
    expect_answer(&a, "a;b;c;", 3, 1);

    /* The last one that was waited for goes: the round is over. */
    struct asker b = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    assert_int_equal(ask_channels(&b, true), ERR_OK);
    for (unsigned q = 1; q <= 2; q++) {
        give_last(q, "1.0", "a;");
        give_last(q, "1.1", "b;");
        give_last(q, "2.0", "b;c;");
    }
    bus_node_gone(seat, 3, false);
    expect_answer(&a, "a;b;c;", 3, 1);
    expect_answer(&b, "", 3, 1);

    /* All at once, and each once. */
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    bus_node_gone(seat, 1, false);
    bus_node_gone(seat, 2, false);
    assert_int_equal(a.calls, 0);
    bus_node_gone(seat, 3, false);
    expect_answer(&a, "", 0, 3);
}

/* Its sockets are closed, and those who were on them come elsewhere. */
static void does_not_miss_who_left(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    set_sources("1.0 1.1 2.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "1.0", "a;");
    give_last(0, "2.0", "b;");
    bus_node_gone(seat, 1, true);
    expect_answer(&a, "a;b;", 2, 0);
}

/* A node that goes between its pages is missing: it had more to say. */
static void misses_who_goes_between_pages(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;", 7, false);
    give(0, "2.0", "b;", 8, false);
    give_last(0, "3.0", "c;");
    expect_page(&a, "a;b;c;", 3);
    bus_node_gone(seat, 3, false); /* had told all */
    bus_node_gone(seat, 2, false);
    assert_int_equal(a.calls, 0);
    bus_more(seat, a.question);
    expect_more("1.0@7");
    give_last(0, "1.0", "d;");
    expect_answer(&a, "d;", 4, 1);
}

/* When nobody is left who had more, the end does not wait for the deadline. */
static void ends_when_all_go_between_pages(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", "a;", 7, false);
    give_last(0, "2.0", "");
    give_last(0, "3.0", "");
    expect_page(&a, "a;", 1);
    bus_node_gone(seat, 1, false);
    assert_int_equal(a.calls, 0); /* it has not asked for more yet */
    bus_more(seat, a.question);
    expect_more("");
    assert_int_equal(a.calls, 0); /* and is not answered from within */
    pass_time(TIMER_GRAIN_MS);
    expect_answer(&a, "", 1, 1);
}

/* From its own answer one may ask again. */
static void may_ask_when_answered(void **unused)
{
    (void)unused;
    struct asker a = {.asks_again = 1};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_all(0, "a;");
    expect_answer(&a, "a;", 1, 0);
    give_all(1, "b;");
    expect_answer(&a, "b;", 1, 0);

    a.asks_again = 1;
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, "", 0, 3);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    expect_answer(&a, "", 0, 3);

    /* Also while all questions are looked through: the new one is none of those. */
    a.asks_again = 1;
    set_sources("1.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    set_sources("2.0");
    bus_node_gone(seat, 1, false);
    expect_answer(&a, "", 0, 1);
    give_last(backend.n - 1, "2.0", "c;");
    expect_answer(&a, "c;", 1, 0);
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
        a.question = 4711;
        assert_int_equal(ask_channels(&a, false), errors[i]);
        assert_int_equal(a.question, 4711);
        /* Refused or not, the pattern was taken over. */
        const struct bus_ask q = {
            .kind = HUB_CHANNELS, .app = STR("app"), .pattern = some_pattern()};
        assert_int_equal(bus_ask(seat, &q, on_page, &a, &a.question), errors[i]);
    }
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 0);
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(a.calls, 0);
    /* Nothing is left of them: as many as ever may be asked. */
    backend.error = ERR_OK;
    for (unsigned i = 0; i < BUS_ASKS_MAX; i++)
        assert_int_equal(ask_channels(&a, false), ERR_OK);
    assert_int_equal(seat->n_gathers, BUS_ASKS_MAX);
    for (unsigned i = 0; i < BUS_ASKS_MAX; i++)
        assert_ptr_equal(bus_cancel(seat, backend.questions[i]->number), &a);
}

static void limits_questions(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0}, one = {.calls = 0};
    for (unsigned i = 0; i < BUS_ASKS_MAX; i++)
        assert_int_equal(ask_channels(i == 7 ? &one : &a, false), ERR_OK);
    assert_int_equal(ask_channels(&a, false), ERR_FULL);
    const struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app"), .pattern = some_pattern()};
    assert_int_equal(bus_ask(seat, &q, on_page, &a, &a.question), ERR_FULL);
    assert_int_equal(backend.n, BUS_ASKS_MAX);
    /* One that is answered makes room for one. */
    give_all(7, "");
    expect_answer(&one, "", 0, 0);
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    assert_int_equal(ask_channels(&a, false), ERR_FULL);
    for (unsigned i = 0; i <= BUS_ASKS_MAX; i++)
        bus_cancel(seat, backend.questions[i]->number);
}

static void limits_patterns(void **unused)
{
    (void)unused;
    struct asker askers[BUS_PATTERNS_MAX + 1] = {0}, a = {0};
    struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app")};
    for (unsigned i = 0; i <= BUS_PATTERNS_MAX; i++) {
        q.pattern = some_pattern();
        assert_int_equal(bus_ask(seat, &q, on_page, &askers[i], &askers[i].question),
                         i < BUS_PATTERNS_MAX ? ERR_OK : ERR_FULL);
    }
    assert_int_equal(ask_channels(&a, false), ERR_OK); /* others go on */
    give_all(0, "a;");
    expect_answer(&askers[0], "a;", 1, 0);
    q.pattern = some_pattern();
    assert_int_equal(bus_ask(seat, &q, on_page, &askers[0], &askers[0].question), ERR_OK);
    q.pattern = some_pattern();
    assert_int_equal(bus_ask(seat, &q, on_page, &a, &a.question), ERR_FULL);
    pass_time(BUS_ASK_MS + TIMER_GRAIN_MS);
    for (unsigned i = 0; i < BUS_PATTERNS_MAX; i++)
        expect_answer(&askers[i], "", 0, 3);
    expect_answer(&a, "", 0, 3);
}

/* However few questions there are: what they hold is bounded. */
static void limits_bytes(void **unused)
{
    (void)unused;
    enum { BIG = 32 << 20 };
    struct asker a = {.calls = 0}, b = {.calls = 0};
    char *zeros = calloc(1, BIG);
    struct buf list = BUF_INIT;
    names_add(&list, str_make(zeros, BIG - 4));
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    const struct bus_part part = {.from = {1, 0},
                                  .number = a.question,
                                  .cursor = END,
                                  .follows = true,
                                  .bytes = buf_as_str(&list)};
    for (unsigned i = 0; i < BUS_ASKS_BYTES_MAX / BIG - 1; i++)
        bus_part_arrived(seat, &part);
    assert_in_range(seat->bytes, BUS_ASKS_BYTES_MAX / 2, SIZE_MAX);
    for (unsigned i = 0; i < 8 && seat->bytes <= BUS_ASKS_BYTES_MAX; i++) {
        assert_int_equal(ask_channels(&b, false), ERR_OK);
        assert_ptr_equal(bus_cancel(seat, b.question), &b);
        bus_part_arrived(seat, &part);
    }
    assert_int_equal(ask_channels(&b, false), ERR_FULL);
    const struct bus_ask q = {.kind = HUB_CHANNELS, .app = STR("app"), .pattern = some_pattern()};
    assert_int_equal(bus_ask(seat, &q, on_page, &b, &b.question), ERR_FULL);
    assert_ptr_equal(bus_cancel(seat, a.question), &a);
    assert_int_equal(seat->bytes, 0);
    assert_int_equal(ask_channels(&b, false), ERR_OK);
    give_all(backend.n - 1, "b;");
    expect_answer(&b, "b;", 1, 0);
    buf_fini(&list);
    free(zeros);
}

/* What has been counted is held as well, between rounds. */
static void counts_what_it_remembers(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0};
    struct buf text = BUF_INIT;
    for (unsigned i = 0; i < 1000; i++)
        buf_printf(&text, "%u;", i);
    buf_char(&text, 0);
    set_sources("1.0");
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give(0, "1.0", text.p, 7, false);
    assert_in_range(seat->bytes, 1000 * sizeof(struct hash128), SIZE_MAX);
    /* Pages themselves are not kept: the same again takes no more. */
    size_t held = seat->bytes;
    for (unsigned i = 0; i < 20; i++) {
        bus_more(seat, a.question);
        give(0, "1.0", text.p, 7, false);
    }
    assert_int_equal(a.calls, 21);
    assert_int_equal(a.count, 1000);
    assert_int_equal(seat->bytes, held);
    bus_more(seat, a.question);
    give_last(0, "1.0", "");
    assert_int_equal(seat->bytes, 0);
    free(a.names);
    buf_fini(&text);
}

static void answers_when_the_seat_is_freed(void **unused)
{
    (void)unused;
    struct asker a = {.calls = 0}, b = {.calls = 0}, c = {.calls = 0};
    assert_int_equal(ask_channels(&a, false), ERR_OK);
    give_last(0, "1.0", "a;");
    assert_int_equal(ask_channels(&b, true), ERR_OK);
    /* One that waits for bus_more ends as well. */
    assert_int_equal(ask_channels(&c, false), ERR_OK);
    give(2, "1.0", "a;", 7, false);
    give_last(2, "2.0", "b;");
    give_last(2, "3.0", "b;");
    expect_page(&c, "a;b;", 2);
    bus_seat_free(seat);
    seat = NULL;
    expect_answer(&a, "", 0, 2); /* the first one had answered, and is not missing */
    expect_answer(&b, "", 0, 3);
    expect_answer(&c, "", 2, 1);
    pass_time(2 * BUS_ASK_MS);
    assert_int_equal(a.calls + b.calls + c.calls, 0);
}

#define WITH_SEAT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* ---- a census ---- */

static struct buf tallies; /* "app:connections/users " each, and whether it is the last page */

static void on_tallies(void *ctx, uint64_t question, const struct bus_page *p)
{
    (void)ctx;
    (void)question;
    assert_true(p->last);
    assert_int_equal(p->names.len, 0);
    for (size_t i = 0; i < p->n_tallies; i++)
        buf_printf(&tallies, "%.*s:%llu/%llu ", (int)p->tallies[i].app.len, p->tallies[i].app.p,
                   (unsigned long long)p->tallies[i].connections,
                   (unsigned long long)p->tallies[i].users);
    if (p->n_missing)
        buf_printf(&tallies, "missing %u", p->n_missing);
    buf_char(&tallies, 0);
}

static void add_record(struct buf *list, const char *app, uint32_t connections, const char *users)
{
    struct buf hashes = BUF_INIT, names = names_of(users);
    struct census_record r = {.app = str_of(app), .connections = connections};
    uint64_t seed = census_seed(r.app, backend.questions[0]->q.seed);
    for (struct str rest = buf_as_str(&names), name; names_next(&rest, &name); r.n_users++) {
        struct hash128 h = census_user(name, seed);
        buf_add(&hashes, &h, sizeof h);
    }
    r.users = buf_as_str(&hashes);
    census_add(list, &r);
    buf_fini(&hashes);
    buf_fini(&names);
}

static void give_bytes(const char *from, struct str bytes, uint32_t cursor)
{
    const struct bus_part p = {.from = {(uint32_t)(from[0] - '0'), (uint32_t)(from[2] - '0')},
                               .number = backend.questions[0]->number,
                               .cursor = cursor,
                               .bytes = bytes};
    bus_part_arrived(seat, &p);
}

static void adds_up_a_census(void **unused)
{
    (void)unused;
    uint64_t question;
    struct buf one = BUF_INIT, two = BUF_INIT, three = BUF_INIT;
    const struct bus_ask q = {.kind = HUB_CENSUS};
    buf_fini(&tallies);
    assert_int_equal(bus_ask(seat, &q, on_tallies, NULL, &question), ERR_OK);
    /* Records that are alike are not one record. */
    add_record(&one, "shop", 3, "ann;bob;");
    add_record(&two, "shop", 3, "ann;bob;");
    add_record(&two, "chat", 1, "");
    add_record(&two, "chat", 1, "");
    add_record(&three, "shop", 1, "eve;");
    add_record(&three, "a", 1, "ann;");
    give_bytes("1.0", STR("no census"), END);
    give_bytes("1.0", buf_as_str(&one), 7);
    give_bytes("2.0", buf_as_str(&two), END);
    assert_int_equal(backend.n_more, 0);
    give_bytes("3.0", buf_as_str(&three), END);
    /* It goes on by itself: nobody reads pages. */
    expect_more("1.0@7");
    assert_int_equal(tallies.len, 0);
    give_bytes("1.0", buf_as_str(&three), END);
    assert_string_equal(tallies.p, "a:2/1 chat:2/0 shop:8/3 ");
    buf_fini(&one);
    buf_fini(&two);
    buf_fini(&three);
    buf_fini(&tallies);
}

static void tells_who_is_missing_in_a_census(void **unused)
{
    (void)unused;
    uint64_t question;
    struct buf one = BUF_INIT;
    const struct bus_ask q = {.kind = HUB_CENSUS};
    buf_fini(&tallies);
    assert_int_equal(bus_ask(seat, &q, on_tallies, NULL, &question), ERR_OK);
    add_record(&one, "shop", 3, "ann;bob;");
    give_bytes("1.0", buf_as_str(&one), END);
    pass_time(BUS_ASK_MS + 1000);
    assert_string_equal(tallies.p, "shop:3/2 missing 2");
    buf_fini(&one);
    buf_fini(&tallies);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH_SEAT(asks_with_copies),
        WITH_SEAT(is_flushed),
        WITH_SEAT(bounds_pages_by_their_number),
        WITH_SEAT(merges_parts_in_any_order),
        WITH_SEAT(takes_one_part_as_it_is),
        WITH_SEAT(merges_many_names),
        WITH_SEAT(takes_one_part_of_each),
        WITH_SEAT(knows_workers_apart),
        WITH_SEAT(puts_pieces_together),
        WITH_SEAT(keeps_questions_apart),
        WITH_SEAT(goes_on_in_rounds),
        WITH_SEAT(merges_pages_of_one),
        WITH_SEAT(counts_over_rounds),
        WITH_SEAT(passes_over_rubbish),
        WITH_SEAT(gives_each_round_its_time),
        WITH_SEAT(goes_on_from_within_its_page),
        WITH_SEAT(cancels),
        WITH_SEAT(cancels_from_within_its_page),
        WITH_SEAT(answers_at_the_deadline),
        WITH_SEAT(counts_missing_nodes_once),
        WITH_SEAT(tells_of_unreachable_nodes),
        WITH_SEAT(answers_with_nobody_to_ask),
        WITH_SEAT(does_not_wait_for_who_is_gone),
        WITH_SEAT(does_not_miss_who_left),
        WITH_SEAT(misses_who_goes_between_pages),
        WITH_SEAT(ends_when_all_go_between_pages),
        WITH_SEAT(may_ask_when_answered),
        WITH_SEAT(hands_the_backends_refusal_on),
        WITH_SEAT(limits_questions),
        WITH_SEAT(limits_patterns),
        WITH_SEAT(limits_bytes),
        WITH_SEAT(counts_what_it_remembers),
        WITH_SEAT(answers_when_the_seat_is_freed),
        WITH_SEAT(adds_up_a_census),
        WITH_SEAT(tells_who_is_missing_in_a_census),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
