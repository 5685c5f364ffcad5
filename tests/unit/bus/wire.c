#include "bus/wire.h"
#include "base/names.h"
#include "prng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- what letters look like ---- */

#define NAMES STR("\3\0\0\0ann\3\0\0\0bob")

/* These bytes are a promise between releases: nodes of two versions live in one cluster while it is
 * upgraded. A change that breaks one of them is none that a release may make (see wire.h); a new
 * field or kind adds a line. tests/fuzz/corpus/wire has the same letters. */
struct golden {
    struct wire wire;
    const char *hex; /* a field a line */
};

static const struct golden *goldens(unsigned *n)
{
    static struct golden list[20];
    const struct golden all[] = {
        {{.kind = WIRE_MSG,
          .node = 0x01020304,
          .app = STR("app"),
          .target = STR("ch"),
          .event = STR("ev"),
          .data = STR("{\"a\":1}")},
         "470101"
         "01000000080000000001020304"
         "0500000003617070"
         "06000000026368"
         "07000000026576"
         "08000000077b2261223a317d"},
        {{.kind = WIRE_MSG,
          .node = 0x01020304,
          .msg_kind = 4,
          .app = STR("app"),
          .target = STR("ann"),
          .data = NAMES},
         "470101"
         "01000000080000000001020304"
         "04000000080000000000000004"
         "0500000003617070"
         "0600000003616e6e"
         "080000000e03000000616e6e03000000626f62"},
        {{.kind = WIRE_QUESTION,
          .node = 7,
          .worker = 3,
          .number = 0x1122334455667788,
          .app = STR("app"),
          .question_kind = 2,
          .page_bytes = 131072,
          .count_only = true,
          .seed = 0xfedcba9876543210,
          .channel = STR("ch")},
         "470102"
         "01000000080000000000000007"
         "02000000080000000000000003"
         "03000000081122334455667788"
         "0500000003617070"
         "09000000080000000000000002"
         "0a000000080000000000020000"
         "0b000000080000000000000001"
         "0c00000008fedcba9876543210"
         "0d000000026368"},
        {{.kind = WIRE_QUESTION, .node = 7, .number = 1, .app = STR("app"), .pattern = STR("^a")},
         "470102"
         "01000000080000000000000007"
         "03000000080000000000000001"
         "0500000003617070"
         "0e000000025e61"},
        {{.kind = WIRE_MORE,
          .node = 7,
          .worker = 3,
          .number = 5,
          .app = STR("app"),
          .question_kind = 1,
          .page_bytes = 4096,
          .seed = 9,
          .from_worker = 2,
          .cursor = 0x80000000},
         "470103"
         "01000000080000000000000007"
         "02000000080000000000000003"
         "03000000080000000000000005"
         "0500000003617070"
         "09000000080000000000000001"
         "0a000000080000000000001000"
         "0c000000080000000000000009"
         "0f000000080000000000000002"
         "10000000080000000080000000"},
        {{.kind = WIRE_PART,
          .node = 8,
          .worker = 3,
          .number = 5,
          .data = NAMES,
          .from_worker = 2,
          .cursor = UINT32_MAX,
          .follows = true},
         "470104"
         "01000000080000000000000008"
         "02000000080000000000000003"
         "03000000080000000000000005"
         "080000000e03000000616e6e03000000626f62"
         "0f000000080000000000000002"
         "100000000800000000ffffffff"
         "11000000080000000000000001"},
        {{.kind = WIRE_BEAT,
          .node = UINT32_MAX,
          .incarnation = UINT64_MAX,
          .roles = 3,
          .n_workers = 64,
          .server = STR("NA")},
         "470105"
         "010000000800000000ffffffff"
         "1200000008ffffffffffffffff"
         "13000000080000000000000003"
         "14000000080000000000000040"
         "15000000024e41"},
        {{.kind = WIRE_HELLO,
          .node = 7,
          .incarnation = 0x100000000,
          .roles = 1,
          .n_workers = 2,
          .server = STR("NB")},
         "470106"
         "01000000080000000000000007"
         "12000000080000000100000000"
         "13000000080000000000000001"
         "14000000080000000000000002"
         "15000000024e42"},
        {{.kind = WIRE_WELCOME, .node = 8, .incarnation = 2, .roles = 2, .server = STR("NA")},
         "470107"
         "01000000080000000000000008"
         "12000000080000000000000002"
         "13000000080000000000000002"
         "15000000024e41"},
        {{.kind = WIRE_BYE, .node = 7},
         "470108"
         "01000000080000000000000007"},
        {{.kind = WIRE_FENCE, .node = 7, .number = 12},
         "470109"
         "01000000080000000000000007"
         "0300000008000000000000000c"},
        {{.kind = WIRE_FENCE_ACK, .node = 8, .number = 12},
         "47010a"
         "01000000080000000000000008"
         "0300000008000000000000000c"},
        {{.kind = WIRE_TICKET, .node = 8, .data = STR("a note")},
         "47010b"
         "01000000080000000000000008"
         "080000000661206e6f7465"},
        {{.kind = WIRE_BAN, .node = 8, .data = STR("a note")},
         "47010c"
         "01000000080000000000000008"
         "080000000661206e6f7465"},
        {{.kind = WIRE_DONE, .node = 8, .data = STR("a note")},
         "47010d"
         "01000000080000000000000008"
         "080000000661206e6f7465"},
        {{.kind = WIRE_LOG, .node = 8, .data = STR("a note")},
         "47010e"
         "01000000080000000000000008"
         "080000000661206e6f7465"},
    };
    *n = sizeof all / sizeof *all;
    assert_in_range(*n, 1, 20);
    memcpy(list, all, sizeof all);
    return list;
}

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static struct buf bytes_of(const char *hex)
{
    struct buf bytes = BUF_INIT;
    for (; *hex; hex += 2)
        buf_char(&bytes, (char)(digit(hex[0]) << 4 | digit(hex[1])));
    return bytes;
}

