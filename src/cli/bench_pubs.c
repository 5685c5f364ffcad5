#include "cli/bench_pubs.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/bench_mark.h"
#include "cli/client.h"

enum {
    ANSWER_MS = 10 * 1000,
    REDIAL_MS = 100,
    ANSWER_KEPT = 256, /* bytes of an answer's body, for people */
    NS_PER_S = 1000000000,
};

/* The members around the mark; the rest of the payload is filled up with 'x'. */
#define DATA_HEAD "{\"m\":\""
#define DATA_TAIL "\"}"

/* ---- requests ---- */

static void write_body(struct buf *out, const struct bench_options *o, const struct bench_mark *m)
{
    struct str head = o->json_body ? STR("{\"data\":" DATA_HEAD) : STR("data=%7B%22m%22%3A%22");
    struct str tail = o->json_body ? STR(DATA_TAIL "}") : STR("%22%7D");
    size_t fill = o->payload - (sizeof(DATA_HEAD) - 1) - (sizeof(DATA_TAIL) - 1) - BENCH_MARK_LEN;
    buf_str(out, head);
    bench_mark_write(buf_reserve(out, BENCH_MARK_LEN), m);
    out->len += BENCH_MARK_LEN;
    memset(buf_reserve(out, fill), 'x', fill);
    out->len += fill;
    buf_str(out, tail);
}

static size_t body_len(const struct bench_options *o)
{
    /* What stands around the data: of JSON {"data":}, of a form data= and six letters in escapes.
     */
    return o->payload + (o->json_body ? 9 : 5 + 2 * 7);
}

/* All of a request's head but the channel's number. */
static void write_template(struct bench_pubs_template *to, const struct bench_options *o,
                           const struct bench_target *t)
{
    buf_printf(&to->before, "POST %s/push/", t->path);
    client_add_escaped(&to->before, str_of(o->app));
    buf_char(&to->before, '/');
    client_add_escaped(&to->before, str_of(o->channel));
    buf_char(&to->before, '-');
    buf_printf(&to->behind, "/bench HTTP/1.1\r\nHost: %s\r\n", t->authority);
    if (o->master_key)
        buf_printf(&to->behind, "Authorization: Bearer %s\r\n", o->master_key);
    buf_printf(&to->behind, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
               o->json_body ? "application/json" : "application/x-www-form-urlencoded",
               body_len(o));
}

