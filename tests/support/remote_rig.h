/* remote_rig.h - for the tests of remote/: a sink whose answers are counted, and the peer that it
 * talks to. */
#ifndef TESTS_REMOTE_RIG_H
#define TESTS_REMOTE_RIG_H
#include <pthread.h>
#include "peer.h"
#include "remote/remote.h"

enum { RIG_JOBS = 8192 };

/* ---- a sink ---- */

static struct rig {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct peer_folder folder;
    unsigned port; /* of the peer, */
    pid_t server;  /* once it runs */
    struct remote_sink *sink;
    unsigned submitted, answered;
    unsigned times[RIG_JOBS]; /* job number n was answered */
    enum err how[RIG_JOBS];
    uint64_t order[RIG_JOBS];
    bool moved; /* one that came back was not the same */
} rig = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static inline int rig_set_up(void **unused)
{
    (void)unused;
    peer_folder_make(&rig.folder);
    rig.port = peer_free_port();
    return 0;
}

static inline int rig_tear_down(void **unused)
{
    (void)unused;
    remote_free(rig.sink); /* when a test failed */
    rig.sink = NULL;
    peer_kill(&rig.server);
    peer_folder_remove(&rig.folder);
    return 0;
}

#define RIG_TEST(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

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
    until.tv_sec += PEER_WAIT_MS / 1000;
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

#endif
