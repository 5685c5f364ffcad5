/* remote.h - hands commands of clients ("remotes") to a sink: a Redis list, an HTTP endpoint or a
 * NATS subject, named by a URL.
 *
 * A sink has a thread of its own; whoever submits never waits for it. Every job that was taken is
 * given back once, and says how it went:
 *
 *   ERR_OK         the peer has it
 *   ERR_SYS        the peer refused it
 *   ERR_NOT_FOUND  nobody is there to take it (NATS)
 *   ERR_LIMIT      it is larger than the peer takes (NATS)
 *   ERR_TIMEOUT    it did not reach the peer in time, or no answer came in time
 *   ERR_AWAY       the connection broke, or the sink ended, before the answer came
 *
 * After the last two the peer may have it all the same. Redis and NATS never get a job twice from
 * us; HTTP may, with the same Idempotency-Key. */
#ifndef REMOTE_REMOTE_H
#define REMOTE_REMOTE_H
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "net/inbox.h"

enum {
    REMOTE_JOBS_MAX = 65536,      /* that wait or are under way */
    REMOTE_BYTES_MAX = 64 << 20,  /* of their text */
    REMOTE_WAIT_MS = 5000,        /* for a peer that is away (Redis, NATS) */
    REMOTE_ANSWER_MS = 5000,      /* for the answer, once sent (Redis, NATS) */
    REMOTE_HTTP_MS = 10000,       /* all in all (HTTP) */
    REMOTE_HTTP_PARALLEL = 32,    /* requests under way */
    REMOTE_CONNECT_MS = 3000,     /* one attempt */
    REMOTE_BACKOFF_MIN_MS = 100,  /* between attempts to connect, doubling ... */
    REMOTE_BACKOFF_MAX_MS = 2000, /* ... up to this */
};

struct remote_sink;

enum remote_note_kind { REMOTE_JOB, REMOTE_STOP, REMOTE_NEWS };

struct remote_note { /* what a sink's thread gets; within the folder */
    struct letter letter;
    enum remote_note_kind kind;
};

struct remote_job { /* one allocation holds the struct and its text */
    union {
        struct letter letter; /* the sender's again when it has the job back */
        struct remote_note note;
    };
    struct remote_sink *sink; /* that took it */
    struct str app, remote, user, socket, uid;
    struct str payload; /* valid JSON, byte for byte */

    /* The sender's own, for whoever gets it back. */
    unsigned worker;
    uint64_t number;
    bool wants_reply;

    /* The sink's own. */
    struct remote_job *prev, *next;
    int64_t since_ms, due_ms;
    uint64_t slot;
    size_t text_len;
    char text[];
};

/* Called on the sink's thread when the job is over (see above). Takes over the job. */
typedef void remote_done_fn(void *ctx, struct remote_job *job, enum err e);

struct remote_options {
    const char *url;        /* redis://, http://, https://, nats://, tls:// */
    const char *nats_creds; /* file; may be NULL */
    const char *nats_ca;    /* file; may be NULL: the system's */
    remote_done_fn *done;
    void *ctx;
    /* 0: the constants above. */
    unsigned jobs_max, wait_ms, answer_ms, http_ms;
    size_t bytes_max;
};

/* Copies the texts; the payload must be valid JSON. */
struct remote_job *remote_job_new(struct str app, struct str remote, struct str user,
                                  struct str socket, struct str uid, struct str payload);
void remote_job_free(struct remote_job *job); /* NULL is fine */

/* Makes a sink and starts its thread, in *out. Does not wait for the peer: one that is away now may
 * come. ERR_PROTO: the URL says nothing we know, `why` gets one sentence (without the URL, which
 * may hold a password); ERR_SYS: no descriptor or thread left. */
enum err remote_new(struct remote_sink **out, const struct remote_options *o, char *why,
                    size_t why_len);

/* Hands a job over, from any thread, without blocking. ERR_FULL: as many jobs or bytes wait as may;
 * the caller still owns the job. */
enum err remote_submit(struct remote_sink *s, struct remote_job *job);

/* Ends the thread; what is not answered is given to `done` with ERR_AWAY before this returns. That
 * may take some seconds with NATS: a call of its library is waited for. No one may submit any
 * more. NULL is fine. */
void remote_free(struct remote_sink *s);

#endif
