/* remote_rig.h - for the tests of remote/: a sink whose answers are counted, and the programs it
 * talks to as child processes on free ports of the loopback. */
#ifndef TESTS_REMOTE_RIG_H
#define TESTS_REMOTE_RIG_H
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "remote/remote.h"

enum { RIG_JOBS = 8192, RIG_WAIT_MS = 30000 };

static inline int64_t rig_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Between two looks at a condition that cannot be waited for. */
static inline void rig_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

#define RIG_UNTIL(condition)                                                                       \
    for (int64_t rig_end_ = rig_clock_ms() + RIG_WAIT_MS; !(condition);) {                         \
        assert_true(rig_clock_ms() < rig_end_);                                                    \
        rig_pause();                                                                               \
    }

/* ---- a sink ---- */

static struct rig {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct remote_sink *sink;
    unsigned submitted, answered;
    unsigned times[RIG_JOBS]; /* job number n was answered */
    enum err how[RIG_JOBS];
    uint64_t order[RIG_JOBS];
    bool moved; /* one that came back was not the same */
} rig = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static inline void rig_done(void *ctx, struct remote_job *job, enum err e)
{
    pthread_mutex_lock(&rig.lock);
    rig.moved |= ctx != &rig || job->worker != job->number % 7 || job->sink != rig.sink;
    rig.times[job->number]++;
    rig.how[job->number] = e;
    if (rig.answered < RIG_JOBS)
        rig.order[rig.answered] = job->number;
    rig.answered++;
    pthread_cond_broadcast(&rig.came);
    pthread_mutex_unlock(&rig.lock);
    remote_job_free(job);
}

static inline void rig_open_with(struct remote_options o)
{
    char why[200] = "";
    o.done = rig_done;
    o.ctx = &rig;
    rig.submitted = rig.answered = 0;
    rig.moved = false;
    memset(rig.times, 0, sizeof(rig.times));
    /* Under the lock: answers look at rig.sink. */
    pthread_mutex_lock(&rig.lock);
    enum err e = remote_new(&rig.sink, &o, why, sizeof(why));
    pthread_mutex_unlock(&rig.lock);
    if (e)
        fail_msg("%s", why);
}

static inline void rig_open(const char *url)
{
    rig_open_with((struct remote_options){.url = url});
}

static inline enum err rig_try(struct str app, struct str remote, struct str payload)
{
    char uid[24];
    assert_true(rig.submitted < RIG_JOBS);
    snprintf(uid, sizeof(uid), "u%u", rig.submitted);
    struct remote_job *job =
        remote_job_new(app, remote, STR("me \"&\" you"), STR("s-1"), str_of(uid), payload);
    job->number = rig.submitted;
    job->worker = rig.submitted % 7;
    enum err e = remote_submit(rig.sink, job);
    if (e)
        remote_job_free(job);
    else
        rig.submitted++;
    return e;
}

static inline void rig_submit(const char *app, const char *remote, const char *payload)
{
    assert_int_equal(rig_try(str_of(app), str_of(remote), str_of(payload)), ERR_OK);
}

static inline unsigned rig_answered(void)
{
    pthread_mutex_lock(&rig.lock);
    unsigned n = rig.answered;
    pthread_mutex_unlock(&rig.lock);
    return n;
}

/* Until all that was submitted is answered, each once. */
static inline void rig_wait(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RIG_WAIT_MS / 1000;
    pthread_mutex_lock(&rig.lock);
    for (int r = 0; rig.answered < rig.submitted && r == 0;)
        r = pthread_cond_timedwait(&rig.came, &rig.lock, &until);
    unsigned answered = rig.answered, wrong = rig.moved;
    for (unsigned i = 0; i < rig.submitted; i++)
        wrong += rig.times[i] != 1;
    pthread_mutex_unlock(&rig.lock);
    assert_int_equal(answered, rig.submitted);
    assert_int_equal(wrong, 0);
}

static inline void rig_wait_all(enum err e)
{
    rig_wait();
    for (unsigned i = 0; i < rig.submitted; i++)
        assert_int_equal(rig.how[i], e);
}

static inline void rig_close(void)
{
    remote_free(rig.sink);
    rig.sink = NULL;
    rig_wait();
}

static inline unsigned rig_count(enum err e)
{
    unsigned n = 0;
    for (unsigned i = 0; i < rig.submitted; i++)
        n += rig.how[i] == e;
    return n;
}

/* ---- peers ---- */

static inline int rig_socket(unsigned port, bool listens)
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

static inline unsigned rig_free_port(void)
{
    int fd = rig_socket(0, true);
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static inline const char *rig_url(const char *format, unsigned port)
{
    static char text[200];
    const char *at = strstr(format, "PORT");
    snprintf(text, sizeof(text), "%.*s%u%s", (int)(at - format), format, port, at + 4);
    return text;
}

struct rig_folder {
    char path[40];
};

static inline void rig_folder_make(struct rig_folder *f)
{
    strcpy(f->path, "/tmp/gusher-remote-XXXXXX");
    assert_non_null(mkdtemp(f->path));
}

static inline void rig_wait_pid(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

static inline pid_t rig_run(const char *const words[])
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        char path[300];
        const char *before = getenv("PATH");
        snprintf(path, sizeof(path), "%s:/usr/sbin", before ? before : "/usr/bin:/bin");
        setenv("PATH", path, 1);
        execvp(words[0], (char *const *)words);
        _exit(127);
    }
    return pid;
}

static inline void rig_folder_remove(const struct rig_folder *f)
{
    rig_wait_pid(rig_run((const char *const[]){"rm", "-rf", "--", f->path, NULL}));
}

static inline void rig_wait_for_port(unsigned port)
{
    int fd;
    RIG_UNTIL((fd = rig_socket(port, false)) >= 0);
    close(fd);
}

static inline void rig_kill(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        rig_wait_pid(*pid);
    }
    *pid = 0;
}

/* It stands still when this returns: the signal alone may take its time. */
static inline void rig_freeze(pid_t pid)
{
    int status;
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static inline void rig_thaw(pid_t pid)
{
    kill(pid, SIGCONT);
}

/* ---- what was logged ---- */

static inline int rig_catch_log(char path[40])
{
    strcpy(path, "/tmp/gusher-remote-log-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    int before = dup(2);
    dup2(file, 2);
    close(file);
    return before;
}

/* What was logged since; the log goes where it went before. */
static inline const char *rig_caught_log(char path[40], int before)
{
    static char all[1 << 16];
    dup2(before, 2);
    close(before);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(all, 1, sizeof(all) - 1, f);
    all[len] = 0;
    fclose(f);
    unlink(path);
    return all;
}

#endif
