/* clock_step.c - preloaded (LD_PRELOAD) into a program whose wall clock is to be stepped: it is
 * ahead by the seconds that the first 8 bytes of the file CLOCK_STEP_FILE hold, at any time. Waits
 * of threads by the wall clock notice a step, as they do when the kernel's clock is stepped. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("CLOCK_STEP_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *p = fd >= 0 ? mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (p != MAP_FAILED)
        ahead = p;
}

static int64_t ahead_s(void)
{
    return ahead ? *ahead : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, clock, t);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec += ahead_s();
    return r;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

typedef int timedwait_fn(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

static timedwait_fn *real_timedwait(void)
{
    static timedwait_fn *volatile real;
    static const char *const versions[] = {"GLIBC_2.3.2", "GLIBC_2.17", "GLIBC_2.27"};
    for (int i = 0; !real && i < 3; i++)
        real = (timedwait_fn *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", versions[i]);
    if (!real)
        abort();
    return real;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* By the wall clock in steps of 20 ms, so that the offset may change meanwhile. The second bit of
 * __wrefs says that the condition goes by the other clock. */
int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    if (cond->__data.__wrefs & 2)
        return real_timedwait()(cond, mutex, until);
    for (;;) {
        struct timespec now, step;
        clock_gettime(CLOCK_REALTIME, &now);
        if (!is_before(&now, until))
            return ETIMEDOUT;
        syscall(SYS_clock_gettime, CLOCK_REALTIME, &step);
        step.tv_nsec += 20000000;
        if (step.tv_nsec >= 1000000000) {
            step.tv_sec++;
            step.tv_nsec -= 1000000000;
        }
        int r = real_timedwait()(cond, mutex, &step);
        if (r != ETIMEDOUT)
            return r;
    }
}
