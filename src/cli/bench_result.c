#include "cli/bench_result.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"

static const struct {
    const char *name, *sentence;
} faults[] = {
#define FAULT_TEXT(name, text, sentence) {text, sentence},
    BENCH_FAULT_MAP(FAULT_TEXT)
#undef FAULT_TEXT
};

const char *bench_fault_name(enum bench_fault f)
{
    return faults[f].name;
}

const char *bench_fault_sentence(enum bench_fault f)
{
    return faults[f].sentence;
}

/* Bytes of the character that `s` begins with, 0 where a terminal is not to have it: controls, C1
 * among them (U+0080 to U+009F), and what is no UTF-8. */
static unsigned printable_len(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    bool is_c1 = c == 0xc2 && s.len > 1 && (unsigned char)s.p[1] < 0xa0;
    return c < ' ' || c == 127 || is_c1 ? 0 : utf8_char_len(s);
}

/* Copies text that goes to a terminal and came from who knows whom; a character is not cut. */
static void copy_printable(char *out, size_t out_len, struct str s)
{
    size_t len = 0;
    while (s.len) {
        unsigned n = printable_len(s);
        unsigned used = n ? n : 1;
        if (len + used >= out_len)
            break;
        if (n)
            memcpy(out + len, s.p, n);
        else
            out[len] = '?';
        len += used;
        s = str_make(s.p + used, s.len - used);
    }
    out[len] = 0;
}

void bench_faults_add(struct bench_faults *f, enum bench_fault kind, const char *example)
{
    if (!f->kinds[kind].n++)
        copy_printable(f->kinds[kind].example, sizeof(f->kinds[kind].example), str_of(example));
}

uint64_t bench_faults_n(const struct bench_faults *f)
{
    uint64_t n = 0;
    for (int i = 0; i < BENCH_FAULTS; i++)
        n += f->kinds[i].n;
    return n;
}

uint64_t bench_result_lost(const struct bench_result *r)
{
    return r->deliver.expected > r->deliver.received ? r->deliver.expected - r->deliver.received
                                                     : 0;
}

uint64_t bench_result_ok(const struct bench_result *r)
{
    return r->publish.answers[200];
}

uint64_t bench_result_refused(const struct bench_result *r)
{
    uint64_t n = 0;
    for (int i = 0; i < BENCH_STATUSES; i++)
        n += i == 200 ? 0 : r->publish.answers[i];
    return n;
}

/* ---- the judgement ---- */

static void tell_faults(const struct bench_faults *f, const char *what, struct buf *out)
{
    for (int i = 0; i < BENCH_FAULTS; i++) {
        if (!f->kinds[i].n)
            continue;
        buf_printf(out, "%s: %" PRIu64 " times %s", what, f->kinds[i].n, faults[i].sentence);
        buf_printf(out, *f->kinds[i].example ? " (%s).\n" : ".%s\n", f->kinds[i].example);
    }
}

static bool judge_connecting(const struct bench_result *r, struct buf *out)
{
    tell_faults(&r->connect.faults, "Connecting failed", out);
    return r->connect.ready == r->connections;
}

static bool judge_deliveries(const struct bench_result *r, struct buf *out)
{
    uint64_t lost = bench_result_lost(r), twice = r->deliver.duplicated,
             late = r->deliver.out_of_order, closed = bench_faults_n(&r->deliver.closed);
    if (lost)
        buf_printf(out, "%" PRIu64 " of %" PRIu64 " deliveries are missing.\n", lost,
                   r->deliver.expected);
    if (twice)
        buf_printf(out, "%" PRIu64 " deliveries came twice.\n", twice);
    if (late)
        buf_printf(out, "%" PRIu64 " deliveries came out of order.\n", late);
    if (r->deliver.strange)
        buf_printf(out,
                   "%" PRIu64 " messages came that nobody of this run had sent to their channel.\n",
                   r->deliver.strange);
    tell_faults(&r->deliver.closed, "A subscriber was lost", out);
    return !lost && !twice && !late && !closed;
}

/* 503 is how a server says that it has enough: nothing was sent, so nothing is missing. */
static bool judge_pushes(const struct bench_result *r, struct buf *out)
{
    uint64_t busy = r->publish.answers[503], refused = bench_result_refused(r) - busy;
    if (busy)
        buf_printf(out, "%" PRIu64 " pushes were answered 503: the server was too busy.\n", busy);
    for (int i = 0; i < BENCH_STATUSES && refused; i++) {
        if (r->publish.answers[i] && i != 200 && i != 503)
            buf_printf(out, "%" PRIu64 " pushes were answered %d.\n", r->publish.answers[i], i);
    }
    if (r->publish.unanswered)
        buf_printf(out, "%" PRIu64 " pushes were not answered: whether they were sent is open.\n",
                   r->publish.unanswered);
    tell_faults(&r->publish.faults, "A publisher failed", out);
    return !refused && !r->publish.unanswered && bench_result_ok(r) &&
           !bench_faults_n(&r->publish.faults);
}

static void tell_rate(const struct bench_result *r, struct buf *out)
{
    if (r->publish.posted < r->publish.due && !r->interrupted)
        buf_printf(out,
                   "%" PRIu64 " of %" PRIu64
                   " messages that were due were never posted: the server, or so few publishers, "
                   "did not keep up; their delay is in no figure.\n",
                   r->publish.due - r->publish.posted, r->publish.due);
}

bool bench_result_judge(const struct bench_result *r, struct buf *sentences)
{
    bool ok = judge_connecting(r, sentences);
    if (r->interrupted)
        buf_str(sentences, STR("Interrupted: the figures are those until then.\n"));
    if (r->early_end)
        buf_printf(sentences, "Measuring ended early: %s.\n", r->early_end);
    if (!r->duration_s || !r->connect.ready || (r->interrupted && !r->publish.posted))
        return judge_deliveries(r, sentences) && ok && !r->early_end;
    ok = judge_deliveries(r, sentences) && ok;
    ok = judge_pushes(r, sentences) && ok;
    tell_rate(r, sentences);
    return ok && !r->early_end;
}
