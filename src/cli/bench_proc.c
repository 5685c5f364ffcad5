#include "cli/bench_proc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

bool bench_usage_add_stat(struct bench_usage *u, struct str text, long ticks)
{
    /* "pid (name) state …": the name may hold anything, blanks and brackets too. */
    const char *name_end = memrchr(text.p, ')', text.len);
    if (!name_end)
        return false;
    struct str rest = str_make(name_end + 1, text.len - (size_t)(name_end + 1 - text.p));
    rest = str_trim(rest);
    for (int i = 3; i < 14; i++) /* utime is field 14, stime 15 (proc_pid_stat(5)) */
        str_cut(&rest, ' ');
    struct str user = str_cut(&rest, ' '), system = str_cut(&rest, ' ');
    if (!user.len || !system.len || !rest.len)
        return false;
    u->user_s += (double)strtoull(user.p, NULL, 10) / (double)ticks;
    u->system_s += (double)strtoull(system.p, NULL, 10) / (double)ticks;
    return true;
}

bool bench_usage_add_smaps(struct bench_usage *u, struct str text)
{
    while (text.len) {
        struct str line = str_cut(&text, '\n');
        struct str name = str_cut(&line, ':');
        line = str_trim(line);
        if (str_eq(name, STR("Rss")) && line.len && line.p[0] >= '0' && line.p[0] <= '9') {
            u->rss_kib += strtoull(line.p, NULL, 10);
            return true;
        }
    }
    return false;
}

/* The bytes of a file in /proc, with a NUL behind them; empty when it cannot be read. */
static struct str read_proc(int pid, const char *name, char *out, size_t out_len)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STR_EMPTY;
    ssize_t n = read(fd, out, out_len - 1);
    close(fd);
    if (n <= 0)
        return STR_EMPTY;
    out[n] = 0;
    return str_make(out, (size_t)n);
}

/* The clock of a process counts nanoseconds, and anybody may read it. User and system time of stat
 * are cut to ticks of 10 ms each: 1,000 connections, which took 45 to 56 ms, read as 40 or 50. */
static bool add_clock(struct bench_usage *u, int pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return false;
    u->cpu_s += (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    return true;
}

static bool read_one(struct bench_usage *u, int pid)
{
    char text[4096];
    struct str stat = read_proc(pid, "stat", text, sizeof(text));
    if (!stat.len || !bench_usage_add_stat(u, stat, sysconf(_SC_CLK_TCK)) || !add_clock(u, pid))
        return false;
    /* The counters behind statm are rounded on machines of many cores; this file is exact, but only
     * for who may look into the process. */
    struct str smaps = read_proc(pid, "smaps_rollup", text, sizeof(text));
    if (smaps.len && bench_usage_add_smaps(u, smaps))
        return true;
    struct str statm = read_proc(pid, "statm", text, sizeof(text));
    str_cut(&statm, ' ');
    if (!statm.len)
        return false;
    u->rss_kib += strtoull(statm.p, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
    return true;
}

bool bench_usage_read(struct bench_usage *u, const int *pids, unsigned n, int *failed)
{
    *u = (struct bench_usage){0};
    for (unsigned i = 0; i < n; i++) {
        if (!read_one(u, pids[i])) {
            *failed = pids[i];
            return false;
        }
    }
    return true;
}

double bench_own_cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
