/* made_up_files.h - a folder with files as those of /proc and /sys, for one test. After cmocka.h.
 */
#ifndef MADE_UP_FILES_H
#define MADE_UP_FILES_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char files_root[40];

static inline int files_begin(void **unused)
{
    (void)unused;
    strcpy(files_root, "/tmp/gusher-test-XXXXXX");
    return mkdtemp(files_root) ? 0 : -1;
}

static inline int files_remove(const char *path, const struct stat *s, int type, struct FTW *at)
{
    (void)s;
    (void)type;
    (void)at;
    return remove(path);
}

static inline int files_end(void **unused)
{
    (void)unused;
    return nftw(files_root, files_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folders above it, too. */
static inline void file_has(const char *path, const char *text)
{
    char name[400];
    snprintf(name, sizeof name, "%s%s", files_root, path);
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(name, 0755);
        *slash = '/';
    }
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

#endif
