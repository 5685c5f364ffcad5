/* bench_measure.h - the course of `gusher bench`: its loop, its phases, the progress line, signals.
 */
#ifndef CLI_BENCH_MEASURE_H
#define CLI_BENCH_MEASURE_H
#include <signal.h>
#include "cli/bench_pubs.h"
#include "cli/bench_subs.h"

struct bench { /* all of a run */
    const struct bench_options *o;
    struct bench_target slaves[BENCH_TARGETS_MAX], masters[BENCH_TARGETS_MAX];
    unsigned n_slaves, n_masters;
    struct bench_tokens tokens;
    struct inbox *inbox; /* the loop wants one; nobody posts */
    struct loop loop;
    struct bench_net *net;
    struct bench_subs subs;
    struct bench_pubs pubs;
    struct bench_result *result;
    struct io signals;
    sigset_t old_mask;
    struct timer tick;
    const char *doing; /* for the progress line */
    uint64_t doing_since_ns, doing_ns;
    uint64_t last_received, last_tick_ns;
    bool stopping; /* a signal came */
    bool shows_progress;
};

/* The loop that subscribers and publishers live on. False: no descriptor left (errno). */
bool bench_loop_begin(struct bench *b);
void bench_loop_end(struct bench *b);

/* Opens the subscribers, then the publishers, warms up and measures: fills b->result. subs and pubs
 * are made, nothing of them is open. */
void bench_measure(struct bench *b);

/* Removes the progress line. */
void bench_progress_end(const struct bench *b);

#endif
