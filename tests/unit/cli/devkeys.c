#include "cli/devkeys.h"
#include "auth/jwt.h"
#include "auth/keys.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char scratch[64]; /* a folder of this test's own */
static char folder[80];  /* in it, for the keys; not there at the start of a test */
static char private_path[96], public_path[96];

static int enter(void **unused)
{
    (void)unused;
    snprintf(scratch, sizeof scratch, "/tmp/gusher-devkeys-XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(folder, sizeof folder, "%s/keys", scratch);
    snprintf(private_path, sizeof private_path, "%s/private.pem", folder);
    snprintf(public_path, sizeof public_path, "%s/public.pem", folder);
    umask(022);
    return 0;
}

static int leave(void **unused)
{
    (void)unused;
    unlink(private_path);
    rmdir(private_path);
    unlink(public_path);
    rmdir(folder);
    unlink(folder);
    return rmdir(scratch); /* fails when a temporary file was left */
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void write_file(const char *path, struct str text)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text.p, 1, text.len, out), text.len);
    fclose(out);
}

static void ensure(struct buf *private_pem, struct buf *public_pem)
{
    char why[200] = "";
    if (devkeys_ensure(folder, private_pem, public_pem, why, sizeof why))
        fail_msg("%s", why);
}

static void refuse(enum err expected, const char *word)
{
    struct buf private_pem = BUF_INIT, public_pem = BUF_INIT;
    char why[200] = "";
    assert_int_equal(devkeys_ensure(folder, &private_pem, &public_pem, why, sizeof why), expected);
    assert_int_equal(private_pem.len + public_pem.len, 0);
    if (!strstr(why, word) || why[strlen(why) - 1] != '.')
        fail_msg("'%s' does not say '%s'", why, word);
}

static void free_pair(struct buf pair[2])
{
    buf_fini(&pair[0]);
    buf_fini(&pair[1]);
}

static void makes_a_pair_once(void **unused)
{
    (void)unused;
    struct buf made[2] = {0}, read[2] = {0}, token = BUF_INIT;
    umask(0); /* what the modes are must not depend on it */
    ensure(&made[0], &made[1]);
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(mode_of(private_path), 0600);
    assert_int_equal(mode_of(public_path), 0644);

    ensure(&read[0], &read[1]);
    assert_true(str_eq(buf_as_str(&made[0]), buf_as_str(&read[0])));
    assert_true(str_eq(buf_as_str(&made[1]), buf_as_str(&read[1])));

    char why[160];
    struct keys *keys;
    struct signing_key *signing_key;
    struct claims *c;
    assert_int_equal(keys_from_pem(&keys, buf_as_str(&read[1]), why, sizeof why), ERR_OK);
    assert_int_equal(signing_key_from_pem(&signing_key, buf_as_str(&read[0]), why, sizeof why),
                     ERR_OK);
    assert_int_equal(jwt_sign(&token, signing_key, STR("{}")), ERR_OK);
    assert_int_equal(jwt_verify(&c, keys, buf_as_str(&token), NULL, 1), ERR_OK);
    claims_unref(c);
    keys_free(keys);
    signing_key_free(signing_key);
    buf_fini(&token);
    free_pair(made);
    free_pair(read);
}

static void mends_a_missing_public_half(void **unused)
{
    (void)unused;
    struct buf made[2] = {0}, again[2] = {0};
    ensure(&made[0], &made[1]);
    assert_int_equal(unlink(public_path), 0);
    ensure(&again[0], &again[1]);
    assert_true(str_eq(buf_as_str(&made[0]), buf_as_str(&again[0])));
    assert_true(str_eq(buf_as_str(&made[1]), buf_as_str(&again[1])));
    assert_int_equal(mode_of(public_path), 0644);
    free_pair(made);
    free_pair(again);
}

static void takes_a_pair_in_another_form(void **unused)
{
    (void)unused;
    struct buf made[2] = {0}, read[2] = {0}, commented = BUF_INIT;
    ensure(&made[0], &made[1]);
    buf_str(&commented, STR("my own key\n"));
    buf_str(&commented, buf_as_str(&made[1]));
    write_file(public_path, buf_as_str(&commented));
    ensure(&read[0], &read[1]);
    assert_true(str_eq(buf_as_str(&read[1]), buf_as_str(&commented)));
    buf_fini(&commented);
    free_pair(made);
    free_pair(read);
}

