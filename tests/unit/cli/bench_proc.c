#include "cli/bench_proc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

static void reads_cpu_behind_any_name(void **unused)
{
    (void)unused;
    struct bench_usage u = {0};
    assert_true(bench_usage_add_stat(
        &u, STR("42 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 3 0 99 1 2\n"), 100));
    assert_true(u.user_s == 2.5 && u.system_s == 0.5);
    assert_true(bench_usage_add_stat(
        &u, STR("43 (x) S 1 42 42 0 -1 4194560 1 2 3 4 100 100 7 8 20 0 3 0 99 1 2\n"), 100));
    assert_true(u.user_s == 3.5 && u.system_s == 1.5); /* of several processes together */
}

static void refuses_a_cut_line(void **unused)
{
    (void)unused;
    struct bench_usage u = {0};
    assert_false(bench_usage_add_stat(&u, STR(""), 100));
    assert_false(bench_usage_add_stat(&u, STR("42 (name"), 100));
    assert_false(bench_usage_add_stat(&u, STR("42 (name) S 1 42"), 100));
    assert_false(bench_usage_add_stat(&u, STR("42 (x) S 1 42 42 0 -1 4 1 2 3 4 250"), 100));
}

static void reads_memory(void **unused)
{
    (void)unused;
    struct bench_usage u = {.rss_kib = 1};
    assert_true(bench_usage_add_smaps(
        &u, STR("5566-7788 ---p 00000000 00:00 0   [rollup]\nRss:      5120 kB\nPss: 900 kB\n")));
    assert_int_equal(u.rss_kib, 5121);
    assert_false(bench_usage_add_smaps(&u, STR("Pss: 900 kB\n")));
    assert_false(bench_usage_add_smaps(&u, STR("Rss: none\n")));
}

static void reads_this_process(void **unused)
{
    (void)unused;
    struct bench_usage u;
    int pids[] = {getpid(), getpid(), 0x7fffffff}, failed = 0;
    assert_true(bench_usage_read(&u, pids, 2, &failed));
    assert_true(u.rss_kib > 100);
    assert_false(bench_usage_read(&u, pids, 3, &failed));
    assert_int_equal(failed, 0x7fffffff);
    assert_true(bench_usage_read(&u, NULL, 0, &failed));
    double before = bench_own_cpu_s();
    while (bench_own_cpu_s() == before)
        ;
    assert_true(bench_own_cpu_s() > before);
    assert_true(bench_usage_read(&u, pids, 1, &failed));
    assert_true(u.cpu_s > before && u.cpu_s <= bench_own_cpu_s()); /* no tick is lost */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cpu_behind_any_name),
        cmocka_unit_test(refuses_a_cut_line),
        cmocka_unit_test(reads_memory),
        cmocka_unit_test(reads_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
