#include "ws/frame.h"
#include "mem_count.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

enum { MAX = 512 };

/* Appends a frame as a client sends it. */
static void add_frame(struct buf *out, unsigned first_byte, struct str payload)
{
    static const unsigned char mask[4] = {0x5a, 0x00, 0xff, 0x91};
    char header[WS_HEADER_MAX];
    unsigned len = ws_frame_header(header, WS_TEXT, payload.len);
    header[0] = (char)first_byte;
    header[1] |= (char)0x80;
    buf_add(out, header, len);
    buf_add(out, mask, sizeof mask);
    for (size_t i = 0; i < payload.len; i++)
        buf_char(out, (char)(payload.p[i] ^ mask[i % 4]));
}

/* Feeds `len` bytes and writes down what comes out of them; false after an error. */
static bool feed(struct ws_reader *r, const char *bytes, size_t len, size_t message_max,
                 struct buf *events)
{
    /* A copy of just this size: it is unmasked in place, and a sanitizer sees a step too far. */
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    char *p = copy;
    enum err e;
    do {
        struct ws_message m;
        e = ws_read(r, &p, &len, &(struct ws_rules){message_max, false}, &m);
        if (e == ERR_OK) {
            buf_printf(events, "%s:",
                       m.op == WS_TEXT     ? "text"
                       : m.op == WS_BINARY ? "binary"
                       : m.op == WS_PING   ? "ping"
                       : m.op == WS_PONG   ? "pong"
                                           : "close");
            if (m.op == WS_CLOSE)
                buf_printf(events, "%u:", m.code);
            buf_str(events, m.data);
            buf_char(events, ' ');
        } else if (e == ERR_PROTO) {
            assert_int_not_equal(m.data.len, 0);
            buf_printf(events, "error:%u", m.code);
        } else {
            assert_int_equal(e, ERR_AGAIN);
            assert_int_equal(len, 0);
        }
    } while (e == ERR_OK);
    free(copy);
    return e == ERR_AGAIN;
}

/* Feeds `input` whole, byte by byte, and cut at every point and every two points near each
 * other: each must give `expected`. */
static void expect(struct str input, size_t message_max, const char *expected)
{
    struct buf events = BUF_INIT;
    size_t held = mem_count.bytes;
    for (size_t second = 0; second <= 16; second++) {
        for (size_t first = 0; first <= input.len; first++) {
            size_t then = first + second < input.len ? second : input.len - first;
            struct ws_reader r;
            ws_reader_init(&r);
            buf_clear(&events);
            if (feed(&r, input.p, first, message_max, &events) &&
                feed(&r, input.p + first, then, message_max, &events))
                feed(&r, input.p + first + then, input.len - first - then, message_max, &events);
            if (!str_eq(buf_as_str(&events), str_of(expected)))
                fail_msg("cut at %zu and %zu: got '%.*s', expected '%s'", first, first + then,
                         (int)events.len, events.p, expected);
            ws_reader_fini(&r);
        }
    }

    struct ws_reader r;
    ws_reader_init(&r);
    buf_clear(&events);
    for (size_t i = 0; i < input.len; i++) {
        if (!feed(&r, input.p + i, 1, message_max, &events))
            break;
    }
    if (!str_eq(buf_as_str(&events), str_of(expected)))
        fail_msg("byte by byte: got '%.*s', expected '%s'", (int)events.len, events.p, expected);
    ws_reader_fini(&r);
    buf_fini(&events);
    assert_int_equal(mem_count.bytes, held);
}

struct frame {
    unsigned first_byte;
    struct str payload;
};

static void expect_frames(const struct frame *frames, size_t n, const char *expected)
{
    struct buf input = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        add_frame(&input, frames[i].first_byte, frames[i].payload);
    expect(buf_as_str(&input), MAX, expected);
    buf_fini(&input);
}

