#include "edge/ban_file.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/hash.h"
#include "base/log.h"

#define NOW 1700000000ll
#define APP STR("app")

static char folder[40], file[60];
static struct bans *bans;
static struct ban_file *kept;

static void closed(void)
{
    ban_file_free(kept);
    bans_free(bans);
    kept = NULL;
    bans = bans_new();
}

static void opened(int64_t now_s)
{
    char why[300] = "";
    if (ban_file_open(&kept, file, bans, now_s, why, sizeof why))
        fail_msg("%s", why);
}

static int set_up(void **unused)
{
    (void)unused;
    strcpy(folder, "/tmp/gusher-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/bans", folder);
    bans = bans_new();
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    ban_file_free(kept);
    bans_free(bans);
    kept = NULL;
    unlink(file);
    return rmdir(folder);
}

static struct ban ban_of(enum ban_kind kind, struct str name, int64_t until_s, int64_t set_ms)
{
    return (struct ban){
        .kind = kind, .app = APP, .name = name, .until_s = until_s, .set_ms = set_ms};
}

/* As a node does it. */
static enum err take(const struct ban *ban, int64_t now_s)
{
    struct buf note = BUF_INIT;
    struct ban read;
    ban_write_note(&note, ban);
    enum err e = bans_take_note(bans, buf_as_str(&note), now_s, &read);
    if (!e)
        ban_file_keep(kept, &read);
    buf_fini(&note);
    return e;
}

static bool user_is_out(const char *user, int64_t now_s)
{
    return bans_keep_out(bans, APP, str_of(user), STR_EMPTY, now_s);
}

struct count {
    unsigned n, n_lifted;
};

static void count(void *ctx, const struct ban *ban)
{
    struct count *c = ctx;
    c->n++;
    c->n_lifted += ban->lifted;
}

static struct count counted(int64_t now_s)
{
    struct count c = {0};
    bans_each(bans, now_s, count, &c);
    return c;
}

static void a_file_outlives_the_process(void **unused)
{
    (void)unused;
    struct ban ann = ban_of(BAN_USER, STR("ann"), NOW + 100, 1),
               bob = ban_of(BAN_USER, STR("bob"), NOW + 5, 1),
               token = ban_of(BAN_TOKEN, STR("a \n token"), NOW + 100, 1);
    struct stat s;
    opened(NOW);
    assert_int_equal(take(&ann, NOW), ERR_OK);
    assert_int_equal(take(&bob, NOW), ERR_OK);
    assert_int_equal(take(&token, NOW), ERR_OK);
    ann.set_ms = 2;
    ann.until_s = NOW + 200;
    assert_int_equal(take(&ann, NOW), ERR_OK);
    token.set_ms = 2;
    token.lifted = true;
    assert_int_equal(take(&token, NOW), ERR_OK);
    assert_int_equal(stat(file, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    closed();

    /* What was being written when the process died. */
    int fd = open(file, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "AQ", 2), 2);
    close(fd);
    opened(NOW + 50);
    assert_true(user_is_out("ann", NOW + 199));
    assert_false(user_is_out("bob", NOW));
    assert_false(bans_keep_out(bans, APP, STR_EMPTY, STR("a \n token"), NOW + 50));
    const struct count c = counted(NOW + 50);
    assert_int_equal(c.n, 2);
    assert_int_equal(c.n_lifted, 1);
    /* Only what counts is in it now. */
    off_t before = s.st_size;
    assert_int_equal(stat(file, &s), 0);
    assert_true(s.st_size < before);
}

static void says_what_is_wrong_with_the_file(void **unused)
{
    (void)unused;
    struct ban_file *f = NULL;
    char why[300] = "";
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "AAAA\n", 5), 5);
    close(fd);
    assert_int_equal(ban_file_open(&f, file, bans, NOW, why, sizeof why), ERR_PROTO);
    assert_non_null(strstr(why, "/bans, line 1: this is no ban"));
    assert_int_equal(ban_file_open(&f, folder, bans, NOW, why, sizeof why), ERR_SYS);
    assert_non_null(strstr(why, "cannot read"));
    assert_int_equal(ban_file_open(&f, "/there/is/no/such/folder/bans", bans, NOW, why, sizeof why),
                     ERR_SYS);
    assert_non_null(strstr(why, "cannot write"));
    assert_null(f);
}

/* A limit of the file's size is a full disk: half a line fits. */
static void limit_file(rlim_t bytes)
{
    struct rlimit l;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void a_full_disk_heals(void **unused)
{
    (void)unused;
    struct stat s;
    struct ban ann = ban_of(BAN_USER, STR("ann"), NOW + 100, 1),
               bob = ban_of(BAN_USER, STR("bob"), NOW + 100, 1),
               cem = ban_of(BAN_USER, STR("cem"), NOW + 100, 1);
    signal(SIGXFSZ, SIG_IGN);
    log_setup(LOG_SILENT, false);
    opened(NOW);
    assert_int_equal(take(&ann, NOW), ERR_OK);
    assert_int_equal(stat(file, &s), 0);
    off_t len = s.st_size;
    limit_file((rlim_t)len + 10);
    assert_int_equal(take(&bob, NOW), ERR_OK);
    assert_int_equal(take(&cem, NOW), ERR_OK);
    assert_true(user_is_out("bob", NOW)); /* in force all the same */
    ban_file_mend(kept);                  /* in vain */
    assert_int_equal(stat(file, &s), 0);
    assert_int_equal(s.st_size, len); /* no half of a line */
    limit_file(RLIM_INFINITY);
    ban_file_mend(kept);
    closed();
    opened(NOW);
    assert_true(user_is_out("ann", NOW));
    assert_true(user_is_out("bob", NOW));
    assert_true(user_is_out("cem", NOW));
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        WITH_FILE(a_file_outlives_the_process),
        WITH_FILE(says_what_is_wrong_with_the_file),
        WITH_FILE(a_full_disk_heals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
