/* bench_report.h - the results of `gusher bench` for people, for programs, and as a picture. Pure:
 * all of them append to a buf. The form of the JSON is told in docs/BENCH.md. */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H
#include "base/buf.h"
#include "cli/bench_result.h"

void bench_report_text(struct buf *out, const struct bench_result *r);

/* One object and a line feed. */
void bench_report_json(struct buf *out, const struct bench_result *r);

/* The percentile curve of the latencies, on an axis of nines: SVG without scripts or anything from
 * outside, that follows the viewer's dark or light scheme. */
void bench_report_svg(struct buf *out, const struct bench_result *r);

/* "1,234,567" */
void bench_add_count(struct buf *out, uint64_t n);
/* "1 user", "2 users" */
void bench_add_many(struct buf *out, uint64_t n, const char *thing);
/* "1.23 ms": three significant figures in the unit that suits. */
void bench_add_duration(struct buf *out, uint64_t ns);

#endif
