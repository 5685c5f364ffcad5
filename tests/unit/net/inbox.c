#include "net/inbox.h"
#include "base/mem.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <limits.h>

enum { POSTERS = 4, DEADLINE_MS = 20000 };

struct numbered {
    struct letter letter;
    unsigned poster, number;
};

static struct letter *write_letter(unsigned poster, unsigned number)
{
    struct numbered *n = mem_alloc(sizeof *n);
    n->poster = poster;
    n->number = number;
    return &n->letter;
}

struct reader {
    unsigned next[POSTERS]; /* the number that each poster's next letter must have */
    unsigned n;
    sem_t *read; /* one of each poster, or NULL */
};

static unsigned read_one(void *ctx, struct letter *l)
{
    struct reader *r = ctx;
    struct numbered *n = container_of(l, struct numbered, letter);
    assert_int_equal(n->number, r->next[n->poster]);
    r->next[n->poster]++;
    r->n++;
    if (r->read)
        sem_post(&r->read[n->poster]);
    mem_free(n);
    return 1;
}

static struct inbox *new_inbox(unsigned cap)
{
    struct inbox *b = NULL;
    assert_int_equal(inbox_new(&b, cap), ERR_OK);
    return b;
}

static bool rings(const struct inbox *b)
{
    struct pollfd p = {.fd = inbox_fd(b), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void keeps_the_order(void **unused)
{
    (void)unused;
    struct inbox *b = new_inbox(100);
    struct reader r = {.n = 0};
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 0);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(inbox_post(b, write_letter(0, i)), ERR_OK);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 50);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 0);
    for (unsigned i = 50; i < 60; i++)
        inbox_post_always(b, write_letter(0, i));
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 10);
    assert_int_equal(r.n, 60);
    inbox_free(b);
}

static void refuses_above_the_cap(void **unused)
{
    (void)unused;
    struct inbox *b = new_inbox(3);
    struct reader r = {.n = 0};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(inbox_has_room(b, 3 - i));
        assert_false(inbox_has_room(b, 4 - i));
        assert_int_equal(inbox_post(b, write_letter(0, i)), ERR_OK);
    }
    assert_true(inbox_has_room(b, 0));
    assert_false(inbox_has_room(b, 1));
    struct letter *refused = write_letter(0, 3);
    assert_int_equal(inbox_post(b, refused), ERR_FULL);
    inbox_post_always(b, refused);
    struct letter *again = write_letter(0, 4);
    assert_int_equal(inbox_post(b, again), ERR_FULL);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 4);
    assert_true(inbox_has_room(b, 3));
    assert_int_equal(inbox_post(b, again), ERR_OK);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 1);
    inbox_free(b);
}

static unsigned post_again(void *inbox, struct letter *l)
{
    inbox_post_always(inbox, l);
    return 1;
}

/* A reading stops when it has cost enough; the rest comes first in the next one. */
static void stops_at_its_budget(void **unused)
{
    (void)unused;
    struct inbox *b = new_inbox(8);
    struct reader r = {.n = 0};
    for (unsigned i = 0; i < 5; i++)
        inbox_post_always(b, write_letter(0, i));
    assert_int_equal(inbox_read(b, 2, read_one, &r), 2);
    inbox_post_always(b, write_letter(0, 5));
    assert_true(inbox_sleep(b)); /* there is more to read */
    inbox_wake(b);
    assert_false(inbox_has_room(b, 5));
    assert_true(inbox_has_room(b, 4));
    assert_int_equal(inbox_read(b, 10, read_one, &r), 3);
    assert_int_equal(inbox_read(b, 10, read_one, &r), 1);
    assert_int_equal(r.n, 6);
    assert_false(inbox_sleep(b));
    inbox_free(b);
}

/* What is posted while letters are read waits for the next reading. */
static void empties_what_was_taken_and_what_came_since(void **unused)
{
    (void)unused;
    struct inbox *b = new_inbox(8);
    struct reader r = {.n = 0};
    for (unsigned i = 0; i < 3; i++)
        inbox_post_always(b, write_letter(0, i));
    assert_int_equal(inbox_read(b, 1, read_one, &r), 1);
    inbox_post_always(b, write_letter(0, 3));
    inbox_empty(b, read_one, &r);
    assert_int_equal(r.n, 4);
    inbox_empty(b, read_one, &r);
    assert_int_equal(r.n, 4);
    inbox_free(b);
}

static void reads_what_waited(void **unused)
{
    (void)unused;
    struct inbox *b = new_inbox(8);
    struct reader r = {.n = 0};
    inbox_post_always(b, write_letter(0, 0));
    inbox_post_always(b, write_letter(0, 1));
    assert_int_equal(inbox_read(b, UINT_MAX, post_again, b), 2);
    assert_int_equal(inbox_read(b, UINT_MAX, post_again, b), 2);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 2);
    inbox_free(b);
}