static void refuses_a_private_key_others_may_read(void **unused)
{
    (void)unused;
    static const mode_t modes[] = {0644, 0640, 0604, 0620, 0666, 0601};
    struct buf made[2] = {0};
    ensure(&made[0], &made[1]);
    free_pair(made);
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(private_path, modes[i]), 0);
        refuse(ERR_DENIED, "chmod 600");
    }
    assert_int_equal(chmod(private_path, 0400), 0);
    struct buf read[2] = {0};
    ensure(&read[0], &read[1]);
    free_pair(read);
}

static void refuses_a_broken_pair(void **unused)
{
    (void)unused;
    struct buf made[2] = {0}, other[2] = {0};
    ensure(&made[0], &made[1]);
    assert_int_equal(signing_key_generate(&other[0], &other[1]), ERR_OK);

    write_file(public_path, buf_as_str(&other[1]));
    refuse(ERR_PROTO, "not the other half");
    write_file(public_path, STR("nonsense"));
    refuse(ERR_PROTO, "no public key");
    write_file(public_path, buf_as_str(&made[1]));

    write_file(private_path, buf_as_str(&other[0]));
    refuse(ERR_PROTO, "not the other half");
    write_file(private_path, STR(""));
    refuse(ERR_PROTO, "no private key");
    write_file(private_path, str_make(made[0].p, made[0].len / 2));
    refuse(ERR_PROTO, "no private key");
    assert_int_equal(unlink(private_path), 0);
    refuse(ERR_PROTO, "private half");

    assert_int_equal(mkdir(private_path, 0700), 0);
    refuse(ERR_PROTO, "no file");
    free_pair(made);
    free_pair(other);
}

static void refuses_a_huge_file(void **unused)
{
    (void)unused;
    assert_int_equal(mkdir(folder, 0700), 0);
    write_file(private_path, STR(""));
    assert_int_equal(chmod(private_path, 0600), 0);
    assert_int_equal(truncate(private_path, 1 << 20), 0);
    refuse(ERR_PROTO, "too long");
}

static void says_why_there_is_no_folder(void **unused)
{
    (void)unused;
    write_file(folder, STR("a file"));
    refuse(ERR_SYS, "Not a directory");
    assert_int_equal(unlink(folder), 0);

    char kept[sizeof folder];
    memcpy(kept, folder, sizeof kept);
    strcat(folder, "/a/b");
    refuse(ERR_SYS, "No such file");
    memcpy(folder, kept, sizeof kept);
}

/* Two first starts in one moment, as of a master and a slave, end up with one pair. */
static void agrees_with_others_that_start(void **unused)
{
    (void)unused;
    enum { OTHERS = 4 };
    pid_t others[OTHERS];
    for (unsigned i = 0; i < OTHERS; i++) {
        others[i] = fork();
        assert_true(others[i] >= 0);
        if (others[i] == 0) {
            struct buf first[2] = {0}, second[2] = {0};
            char why[200];
            bool same = !devkeys_ensure(folder, &first[0], &first[1], why, sizeof why) &&
                        !devkeys_ensure(folder, &second[0], &second[1], why, sizeof why) &&
                        str_eq(buf_as_str(&first[0]), buf_as_str(&second[0])) &&
                        str_eq(buf_as_str(&first[1]), buf_as_str(&second[1]));
            _exit(same ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < OTHERS; i++) {
        int status;
        assert_int_equal(waitpid(others[i], &status, 0), others[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(makes_a_pair_once),
        IN_A_FOLDER(mends_a_missing_public_half),
        IN_A_FOLDER(takes_a_pair_in_another_form),
        IN_A_FOLDER(refuses_a_private_key_others_may_read),
        IN_A_FOLDER(refuses_a_broken_pair),
        IN_A_FOLDER(refuses_a_huge_file),
        IN_A_FOLDER(says_why_there_is_no_folder),
        IN_A_FOLDER(agrees_with_others_that_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
