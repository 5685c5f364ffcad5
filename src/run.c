#include "run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/log_writer.h"

int run_fail(int code, const char *why)
{
    log_writer_flush(LOG_WRITER_END_MS); /* what was logged comes first */
    fprintf(stderr, "gusher: %s\n", why);
    return code;
}

double run_unix_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool read_all(int fd, size_t max, struct buf *out)
{
    ssize_t n;
    do {
        n = read(fd, buf_reserve(out, max + 1 - out->len), max + 1 - out->len);
        if (n > 0)
            out->len += (size_t)n;
    } while (out->len <= max && (n > 0 || (n < 0 && errno == EINTR)));
    return n >= 0;
}

bool run_read_file(const char *path, size_t max, struct buf *out, char *why, size_t why_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && read_all(fd, max, out);
    if (!ok)
        snprintf(why, why_len, "cannot read %s: %s", path, strerror(errno));
    else if (out->len > max)
        snprintf(why, why_len, "%s has over %zu bytes", path, max);
    if (fd >= 0)
        close(fd);
    return ok && out->len <= max;
}

void run_state_folder(const struct config *c, char *out, size_t len)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (c->state_dir)
        snprintf(out, len, "%s", c->state_dir);
    else if (state && *state)
        snprintf(out, len, "%s/gusher", state);
    else if (home && *home)
        snprintf(out, len, "%s/.local/state/gusher", home);
    else
        snprintf(out, len, ".gusher");
    for (char *slash = strchr(out + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(out, 0755); /* what is wrong with the path shows when it is used */
        *slash = '/';
    }
}
