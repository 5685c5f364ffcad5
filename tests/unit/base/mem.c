/* The reserve: a failure costs nobody anything, and a process that cannot go on says so. */
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef ALLOC_FAIL_NEVER
int main(void)
{
    return 77; /* not under TSan */
}
#else
#include "alloc_fail.h"

static int keep_reserve(void **unused)
{
    (void)unused;
    alloc_fail_end();
    return mem_is_short() || !mem_keep_reserve();
}

static void one_failure_is_not_noticed(void **unused)
{
    (void)unused;
    char *p;
    alloc_fail_begin(1);
    p = mem_alloc(10);
    assert_true(alloc_fail_happened());
    memset(p, 1, 10);
    alloc_fail_end();
    assert_false(mem_is_short()); /* it could be taken again */

    alloc_fail_begin(1);
    p = mem_realloc(p, 1000);
    assert_true(alloc_fail_happened());
    alloc_fail_end();
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(p[i], 1);
    assert_false(mem_is_short());

    alloc_fail_begin(1);
    char *zeroed = mem_zalloc(1000);
    assert_true(alloc_fail_happened());
    alloc_fail_end();
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(zeroed[i], 0);
    mem_free(zeroed);
    mem_free(p);
}

/* Nothing is a size as well: no null pointer reaches a memcpy or a qsort, also at a failure. */
static void of_no_bytes_there_is_a_pointer(void **unused)
{
    (void)unused;
    char *p, *q;
    alloc_fail_begin(1);
    p = mem_alloc(0);
    assert_true(alloc_fail_happened());
    alloc_fail_end();
    assert_non_null(p);
    alloc_fail_begin(1);
    q = mem_zalloc(0);
    assert_true(alloc_fail_happened());
    alloc_fail_end();
    assert_non_null(q);
    p = mem_realloc(p, 0);
    assert_non_null(p);
    mem_free(p);
    mem_free(q);
}

static void memory_is_short_until_the_reserve_is_there_again(void **unused)
{
    (void)unused;
    assert_false(mem_is_short());
    unsigned before = mem_give_back();
    alloc_fail_begin(1);
    assert_true(mem_is_short());
    alloc_fail_end();
    assert_int_equal(mem_give_back(), before); /* there is nothing to give */
    assert_false(mem_is_short());
    assert_int_equal(mem_give_back(), before + 1);
}

static void the_reserve_is_memory(void **unused)
{
    (void)unused;
    int64_t held = alloc_fail_held();
    mem_give_back();
    assert_true(alloc_fail_held() == held - 1);
    assert_true(mem_keep_reserve());
    assert_true(mem_keep_reserve()); /* once */
    assert_true(alloc_fail_held() == held);
}

/* What `run` writes to standard error, by a process of its own; *status is its end. */
static void in_a_child(void (*run)(void), char *text, size_t max, int *status)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len + 1 < max && (n = read(ends[0], text + len, max - len - 1)) > 0)
        len += (size_t)n;
    text[len] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
}

static void fail_twice(void)
{
    alloc_fail_in_a_row(2);
    alloc_fail_begin(1);
    mem_alloc(123);
}

static void when_that_fails_too_it_ends_with_a_sentence(void **unused)
{
    (void)unused;
    char text[256];
    int status;
    in_a_child(fail_twice, text, sizeof(text), &status);
    assert_string_equal(text, "gusher: out of memory (123 bytes)\n");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#ifndef __SANITIZE_ADDRESS__
enum { LIMIT_BYTES = 16 << 20, BLOCK = 1000 };

/* Without a trick: the kernel gives no more. Memory is short before it is out, by the reserve. */
static void use_up(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    if (!f || fscanf(f, "%lu", &pages) != 1)
        _exit(1);
    fclose(f);
    rlim_t limit = pages * (rlim_t)sysconf(_SC_PAGESIZE) + LIMIT_BYTES;
    const struct rlimit r = {limit, limit};
    if (setrlimit(RLIMIT_AS, &r) < 0)
        _exit(2);
    unsigned n_before = 0, n_short = 0;
    for (;;) {
        memset(mem_alloc(BLOCK), 1, BLOCK);
        if (!mem_is_short()) {
            n_before++;
        } else if (++n_short == MEM_RESERVE_BYTES / 2 / BLOCK) {
            fprintf(stderr,
                    n_before > LIMIT_BYTES / 2 / BLOCK ? "half of it is left; " : "early; ");
        }
    }
}

static void the_reserve_lasts(void **unused)
{
    (void)unused;
    char text[256];
    int status;
    in_a_child(use_up, text, sizeof(text), &status);
    assert_string_equal(text, "half of it is left; gusher: out of memory (1000 bytes)\n");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_failure_is_not_noticed, keep_reserve),
        cmocka_unit_test_setup(of_no_bytes_there_is_a_pointer, keep_reserve),
        cmocka_unit_test_setup(memory_is_short_until_the_reserve_is_there_again, keep_reserve),
        cmocka_unit_test_setup(the_reserve_is_memory, keep_reserve),
        cmocka_unit_test_setup(when_that_fails_too_it_ends_with_a_sentence, keep_reserve),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test_setup(the_reserve_lasts, keep_reserve),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
