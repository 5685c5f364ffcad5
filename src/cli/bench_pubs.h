/* bench_pubs.h - the publishers of `gusher bench`: keep-alive connections to the master that post
 * when a message is due, or as fast as they are answered. */
#ifndef CLI_BENCH_PUBS_H
#define CLI_BENCH_PUBS_H
#include <stdint.h>
#include "cli/bench.h"
#include "cli/bench_link.h"
#include "cli/bench_reply.h"
#include "cli/bench_subs.h"
#include "net/timer.h"

enum bench_pub_state {
    BENCH_PUB_DOWN, /* being dialled, or waiting to be */
    BENCH_PUB_IDLE,
    BENCH_PUB_WAITS, /* for an answer */
};

struct bench_pub {
    struct bench_link link;
    struct bench_pubs *all;
    struct bench_pub *next_idle;
    struct timer timer; /* dial again; or no answer came */
    struct bench_reply reply;
    uint64_t sent_ns;
    uint32_t run, channel, expects; /* of the message that waits for its answer */
    bool settled;                   /* it was connected once, or could not be */
    enum bench_pub_state state;
};

struct bench_pubs_template { /* the head of a request, around the channel's number */
    struct buf before, behind;
};

struct bench_pubs {
    const struct bench_options *o;
    struct bench_net *net;
    struct bench_target *masters;
    unsigned n_masters;
    struct bench_subs *subs;
    struct bench_result *result;
    struct bench_pub *pubs;
    struct bench_pub *idle; /* ready to post: a queue, so that all of them do in turn */
    struct bench_pub **idle_end;
    uint32_t *numbers;                                       /* messages by publisher and channel */
    struct bench_pubs_template templates[BENCH_TARGETS_MAX]; /* by master */
    struct buf request;                                      /* being written */
    unsigned n_up, n_settled, n_waiting;
    uint64_t down_since_ns; /* since when none is up */
    struct io clock;        /* a timerfd: the next message is due; fd -1 without a rate */
    /* the phase */
    bool posting;
    uint32_t run, next_channel;
    uint64_t began_ns, last_post_ns;
    uint64_t due;           /* with a rate: messages that are due in the phase, all in all */
    uint64_t under_way;     /* deliveries that pushes without an answer yet stand for */
    uint64_t written_off;   /* deliveries that are waited for no more */
    uint64_t seen, seen_ns; /* progress of deliveries, and when it was seen last */
};

/* ERR_SYS: no descriptor left. Pointers are borrowed until bench_pubs_fini. */
enum err bench_pubs_init(struct bench_pubs *p, const struct bench_options *o, struct bench_net *net,
                         struct bench_target *masters, unsigned n_masters, struct bench_subs *subs,
                         struct bench_result *result);
void bench_pubs_fini(struct bench_pubs *p);

/* Dials all; each that broke is dialled again, until the end. */
void bench_pubs_open(struct bench_pubs *p);
bool bench_pubs_settled(const struct bench_pubs *p); /* each has been connected or refused once */

/* A phase begins: posts are marked with `run`, and due from now on for `seconds`. */
void bench_pubs_begin(struct bench_pubs *p, uint32_t run, unsigned seconds);
void bench_pubs_stop(struct bench_pubs *p); /* posting; what was posted may still be answered */

/* The phase is over: what has no answer by now counts as unanswered. */
void bench_pubs_end(struct bench_pubs *p);

/* Posts what may be posted now: at every turn's end. */
void bench_pubs_pump(struct bench_pubs *p);

/* With a rate: all that was due has been posted. */
bool bench_pubs_posted_all(const struct bench_pubs *p);

/* Whether all was answered, and all was delivered. */
bool bench_pubs_all_arrived(const struct bench_pubs *p);

/* For how long all publishers have been without a connection; 0: one has one. */
uint64_t bench_pubs_down_ns(const struct bench_pubs *p, uint64_t now_ns);

/* For how long nothing was delivered although something is missing. To be called now and then. */
uint64_t bench_pubs_silent_ns(struct bench_pubs *p, uint64_t now_ns);

/* Waits no more for what is missing now, so that publishers go on. */
void bench_pubs_write_off(struct bench_pubs *p);

#endif
