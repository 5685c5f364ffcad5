/* bench_subs.h - the subscribers of `gusher bench`: opening them, and counting what they get. */
#ifndef CLI_BENCH_SUBS_H
#define CLI_BENCH_SUBS_H
#include <stdint.h>
#include "cli/bench.h"
#include "cli/bench_feed.h"
#include "cli/bench_link.h"
#include "cli/bench_order.h"
#include "cli/bench_reply.h"
#include "cli/bench_tokens.h"
#include "net/timer.h"

enum bench_sub_state {
    BENCH_SUB_NEW,
    BENCH_SUB_DIALLING,
    BENCH_SUB_AUTH,      /* waits for a ticket */
    BENCH_SUB_HANDSHAKE, /* waits for 101 */
    BENCH_SUB_SUBSCRIBE, /* waits for subscribe_succeeded */
    BENCH_SUB_READY,
    BENCH_SUB_OVER,
};

struct bench_sub {
    struct bench_link link;
    struct bench_subs *all;
    struct timer deadline;
    struct bench_feed feed;
    struct bench_reply reply; /* until the handshake is over */
    size_t hint;              /* where the last mark was */
    uint64_t began_ns;
    uint32_t channel;
    enum bench_sub_state state;
};

struct bench_subs {
    const struct bench_options *o;
    const struct bench_tokens *tokens;
    struct bench_net *net;
    struct bench_target *slaves;
    unsigned n_slaves;
    struct bench_result *result;
    struct bench_sub *subs;    /* one a connection */
    struct bench_order *order; /* publishers times connections */
    uint32_t *live;            /* ready subscribers, by channel */
    /* opening */
    unsigned next, opening, failed, n_live;
    uint64_t began_ns, limit_ns, last_ready_ns;
    struct timer pace;
    /* measuring */
    uint32_t run; /* marks of others are not counted */
    uint64_t received, last_ns;
};

/* Nothing is opened yet. Pointers are borrowed until bench_subs_free. */
void bench_subs_init(struct bench_subs *s, const struct bench_options *o, struct bench_net *net,
                     struct bench_target *slaves, unsigned n_slaves,
                     const struct bench_tokens *tokens, struct bench_result *result);
void bench_subs_fini(struct bench_subs *s);

/* Opening: _open begins, _pump goes on (at every turn's end), until _opened. */
void bench_subs_open(struct bench_subs *s);
void bench_subs_pump(struct bench_subs *s);
bool bench_subs_opened(const struct bench_subs *s);
void bench_subs_give_up(struct bench_subs *s, const char *why); /* on what is not open yet */

/* From now on marks of `run` count, from zero. */
void bench_subs_begin(struct bench_subs *s, uint32_t run);

uint64_t bench_clock_ns(void); /* monotonic */

#endif
