#include "edge/memory.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/str.h"

enum {
    FILE_MAX = 8192,
    PATH_BYTES = 4096,
    LOOK_CLOSER_PERCENT = 80, /* below, what could be taken back does not matter */
};

/* Version 1 writes "no limit" as the largest number of whole pages. */
#define NO_LIMIT (UINT64_C(1) << 60)

/* Where groups are mounted, and what their files are called there. */
static const struct version {
    const char *mount, *limit, *soft_limit, *used, *inactive;
} v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", NULL, "memory.usage_in_bytes",
        "total_inactive_file"},
  v2 = {"/sys/fs/cgroup", "memory.max", "memory.high", "memory.current", "inactive_file"};

static bool read_text(char out[FILE_MAX], const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, FILE_MAX - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* False: there is no such file, or no number in it ("max"). */
static bool read_number(const char *folder, const char *file, uint64_t *out)
{
    char path[PATH_BYTES + 64], text[FILE_MAX], *end;
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    if (!read_text(text, path))
        return false;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text)
        return false;
    *out = n;
    return true;
}

static uint64_t read_inactive(const char *folder, const char *name)
{
    char path[PATH_BYTES + 64], text[FILE_MAX];
    size_t len = strlen(name);
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    if (!read_text(text, path))
        return 0;
    struct str rest = str_of(text);
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        if (line.len > len && memcmp(line.p, name, len) == 0 && line.p[len] == ' ')
            return strtoull(line.p + len, NULL, 10);
    }
    return 0;
}

static bool is_nearer(const struct memory_use *a, const struct memory_use *b)
{
    return (double)a->used * (double)b->limit > (double)b->used * (double)a->limit;
}

static void consider(struct memory_use *nearest, const struct memory_use *use)
{
    if (!nearest->limit || is_nearer(use, nearest))
        *nearest = *use;
}

static void look_at_group(const struct version *v, const char *folder, const char *name,
                          struct memory_use *nearest)
{
    struct memory_use use;
    uint64_t soft, limit = UINT64_MAX;
    read_number(folder, v->limit, &limit);
    /* Beyond that one the kernel slows the group down until it stands. */
    if (v->soft_limit && read_number(folder, v->soft_limit, &soft) && soft < limit)
        limit = soft;
    if (limit >= NO_LIMIT || limit == 0 || !read_number(folder, v->used, &use.used))
        return;
    use.limit = limit;
    if (use.used / LOOK_CLOSER_PERCENT >= use.limit / 100) {
        uint64_t inactive = read_inactive(folder, v->inactive);
        use.used -= inactive < use.used ? inactive : use.used;
    }
    snprintf(use.of, sizeof(use.of), "the control group %.100s", *name ? name : "/");
    consider(nearest, &use);
}

/* The group and those above it. In a container the path may be the host's, and what is mounted
 * begins further down: folders that are not there are passed over, and the last is the mount. */
static void look_at_groups(const char *root, const struct version *v, struct str path,
                           struct memory_use *nearest)
{
    char folder[PATH_BYTES];
    int n = snprintf(folder, sizeof(folder), "%s%s%.*s", root, v->mount, (int)path.len, path.p);
    if (n < 0 || (size_t)n >= sizeof(folder))
        return;
    size_t mount = strlen(root) + strlen(v->mount);
    for (;;) {
        look_at_group(v, folder, folder + mount, nearest);
        char *slash = strrchr(folder + mount, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

static bool names_memory(struct str controllers)
{
    while (controllers.len) {
        if (str_eq(str_cut(&controllers, ','), STR("memory")))
            return true;
    }
    return false;
}

/* A line of /proc/self/cgroup: "4:memory,cpu:/path" of version 1, "0::/path" of version 2. */
static void look_at_line(const char *root, struct str line, struct memory_use *nearest)
{
    struct str number = str_cut(&line, ':'), controllers = str_cut(&line, ':');
    if (names_memory(controllers))
        look_at_groups(root, &v1, line, nearest);
    else if (!controllers.len && str_eq(number, STR("0")))
        look_at_groups(root, &v2, line, nearest);
}

static void look_at_itself(const char *root, uint64_t max, struct memory_use *nearest)
{
    char path[PATH_BYTES], text[FILE_MAX];
    unsigned long long pages;
    snprintf(path, sizeof(path), "%s/proc/self/statm", root);
    if (!max || !read_text(text, path) || sscanf(text, "%*u %llu", &pages) != 1)
        return;
    const struct memory_use use = {
        .used = pages * (uint64_t)sysconf(_SC_PAGESIZE), .limit = max, .of = "--memory-max"};
    consider(nearest, &use);
}

bool memory_look(const char *root, uint64_t max, struct memory_use *out)
{
    char path[PATH_BYTES], text[FILE_MAX];
    *out = (struct memory_use){0};
    look_at_itself(root, max, out);
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    if (read_text(text, path)) {
        struct str rest = str_of(text);
        while (rest.len)
            look_at_line(root, str_cut(&rest, '\n'), out);
    }
    return out->limit;
}
