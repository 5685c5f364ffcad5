#include "hub/pattern.h"
#include <cstdio>
#include <cstdlib>
#include <re2/re2.h>
#include <re2/stringpiece.h>

struct pattern {
    RE2 re;
};

static RE2::Options options()
{
    RE2::Options o;
    o.set_encoding(RE2::Options::EncodingUTF8);
    o.set_log_errors(false); /* it would write what a backend sent to standard error */
    o.set_max_mem(PATTERN_MEMORY_MAX);
    return o;
}

/* RE2 reports its errors without exceptions. What is left is memory that is out, and that ends
 * the process, as in base/mem.h: no exception may run into the C code that called. */
[[noreturn]] static void end_of_memory()
{
    std::fputs("gusher: out of memory in a regular expression\n", stderr);
    std::abort();
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
    end_of_memory();
}

void pattern_free(struct pattern *p)
{
    delete p;
}

bool pattern_match(const struct pattern *p, struct str text)
try {
    return RE2::PartialMatch(re2::StringPiece(text.p, text.len), p->re);
} catch (...) {
    end_of_memory();
}
