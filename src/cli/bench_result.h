/* bench_result.h - what a run of `gusher bench` has measured, and how it judges it. No I/O. */
#ifndef CLI_BENCH_RESULT_H
#define CLI_BENCH_RESULT_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "cli/bench_hist.h"

/* How connections fail: name in the JSON form, and in a sentence. */
#define BENCH_FAULT_MAP(X)                                                                         \
    X(NONE, "none", "nothing failed")                                                              \
    X(REFUSED, "refused", "nobody listens there")                                                  \
    X(UNREACHABLE, "unreachable", "the address cannot be reached")                                 \
    X(TIMEOUT, "timeout", "no answer came in time")                                                \
    X(AUTH, "auth", "POST auth gave no ticket")                                                    \
    X(HANDSHAKE, "handshake", "the WebSocket handshake was refused")                               \
    X(SUBSCRIBE, "subscribe", "the subscription was refused")                                      \
    X(CLOSED, "closed", "the server closed it")                                                    \
    X(BROKEN, "broken", "it broke off")                                                            \
    X(PROTOCOL, "protocol", "the other side does not speak as a gusher does")                      \
    X(LOCAL, "local", "this machine could not open it")                                            \
    X(GIVEN_UP, "given_up", "it was not tried or not finished")

enum bench_fault {
#define BENCH_FAULT_ENUM(name, text, sentence) BENCH_FAULT_##name,
    BENCH_FAULT_MAP(BENCH_FAULT_ENUM)
#undef BENCH_FAULT_ENUM
        BENCH_FAULTS,
};

const char *bench_fault_name(enum bench_fault f);
const char *bench_fault_sentence(enum bench_fault f);

struct bench_faults {
    struct {
        uint64_t n;
        char example[128]; /* what the first one said; "" if nothing */
    } kinds[BENCH_FAULTS];
};

/* `example` may be anything; of it is kept what a terminal may have. */
void bench_faults_add(struct bench_faults *f, enum bench_fault kind, const char *example);
uint64_t bench_faults_n(const struct bench_faults *f);

enum { BENCH_STATUSES = 600 };

/* Plain figures; times in seconds, histograms in nanoseconds. Some 110 KiB: keep it on the heap. */
struct bench_result {
    /* what was asked for */
    const char *slave, *master, *app, *auth, *body; /* borrowed */
    uint64_t connections, channels, users, publishers, rate, payload, duration_s, warmup_s;

    bool interrupted;      /* by a signal */
    const char *early_end; /* why measuring ended before its time; NULL: it did not. Static */

    struct {
        uint64_t ready;
        double seconds;         /* from the first dial to the last subscription */
        struct bench_hist took; /* a connection: from its dial to its subscription */
        struct bench_faults faults;
    } connect;

    struct {
        uint64_t due;                     /* by the rate; 0: as fast as answered */
        uint64_t posted;                  /* requests whose sending has begun */
        uint64_t answers[BENCH_STATUSES]; /* by status */
        uint64_t unanswered;              /* whether they were delivered is not known */
        double seconds; /* from the beginning to the last post, or as long as the rate takes */
        struct bench_hist took;     /* from post to answer */
        struct bench_faults faults; /* of publishers' connections */
    } publish;

    struct {
        uint64_t expected; /* pushes answered by 200, times subscribers at the time of the post */
        uint64_t received; /* each once */
        uint64_t duplicated, out_of_order;
        uint64_t strange; /* texts that no publisher of this run has sent to this channel */
        double seconds;   /* to the last delivery, and not less than for posting */
        struct bench_hist latency;  /* from when a message was due (with a rate) or posted */
        struct bench_faults closed; /* subscribers that were lost after they had subscribed */
    } deliver;

    double client_cpu_s; /* user and system, while measuring */
    double wall_s;       /* the measuring, with waiting for the last deliveries */

    struct {
        unsigned n;                  /* processes; 0: none was named */
        bool gone;                   /* one ended meanwhile: no figure of these is complete */
        double connect_cpu_s, cpu_s; /* connecting; measuring, */
        double user_s, system_s;     /* and how that is divided, in ticks */
        uint64_t rss_before, rss_connected, rss_after; /* KiB */
    } server;
};

uint64_t bench_result_lost(const struct bench_result *r);
uint64_t bench_result_ok(const struct bench_result *r);      /* pushes answered by 200 */
uint64_t bench_result_refused(const struct bench_result *r); /* pushes answered otherwise */

/* Whether everything was as it must be; otherwise appends what was not, a sentence a line.
 * Sentences are also appended for what is only worth knowing (answers of 503, a rate that was not
 * kept). */
bool bench_result_judge(const struct bench_result *r, struct buf *sentences);

#endif
