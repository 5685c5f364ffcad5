#include "cli/bench_subs.h"
#include <stdio.h>
#include <time.h>
#include "base/json.h"
#include "base/mem.h"
#include "cli/bench_mark.h"
#include "cli/client.h"

enum {
    TICKET_MAX = 96 * 1024,    /* it may be a JWT of 64 KiB */
    STORM_S = 60,              /* for all connections, and */
    STORM_CONNECTIONS_S = 200, /* a second more for so many */
    HOPELESS = 100,            /* failures without a success that end the opening */
    PACE_MS = 16,
};

uint64_t bench_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- one connection's end ---- */

static void free_handshake(struct bench_sub *sub)
{
    timer_stop(&sub->all->net->loop->timers, &sub->deadline);
    bench_reply_fini(&sub->reply);
}

/* It is over, before or after it was ready. */
static void lose(struct bench_sub *sub, enum bench_fault why, const char *what)
{
    struct bench_subs *s = sub->all;
    bool was_ready = sub->state == BENCH_SUB_READY;
    bench_link_close(&sub->link);
    bench_feed_fini(&sub->feed);
    free_handshake(sub);
    sub->state = BENCH_SUB_OVER;
    if (was_ready) {
        s->live[sub->channel]--;
        s->n_live--;
        bench_faults_add(&s->result->deliver.closed, why, what);
    } else {
        s->opening--;
        s->failed++;
        bench_faults_add(&s->result->connect.faults, why, what);
    }
}

static void on_end(struct bench_link *l, enum bench_fault why, const char *what)
{
    lose(container_of(l, struct bench_sub, link), why, what);
}

static void on_deadline(struct timer *t)
{
    static const char *const waits[] = {
        [BENCH_SUB_DIALLING] = "the connection was not accepted",
        [BENCH_SUB_AUTH] = "POST auth was not answered",
        [BENCH_SUB_HANDSHAKE] = "the handshake was not answered",
        [BENCH_SUB_SUBSCRIBE] = "the subscription was not answered",
    };
    struct bench_sub *sub = container_of(t, struct bench_sub, deadline);
    lose(sub, BENCH_FAULT_TIMEOUT, waits[sub->state]);
}

/* ---- what arrives on a subscriber that is ready ---- */

static void count(struct bench_sub *sub, const struct bench_mark *m, uint64_t now_ns)
{
    struct bench_subs *s = sub->all;
    if (m->channel != sub->channel || m->publisher >= s->o->publishers) {
        s->result->deliver.strange++;
        return;
    }
    struct bench_order *o = &s->order[(size_t)(sub - s->subs) * s->o->publishers + m->publisher];
    enum bench_arrival arrival = bench_order_take(o, m->number);
    if (arrival == BENCH_TWICE)
        s->result->deliver.duplicated++;
    else if (arrival == BENCH_LATE)
        s->result->deliver.out_of_order++;
    if (arrival == BENCH_TWICE || m->run != s->run)
        return;
    s->received++;
    s->last_ns = now_ns;
    bench_hist_add(&s->result->deliver.latency, now_ns > m->due_ns ? now_ns - m->due_ns : 0);
}

static void on_text(struct bench_sub *sub, const struct bench_frame *f, uint64_t now_ns)
{
    struct bench_mark m;
    struct bench_subs *s = sub->all;
    if (!bench_mark_find(f->head.p, f->head.len, &sub->hint, &m))
        s->result->deliver.strange++;
    else if (m.run - s->run + 1 <= 1) /* of this phase, or late from the one before */
        count(sub, &m, now_ns);
    else
        s->result->deliver.strange++;
}

static void on_close_frame(struct bench_sub *sub, const struct bench_frame *f)
{
    char what[160] = "no code";
    const unsigned char *p = (const unsigned char *)f->head.p;
    if (f->head.len >= 2)
        snprintf(what, sizeof(what), "%d %.*s", p[0] << 8 | p[1], (int)f->head.len - 2,
                 f->head.p + 2);
    lose(sub, BENCH_FAULT_CLOSED, what);
}

