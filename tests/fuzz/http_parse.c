/* http_parse.c - the HTTP parser, fed whole and in pieces: both must tell the same.
 *
 * The first byte of the input seeds where the bytes are cut. The rest is sent as it is, but for
 * "\xff", a count and a byte: that byte many times over, so that an input of this size reaches
 * the limits. */
#include "http_story.h"
#include "mem_count.h"
#include "fuzz_check.h"

enum {
    INPUT_MAX = 4096,
    SENT_MAX = 128 * 1024,
    BODY_MAX = 1000,
    REPEATED = 256, /* for each one of the count */
    /* What is kept of one request; a buf has up to twice as much room, and the allocator may
     * hold the old one beside the new. */
    HELD_MAX = 4 * (HTTP_TARGET_MAX + HEADERS_MAX + BODY_MAX),
};

static void expand(struct buf *out, struct str recipe)
{
    while (recipe.len && out->len < SENT_MAX) {
        size_t n = 1, taken = 1;
        char c = recipe.p[0];
        if (recipe.len >= 3 && c == '\xff') {
            n = (unsigned char)recipe.p[1] * (size_t)REPEATED;
            c = recipe.p[2];
            taken = 3;
        }
        if (n)
            memset(buf_reserve(out, n), c, n);
        out->len += n;
        recipe.p += taken;
        recipe.len -= taken;
    }
}

static size_t next_piece(uint32_t *state, unsigned seed)
{
    *state = *state * 1103515245u + 12345u;
    if (seed == 1)
        return 1;
    return (*state >> 16) % (seed & 1 ? 8 : seed & 2 ? 200 : 20000) + 1;
}

/* In pieces of the sizes that `seed` makes (0: in one). */
static void feed(struct http_story *s, struct str input, unsigned seed)
{
    uint32_t state = seed;
    http_story_init(s, BODY_MAX);
    for (size_t fed = 0; fed < input.len && !s->over;) {
        size_t piece = seed ? next_piece(&state, seed) : input.len;
        if (piece > input.len - fed)
            piece = input.len - fed;
        http_story_feed(s, input.p + fed, piece);
        fed += piece;
        CHECK(s->parser.text.cap + s->parser.body_part.cap <= HELD_MAX);
        if (http_parser_is_idle(&s->parser) && !s->over)
            CHECK(!s->parser.text.cap && !s->parser.body_part.cap);
        const struct http_request *head = http_parser_head(&s->parser);
        CHECK(!head || (!head->body.len && !http_parser_head(&s->parser)));
        http_parser_wants_continue(&s->parser);
    }
}

/* The last line of a story that ends in a refusal, or 0. */
static int refusal(const struct http_story *s)
{
    struct str text = buf_as_str(&s->text);
    if (text.len < 4 || (text.len > 4 && text.p[text.len - 5] != '\n'))
        return 0;
    return atoi(
        (const char[]){text.p[text.len - 4], text.p[text.len - 3], text.p[text.len - 2], 0});
}

static bool is_limit(int status)
{
    return status == 413 || status == 414 || status == 431;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!len || len > INPUT_MAX)
        return 0;
    struct http_story whole, cut;
    struct buf input = BUF_INIT;
    size_t held = mem_count.bytes;
    expand(&input, str_make((const char *)data + 1, len - 1));
    feed(&whole, buf_as_str(&input), 0);
    feed(&cut, buf_as_str(&input), data[0] ? data[0] : 1);

    CHECK(whole.over == cut.over && whole.end == cut.end);
    int a = refusal(&whole), b = refusal(&cut);
    CHECK(!a || a == 400 || a == 501 || a == 505 || is_limit(a));
    if (a != b) {
        /* A limit is seen only when what is too long has been read. Whole input that is broken
         * behind the limit is refused for that first. */
        CHECK(a && b && (is_limit(a) || is_limit(b)));
        whole.text.len -= 4;
        cut.text.len -= 4;
    }
    CHECK(str_eq(buf_as_str(&whole.text), buf_as_str(&cut.text)));
    http_story_fini(&whole);
    http_story_fini(&cut);
    buf_fini(&input);
    CHECK(mem_count.bytes == held);
    return 0;
}
