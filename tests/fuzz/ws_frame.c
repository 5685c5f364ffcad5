/* ws_frame.c - the frame reader, fed whole and in pieces: both must tell the same.
 *
 * The first byte of the input picks the limit and whether frames are taken as they are or made
 * by rule; the second seeds where the bytes are cut. Free bytes rarely make a second frame, so by
 * rule each frame takes two bytes (its first byte, its length) and its payload from the input. */
#include "ws/frame.h"
#include "base/utf8.h"
#include "mem_count.h"
#include "fuzz_check.h"

enum { INPUT_MAX = 8192, OVERHEAD_MAX = 512 };

static void make_frames(struct buf *out, struct str recipe)
{
    static const unsigned char mask[4] = {0x11, 0x80, 0x00, 0xa7};
    while (recipe.len >= 2) {
        unsigned char first = (unsigned char)recipe.p[0], size = (unsigned char)recipe.p[1];
        recipe.p += 2;
        recipe.len -= 2;
        /* Most lengths stay as they are; some become long, so that their encoding does. */
        size_t len = size < 0xf0 ? size : (size_t)(size - 0xef) * 40;
        if (len > recipe.len)
            len = recipe.len;
        char header[WS_HEADER_MAX];
        unsigned header_len = ws_frame_header(header, WS_TEXT, len);
        header[0] = (char)first;
        header[1] |= (char)0x80;
        buf_add(out, header, header_len);
        buf_add(out, mask, sizeof mask);
        for (size_t i = 0; i < len; i++)
            buf_char(out, (char)(recipe.p[i] ^ mask[i % 4]));
        recipe.p += len;
        recipe.len -= len;
    }
}

static void write_down(struct buf *story, const struct ws_message *m, enum err e)
{
    buf_printf(story, "%d %d %u %zu:", (int)e, (int)m->op, m->code, m->data.len);
    buf_str(story, m->data);
    buf_char(story, '\n');
}

static void check_message(const struct ws_message *m, size_t message_max)
{
    switch (m->op) {
    case WS_TEXT:
        CHECK(utf8_valid(m->data));
        CHECK(m->data.len <= message_max);
        break;
    case WS_BINARY:
        CHECK(m->data.len <= message_max);
        break;
    case WS_CLOSE:
        CHECK(m->code == WS_NO_STATUS ? !m->data.len : ws_code_valid(m->code));
        CHECK(utf8_valid(m->data));
        CHECK(m->data.len <= WS_CONTROL_MAX - 2);
        break;
    case WS_PING:
    case WS_PONG:
        CHECK(m->data.len <= WS_CONTROL_MAX);
        break;
    default:
        CHECK(!"an operation that is never given");
    }
}

/* Feeds all of `input` in pieces of the sizes that `seed` makes (0: in one) and writes down what
 * comes out. */
static void feed(struct str input, unsigned seed, size_t message_max, struct buf *story)
{
    const struct ws_rules rules = {.message_max = message_max};
    struct ws_reader r;
    ws_reader_init(&r);
    unsigned state = seed;
    for (size_t fed = 0; fed < input.len;) {
        state = state * 1103515245u + 12345u;
        size_t piece = seed == 0   ? input.len
                       : seed == 1 ? 1
                                   : (state >> 16) % (seed & 1 ? 8 : 64) + 1;
        if (piece > input.len - fed)
            piece = input.len - fed;
        /* A copy of this size: one byte too far is seen. */
        char *copy = malloc(piece);
        CHECK(copy);
        memcpy(copy, input.p + fed, piece);
        fed += piece;
        char *p = copy;
        size_t len = piece;
        for (;;) {
            struct ws_message m;
            size_t len_before = len, held = mem_count.bytes;
            mem_count.peak = held;
            struct ws_partial *partial_before = r.partial;
            enum err e = ws_read(&r, &p, &len, &rules, &m);
            CHECK(len <= len_before && p == copy + (piece - len));
            /* The story is written between the calls, so what is counted here is the reader's:
             * a little for itself and twice what came, whatever was announced. A buffer that
             * grows lives beside its successor for a moment only within the allocator. */
            CHECK(mem_count.peak - held <= 2 * fed + OVERHEAD_MAX);
            CHECK(mem_count.peak - held <= message_max + OVERHEAD_MAX);
            if (e == ERR_AGAIN) {
                CHECK(!len);
                break;
            }
            write_down(story, &m, e);
            if (e != ERR_OK) {
                CHECK(e == ERR_PROTO && m.data.len);
                CHECK(m.code == WS_PROTOCOL_ERROR || m.code == WS_INVALID_DATA ||
                      m.code == WS_TOO_BIG);
                free(copy);
                goto end;
            }
            check_message(&m, message_max);
            /* A message all in one piece cost nothing. */
            if (!partial_before && m.data.p >= copy && m.data.p < copy + piece)
                CHECK(m.op >= WS_CLOSE || !r.partial);
        }
        free(copy);
    }
end:
    ws_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2 || len > INPUT_MAX)
        return 0;
    static const size_t limits[] = {0, 1, 16, 125, 126, 1100, 65536, SIZE_MAX - OVERHEAD_MAX};
    size_t message_max = limits[data[0] & 7];
    unsigned seed = data[1];
    struct str text = {(const char *)data + 2, len - 2};
    struct buf input = BUF_INIT, whole = BUF_INIT, cut = BUF_INIT;
    if (data[0] & 8)
        buf_str(&input, text);
    else
        make_frames(&input, text);

    feed(buf_as_str(&input), 0, message_max, &whole);
    feed(buf_as_str(&input), 1, message_max, &cut);
    CHECK(str_eq(buf_as_str(&whole), buf_as_str(&cut)));
    buf_clear(&cut);
    feed(buf_as_str(&input), seed + 2, message_max, &cut);
    CHECK(str_eq(buf_as_str(&whole), buf_as_str(&cut)));

    buf_fini(&input);
    buf_fini(&whole);
    buf_fini(&cut);
    CHECK(mem_count.bytes == 0);
    return 0;
}