static void on_ping(struct bench_sub *sub, const struct bench_frame *f)
{
    struct buf out = BUF_INIT;
    if (client_add_frame(&out, WS_PONG, f->head) == ERR_OK)
        bench_link_send(&sub->link, buf_as_str(&out));
    buf_fini(&out);
}

/* ---- opening: the answers, one after the other ---- */

static void become_ready(struct bench_sub *sub)
{
    struct bench_subs *s = sub->all;
    uint64_t now_ns = bench_clock_ns();
    free_handshake(sub);
    sub->state = BENCH_SUB_READY;
    s->opening--;
    s->live[sub->channel]++;
    s->n_live++;
    s->last_ready_ns = now_ns;
    s->result->connect.ready++;
    bench_hist_add(&s->result->connect.took, now_ns - sub->began_ns);
}

/* A text while the subscription is not answered yet: messages of the channel may come first. */
static void on_answer(struct bench_sub *sub, const struct bench_frame *f, uint64_t now_ns)
{
    char text[128];
    if (memmem(f->head.p, f->head.len, "\"gusher.subscribe_succeeded\"", 28)) {
        become_ready(sub);
    } else if (memmem(f->head.p, f->head.len, "\"gusher.subscribe_error\"", 24)) {
        snprintf(text, sizeof(text), "%.*s", (int)f->head.len, f->head.p);
        lose(sub, BENCH_FAULT_SUBSCRIBE, text);
    } else {
        on_text(sub, f, now_ns);
    }
}

static void read_frames(struct bench_sub *sub, const char *p, size_t len)
{
    uint64_t now_ns = bench_clock_ns();
    struct bench_frame f;
    while (sub->state != BENCH_SUB_OVER) {
        enum err e = bench_feed_next(&sub->feed, &p, &len, &f);
        if (e == ERR_AGAIN)
            return;
        if (e)
            lose(sub, BENCH_FAULT_PROTOCOL, "a frame was malformed");
        else if (f.op == WS_PING)
            on_ping(sub, &f);
        else if (f.op == WS_CLOSE)
            on_close_frame(sub, &f);
        else if (f.op <= WS_BINARY && sub->state == BENCH_SUB_READY)
            on_text(sub, &f, now_ns);
        else if (f.op <= WS_BINARY)
            on_answer(sub, &f, now_ns);
    }
}

static void send_subscribe(struct bench_sub *sub)
{
    struct buf channel = BUF_INIT, out = BUF_INIT;
    buf_printf(&channel, "%s-%u", sub->all->o->channel, sub->channel);
    sub->state = BENCH_SUB_SUBSCRIBE;
    if (client_add_subscribe(&out, buf_as_str(&channel)) == ERR_OK)
        bench_link_send(&sub->link, buf_as_str(&out));
    else
        lose(sub, BENCH_FAULT_LOCAL, "no random numbers");
    buf_fini(&channel);
    buf_fini(&out);
}

static void send_handshake(struct bench_sub *sub, struct str token)
{
    struct buf out = BUF_INIT, path = BUF_INIT;
    const struct bench_target *t = sub->link.target;
    buf_printf(&path, "%s/ws/", t->path);
    client_add_escaped(&path, str_of(sub->all->o->app));
    client_add_handshake(&out, buf_as_str(&path), token, str_of(t->authority));
    sub->state = BENCH_SUB_HANDSHAKE;
    bench_link_send(&sub->link, buf_as_str(&out));
    buf_fini(&out);
    buf_fini(&path);
}

static struct str token_of(const struct bench_sub *sub)
{
    const struct bench_subs *s = sub->all;
    if (s->o->token)
        return str_of(s->o->token);
    return buf_as_str(&s->tokens->items[(size_t)(sub - s->subs) % s->tokens->n]);
}