static bool same(const struct wire *a, const struct wire *b)
{
    return a->kind == b->kind && a->node == b->node && a->worker == b->worker &&
           a->number == b->number && a->msg_kind == b->msg_kind && str_eq(a->app, b->app) &&
           str_eq(a->target, b->target) && str_eq(a->event, b->event) && str_eq(a->data, b->data) &&
           a->question_kind == b->question_kind && a->page_bytes == b->page_bytes &&
           a->count_only == b->count_only && a->seed == b->seed && str_eq(a->channel, b->channel) &&
           str_eq(a->pattern, b->pattern) && a->from_worker == b->from_worker &&
           a->cursor == b->cursor && a->follows == b->follows && a->incarnation == b->incarnation &&
           a->roles == b->roles && a->n_workers == b->n_workers && str_eq(a->server, b->server);
}

static void writes_the_agreed_bytes(void **unused)
{
    (void)unused;
    unsigned n, kinds = 0;
    const struct golden *g = goldens(&n);
    for (unsigned i = 0; i < n; i++) {
        struct buf expected = bytes_of(g[i].hex), got = BUF_INIT;
        buf_str(&got, STR("before"));
        wire_write(&got, &g[i].wire);
        assert_int_equal(got.len, 6 + expected.len);
        assert_memory_equal(got.p, "before", 6);
        assert_memory_equal(got.p + 6, expected.p, expected.len);
        kinds |= 1u << g[i].wire.kind;
        buf_fini(&expected);
        buf_fini(&got);
    }
    assert_int_equal(kinds, (1u << WIRE_KINDS) - 2); /* none is left out */
}

static void reads_the_agreed_bytes(void **unused)
{
    (void)unused;
    unsigned n;
    const struct golden *g = goldens(&n);
    for (unsigned i = 0; i < n; i++) {
        struct buf bytes = bytes_of(g[i].hex);
        struct wire w;
        memset(&w, 0xee, sizeof w); /* nothing is left as it was */
        assert_int_equal(wire_read(&w, buf_as_str(&bytes)), ERR_OK);
        assert_true(same(&w, &g[i].wire));
        buf_fini(&bytes);
    }
}

