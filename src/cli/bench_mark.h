/* bench_mark.h - what a message of `gusher bench` carries: who sent it, which one it is, and when
 * it was due.
 *
 * A mark is BENCH_MARK_LEN letters: a magic word and six words of 32 bits, each digit one of 'a' to
 * 'p'. So it passes JSON, forms and URLs as it is, is found without reading the JSON around it, and
 * is read eight digits at a time. */
#ifndef CLI_BENCH_MARK_H
#define CLI_BENCH_MARK_H
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BENCH_MARK_MAGIC "gshr"

enum {
    BENCH_MARK_MAGIC_LEN = 4,
    BENCH_MARK_LEN = BENCH_MARK_MAGIC_LEN + 6 * 8,
};

struct bench_mark {
    uint32_t run;       /* drawn for each phase of each run: others are none of ours */
    uint32_t channel;   /* its number */
    uint32_t publisher; /* its number */
    uint32_t number;    /* of this publisher's messages in this channel, from 1 */
    uint64_t due_ns;    /* monotonic clock of the generator */
};

/* Writes BENCH_MARK_LEN bytes, no NUL. */
void bench_mark_write(char *out, const struct bench_mark *m);

/* Eight digits; false if one of them is none. The first is the least. */
static inline bool bench_mark_word(const char *p, uint32_t *out)
{
    uint64_t v;
    memcpy(&v, p, 8);
    v = le64toh(v) - 0x6161616161616161u;
    if (v & 0xf0f0f0f0f0f0f0f0u)
        return false;
    v = (v | v >> 4) & 0x00ff00ff00ff00ffu;
    v = (v | v >> 8) & 0x0000ffff0000ffffu;
    *out = (uint32_t)(v | v >> 16);
    return true;
}

/* Reads a mark that begins at `p`, BENCH_MARK_LEN bytes. False: there is none. */
static inline bool bench_mark_read(const char *p, struct bench_mark *out)
{
    uint32_t low = 0, high = 0;
    p += BENCH_MARK_MAGIC_LEN;
    if (memcmp(p - BENCH_MARK_MAGIC_LEN, BENCH_MARK_MAGIC, BENCH_MARK_MAGIC_LEN) != 0 ||
        !bench_mark_word(p, &out->run) || !bench_mark_word(p + 8, &out->channel) ||
        !bench_mark_word(p + 16, &out->publisher) || !bench_mark_word(p + 24, &out->number) ||
        !bench_mark_word(p + 32, &low) || !bench_mark_word(p + 40, &high))
        return false;
    out->due_ns = (uint64_t)high << 32 | low;
    return true;
}

/* Finds the first mark in a text. *hint is where the last one was found: messages of one channel
 * have theirs at the same place, and looking there first spares the search. */
bool bench_mark_find(const char *p, size_t len, size_t *hint, struct bench_mark *out);

#endif