static void send_auth(struct bench_sub *sub)
{
    struct buf body = BUF_INIT, out = BUF_INIT;
    buf_str(&body, STR("jwt="));
    client_add_escaped(&body, token_of(sub));
    buf_printf(&out,
               "POST %s/auth HTTP/1.1\r\nHost: %s\r\n"
               "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n",
               sub->link.target->path, sub->link.target->authority, body.len);
    buf_str(&out, buf_as_str(&body));
    sub->state = BENCH_SUB_AUTH;
    bench_link_send(&sub->link, buf_as_str(&out));
    buf_fini(&body);
    buf_fini(&out);
}

static void on_open(struct bench_link *l)
{
    struct bench_sub *sub = container_of(l, struct bench_sub, link);
    bench_reply_init(&sub->reply, TICKET_MAX);
    if (sub->all->o->use_tickets)
        send_auth(sub);
    else
        send_handshake(sub, token_of(sub));
}

static void on_ticket(struct bench_sub *sub)
{
    struct json answer, token;
    struct buf text = BUF_INIT;
    char what[128];
    bench_reply_describe(&sub->reply, what, sizeof(what));
    if (sub->reply.status != 200) {
        lose(sub, BENCH_FAULT_AUTH, what);
        return;
    }
    if (json_parse(&answer, buf_as_str(&sub->reply.body)) ||
        !json_get(answer, STR("token"), &token) || token.type != JSON_STRING) {
        lose(sub, BENCH_FAULT_AUTH, "the answer has no token");
    } else if (sub->reply.closes) {
        lose(sub, BENCH_FAULT_AUTH, "the server does not keep the connection open behind it");
    } else {
        send_handshake(sub, json_text(token, &text));
        bench_reply_clear(&sub->reply);
    }
    buf_fini(&text);
}

static void on_upgrade(struct bench_sub *sub)
{
    char what[128];
    bench_reply_describe(&sub->reply, what, sizeof(what));
    if (sub->reply.status != 101)
        lose(sub, BENCH_FAULT_HANDSHAKE, what);
    else if (!client_is_accepted(buf_as_str(&sub->reply.head)))
        lose(sub, BENCH_FAULT_PROTOCOL, "the handshake was accepted with a wrong key");
    else
        send_subscribe(sub);
}

static void on_input(struct bench_link *l, const char *p, size_t len)
{
    struct bench_sub *sub = container_of(l, struct bench_sub, link);
    while (sub->state == BENCH_SUB_AUTH || sub->state == BENCH_SUB_HANDSHAKE) {
        enum err e = bench_reply_read(&sub->reply, &p, &len);
        if (e == ERR_AGAIN)
            return;
        if (e)
            lose(sub, BENCH_FAULT_PROTOCOL, "the reply is not HTTP");
        else if (sub->state == BENCH_SUB_AUTH)
            on_ticket(sub);
        else
            on_upgrade(sub);
    }
    if (sub->state != BENCH_SUB_OVER)
        read_frames(sub, p, len);
}

static const struct bench_link_ops link_ops = {
    .on_open = on_open, .on_input = on_input, .on_end = on_end};

/* ---- all of them ---- */

static void on_pace(struct timer *t)
{
    (void)t; /* it only wakes the loop: the pump runs at the turn's end */
}

void bench_subs_init(struct bench_subs *s, const struct bench_options *o, struct bench_net *net,
                     struct bench_target *slaves, unsigned n_slaves,
                     const struct bench_tokens *tokens, struct bench_result *result)
{
    *s = (struct bench_subs){.o = o,
                             .tokens = tokens,
                             .net = net,
                             .slaves = slaves,
                             .n_slaves = n_slaves,
                             .result = result,
                             .pace = {.fn = on_pace}};
    s->subs = mem_zalloc(o->connections * sizeof(*s->subs));
    s->order = mem_zalloc((size_t)o->connections * o->publishers * sizeof(*s->order));
    s->live = mem_zalloc(o->channels * sizeof(*s->live));
    for (unsigned i = 0; i < o->connections; i++) {
        struct bench_sub *sub = &s->subs[i];
        sub->all = s;
        sub->channel = i % o->channels;
        sub->deadline.fn = on_deadline;
        bench_link_init(&sub->link, net, &slaves[i % n_slaves], &link_ops);
        bench_feed_init(&sub->feed);
    }
}