static void write_number(struct buf *out, uint32_t n)
{
    char digits[10], *p = digits + sizeof(digits);
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

static void write_request(struct bench_pubs *p, const struct bench_target *t,
                          const struct bench_mark *m)
{
    const struct bench_pubs_template *template = &p->templates[t - p->masters];
    struct buf *out = &p->request;
    buf_clear(out);
    buf_str(out, buf_as_str(&template->before));
    write_number(out, m->channel);
    buf_str(out, buf_as_str(&template->behind));
    write_body(out, p->o, m);
}

static uint32_t *number_of(struct bench_pubs *p, const struct bench_pub *pub)
{
    return &p->numbers[(size_t)(pub - p->pubs) * p->o->channels + pub->channel];
}

static void post(struct bench_pubs *p, struct bench_pub *pub, uint64_t due_ns, uint64_t now_ns)
{
    pub->channel = p->next_channel;
    p->next_channel = (p->next_channel + 1) % p->o->channels;
    pub->run = p->run;
    pub->expects = p->subs->live[pub->channel];
    pub->sent_ns = now_ns;
    pub->state = BENCH_PUB_WAITS;
    const struct bench_mark mark = {.run = p->run,
                                    .channel = pub->channel,
                                    .publisher = (uint32_t)(pub - p->pubs),
                                    .number = ++*number_of(p, pub),
                                    .due_ns = due_ns};
    write_request(p, pub->link.target, &mark);
    p->result->publish.posted++;
    p->n_waiting++;
    p->under_way += pub->expects;
    p->last_post_ns = now_ns;
    timer_set(&p->net->loop->timers, &pub->timer, p->net->loop->now_ms + ANSWER_MS);
    bench_link_send(&pub->link, buf_as_str(&p->request));
}

/* ---- answers ---- */

static void become_idle(struct bench_pub *pub)
{
    timer_stop(&pub->all->net->loop->timers, &pub->timer);
    pub->state = BENCH_PUB_IDLE;
    pub->next_idle = NULL;
    *pub->all->idle_end = pub;
    pub->all->idle_end = &pub->next_idle;
}

/* Takes what *at points to out of the queue. */
static struct bench_pub *take_idle(struct bench_pubs *p, struct bench_pub **at)
{
    struct bench_pub *pub = *at;
    *at = pub->next_idle;
    if (p->idle_end == &pub->next_idle)
        p->idle_end = at;
    return pub;
}

static void remove_idle(struct bench_pub *pub)
{
    struct bench_pub **at = &pub->all->idle;
    while (*at != pub)
        at = &(*at)->next_idle;
    take_idle(pub->all, at);
}

static void settle(struct bench_pub *pub)
{
    pub->all->n_settled += !pub->settled;
    pub->settled = true;
}

/* What waited for its answer waits no more. */
static void forget_post(struct bench_pub *pub)
{
    pub->all->n_waiting--;
    if (pub->run == pub->all->run)
        pub->all->under_way -= pub->expects;
}

/* Without a connection now; another one is dialled in a moment. */
static void fall(struct bench_pub *pub, enum bench_fault why, const char *what)
{
    struct bench_pubs *p = pub->all;
    if (pub->state == BENCH_PUB_WAITS) {
        forget_post(pub);
        if (pub->run == p->run)
            p->result->publish.unanswered++;
    } else if (pub->state == BENCH_PUB_IDLE) {
        remove_idle(pub);
    }
    bool was_up = pub->state != BENCH_PUB_DOWN;
    if (was_up && --p->n_up == 0)
        p->down_since_ns = bench_clock_ns();
    pub->state = BENCH_PUB_DOWN;
    bench_link_close(&pub->link);
    settle(pub);
    if (why)
        bench_faults_add(&p->result->publish.faults, why, what);
    timer_set(&p->net->loop->timers, &pub->timer, loop_clock_ms() + (why ? REDIAL_MS : 0));
}

static void on_end(struct bench_link *l, enum bench_fault why, const char *what)
{
    struct bench_pub *pub = container_of(l, struct bench_pub, link);
    if (pub->state == BENCH_PUB_WAITS && bench_reply_ends_with_connection(&pub->reply))
        why = BENCH_FAULT_PROTOCOL, what = "an answer does not say how long it is";
    else if (pub->state == BENCH_PUB_IDLE && why == BENCH_FAULT_BROKEN)
        why = BENCH_FAULT_NONE; /* it was idle for long, or the server ends: dialling will tell */
    fall(pub, why, what);
}

static void on_timer(struct timer *t)
{
    struct bench_pub *pub = container_of(t, struct bench_pub, timer);
    if (pub->state == BENCH_PUB_WAITS) {
        fall(pub, BENCH_FAULT_TIMEOUT, "a push was not answered");
    } else if (bench_link_is_closed(&pub->link)) {
        timer_set(&pub->all->net->loop->timers, t, loop_clock_ms() + ANSWER_MS);
        bench_link_dial(&pub->link);
    } else {
        fall(pub, BENCH_FAULT_TIMEOUT, "the connection was not accepted");
    }
}

static void on_answer(struct bench_pub *pub)
{
    struct bench_pubs *p = pub->all;
    struct bench_result *r = p->result;
    unsigned status = pub->reply.status < BENCH_STATUSES ? pub->reply.status : BENCH_STATUSES - 1;
    forget_post(pub);
    if (status != 200)
        --*number_of(p, pub); /* nothing was sent: the next one takes its number */
    if (pub->run == p->run) {
        r->publish.answers[status]++;
        bench_hist_add(&r->publish.took, bench_clock_ns() - pub->sent_ns);
        if (status == 200)
            r->deliver.expected += pub->expects;
    }
    bool closes = pub->reply.closes;
    bench_reply_clear(&pub->reply);
    become_idle(pub);
    if (closes)
        fall(pub, BENCH_FAULT_NONE, "");
}

static void on_input(struct bench_link *l, const char *data, size_t len)
{
    struct bench_pub *pub = container_of(l, struct bench_pub, link);
    enum err e =
        pub->state == BENCH_PUB_WAITS ? bench_reply_read(&pub->reply, &data, &len) : ERR_PROTO;
    if (e == ERR_OK && !len)
        on_answer(pub);
    else if (e != ERR_AGAIN)
        fall(pub, BENCH_FAULT_PROTOCOL, "an answer is not HTTP, or nobody had asked");
}

static void on_open(struct bench_link *l)
{
    struct bench_pub *pub = container_of(l, struct bench_pub, link);
    bench_reply_clear(&pub->reply);
    pub->all->n_up++;
    settle(pub);
    become_idle(pub);
}

static const struct bench_link_ops link_ops = {
    .on_open = on_open, .on_input = on_input, .on_end = on_end};

/* ---- when to post ---- */

static uint64_t due_at(const struct bench_pubs *p, uint64_t nth)
{
    return p->began_ns + (uint64_t)((double)nth / p->o->rate * NS_PER_S);
}

static void wake_at(struct bench_pubs *p, uint64_t ns)
{
    const struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)}};
    timerfd_settime(p->clock.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_clock(struct io *io, uint32_t events)
{
    uint64_t times;
    (void)events;
    if (read(io->fd, &times, sizeof(times)) < 0)
        return; /* it only wakes the loop: the pump runs at the turn's end */
}

/* The open loop: what is due is posted as soon as a publisher is free, and counts from when it was
 * due, however long that took. */
static void pump_by_rate(struct bench_pubs *p)
{
    uint64_t now_ns = bench_clock_ns();
    while (p->idle && p->result->publish.posted < p->due) {
        uint64_t due_ns = due_at(p, p->result->publish.posted);
        if (due_ns > now_ns) {
            wake_at(p, due_ns);
            return;
        }
        post(p, take_idle(p, &p->idle), due_ns, now_ns);
    }
}

/* Deliveries that are still to come. */
static uint64_t lag(const struct bench_pubs *p)
{
    uint64_t all = p->result->deliver.expected + p->under_way;
    uint64_t had = p->subs->received + p->written_off;
    return all > had ? all - had : 0;
}

/* The closed loop. A server that answers before it has sent would be driven into refusing pushes or
 * dropping subscribers: so publishers wait while too much is under way. */
static void pump_by_answers(struct bench_pubs *p)
{
    uint64_t each = p->subs->n_live / p->o->channels;
    uint64_t most = (uint64_t)p->o->max_lag * (each ? each : 1);
    while (p->idle && (!p->o->max_lag || lag(p) <= most)) {
        uint64_t now_ns = bench_clock_ns();
        post(p, take_idle(p, &p->idle), now_ns, now_ns);
    }
}

void bench_pubs_pump(struct bench_pubs *p)
{
    if (!p->posting)
        return;
    if (p->o->rate)
        pump_by_rate(p);
    else
        pump_by_answers(p);
}

/* ---- phases ---- */

void bench_pubs_begin(struct bench_pubs *p, uint32_t run, unsigned seconds)
{
    p->run = run;
    p->under_way = 0;
    p->written_off = 0;
    p->seen = 0;
    p->began_ns = p->seen_ns = p->last_post_ns = bench_clock_ns();
    p->due = (uint64_t)p->o->rate * seconds;
    p->result->publish.due = p->due;
    p->posting = true;
    if (p->o->rate)
        wake_at(p, p->began_ns);
}

void bench_pubs_stop(struct bench_pubs *p)
{
    p->posting = false;
    p->written_off = 0; /* from now on all of it is waited for */
    p->seen_ns = bench_clock_ns();
}

void bench_pubs_end(struct bench_pubs *p)
{
    for (unsigned i = 0; i < p->o->publishers; i++) {
        struct bench_pub *pub = &p->pubs[i];
        if (pub->state == BENCH_PUB_WAITS && pub->run == p->run)
            p->result->publish.unanswered++;
    }
    p->run = 0; /* an answer that comes now belongs to no phase */
}

bool bench_pubs_posted_all(const struct bench_pubs *p)
{
    return p->due && p->result->publish.posted == p->due;
}

bool bench_pubs_all_arrived(const struct bench_pubs *p)
{
    return !p->n_waiting && !lag(p);
}

uint64_t bench_pubs_down_ns(const struct bench_pubs *p, uint64_t now_ns)
{
    return p->n_up || now_ns < p->down_since_ns ? 0 : now_ns - p->down_since_ns;
}

uint64_t bench_pubs_silent_ns(struct bench_pubs *p, uint64_t now_ns)
{
    uint64_t progress = p->subs->received + p->result->publish.answers[200];
    if (p->seen != progress || bench_pubs_all_arrived(p)) {
        p->seen = progress;
        p->seen_ns = now_ns;
    }
    return now_ns > p->seen_ns ? now_ns - p->seen_ns : 0;
}

void bench_pubs_write_off(struct bench_pubs *p)
{
    p->written_off += lag(p);
}

/* ---- all of them ---- */

enum err bench_pubs_init(struct bench_pubs *p, const struct bench_options *o, struct bench_net *net,
                         struct bench_target *masters, unsigned n_masters, struct bench_subs *subs,
                         struct bench_result *result)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return ERR_SYS;
    *p = (struct bench_pubs){.o = o,
                             .net = net,
                             .masters = masters,
                             .n_masters = n_masters,
                             .subs = subs,
                             .result = result,
                             .clock = {.fn = on_clock, .fd = fd}};
    p->idle_end = &p->idle;
    if (loop_add(net->loop, &p->clock, EPOLLIN)) {
        close(fd);
        return ERR_SYS;
    }
    p->pubs = mem_zalloc(o->publishers * sizeof(*p->pubs));
    p->numbers = mem_zalloc((size_t)o->publishers * o->channels * sizeof(*p->numbers));
    for (unsigned i = 0; i < n_masters; i++)
        write_template(&p->templates[i], o, &masters[i]);
    for (unsigned i = 0; i < o->publishers; i++) {
        struct bench_pub *pub = &p->pubs[i];
        pub->all = p;
        pub->timer.fn = on_timer;
        bench_link_init(&pub->link, net, &masters[i % n_masters], &link_ops);
        bench_reply_init(&pub->reply, ANSWER_KEPT);
    }
    return ERR_OK;
}

void bench_pubs_fini(struct bench_pubs *p)
{
    for (unsigned i = 0; i < p->o->publishers; i++) {
        timer_stop(&p->net->loop->timers, &p->pubs[i].timer);
        bench_link_fini(&p->pubs[i].link);
        bench_reply_fini(&p->pubs[i].reply);
    }
    loop_remove(p->net->loop, &p->clock);
    close(p->clock.fd);
    for (unsigned i = 0; i < p->n_masters; i++) {
        buf_fini(&p->templates[i].before);
        buf_fini(&p->templates[i].behind);
    }
    buf_fini(&p->request);
    mem_free(p->pubs);
    mem_free(p->numbers);
}

void bench_pubs_open(struct bench_pubs *p)
{
    p->down_since_ns = bench_clock_ns();
    for (unsigned i = 0; i < p->o->publishers; i++)
        on_timer(&p->pubs[i].timer);
}

bool bench_pubs_settled(const struct bench_pubs *p)
{
    return p->n_settled == p->o->publishers;
}