static void rings_a_sleeper_once(void **unused)
{
    (void)unused;
    struct inbox *b = new_inbox(8);
    struct reader r = {.n = 0};
    inbox_post_always(b, write_letter(0, 0));
    assert_false(rings(b));
    assert_true(inbox_sleep(b)); /* a letter waits: do not sleep */
    inbox_wake(b);
    inbox_post_always(b, write_letter(0, 1));
    assert_false(rings(b));
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 2);

    assert_false(inbox_sleep(b));
    assert_false(rings(b));
    inbox_post_always(b, write_letter(0, 2));
    assert_true(rings(b));
    inbox_wake(b);
    inbox_silence(b);
    assert_false(rings(b));
    inbox_silence(b);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 1);

    assert_false(inbox_sleep(b));
    inbox_post_always(b, write_letter(0, 3));
    inbox_silence(b);
    inbox_post_always(b, write_letter(0, 4)); /* rung already */
    assert_false(rings(b));
    inbox_wake(b);
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 2);
    inbox_free(b);
}

static void tells_when_descriptors_are_out(void **unused)
{
    (void)unused;
    struct rlimit before, none;
    struct inbox *untouched = (struct inbox *)&before, *b = untouched;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    errno = 0;
    enum err e = inbox_new(&b, 8);
    int why = errno;
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(e, ERR_SYS);
    assert_int_equal(why, EMFILE);
    assert_ptr_equal(b, untouched);
}

/* ---- threads ---- */

struct poster {
    struct inbox *inbox;
    unsigned index, n;
    sem_t *read; /* waits for it after each letter */
    bool gave_up;
};

static struct timespec deadline(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += DEADLINE_MS / 1000;
    return t;
}

static void *post_all(void *ctx)
{
    struct poster *p = ctx;
    for (unsigned i = 0; i < p->n; i++) {
        struct letter *l = write_letter(p->index, i);
        if (i % 7 == 0) {
            inbox_post_always(p->inbox, l);
        } else {
            while (inbox_post(p->inbox, l) == ERR_FULL)
                sched_yield();
        }
        struct timespec until = deadline();
        if (p->read && sem_timedwait(p->read, &until) < 0) {
            p->gave_up = true;
            break;
        }
    }
    return NULL;
}

/* Reads as the loop does, until `n` letters are in; sleeps whenever none waits. Returns how often
 * it slept. */
static unsigned read_all(struct inbox *b, struct reader *r, unsigned n)
{
    int epoll = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, inbox_fd(b), &ev), 0);
    unsigned sleeps = 0;
    while (r->n < n) {
        bool waiting = inbox_sleep(b);
        int ready = epoll_wait(epoll, &ev, 1, waiting ? 0 : DEADLINE_MS);
        inbox_wake(b);
        if (!waiting) {
            sleeps++;
            if (ready != 1)
                fail_msg("slept through: %u of %u letters read", r->n, n);
        }
        if (ready == 1)
            inbox_silence(b);
        inbox_read(b, UINT_MAX, read_one, r);
    }
    close(epoll);
    return sleeps;
}

static unsigned exchange(unsigned cap, unsigned each, bool wait_for_reading)
{
    struct inbox *b = new_inbox(cap);
    sem_t read[POSTERS];
    struct reader r = {.read = wait_for_reading ? read : NULL};
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++) {
        sem_init(&read[i], 0, 0);
        posters[i] = (struct poster){b, i, each, wait_for_reading ? &read[i] : NULL, false};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    unsigned sleeps = read_all(b, &r, POSTERS * each);
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(posters[i].gave_up);
        assert_int_equal(r.next[i], each);
        sem_destroy(&read[i]);
    }
    assert_int_equal(inbox_read(b, UINT_MAX, read_one, &r), 0);
    assert_true(inbox_has_room(b, cap));
    inbox_free(b);
    return sleeps;
}

static void loses_nothing_under_load(void **unused)
{
    (void)unused;
    exchange(1 << 20, 20000, false);
    exchange(16, 5000, false);
}

/* Each letter is waited for, so that the reader sleeps and is woken all the time: how often in one
 * round is the machine's affair, if it is busy. */
static void never_sleeps_through(void **unused)
{
    (void)unused;
    unsigned sleeps = 0;
    for (unsigned round = 0; sleeps <= 100 && round < 50; round++)
        sleeps += exchange(64, 5000, true);
    assert_true(sleeps > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(refuses_above_the_cap),
        cmocka_unit_test(stops_at_its_budget),
        cmocka_unit_test(empties_what_was_taken_and_what_came_since),
        cmocka_unit_test(reads_what_waited),
        cmocka_unit_test(rings_a_sleeper_once),
        cmocka_unit_test(tells_when_descriptors_are_out),
        cmocka_unit_test(loses_nothing_under_load),
        cmocka_unit_test(never_sleeps_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