/* ---- there and back ---- */

static uint64_t random_number(struct prng *r)
{
    /* Of any size, with 0 and the largest among them. */
    uint64_t n = prng_next(r) >> prng_below(r, 64);
    return prng_below(r, 8) == 0 ? 0 : prng_below(r, 8) == 0 ? UINT64_MAX : n;
}

static struct str random_text(struct prng *r, char room[300])
{
    size_t len = prng_below(r, 3) ? prng_below(r, 20) : prng_below(r, 300);
    for (size_t i = 0; i < len; i++)
        room[i] = (char)prng_next(r);
    return str_make(room, len);
}

static struct wire random_wire(struct prng *r, char room[7][300])
{
    return (struct wire){.kind = (enum wire_kind)(1 + prng_below(r, WIRE_KINDS - 1)),
                         .node = (uint32_t)random_number(r),
                         .worker = (uint32_t)random_number(r),
                         .number = random_number(r),
                         .msg_kind = (uint32_t)random_number(r),
                         .app = random_text(r, room[0]),
                         .target = random_text(r, room[1]),
                         .event = random_text(r, room[2]),
                         .data = random_text(r, room[3]),
                         .question_kind = (uint32_t)random_number(r),
                         .page_bytes = (uint32_t)random_number(r),
                         .count_only = prng_below(r, 2),
                         .seed = random_number(r),
                         .channel = random_text(r, room[4]),
                         .pattern = random_text(r, room[5]),
                         .from_worker = (uint32_t)random_number(r),
                         .cursor = (uint32_t)random_number(r),
                         .follows = prng_below(r, 2),
                         .incarnation = random_number(r),
                         .roles = (uint32_t)random_number(r),
                         .n_workers = (uint32_t)random_number(r),
                         .server = random_text(r, room[6])};
}

static void reads_what_it_wrote(void **unused)
{
    (void)unused;
    struct prng r = {1};
    char room[7][300];
    for (unsigned i = 0; i < 20000; i++) {
        const struct wire w = random_wire(&r, room);
        struct wire again;
        struct buf bytes = BUF_INIT;
        wire_write(&bytes, &w);
        assert_int_equal(wire_read(&again, buf_as_str(&bytes)), ERR_OK);
        assert_true(same(&w, &again));
        buf_fini(&bytes);
    }
}

/* ---- broken letters ---- */

/* Reads from memory of just this size, so that a sanitizer sees a step too far; and reads again
 * what came of it. */
static enum err read_copy(struct wire *out, const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    struct wire w, again;
    if (len)
        memcpy(copy, bytes, len);
    enum err e = wire_read(&w, str_make(copy, len));
    if (!e) {
        struct buf written = BUF_INIT;
        wire_write(&written, &w);
        assert_int_equal(wire_read(&again, buf_as_str(&written)), ERR_OK);
        assert_true(same(&w, &again));
        buf_fini(&written);
        if (out)
            *out = w; /* numbers only: its texts are gone */
    }
    free(copy);
    return e;
}

/* A cut between two fields leaves a letter of fewer fields; any other one is seen. */
static void sees_every_cut(void **unused)
{
    (void)unused;
    unsigned n;
    const struct golden *g = goldens(&n);
    for (unsigned i = 0; i < n; i++) {
        struct buf bytes = bytes_of(g[i].hex);
        size_t next_end = 3;
        for (size_t len = 0; len <= bytes.len; len++) {
            enum err e = read_copy(NULL, bytes.p, len);
            if (len == next_end) {
                assert_int_equal(e, ERR_OK);
                if (len < bytes.len)
                    next_end = len + 5 + (unsigned char)bytes.p[len + 4];
            } else {
                assert_int_equal(e, ERR_PROTO);
            }
        }
        buf_fini(&bytes);
    }
}

