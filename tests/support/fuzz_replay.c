/* fuzz_replay.c - main() for a fuzzer without libFuzzer: runs every file of the folders and
 * files given, once. A folder that is missing or empty is a failure. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int fail(const char *path)
{
    perror(path);
    return -1;
}

static int replay_file(const char *path, long bytes)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return fail(path);
    /* As large as the input and not more, so that a sanitizer sees one byte too far. */
    uint8_t *data = malloc(bytes ? (size_t)bytes : 1);
    size_t len = data ? fread(data, 1, (size_t)bytes, in) : 0;
    fclose(in);
    if (!data || len != (size_t)bytes) {
        free(data);
        return fail(path);
    }
    /* Said before, as a fuzzer that finds something ends the process. */
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, len);
    free(data);
    return 1;
}

/* Returns how many inputs ran, -1 after an error. */
static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(path);
    if (!S_ISDIR(st.st_mode))
        return replay_file(path, (long)st.st_size);

    DIR *folder = opendir(path);
    if (!folder)
        return fail(path);
    int ran = 0;
    for (struct dirent *entry; ran >= 0 && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char *inner = malloc(strlen(path) + strlen(entry->d_name) + 2);
        if (!inner)
            abort();
        sprintf(inner, "%s/%s", path, entry->d_name);
        int more = replay(inner);
        ran = more < 0 ? -1 : ran + more;
        free(inner);
    }
    closedir(folder);
    if (ran == 0) {
        fprintf(stderr, "%s: no inputs\n", path);
        return -1;
    }
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        int more = replay(argv[i]);
        if (more < 0)
            return EXIT_FAILURE;
        ran += more;
    }
    printf("%d inputs ran\n", ran);
    return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
