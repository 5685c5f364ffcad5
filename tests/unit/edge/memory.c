#include "edge/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "made_up_files.h"

#define MIB (UINT64_C(1) << 20)

static struct memory_use use;

static void expect_use(uint64_t used, uint64_t limit, const char *of)
{
    assert_true(memory_look(files_root, 0, &use));
    assert_int_equal(use.used, used);
    assert_int_equal(use.limit, limit);
    assert_string_equal(use.of, of);
}

static void knows_no_limit(void **unused)
{
    (void)unused;
    assert_false(memory_look(files_root, 0, &use));
    file_has("/proc/self/cgroup", "0::/a/b\n");
    assert_false(memory_look(files_root, 0, &use));
    file_has("/sys/fs/cgroup/a/b/memory.max", "max\n");
    file_has("/sys/fs/cgroup/a/b/memory.current", "1000\n");
    assert_false(memory_look(files_root, 0, &use));
    file_has("/proc/self/cgroup", "4:memory:/a\n0::/\n");
    file_has("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    file_has("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000\n");
    assert_false(memory_look(files_root, 0, &use));
    file_has("/proc/self/cgroup", "no such thing\n\n:::\n0\n");
    assert_false(memory_look(files_root, 0, &use));
}

static void reads_version_2(void **unused)
{
    (void)unused;
    file_has("/proc/self/cgroup", "0::/a/b\n");
    file_has("/sys/fs/cgroup/a/b/memory.max", "104857600\n");
    file_has("/sys/fs/cgroup/a/b/memory.current", "52428800\n");
    file_has("/sys/fs/cgroup/a/b/memory.stat", "anon 5\ninactive_file 1048576\nslab 3\n");
    /* Far from the limit nobody asks what could be taken back. */
    expect_use(50 * MIB, 100 * MIB, "the control group /a/b");
    file_has("/sys/fs/cgroup/a/b/memory.current", "94371840\n");
    expect_use(89 * MIB, 100 * MIB, "the control group /a/b");

    /* The group above is nearer to its limit. */
    file_has("/sys/fs/cgroup/a/memory.max", "209715200\n");
    file_has("/sys/fs/cgroup/a/memory.current", "199229440\n");
    expect_use(190 * MIB, 200 * MIB, "the control group /a");
    file_has("/sys/fs/cgroup/a/memory.current", "104857600\n");
    expect_use(89 * MIB, 100 * MIB, "the control group /a/b");

    /* Beyond memory.high the kernel slows it down. */
    file_has("/sys/fs/cgroup/a/b/memory.high", "94371840\n");
    expect_use(89 * MIB, 90 * MIB, "the control group /a/b");
    file_has("/sys/fs/cgroup/a/b/memory.high", "max\n");
    expect_use(89 * MIB, 100 * MIB, "the control group /a/b");
}

/* In a container the path is the host's, and what is mounted is the container's group. */
static void finds_the_mount_of_a_container(void **unused)
{
    (void)unused;
    file_has("/proc/self/cgroup", "7:pids:/docker/x\n4:cpu,memory:/docker/x\n0::/docker/x\n");
    file_has("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n");
    file_has("/sys/fs/cgroup/memory/memory.usage_in_bytes", "943718\n");
    file_has("/sys/fs/cgroup/memory/memory.stat",
             "inactive_file 1\nhierarchical_x 2\ntotal_inactive_file 43718\n");
    expect_use(900000, MIB, "the control group /");
    file_has("/proc/self/cgroup", "0::/../elsewhere\n");
    file_has("/sys/fs/cgroup/memory.max", "1048576\n");
    file_has("/sys/fs/cgroup/memory.current", "1000\n");
    expect_use(1000, MIB, "the control group /");
}

static void knows_its_own_limit(void **unused)
{
    (void)unused;
    file_has("/proc/self/statm", "1000 200 30 1 0 50 0\n");
    assert_false(memory_look(files_root, 0, &use));
    assert_true(memory_look(files_root, 4 * MIB, &use));
    assert_int_equal(use.used, 200 * sysconf(_SC_PAGESIZE));
    assert_int_equal(use.limit, 4 * MIB);
    assert_string_equal(use.of, "--memory-max");
    file_has("/proc/self/cgroup", "0::/\n");
    file_has("/sys/fs/cgroup/memory.max", "1048576\n");
    file_has("/sys/fs/cgroup/memory.current", "1048576\n");
    assert_true(memory_look(files_root, 4 * MIB, &use));
    assert_string_equal(use.of, "the control group /");
}

/* The real files, whatever they say here. */
static void reads_this_machine(void **unused)
{
    (void)unused;
    assert_true(memory_look("", UINT64_C(1) << 50, &use));
    assert_true(use.used > 0 && use.limit > 0);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, files_begin, files_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(knows_no_limit),
        WITH_FILES(reads_version_2),
        WITH_FILES(finds_the_mount_of_a_container),
        WITH_FILES(knows_its_own_limit),
        WITH_FILES(reads_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