#define EXPECT_FRAMES(expected, ...)                                                               \
    expect_frames((const struct frame[]){__VA_ARGS__},                                             \
                  sizeof((const struct frame[]){__VA_ARGS__}) / sizeof(struct frame), expected)

static void reads_messages(void **unused)
{
    (void)unused;
    EXPECT_FRAMES("text:hello ", {0x81, STR("hello")});
    EXPECT_FRAMES("text: ", {0x81, STR("")});
    EXPECT_FRAMES("binary:\xff\xfe ", {0x82, STR("\xff\xfe")});
    EXPECT_FRAMES("text:one text:two binary:three ", {0x81, STR("one")}, {0x81, STR("two")},
                  {0x82, STR("three")});
    EXPECT_FRAMES("text:\xe2\x82\xac\xf0\x9f\x98\x80 ",
                  {0x81, STR("\xe2\x82\xac\xf0\x9f\x98\x80")});
    EXPECT_FRAMES("ping:p pong: pong:q ", {0x89, STR("p")}, {0x8a, STR("")}, {0x8a, STR("q")});
}

static void joins_fragments(void **unused)
{
    (void)unused;
    EXPECT_FRAMES("text:hello ", {0x01, STR("he")}, {0x80, STR("llo")});
    EXPECT_FRAMES("text:hello ", {0x01, STR("")}, {0x00, STR("he")}, {0x00, STR("")},
                  {0x80, STR("llo")});
    EXPECT_FRAMES("text: ", {0x01, STR("")}, {0x80, STR("")});
    EXPECT_FRAMES("binary:abc text:d ", {0x02, STR("a")}, {0x80, STR("bc")}, {0x81, STR("d")});
    EXPECT_FRAMES("ping:xyz pong:yz text:hello ping:z ", {0x01, STR("he")}, {0x89, STR("xyz")},
                  {0x8a, STR("yz")}, {0x80, STR("llo")}, {0x89, STR("z")});
    EXPECT_FRAMES("close:1000: text:ab ", {0x01, STR("a")}, {0x88, STR("\x03\xe8")},
                  {0x80, STR("b")});
    EXPECT_FRAMES("text:\xe2\x82\xac ", {0x01, STR("\xe2")}, {0x00, STR("\x82")},
                  {0x80, STR("\xac")});
}

static void refuses_wrong_frames(void **unused)
{
    (void)unused;
    EXPECT_FRAMES("error:1002", {0xc1, STR("a")});
    EXPECT_FRAMES("error:1002", {0xa1, STR("a")});
    EXPECT_FRAMES("error:1002", {0x91, STR("a")});
    for (unsigned op = 3; op < 16; op++) {
        if (op >= 8 && op <= 10)
            EXPECT_FRAMES("error:1002", {op, STR("")});
        else
            EXPECT_FRAMES("error:1002", {0x80 | op, STR("")});
    }
    EXPECT_FRAMES("error:1002", {0x80, STR("a")});
    EXPECT_FRAMES("error:1002", {0x00, STR("a")});
    EXPECT_FRAMES("text:a error:1002", {0x01, STR("")}, {0x80, STR("a")}, {0x80, STR("b")});
    EXPECT_FRAMES("error:1002", {0x01, STR("a")}, {0x81, STR("b")});
    EXPECT_FRAMES("ping: error:1002", {0x01, STR("a")}, {0x89, STR("")}, {0x02, STR("b")});

    expect(STR("\x81\x01"
               "a"),
           MAX, "error:1002");
    expect(STR("\x81\x00"), MAX, "error:1002");
    expect(STR("\x88\x00"), MAX, "error:1002");
}

