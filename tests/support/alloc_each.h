/* alloc_each.h - a scenario whose every allocation fails once, in turn, each in a process of its
 * own.
 *
 * A scenario does the same at each run and judges by itself: what is good may be taken or, where
 * memory was out, be refused by an error; what is bad is never taken. As many allocations are tried
 * as fit into the seconds, drawn by ALLOC_FAIL_SEED; ALLOC_FAIL_SECONDS=n is stronger. Under TSan
 * scenarios run once and nothing fails. */
#ifndef TESTS_ALLOC_EACH_H
#define TESTS_ALLOC_EACH_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "alloc_fail.h"
#include "base/mem.h"

void __lsan_do_leak_check(void) __attribute__((weak));

enum verdict {
    VERDICT_GOOD,    /* all is as when nothing fails */
    VERDICT_REFUSED, /* something good was refused by an error */
    VERDICT_LOST,    /* something good was passed over, and no error said so */
    VERDICT_WRONG,   /* something bad was taken */
};

static inline enum verdict worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

/* Says where, or it would take long to find out. */
static inline enum verdict unless_at(bool wrong, int line)
{
    if (wrong)
        fprintf(stderr, "line %d: this is wrong\n", line);
    return wrong ? VERDICT_WRONG : VERDICT_GOOD;
}
#define unless(wrong) unless_at(wrong, __LINE__)

struct alloc_scenario {
    const char *name;
    enum verdict (*run)(void *ctx);
    void *ctx;
    void (*begin)(void); /* before a cold run; may be NULL */
    /* Part of the name of a library that is known to crash by itself; such a crash is counted, and
     * is no failure. NULL: none. */
    const char *may_crash;
    bool saved_by_reserve; /* all allocations are by base/mem or `new`: nothing may be refused */
};

#ifdef ALLOC_FAIL_NEVER
static inline void alloc_each(const struct alloc_scenario *s, bool cold, double seconds)
{
    (void)cold, (void)seconds;
    assert_int_equal(s->run(s->ctx), VERDICT_GOOD);
}
#else

enum { ALLOC_EACH_HANGS_S = 60, ALLOC_EACH_AGAIN = 3 };

/* What a child finds; it lies in shared memory. */
struct alloc_found {
    uint64_t n; /* allocations */
    enum verdict verdict, afterwards;
    int64_t left; /* blocks that further runs have left behind */
    bool happened, done, crashed_by_itself;
};

static inline double alloc_each_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The n-th allocation fails. Cold: it is the first run in the process, whatever is made once fails,
 * too. Warm: the second, so that nothing may be left behind. */
static inline void alloc_each_child(const struct alloc_scenario *s, uint64_t n, bool cold,
                                    struct alloc_found *found)
{
    if (cold && s->begin)
        s->begin();
    enum verdict before = cold ? VERDICT_GOOD : s->run(s->ctx);
    if (before != VERDICT_GOOD || !mem_keep_reserve())
        return;
    int64_t held = alloc_fail_held();
    alloc_fail_begin(n);
    found->verdict = s->run(s->ctx);
    found->n = alloc_fail_end();
    found->happened = alloc_fail_happened();
    mem_is_short(); /* takes the reserve again */
    int64_t left = alloc_fail_held() - held;
    /* What a library keeps from now on is there once; what is lost is lost each time. */
    for (unsigned i = 0; !cold && left > 0 && i < ALLOC_EACH_AGAIN; i++) {
        alloc_fail_begin(n);
        s->run(s->ctx);
        alloc_fail_end();
        mem_is_short();
    }
    found->left = left > 0 ? alloc_fail_held() - held - left : 0;
    if (found->left > 0 && __lsan_do_leak_check)
        __lsan_do_leak_check(); /* says what it is */
    found->afterwards = s->run(s->ctx);
    found->done = true;
}

static struct alloc_found *alloc_each_found;
static const char *alloc_each_may_crash;

/* Whether a signal came while that library ran: behind whoever looks comes the C library, which
 * called him, and behind that the first that is neither it nor a sanitizer, which stands in for
 * some of it. */
static inline bool alloc_each_is_in(void *const frames[], int n, const char *library)
{
    bool is_behind = false;
    for (int i = 0; i < n; i++) {
        Dl_info info;
        bool is_known = dladdr(frames[i], &info) != 0;
        bool is_libc = is_known && strstr(info.dli_fname, "/libc.so");
        is_behind |= is_libc;
        if (is_behind && !is_libc && is_known && !strstr(info.dli_fname, "san.so"))
            return strstr(info.dli_fname, library);
    }
    return false;
}

