/* peer.h - other programs that a test talks to: child processes on free ports of the loopback, what
 * hinders and ends them, and waiting for a condition with a deadline. */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    PEER_WAIT_MS = 30000,
    PEER_SKIPPED = 77, /* what a test program exits with that has nothing to talk to */
};

static inline int64_t peer_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Between two looks at a condition that cannot be waited for. */
static inline void peer_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

#define WAIT_UNTIL(condition)                                                                      \
    for (int64_t wait_end_ = peer_clock_ms() + PEER_WAIT_MS; !(condition);) {                      \
        assert_true(peer_clock_ms() < wait_end_);                                                  \
        peer_pause();                                                                              \
    }

static inline int peer_socket(unsigned port, bool listens)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int r = listens ? bind(fd, (struct sockaddr *)&a, sizeof(a))
                    : connect(fd, (struct sockaddr *)&a, sizeof(a));
    if (r == 0)
        return fd;
    close(fd);
    return -1;
}

/* Below the range from which the kernel serves port 0 and outgoing connections: a port stays free
 * while its server is down, and nobody who tries to reach it then reaches himself. */
static inline unsigned peer_free_port(void)
{
    enum { FIRST = 12000, LAST = 30000 };
    static unsigned given[16], n_given; /* and perhaps not in use yet */
    for (;;) {
        unsigned random, port;
        assert_int_equal(getrandom(&random, sizeof(random), 0), sizeof(random));
        port = FIRST + random % (LAST - FIRST);
        for (unsigned i = 0; i < 16; i++)
            if (given[i] == port)
                port = 0;
        int fd = port ? peer_socket(port, true) : -1;
        if (fd < 0)
            continue;
        close(fd);
        return given[n_given++ % 16] = port;
    }
}

static inline const char *peer_url(const char *format, unsigned port)
{
    static char text[200];
    const char *at = strstr(format, "PORT");
    snprintf(text, sizeof(text), "%.*s%u%s", (int)(at - format), format, port, at + 4);
    return text;
}

struct peer_folder {
    char path[40];
};

static inline void peer_folder_make(struct peer_folder *f)
{
    strcpy(f->path, "/tmp/gusher-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
}

static inline void peer_wait_pid(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

/* Servers are in /usr/sbin, which is not on everyone's path. */
static inline void peer_path(char path[PATH_MAX])
{
    const char *before = getenv("PATH");
    snprintf(path, PATH_MAX, "%s:/usr/sbin", before ? before : "/usr/bin:/bin");
}

static inline bool peer_is_installed(const char *program)
{
    char path[PATH_MAX], file[2 * PATH_MAX];
    char *rest = path;
    peer_path(path);
    for (const char *folder; (folder = strsep(&rest, ":"));) {
        snprintf(file, sizeof(file), "%s/%s", folder, program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static inline pid_t peer_run(const char *const words[])
{
    char path[PATH_MAX];
    peer_path(path);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        setenv("PATH", path, 1);
        execvp(words[0], (char *const *)words);
        _exit(127);
    }
    return pid;
}

static inline void peer_folder_remove(const struct peer_folder *f)
{
    peer_wait_pid(peer_run((const char *const[]){"rm", "-rf", "--", f->path, NULL}));
}

static inline void peer_wait_for_port(unsigned port)
{
    int fd;
    WAIT_UNTIL((fd = peer_socket(port, false)) >= 0);
    close(fd);
}

static inline void peer_kill(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        peer_wait_pid(*pid);
    }
    *pid = 0;
}

/* It stands still when this returns: the signal alone may take its time. */
static inline void peer_freeze(pid_t pid)
{
    int status;
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static inline void peer_thaw(pid_t pid)
{
    kill(pid, SIGCONT);
}

/* ---- what was logged ---- */

static inline int peer_catch_log(char path[40])
{
    strcpy(path, "/tmp/gusher-test-log-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    int before = dup(2);
    dup2(file, 2);
    close(file);
    return before;
}

static inline const char *peer_logged(const char *path)
{
    static char all[1 << 16];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(all, 1, sizeof(all) - 1, f);
    all[len] = 0;
    fclose(f);
    return all;
}

/* What was logged since; the log goes where it went before. */
static inline const char *peer_caught_log(const char *path, int before)
{
    dup2(before, 2);
    close(before);
    const char *all = peer_logged(path);
    unlink(path);
    return all;
}

#endif
