#include "hub/pattern.h"
#include <new>
#include <re2/re2.h>
#include <re2/stringpiece.h>
#include "base/mem.h"

struct pattern {
    RE2 re;
};

/* RE2 reports its errors without exceptions. What is left is memory that is out: the reserve is
 * given back and `new` tries again, as in base/mem.h, and as there the process ends when that does
 * not help. No exception may run into the C code that called. */
static void on_no_memory()
{
    static thread_local unsigned seen;
    unsigned n = mem_give_back();
    if (n == seen)
        mem_end(0);
    seen = n;
}

static RE2::Options options()
{
    RE2::Options o;
    o.set_encoding(RE2::Options::EncodingUTF8);
    o.set_log_errors(false); /* it would write what a backend sent to standard error */
    o.set_max_mem(PATTERN_MEMORY_MAX);
    std::set_new_handler(on_no_memory);
    return o;
}

/* Strings go in as re2::StringPiece: a class of older RE2, and a name of absl::string_view in
 * newer. */
enum err pattern_new(struct pattern **out, struct str expression)
try {
    static const RE2::Options shared = options();
    if (expression.len > PATTERN_BYTES_MAX)
        return ERR_LIMIT;
    pattern *p = new pattern{{re2::StringPiece(expression.p, expression.len), shared}};
    if (p->re.ok()) {
        *out = p;
        return ERR_OK;
    }
    enum err e = p->re.error_code() == RE2::ErrorPatternTooLarge ? ERR_LIMIT : ERR_PROTO;
    delete p;
    return e;
} catch (...) {
    mem_end(0);
}

void pattern_free(struct pattern *p)
{
    delete p;
}

bool pattern_match(const struct pattern *p, struct str text)
try {
    return RE2::PartialMatch(re2::StringPiece(text.p, text.len), p->re);
} catch (...) {
    mem_end(0);
}