/* Says where. */
static inline void alloc_each_crashed(int number)
{
    void *frames[32];
    alloc_fail_end();
    int n = backtrace(frames, 32);
    if (alloc_each_may_crash && alloc_each_is_in(frames, n, alloc_each_may_crash)) {
        alloc_each_found->crashed_by_itself = true;
        _exit(0);
    }
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

/* NULL, or what went wrong. */
static inline const char *alloc_each_once(const struct alloc_scenario *s, uint64_t n, bool cold,
                                          struct alloc_found *found)
{
    *found = (struct alloc_found){0};
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return "no process could be made";
    if (child == 0) {
        /* cmocka would take a signal for a failed test of its own. */
        signal(SIGSEGV, alloc_each_crashed);
        signal(SIGABRT, alloc_each_crashed);
        signal(SIGBUS, alloc_each_crashed);
        alloc_each_found = found;
        alloc_each_may_crash = s->may_crash;
        alarm(ALLOC_EACH_HANGS_S);
        alloc_each_child(s, n, cold, found);
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        return "the process is lost";
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? "it hangs" : "it crashes";
    /* It does not say in whose code it was: the release build tells them apart. */
    if (WEXITSTATUS(status) && s->may_crash)
        found->crashed_by_itself = true;
    else if (WEXITSTATUS(status))
        return "a sanitizer has ended it";
    if (found->crashed_by_itself)
        return NULL;
    if (!found->done)
        return "it fails when nothing fails";
    /* Of what a library makes once it may remember that it could not: it refuses from then on. */
    const enum verdict worst_before = cold ? VERDICT_LOST : VERDICT_REFUSED;
    const enum verdict worst_behind = cold ? VERDICT_LOST : VERDICT_GOOD;
    if (found->verdict > worst_before)
        return found->verdict == VERDICT_LOST ? "something good was lost in silence"
                                              : "something bad was taken";
    if (found->verdict != VERDICT_GOOD && (!found->happened || s->saved_by_reserve))
        return "something good was refused";
    if (found->afterwards > worst_behind)
        return "afterwards it is not as before";
    if (found->left >= ALLOC_EACH_AGAIN)
        return "memory is left behind";
    return NULL;
}

static inline uint64_t alloc_each_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t *alloc_each_order(uint64_t n, uint64_t seed)
{
    uint64_t *order = calloc(n + 1, sizeof(*order));
    for (uint64_t i = 0; i < n; i++) {
        uint64_t j = alloc_each_random(&seed) % (i + 1);
        order[i] = order[j];
        order[j] = i + 1;
    }
    return order;
}

/* Of all allocations, or as many as fit into the seconds. */
static inline void alloc_each(const struct alloc_scenario *s, bool cold, double seconds)
{
    const char *env = getenv("ALLOC_FAIL_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 16;
    env = getenv("ALLOC_FAIL_SECONDS");
    if (env)
        seconds = atof(env);
    struct alloc_found *found =
        mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *wrong = alloc_each_once(s, 0, cold, found);
    if (wrong || found->n == 0)
        fail_msg("%s, nothing fails: %s", s->name, wrong ? wrong : "no allocations");
    env = getenv("ALLOC_FAIL_ONLY"); /* "warm 12": to look at one */
    if (env) {
        if (strncmp(env, cold ? "cold" : "warm", 4) != 0)
            return;
        wrong = alloc_each_once(s, strtoull(env + 4, NULL, 10), cold, found);
        fail_msg("%s, %s: %s; verdict %d, afterwards %d", s->name, cold ? "cold" : "warm",
                 wrong ? wrong : "fine", (int)found->verdict, (int)found->afterwards);
    }
    uint64_t n = found->n, tried = 0, n_refused = 0, n_wrong = 0, n_happened = 0, n_crashed = 0;
    uint64_t *order = alloc_each_order(n, seed);
    double end = alloc_each_now() + seconds;
    while (tried < n && (tried == 0 || alloc_each_now() < end)) {
        uint64_t at = order[tried++];
        wrong = alloc_each_once(s, at, cold, found);
        n_crashed += found->crashed_by_itself;
        n_happened += found->happened;
        n_refused += found->verdict == VERDICT_REFUSED || found->verdict == VERDICT_LOST;
        if (wrong && n_wrong++ < 10)
            print_error("%s, %s, allocation %llu fails: %s\n", s->name, cold ? "cold" : "warm",
                        (unsigned long long)at, wrong);
    }
    print_message("%s, %s: %llu of %llu allocations tried (seed %llu), %llu failed, %llu refusals, "
                  "%llu wrong\n",
                  s->name, cold ? "cold" : "warm", (unsigned long long)tried, (unsigned long long)n,
                  (unsigned long long)seed, (unsigned long long)n_happened,
                  (unsigned long long)n_refused, (unsigned long long)n_wrong);
    if (n_crashed)
        print_message("%s: %llu times %s has crashed by itself\n", s->name,
                      (unsigned long long)n_crashed, s->may_crash);
    free(order);
    munmap(found, sizeof(*found));
    assert_int_equal(n_wrong, 0);
    assert_true(n_happened > 0);
}

#endif
#endif
