#include "cli/bench_mark.h"

static void write_word(char *out, uint32_t word)
{
    for (int i = 0; i < 8; i++, word >>= 4)
        out[i] = (char)('a' + (word & 15));
}

void bench_mark_write(char *out, const struct bench_mark *m)
{
    memcpy(out, BENCH_MARK_MAGIC, BENCH_MARK_MAGIC_LEN);
    out += BENCH_MARK_MAGIC_LEN;
    write_word(out, m->run);
    write_word(out + 8, m->channel);
    write_word(out + 16, m->publisher);
    write_word(out + 24, m->number);
    write_word(out + 32, (uint32_t)m->due_ns);
    write_word(out + 40, (uint32_t)(m->due_ns >> 32));
}

bool bench_mark_find(const char *p, size_t len, size_t *hint, struct bench_mark *out)
{
    if (len < BENCH_MARK_LEN)
        return false;
    size_t last = len - BENCH_MARK_LEN;
    if (*hint <= last && bench_mark_read(p + *hint, out))
        return true;
    for (size_t i = 0; i <= last; i++) {
        const char *found = memchr(p + i, BENCH_MARK_MAGIC[0], last - i + 1);
        if (!found)
            return false;
        i = (size_t)(found - p);
        if (bench_mark_read(found, out)) {
            *hint = i;
            return true;
        }
    }
    return false;
}