static void refuses_wrong_lengths(void **unused)
{
    (void)unused;
    char payload[200];
    memset(payload, 'a', sizeof payload);
    EXPECT_FRAMES("error:1002", {0x89, str_make(payload, 126)});
    EXPECT_FRAMES("error:1002", {0x88, str_make(payload, 200)});

    expect(STR("\x81\xfe\x00\x7d"), MAX, "error:1002");
    expect(STR("\x81\xff\0\0\0\0\0\0\xff\xff"), MAX, "error:1002");
    expect(STR("\x81\xff\x80\0\0\0\0\0\0\0"), MAX, "error:1002");
    expect(STR("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff"), SIZE_MAX, "error:1002");
    expect(STR("\x81\xff\0\0\0\0\0\x01\0\0"), MAX, "error:1009");
    expect(STR("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), MAX, "error:1009");
}

static void limits_messages(void **unused)
{
    (void)unused;
    char payload[MAX + 1], expected[MAX + 20];
    memset(payload, 'a', sizeof payload);
    snprintf(expected, sizeof expected, "text:%.*s ", MAX, payload);
    EXPECT_FRAMES(expected, {0x81, str_make(payload, MAX)});
    EXPECT_FRAMES("error:1009", {0x81, str_make(payload, MAX + 1)});
    EXPECT_FRAMES("error:1009", {0x82, str_make(payload, MAX + 1)});
    EXPECT_FRAMES(expected, {0x01, str_make(payload, MAX - 1)}, {0x00, STR("")}, {0x80, STR("a")});
    EXPECT_FRAMES("error:1009", {0x01, str_make(payload, MAX - 1)}, {0x80, STR("aa")});
    EXPECT_FRAMES("error:1009", {0x01, str_make(payload, MAX)}, {0x00, STR("")}, {0x80, STR("a")});

    /* A control frame is none of the message. */
    struct buf input = BUF_INIT;
    add_frame(&input, 0x01, STR("ab"));
    add_frame(&input, 0x89, STR("a long ping"));
    add_frame(&input, 0x80, STR("c"));
    expect(buf_as_str(&input), 3, "ping:a long ping text:abc ");
    expect(buf_as_str(&input), 2, "ping:a long ping error:1009");
    buf_fini(&input);

    /* The header tells, before any of the payload is there. */
    expect(STR("\x81\xfe\x02\x01"), MAX, "error:1009");
    expect(STR("\x81\x81"), 0, "error:1009");
}

/* All three forms of the length, in whole frames and in cut ones. */
static void reads_long_messages(void **unused)
{
    (void)unused;
    static const size_t lens[] = {125, 126, 127, 65535, 65536, 200001};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct str payload = {malloc(lens[i]), lens[i]};
        for (size_t k = 0; k < lens[i]; k++)
            ((char *)payload.p)[k] = (char)('a' + k % 23);
        struct buf input = BUF_INIT;
        add_frame(&input, 0x81, payload);
        for (size_t cut = 0; cut <= input.len; cut += cut < 20 ? 1 : 997) {
            struct buf events = BUF_INIT;
            struct ws_reader r;
            ws_reader_init(&r);
            assert_true(feed(&r, input.p, cut, 1 << 20, &events));
            assert_true(feed(&r, input.p + cut, input.len - cut, 1 << 20, &events));
            assert_int_equal(events.len, payload.len + 6);
            assert_memory_equal(events.p + 5, payload.p, payload.len);
            ws_reader_fini(&r);
            buf_fini(&events);
        }
        buf_fini(&input);
        free((char *)payload.p);
    }
}

static void checks_text(void **unused)
{
    (void)unused;
    EXPECT_FRAMES("error:1007", {0x81, STR("a\xff")});
    EXPECT_FRAMES("error:1007", {0x81, STR("\xe2\x82")});
    EXPECT_FRAMES("error:1007", {0x81, STR("\xed\xa0\x80")});
    EXPECT_FRAMES("error:1007", {0x01, STR("\xe2\x82")}, {0x80, STR("")});
    EXPECT_FRAMES("error:1007", {0x01, STR("\xe2\x82")}, {0x80, STR("a")});
    EXPECT_FRAMES("binary:\xe2\x82 ", {0x02, STR("\xe2\x82")}, {0x80, STR("")});
    /* A later message does not begin with what an earlier one left. */
    EXPECT_FRAMES("text:a error:1007", {0x01, STR("")}, {0x80, STR("a")}, {0x81, STR("\x82")});

    /* The error comes with the bytes that show it, not with the end of the message. */
    struct buf input = BUF_INIT;
    add_frame(&input, 0x01, STR("ab\xc0"));
    expect(buf_as_str(&input), MAX, "error:1007");
    buf_clear(&input);
    add_frame(&input, 0x81, STR("ab\xf4\x90 and more text"));
    expect(str_make(input.p, 6 + 4), MAX, "error:1007");
    expect(str_make(input.p, 6 + 3), MAX, "");
    buf_fini(&input);
}

static void reads_close_frames(void **unused)
{
    (void)unused;
    EXPECT_FRAMES("close:1005: ", {0x88, STR("")});
    EXPECT_FRAMES("close:1000: ", {0x88, STR("\x03\xe8")});
    EXPECT_FRAMES("close:4999:bye \xe2\x82\xac ", {0x88, STR("\x13\x87"
                                                             "bye \xe2\x82\xac")});
    EXPECT_FRAMES("error:1002", {0x88, STR("\x03")});
    EXPECT_FRAMES("error:1002", {0x88, STR("\x03\xe7")});
    EXPECT_FRAMES("error:1002", {0x88, STR("\x03\xed")});
    EXPECT_FRAMES("error:1007", {0x88, STR("\x03\xe8\xff")});
    EXPECT_FRAMES("error:1007", {0x88, STR("\x03\xe8\xe2\x82")});
    /* The code comes first: with both wrong it is the code that counts. */
    EXPECT_FRAMES("error:1002", {0x88, STR("\x03\xed\xff")});
}

static void knows_the_codes(void **unused)
{
    (void)unused;
    for (unsigned code = 0; code <= 65535; code++) {
        bool bad = code <= 999 || (code >= 1004 && code <= 1006) || code == 1015 ||
                   (code >= 1016 && code <= 2999) || code >= 5000;
        assert_int_equal(ws_code_valid(code), !bad);
    }
}

static void reads_as_a_client(void **state)
{
    (void)state;
    char bytes[] = "\x81\x02hi\x89\x01x\x01\x01"
                   "a\x80\x01"
                   "b\x81\x80mask";
    char *p = bytes;
    size_t len = sizeof bytes - 1;
    struct ws_reader r;
    struct ws_message m;
    ws_reader_init(&r);
    static const struct {
        enum ws_op op;
        const char *data;
    } expected[] = {{WS_TEXT, "hi"}, {WS_PING, "x"}, {WS_TEXT, "ab"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(ws_read_from_server(&r, &p, &len, &(struct ws_rules){100, false}, &m),
                         ERR_OK);
        assert_int_equal(m.op, expected[i].op);
        assert_true(str_eq(m.data, str_of(expected[i].data)));
    }
    assert_int_equal(ws_read_from_server(&r, &p, &len, &(struct ws_rules){100, false}, &m),
                     ERR_PROTO);
    assert_int_equal(m.code, WS_PROTOCOL_ERROR);
    assert_true(str_eq(m.data, STR("frame is masked")));
    ws_reader_fini(&r);
}

static void copies_nothing_whole(void **unused)
{
    (void)unused;
    struct buf input = BUF_INIT;
    add_frame(&input, 0x81, STR("hello"));
    add_frame(&input, 0x89, STR("ping"));
    add_frame(&input, 0x82, STR("more"));
    struct ws_reader r;
    ws_reader_init(&r);
    size_t calls = mem_count.calls;
    char *p = input.p;
    size_t len = input.len;
    static const size_t offsets[] = {6, 17, 27};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct ws_message m;
        assert_int_equal(ws_read(&r, &p, &len, &(struct ws_rules){MAX, false}, &m), ERR_OK);
        assert_ptr_equal(m.data.p, input.p + offsets[i]);
    }
    struct ws_message m;
    assert_int_equal(ws_read(&r, &p, &len, &(struct ws_rules){MAX, false}, &m), ERR_AGAIN);
    assert_int_equal(mem_count.calls, calls);
    assert_null(r.partial);
    assert_true(sizeof r <= 2 * sizeof(void *));
    buf_fini(&input);
}

/* An announcement costs nothing; what is kept follows what came. */
static void keeps_what_came(void **unused)
{
    (void)unused;
    enum { LARGE = 16 << 20 };
    struct ws_reader r;
    struct buf events = BUF_INIT;
    ws_reader_init(&r);
    buf_reserve(&events, 64);
    size_t held = mem_count.bytes;
    assert_true(feed(&r, "\x82\xff\0\0\0\0\1\0\0\0\0\0\0\0", 14, LARGE, &events));
    assert_true(mem_count.bytes - held < 512);

    static const char zeros[1000];
    mem_count.peak = mem_count.bytes;
    for (size_t came = 0; came < 1000000; came += sizeof zeros) {
        assert_true(feed(&r, zeros, sizeof zeros, LARGE, &events));
        assert_true(mem_count.peak - held <= 2 * (came + sizeof zeros) + 512);
    }
    ws_reader_fini(&r);
    assert_int_equal(mem_count.bytes, held);

    /* At the end of a message all of it is given back. */
    struct buf input = BUF_INIT;
    add_frame(&input, 0x01, STR("he"));
    add_frame(&input, 0x80, STR("llo"));
    held = mem_count.bytes;
    assert_true(feed(&r, input.p, input.len, MAX, &events));
    assert_null(r.partial);
    assert_int_equal(mem_count.bytes, held);

    /* The same after a control frame that was cut with no message around it. */
    buf_clear(&input);
    add_frame(&input, 0x89, STR("ping"));
    for (size_t cut = 0; cut <= input.len; cut++) {
        buf_clear(&events);
        assert_true(feed(&r, input.p, cut, MAX, &events));
        assert_true(feed(&r, input.p + cut, input.len - cut, MAX, &events));
        assert_null(r.partial);
    }
    buf_fini(&input);
    buf_fini(&events);
}

/* However a message comes, it never takes more than it may have. */
static void stays_below_the_limit(void **unused)
{
    (void)unused;
    struct ws_reader r;
    struct buf events = BUF_INIT;
    ws_reader_init(&r);
    buf_reserve(&events, 1 << 16);
    struct buf input = BUF_INIT;
    buf_reserve(&input, 1 << 16);
    size_t held = mem_count.bytes;
    mem_count.peak = mem_count.bytes;
    for (int i = 0; i < 110; i++)
        add_frame(&input, i ? 0x00 : 0x02, STR("0123456789"));
    assert_true(feed(&r, input.p, input.len, 1100, &events));
    assert_true(mem_count.peak - held <= 1100 + 512);
    assert_false(feed(&r, "\x00\x81\0\0\0\0a", 7, 1100, &events));
    ws_reader_fini(&r);
    buf_fini(&input);
    buf_fini(&events);
}

static void writes_headers(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t len;
        struct str header;
    } cases[] = {
        {0, STR("\x81\x00")},
        {125, STR("\x81\x7d")},
        {126, STR("\x81\x7e\x00\x7e")},
        {65535, STR("\x81\x7e\xff\xff")},
        {65536, STR("\x81\x7f\0\0\0\0\0\x01\0\0")},
        {UINT64_C(0x123456789a), STR("\x81\x7f\0\0\0\x12\x34\x56\x78\x9a")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[WS_HEADER_MAX];
        unsigned len = ws_frame_header(out, WS_TEXT, cases[i].len);
        assert_int_equal(len, cases[i].header.len);
        assert_memory_equal(out, cases[i].header.p, len);
    }
    char out[WS_HEADER_MAX];
    ws_frame_header(out, WS_PONG, 0);
    assert_int_equal((unsigned char)out[0], 0x8a);
}

static void writes_close_frames(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    ws_frame_close(&out, 1000, STR("bye"));
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.p,
                        "\x88\x05\x03\xe8"
                        "bye",
                        7);
    buf_clear(&out);
    ws_frame_close(&out, WS_NO_STATUS, STR("never sent"));
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.p, "\x88\x00", 2);

    /* 123 bytes fit; a character that does not is left out whole. */
    char reason[130];
    for (size_t before = 118; before <= 123; before++) {
        memset(reason, 'a', sizeof reason);
        memcpy(reason + before, "\xf0\x9f\x98\x80", 4);
        size_t kept = before + 4 <= 123 ? 123 : before;
        buf_clear(&out);
        ws_frame_close(&out, 1013, str_make(reason, sizeof reason));
        assert_int_equal(out.len, 4 + kept);
        assert_int_equal(out.p[1], 2 + kept);
        assert_memory_equal(out.p + 4, reason, kept);
    }
    buf_fini(&out);
}