static void survives_every_changed_byte(void **unused)
{
    (void)unused;
    unsigned n;
    const struct golden *g = goldens(&n);
    for (unsigned i = 0; i < n; i++) {
        struct buf bytes = bytes_of(g[i].hex);
        for (size_t at = 0; at < bytes.len; at++) {
            char right = bytes.p[at];
            for (unsigned wrong = 0; wrong < 256; wrong++) {
                bytes.p[at] = (char)wrong;
                enum err e = read_copy(NULL, bytes.p, bytes.len);
                assert_true(e == ERR_OK || e == ERR_PROTO || e == ERR_LIMIT);
                if (at == 0)
                    assert_int_equal(e, wrong == 'G' ? ERR_OK : ERR_PROTO);
                if (at == 1)
                    assert_int_equal(e, wrong == WIRE_VERSION ? ERR_OK : ERR_LIMIT);
                if (at == 2)
                    assert_int_equal(e, wrong && wrong < WIRE_KINDS ? ERR_OK : ERR_LIMIT);
            }
            bytes.p[at] = right;
        }
        buf_fini(&bytes);
    }
}

static void add_field(struct buf *out, unsigned tag, uint32_t told_len, struct str bytes)
{
    const char head[] = {(char)tag, (char)(told_len >> 24), (char)(told_len >> 16),
                         (char)(told_len >> 8), (char)told_len};
    buf_add(out, head, sizeof head);
    buf_str(out, bytes);
}

static struct buf letter_with(unsigned tag, uint32_t told_len, struct str bytes)
{
    struct buf out = BUF_INIT;
    const char head[] = {'G', WIRE_VERSION, WIRE_MSG};
    buf_add(&out, head, sizeof head);
    add_field(&out, tag, told_len, bytes);
    return out;
}

static enum err read_field(struct wire *out, unsigned tag, uint32_t told_len, struct str bytes)
{
    struct buf letter = letter_with(tag, told_len, bytes);
    enum err e = read_copy(out, letter.p, letter.len);
    buf_fini(&letter);
    return e;
}

enum { TAG_NODE = 1, TAG_NUMBER = 3, TAG_APP = 5, TAG_DATA = 8, TAG_COUNT_ONLY = 11, TAGS = 21 };

static void sees_wrong_lengths(void **unused)
{
    (void)unused;
    static const uint32_t wrong[] = {9, 0x7fffffff, 0x80000000, UINT32_MAX - 8, UINT32_MAX};
    for (unsigned tag = 1; tag <= TAGS + 1; tag++) {
        for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
            assert_int_equal(read_field(NULL, tag, wrong[i], STR("12345678")), ERR_PROTO);
    }
    /* Numbers have eight bytes, texts any number of them. */
    static const unsigned numbers[] = {TAG_NODE, TAG_NUMBER, TAG_COUNT_ONLY};
    char zeros[20] = {0};
    for (uint32_t len = 0; len < 20; len++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(read_field(NULL, numbers[i], len, str_make(zeros, len)),
                             len == 8 ? ERR_OK : ERR_PROTO);
        assert_int_equal(read_field(NULL, TAG_APP, len, str_make(zeros, len)), ERR_OK);
    }
}

static void sees_numbers_too_large(void **unused)
{
    (void)unused;
    struct wire w;
    assert_int_equal(read_field(&w, TAG_NODE, 8, STR("\0\0\0\0\xff\xff\xff\xff")), ERR_OK);
    assert_int_equal(w.node, UINT32_MAX);
    assert_int_equal(read_field(&w, TAG_NODE, 8, STR("\0\0\0\1\0\0\0\0")), ERR_PROTO);
    assert_int_equal(read_field(&w, TAG_NUMBER, 8, STR("\xff\0\0\1\0\0\0\0")), ERR_OK);
    assert_true(w.number == 0xff00000100000000);
    assert_int_equal(read_field(&w, TAG_COUNT_ONLY, 8, STR("\0\0\0\1\0\0\0\0")), ERR_PROTO);
    assert_int_equal(read_field(&w, TAG_COUNT_ONLY, 8, STR("\0\0\0\0\0\0\0\2")), ERR_OK);
    assert_true(w.count_only);
}

