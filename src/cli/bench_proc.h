/* bench_proc.h - what processes of this machine have used, out of /proc. */
#ifndef CLI_BENCH_PROC_H
#define CLI_BENCH_PROC_H
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

struct bench_usage {
    double cpu_s;            /* of all threads, those that ended included; exact */
    double user_s, system_s; /* how it is divided, each cut to a tick of 10 ms */
    uint64_t rss_kib;
};

/* Adds what /proc/PID/stat says about CPU; `ticks` make a second. False: it is malformed. */
bool bench_usage_add_stat(struct bench_usage *u, struct str text, long ticks);

/* Adds the Rss of /proc/PID/smaps_rollup. False: there is none. */
bool bench_usage_add_smaps(struct bench_usage *u, struct str text);

/* Sums up processes. False: one of them cannot be read, *failed is its number. */
bool bench_usage_read(struct bench_usage *u, const int *pids, unsigned n, int *failed);

double bench_own_cpu_s(void);

#endif