/* RFC 7692 section 6: the bit stands in the first frame of a message, where that is agreed upon. */
static void takes_compressed_messages_where_agreed(void **unused)
{
    (void)unused;
    static const struct {
        const char *frames; /* without masks: as from a server */
        size_t len;
        bool fine;
    } cases[] = {
        {"\xc1\x02\xff\xfe", 4, true},          /* whole; not UTF-8, which is not looked at */
        {"\x41\x01\xff\x80\x01\xfe", 6, true},  /* in two */
        {"\xc2\x02\xff\xfe", 4, true},          /* binary */
        {"\x01\x01\xff\xc0\x01\xfe", 6, false}, /* the bit comes late */
        {"\x41\x01\xff\xc0\x01\xfe", 6, false}, /* and twice */
        {"\xc9\x00", 2, false},                 /* a ping */
        {"\xe1\x00", 2, false},                 /* another bit */
        {"\xd1\x00", 2, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (unsigned agreed = 0; agreed < 2; agreed++) {
            for (size_t cut = 0; cut <= cases[i].len; cut++) {
                const struct ws_rules rules = {MAX, agreed};
                struct ws_reader r;
                struct ws_message m;
                char bytes[16];
                enum err e = ERR_AGAIN;
                ws_reader_init(&r);
                memcpy(bytes, cases[i].frames, cases[i].len);
                char *p = bytes;
                size_t len = cut;
                if (cut)
                    e = ws_read_from_server(&r, &p, &len, &rules, &m);
                len = cases[i].len - cut;
                p = bytes + cut;
                if (e == ERR_AGAIN && len)
                    e = ws_read_from_server(&r, &p, &len, &rules, &m);
                assert_int_equal(e, agreed && cases[i].fine ? ERR_OK : ERR_PROTO);
                if (!e) {
                    assert_true(m.compressed);
                    assert_true(str_eq(m.data, STR("\xff\xfe")));
                }
                ws_reader_fini(&r);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_messages),
        cmocka_unit_test(joins_fragments),
        cmocka_unit_test(refuses_wrong_frames),
        cmocka_unit_test(refuses_wrong_lengths),
        cmocka_unit_test(limits_messages),
        cmocka_unit_test(reads_long_messages),
        cmocka_unit_test(checks_text),
        cmocka_unit_test(reads_close_frames),
        cmocka_unit_test(knows_the_codes),
        cmocka_unit_test(reads_as_a_client),
        cmocka_unit_test(copies_nothing_whole),
        cmocka_unit_test(takes_compressed_messages_where_agreed),
        cmocka_unit_test(keeps_what_came),
        cmocka_unit_test(stays_below_the_limit),
        cmocka_unit_test(writes_headers),
        cmocka_unit_test(writes_close_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