/* ---- other versions ---- */

static void passes_over_unknown_fields(void **unused)
{
    (void)unused;
    unsigned n;
    const struct golden *g = goldens(&n);
    for (unsigned tag = 0; tag < 256; tag++) {
        if (tag >= 1 && tag <= TAGS)
            continue;
        for (unsigned i = 0; i < n; i++) {
            /* Before the others, behind them, and both. */
            struct buf bytes = bytes_of(g[i].hex), mixed = BUF_INIT;
            buf_add(&mixed, bytes.p, 3);
            if (i % 3 != 1)
                add_field(&mixed, tag, 4, STR("what"));
            buf_add(&mixed, bytes.p + 3, bytes.len - 3);
            if (i % 3 != 0)
                add_field(&mixed, tag, 0, STR_EMPTY);
            struct wire w;
            enum err e = wire_read(&w, buf_as_str(&mixed));
            assert_int_equal(e, tag >= WIRE_NEEDED ? ERR_LIMIT : ERR_OK);
            if (!e)
                assert_true(same(&w, &g[i].wire));
            buf_fini(&bytes);
            buf_fini(&mixed);
        }
    }
}

static void refuses_other_kinds_and_versions(void **unused)
{
    (void)unused;
    for (unsigned kind = 0; kind < 256; kind++) {
        const char head[] = {'G', WIRE_VERSION, (char)kind};
        assert_int_equal(read_copy(NULL, head, 3),
                         kind >= WIRE_MSG && kind < WIRE_KINDS ? ERR_OK : ERR_LIMIT);
    }
    for (unsigned version = 0; version < 256; version++) {
        /* Whatever is behind it may mean something else there. */
        const char head[] = {'G', (char)version, WIRE_MSG, 1};
        assert_int_equal(read_copy(NULL, head, 4), version == WIRE_VERSION ? ERR_PROTO : ERR_LIMIT);
    }
}

/* A letter without fields has all of them empty: texts that can be copied. */
static void reads_missing_fields_as_empty(void **unused)
{
    (void)unused;
    const char head[] = {'G', WIRE_VERSION, WIRE_MSG};
    const struct wire empty = {.kind = WIRE_MSG};
    struct wire w;
    memset(&w, 0xee, sizeof w);
    assert_int_equal(wire_read(&w, str_make(head, 3)), ERR_OK);
    assert_true(same(&w, &empty));
    const struct str texts[] = {w.app, w.target, w.event, w.data, w.channel, w.pattern, w.server};
    for (unsigned i = 0; i < 7; i++)
        assert_non_null(texts[i].p);
    struct buf bytes = BUF_INIT;
    wire_write(&bytes, &empty);
    assert_int_equal(bytes.len, 3); /* and is not written either */
    buf_fini(&bytes);
}

static void takes_the_last_of_two(void **unused)
{
    (void)unused;
    struct buf letter = letter_with(TAG_APP, 3, STR("one"));
    struct wire w;
    add_field(&letter, TAG_APP, 3, STR("two"));
    assert_int_equal(wire_read(&w, buf_as_str(&letter)), ERR_OK);
    assert_true(str_eq(w.app, STR("two")));
    buf_fini(&letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_agreed_bytes),
        cmocka_unit_test(reads_the_agreed_bytes),
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(sees_every_cut),
        cmocka_unit_test(survives_every_changed_byte),
        cmocka_unit_test(sees_wrong_lengths),
        cmocka_unit_test(sees_numbers_too_large),
        cmocka_unit_test(passes_over_unknown_fields),
        cmocka_unit_test(refuses_other_kinds_and_versions),
        cmocka_unit_test(reads_missing_fields_as_empty),
        cmocka_unit_test(takes_the_last_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
