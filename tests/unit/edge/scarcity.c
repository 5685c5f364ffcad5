#include "edge/scarcity.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/log.h"
#include "edge/door.h"
#include "made_up_files.h"
#include "net/descriptors.h"

static struct scarcity *s;
static unsigned n_shed, n_mended;
static atomic_uint n_looks;
static int64_t now_ms;

static void shed(void *ctx)
{
    assert_ptr_equal(ctx, &s);
    n_shed++;
}

static void mend(void *ctx)
{
    assert_ptr_equal(ctx, &s);
    n_mended++;
    atomic_fetch_add(&n_looks, 1);
}

static int set_up(void **unused)
{
    unsigned limit, before;
    log_setup(LOG_SILENT, false);
    n_shed = n_mended = 0;
    now_ms = 1000000;
    if (files_begin(unused) || descriptors_raise(&limit, &before))
        return -1;
    const struct scarcity_options o = {
        .root = files_root, .reserve = 8, .shed = shed, .mend = mend, .ctx = &s};
    s = scarcity_new(&o);
    return 0;
}

static int tear_down(void **unused)
{
    scarcity_free(s);
    return files_end(unused);
}

static void use_percent(unsigned percent)
{
    char text[32];
    file_has("/proc/self/cgroup", "0::/\n");
    file_has("/sys/fs/cgroup/memory.max", "1000000\n");
    snprintf(text, sizeof text, "%u\n", percent * 10000);
    file_has("/sys/fs/cgroup/memory.current", text);
}

static void expect_level(unsigned percent, enum memory_level level)
{
    use_percent(percent);
    scarcity_look(s, now_ms += SCARCITY_LOOK_MS);
    assert_int_equal(scarcity_memory(s), level);
    const char *trouble = scarcity_trouble(s);
    if (level)
        assert_string_equal(trouble, "memory is scarce: no new sockets are taken");
    else
        assert_null(trouble);
}

static void levels_have_a_way_back(void **unused)
{
    (void)unused;
    scarcity_look(s, now_ms);
    assert_int_equal(scarcity_memory(s), MEMORY_ENOUGH); /* no limit is known */
    expect_level(89, MEMORY_ENOUGH);
    expect_level(90, MEMORY_SCARCE);
    expect_level(86, MEMORY_SCARCE);
    expect_level(94, MEMORY_SCARCE);
    assert_int_equal(n_shed, 0);
    expect_level(95, MEMORY_SEVERE);
    expect_level(93, MEMORY_SEVERE);
    expect_level(91, MEMORY_SCARCE);
    expect_level(85, MEMORY_SCARCE);
    expect_level(84, MEMORY_ENOUGH);
    expect_level(89, MEMORY_ENOUGH);
    expect_level(99, MEMORY_SEVERE);
    expect_level(10, MEMORY_ENOUGH);
    assert_int_equal(n_mended, 13);
}

static void sheds_now_and_then(void **unused)
{
    (void)unused;
    expect_level(97, MEMORY_SEVERE);
    assert_int_equal(n_shed, 1);
    for (int i = 0; i < SCARCITY_SHED_MS / SCARCITY_LOOK_MS - 1; i++)
        expect_level(97, MEMORY_SEVERE);
    assert_int_equal(n_shed, 1);
    expect_level(97, MEMORY_SEVERE);
    assert_int_equal(n_shed, 2);
}

static void files_that_go_away_are_no_scarcity(void **unused)
{
    (void)unused;
    expect_level(97, MEMORY_SEVERE);
    file_has("/proc/self/cgroup", "");
    scarcity_look(s, now_ms += SCARCITY_LOOK_MS);
    assert_int_equal(scarcity_memory(s), MEMORY_ENOUGH);
}

/* All descriptors up to the reserve are taken, and given back. */
static void knows_of_descriptors(void **unused)
{
    (void)unused;
    struct rlimit before, tight;
    int taken[64], n = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = descriptors_used() + 40;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    scarcity_look(s, now_ms += SCARCITY_LOOK_MS);
    assert_null(scarcity_trouble(s));
    while (n < 64 && descriptors_left(8)) {
        taken[n] = dup(0);
        assert_true(descriptors_leaves(taken[n], 8));
        descriptors_saw(taken[n++]);
    }
    assert_in_range(n, 20, 34);
    assert_false(descriptors_leaves((int)tight.rlim_cur - 8, 8));
    scarcity_look(s, now_ms += SCARCITY_LOOK_MS);
    assert_string_equal(scarcity_trouble(s), "descriptors are scarce: no new sockets are taken");
    while (n)
        close(taken[--n]);
    /* A moment says little; after a while without a refusal they are enough. */
    scarcity_look(s, now_ms += SCARCITY_LOOK_MS);
    assert_non_null(scarcity_trouble(s));
    scarcity_no_descriptor(s);
    scarcity_look(s, now_ms += SCARCITY_CALM_MS);
    assert_non_null(scarcity_trouble(s));
    scarcity_look(s, now_ms += SCARCITY_CALM_MS);
    assert_null(scarcity_trouble(s));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    descriptors_look();
}

static void the_reserve_fits_the_limit(void **unused)
{
    (void)unused;
    assert_int_equal(door_reserve(64, 2), 16);
    assert_int_equal(door_reserve(1024, 2), 40);
    assert_int_equal(door_reserve(1000000, 64), 288);
    /* Guests of all workers leave something of the half that is not the master's. */
    for (unsigned w = 1; w <= 64; w++)
        assert_true(door_reserve(1000000, w) / 2 >= w * DOOR_GUESTS_OF_RESERVE + 16);
}

static void nothing_is_scarce_where_nobody_looks(void **unused)
{
    (void)unused;
    assert_int_equal(scarcity_memory(NULL), MEMORY_ENOUGH);
    assert_null(scarcity_trouble(NULL));
    scarcity_refused(NULL);
    scarcity_no_descriptor(NULL);
    scarcity_stop(NULL);
    scarcity_free(NULL);
}

static void looks_by_itself(void **unused)
{
    (void)unused;
    use_percent(91);
    atomic_store(&n_looks, 0);
    assert_int_equal(scarcity_start(s), ERR_OK);
    for (int i = 0; i < 2000 && atomic_load(&n_looks) < 2; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_true(atomic_load(&n_looks) >= 2);
    assert_int_equal(scarcity_memory(s), MEMORY_SCARCE);
    scarcity_stop(s);
    unsigned n = atomic_load(&n_looks);
    scarcity_stop(s);
    assert_int_equal(atomic_load(&n_looks), n);
}

#define WITH_IT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_IT(levels_have_a_way_back),
        WITH_IT(sheds_now_and_then),
        WITH_IT(files_that_go_away_are_no_scarcity),
        WITH_IT(knows_of_descriptors),
        WITH_IT(the_reserve_fits_the_limit),
        WITH_IT(nothing_is_scarce_where_nobody_looks),
        WITH_IT(looks_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
