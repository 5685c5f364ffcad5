#include "base/log_writer.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/deadline.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more, written;
    int fd;
    log_lost_fn *tell;
    bool failing; /* the last write did not succeed */
    int error;    /* of the last write that did not; 0: none did since the loss was told */
    unsigned lost;
    size_t begin, len; /* of the bytes that wait, in the ring */
    atomic_bool runs;
    atomic_size_t pending; /* they, and what is being written; for signal handlers */
    char ring[LOG_WRITER_BYTES];
    char chunk[LINE_MAX_BYTES]; /* the thread's: what is being written */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool log_writer_runs(void)
{
    return atomic_load(&writer.runs);
}

bool log_writer_add(struct str line)
{
    pthread_mutex_lock(&writer.lock);
    bool fits = line.len <= LINE_MAX_BYTES && line.len <= LOG_WRITER_BYTES - writer.len;
    if (fits) {
        size_t at = (writer.begin + writer.len) % LOG_WRITER_BYTES;
        size_t first = LOG_WRITER_BYTES - at < line.len ? LOG_WRITER_BYTES - at : line.len;
        memcpy(writer.ring + at, line.p, first);
        memcpy(writer.ring, line.p + first, line.len - first);
        writer.len += line.len;
        atomic_fetch_add(&writer.pending, line.len);
        pthread_cond_signal(&writer.more);
    } else {
        writer.lost++;
    }
    pthread_mutex_unlock(&writer.lock);
    return fits;
}

/* Takes whole lines: one, or as many as a pipe takes without mixing them with those of others who
 * write there (PIPE_BUF). */
static size_t take_chunk(void)
{
    size_t n = 0;
    for (size_t i = 0; i < writer.len && i < LINE_MAX_BYTES && (i < PIPE_BUF || !n); i++) {
        writer.chunk[i] = writer.ring[(writer.begin + i) % LOG_WRITER_BYTES];
        if (writer.chunk[i] == '\n')
            n = i + 1;
    }
    writer.begin = (writer.begin + n) % LOG_WRITER_BYTES;
    writer.len -= n;
    return n;
}

static void rest(bool fails)
{
    const struct timespec again = {.tv_nsec = LOG_WRITER_AGAIN_MS * 1000000L};
    struct pollfd p = {.fd = writer.fd, .events = POLLOUT};
    if (fails)
        nanosleep(&again, NULL);
    else
        poll(&p, 1, LOG_WRITER_AGAIN_MS);
}

/* Until it succeeds: a disk is made room on, a pipe is read again. */
static void write_chunk(size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(writer.fd, writer.chunk + done, len - done);
        int error = n > 0 ? 0 : n < 0 ? errno : ENOSPC;
        if (error == EINTR)
            continue;
        done += n > 0 ? (size_t)n : 0;
        /* Full is no failure, where somebody else has made it non-blocking. */
        bool fails = error && error != EAGAIN && error != EWOULDBLOCK;
        pthread_mutex_lock(&writer.lock);
        writer.failing = fails;
        if (fails)
            writer.error = error;
        pthread_cond_broadcast(&writer.written);
        pthread_mutex_unlock(&writer.lock);
        if (error)
            rest(fails);
    }
}

static void tell_of_lost(unsigned lost, int error)
{
    if (!lost || writer.tell(lost, error))
        return;
    pthread_mutex_lock(&writer.lock);
    writer.lost += lost - 1; /* that line has been counted */
    writer.error = error;
    pthread_mutex_unlock(&writer.lock);
}

static void *run(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&writer.lock);
        while (!writer.len)
            pthread_cond_wait(&writer.more, &writer.lock);
        size_t len = take_chunk();
        pthread_mutex_unlock(&writer.lock);
        write_chunk(len);
        pthread_mutex_lock(&writer.lock);
        unsigned lost = writer.lost;
        int error = writer.error;
        writer.lost = 0;
        writer.error = 0;
        pthread_mutex_unlock(&writer.lock);
        tell_of_lost(lost, error);
        /* Behind that line's coming, so that whoever flushes waits for it as well. */
        pthread_mutex_lock(&writer.lock);
        atomic_fetch_sub(&writer.pending, len);
        pthread_cond_broadcast(&writer.written);
        pthread_mutex_unlock(&writer.lock);
    }
    return NULL;
}

void log_writer_flush(unsigned wait_ms)
{
    const struct timespec end = deadline_in_ms(wait_ms);
    if (!log_writer_runs())
        return;
    pthread_mutex_lock(&writer.lock);
    for (int r = 0; atomic_load(&writer.pending) && !writer.failing && r == 0;)
        r = pthread_cond_timedwait(&writer.written, &writer.lock, &end);
    pthread_mutex_unlock(&writer.lock);
}

static void flush_at_exit(void)
{
    log_writer_flush(LOG_WRITER_END_MS);
}

/* The thread goes on while this one waits. The signal's own action comes when we return. */
static void flush_at_signal(int number)
{
    enum { STEP_MS = 2 };
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    int saved = errno;
    for (int ms = 0; ms < LOG_WRITER_ABORT_MS && atomic_load(&writer.pending); ms += STEP_MS)
        nanosleep(&step, NULL);
    errno = saved;
    raise(number);
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction before, a = {.sa_handler = flush_at_signal, .sa_flags = SA_RESETHAND};
        sigemptyset(&a.sa_mask);
        /* Sanitizers have handlers of their own. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(numbers[i], &a, NULL);
    }
}

enum err log_writer_start(int fd, log_lost_fn *lost)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    writer.fd = fd;
    writer.tell = lost;
    deadline_cond_init(&writer.more);
    deadline_cond_init(&writer.written);
    pthread_attr_init(&attr);
    /* It may be in a write for ever: nobody waits for its end. */
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &attr, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    errno = r;
    if (r)
        return ERR_SYS;
    atomic_store(&writer.runs, true);
    atexit(flush_at_exit);
    catch_signals();
    return ERR_OK;
}
