/* backend.h - what a sink is made of, for the files of remote/ alone. */
#ifndef REMOTE_BACKEND_H
#define REMOTE_BACKEND_H
#include <pthread.h>
#include <stdatomic.h>
#include "base/buf.h"
#include "net/loop.h"
#include "remote/remote.h"

/* One for each kind of peer. All but `open` and `close` run on the sink's thread. */
struct remote_backend {
    /* Reads the URL; sets s->own on success. ERR_PROTO: as remote_new. */
    enum err (*open)(struct remote_sink *s, const struct remote_options *o, char *why,
                     size_t why_len);
    void (*start)(struct remote_sink *s);
    void (*take)(struct remote_sink *s, struct remote_job *job);
    void (*news)(struct remote_sink *s, struct remote_note *note); /* takes it over; may be NULL */
    void (*turn)(struct remote_sink *s);                           /* the end of a loop turn */
    void (*stop)(struct remote_sink *s); /* gives every job back; posts no news afterwards */
    void (*close)(struct remote_sink *s);
};

extern const struct remote_backend remote_redis, remote_http, remote_nats;

struct remote_sink {
    const struct remote_backend *backend;
    void *own; /* the backend's */
    unsigned jobs_max, wait_ms, answer_ms, http_ms;
    size_t bytes_max;
    remote_done_fn *done;
    void *ctx;
    struct inbox *inbox;
    struct loop loop;
    pthread_t thread;
    /* Counted by every submitter, so that all share one bound. */
    atomic_uint n_jobs;
    atomic_size_t n_bytes;
    int64_t complained_ms; /* when a failure was last logged */
    unsigned n_unsaid;     /* failures since */
    int64_t away_said_ms;  /* when it was last logged that the peer is away; 0: it is not */
};

/* Gives a job back to its sender. */
void remote_finish(struct remote_sink *s, struct remote_job *job, enum err e);

/* Logs a failure, at most one a second. `code`: a word of the peer's or ours, never text that may
 * repeat what we sent. */
void remote_complain(struct remote_sink *s, const char *event, struct str code);

/* The peer cannot be reached: logged when it begins and now and then until it is over.
 * `why` is static text, `code` the peer's number for it or 0. */
void remote_away(struct remote_sink *s, const char *why, int code);

/* The peer is there (again); `kind`: what it turned out to be. */
void remote_connected(struct remote_sink *s, const char *kind);

/* Milliseconds to wait before attempt number `attempt` (from 0): doubling from `min` to `max`, from
 * half of it to all of it by chance, so that many do not come back in one moment. */
int64_t remote_backoff_ms(unsigned attempt, int64_t min, int64_t max);

/* ---- libcurl ---- */

void remote_begin_curl(void); /* before its first use; any thread, any number of times */

/* Whether curl reads a text with "://" as the address of a host. */
bool remote_is_http_url(const char *text);

/* ---- what is sent ---- */

/* Appends the job as JSON. `as_original`: as the original wrote it to its lists, without the member
 * "remote" and with the members of the payload in the order of their names, so that workers written
 * for it find what they know; else the payload goes byte for byte. */
void remote_body(struct buf *out, const struct remote_job *job, bool as_original);

enum { REMOTE_KEY_LEN = 36 };

/* Writes a random UUID (RFC 9562 version 4) and a NUL. */
void remote_random_key(char out[REMOTE_KEY_LEN + 1]);

/* ---- jobs in a row ---- */

struct remote_jobs {
    struct remote_job *first, *last;
    unsigned n;
};

void remote_jobs_add(struct remote_jobs *l, struct remote_job *job);
void remote_jobs_add_first(struct remote_jobs *l, struct remote_job *job);
void remote_jobs_remove(struct remote_jobs *l, struct remote_job *job);
struct remote_job *remote_jobs_take(struct remote_jobs *l); /* the first, or NULL */

/* Gives back what is past its time; the list is in the order of due_ms. */
void remote_jobs_expire(struct remote_sink *s, struct remote_jobs *l);

/* Sets `t` for the time the first job of either list is due, or stops it. */
void remote_jobs_watch(struct remote_sink *s, struct timer *t, const struct remote_jobs *a,
                       const struct remote_jobs *b);

#endif