void bench_subs_fini(struct bench_subs *s)
{
    timer_stop(&s->net->loop->timers, &s->pace);
    for (unsigned i = 0; i < s->o->connections; i++) {
        timer_stop(&s->net->loop->timers, &s->subs[i].deadline);
        bench_link_fini(&s->subs[i].link);
        bench_feed_fini(&s->subs[i].feed);
        bench_reply_fini(&s->subs[i].reply);
    }
    mem_free(s->subs);
    mem_free(s->order);
    mem_free(s->live);
}

void bench_subs_open(struct bench_subs *s)
{
    uint64_t limit_s = STORM_S + s->o->connections / STORM_CONNECTIONS_S + s->o->connect_timeout_s;
    if (s->o->connect_rate)
        limit_s += s->o->connections / s->o->connect_rate;
    s->began_ns = s->last_ready_ns = bench_clock_ns();
    s->limit_ns = s->began_ns + limit_s * 1000000000u;
}

/* How many may have been begun by now. */
static unsigned allowed(const struct bench_subs *s, uint64_t now_ns)
{
    if (!s->o->connect_rate)
        return s->o->connections;
    double n = (double)(now_ns - s->began_ns) / 1e9 * s->o->connect_rate + 1;
    return n < s->o->connections ? (unsigned)n : s->o->connections;
}

static void open_one(struct bench_subs *s, uint64_t now_ns)
{
    struct bench_sub *sub = &s->subs[s->next++];
    struct loop *loop = s->net->loop;
    s->opening++;
    sub->began_ns = now_ns;
    sub->state = BENCH_SUB_DIALLING;
    timer_set(&loop->timers, &sub->deadline, loop_clock_ms() + s->o->connect_timeout_s * 1000);
    bench_link_dial(&sub->link);
}

void bench_subs_pump(struct bench_subs *s)
{
    if (s->next == s->o->connections)
        return;
    uint64_t now_ns = bench_clock_ns();
    unsigned until = allowed(s, now_ns);
    while (s->next < until && s->opening < s->o->parallel)
        open_one(s, now_ns);
    if (!s->result->connect.ready && s->failed >= HOPELESS)
        bench_subs_give_up(s, "none of the first could be opened");
    else if (now_ns > s->limit_ns)
        bench_subs_give_up(s, "opening took too long");
    else if (s->next < s->o->connections && s->opening < s->o->parallel)
        timer_set(&s->net->loop->timers, &s->pace, loop_clock_ms() + PACE_MS);
}

bool bench_subs_opened(const struct bench_subs *s)
{
    return s->next == s->o->connections && !s->opening;
}

void bench_subs_give_up(struct bench_subs *s, const char *why)
{
    for (unsigned i = 0; i < s->next; i++) {
        enum bench_sub_state state = s->subs[i].state;
        if (state != BENCH_SUB_READY && state != BENCH_SUB_OVER)
            lose(&s->subs[i], BENCH_FAULT_GIVEN_UP, why);
    }
    for (; s->next < s->o->connections; s->next++) {
        s->subs[s->next].state = BENCH_SUB_OVER;
        s->failed++;
        bench_faults_add(&s->result->connect.faults, BENCH_FAULT_GIVEN_UP, why);
    }
}

void bench_subs_begin(struct bench_subs *s, uint32_t run)
{
    s->run = run;
    s->received = 0;
    s->last_ns = 0;
}
