/* nats.c - a sink that publishes to gusher.remote.<app>.<remote> on NATS.
 *
 * Where there is JetStream, a stream holds the jobs until workers take them, and only its ack is a
 * success. Where there is none, a job is a success when the server has read it and did not say that
 * nobody listens. */
#include <stdio.h>
#include "base/mem.h"
#include "base/slots.h"
#include "base/subject.h"
#include "remote/backend.h"
#include "remote/nats_hand.h"

enum {
    LOOK_AGAIN_MS = 500,  /* when it did not become clear what there is */
    LOOK_PAUSE_MS = 1000, /* between looks for a stream that does not answer */
    OPEN_AGAIN_MS = 1000, /* when cnats gave up: it has waited before */
    UNACKED_MAX = 4096,
};

struct nats {
    struct remote_sink *sink;
    struct nats_hand *hand;
    bool hand_busy; /* one order at a time */
    bool is_open;
    enum nats_found found; /* jobs are sent unless it is NATS_FOUND_UNSURE */
    bool to_stream;        /* what is sent waits for an ack */
    int64_t looked_ms;
    struct timer again, due; /* `again`: no order to open or look before */
    struct remote_jobs waiting, sent;
    struct slots slots; /* of the sent */
};

/* ---- jobs ---- */

static void end_sent(struct nats *n, struct remote_job *job, enum err e)
{
    slots_remove(&n->slots, job->slot);
    remote_jobs_remove(&n->sent, job);
    remote_finish(n->sink, job, e);
}

/* What became of everything that is under way is unknown from now on. */
static void end_all_sent(struct nats *n)
{
    while (n->sent.first)
        end_sent(n, n->sent.first, ERR_AWAY);
}

static void put_into(struct nats *n, struct nats_batch *b, struct remote_job *job)
{
    struct nats_item *item = &b->items[b->n++];
    item->subject_at = b->text.len;
    buf_str(&b->text, STR(NATS_SUBJECT "."));
    subject_token(&b->text, job->app);
    buf_char(&b->text, '.');
    subject_token(&b->text, job->remote);
    buf_char(&b->text, 0);
    item->body_at = b->text.len;
    remote_body(&b->text, job, false);
    item->body_len = b->text.len - item->body_at;
    item->slot = job->slot = slots_add(&n->slots, job);
    job->due_ms = n->sink->loop.now_ms + n->sink->answer_ms;
    remote_jobs_add(&n->sent, job);
}

static void send_some(struct nats *n)
{
    if (n->sent.n >= UNACKED_MAX)
        return;
    n->to_stream = n->found == NATS_FOUND_STREAM;
    struct nats_batch *b = nats_batch_new(n->to_stream);
    while (n->waiting.first && b->n < NATS_BATCH_MAX && b->text.len < NATS_BATCH_BYTES)
        put_into(n, b, remote_jobs_take(&n->waiting));
    n->hand_busy = true;
    nats_hand_send(n->hand, b);
}

static void take(struct remote_sink *s, struct remote_job *job)
{
    struct nats *n = s->own;
    job->due_ms = job->since_ms + s->wait_ms;
    remote_jobs_add(&n->waiting, job);
}

static void on_due(struct timer *t)
{
    struct nats *n = container_of(t, struct nats, due);
    struct remote_sink *s = n->sink;
    remote_jobs_expire(s, &n->waiting);
    while (n->sent.first && n->sent.first->due_ms <= s->loop.now_ms) {
        remote_complain(s, "remote_late", STR("no_answer"));
        end_sent(n, n->sent.first, ERR_TIMEOUT);
    }
}

/* ---- what the hand should do next ---- */

static void wait_before_next(struct nats *n, int64_t ms)
{
    timer_set(&n->sink->loop.timers, &n->again, n->sink->loop.now_ms + ms);
}

static void on_again(struct timer *t)
{
    (void)t; /* the turn's end sees that it is not set any more */
}

static void turn(struct remote_sink *s)
{
    struct nats *n = s->own;
    bool may_order = !n->hand_busy && !timer_is_set(&n->again);
    if (!n->hand_busy && n->is_open && n->found != NATS_FOUND_UNSURE) {
        if (n->waiting.first)
            send_some(n);
    } else if (may_order && !n->is_open) {
        n->hand_busy = true;
        nats_hand_open(n->hand);
    } else if (may_order) {
        n->hand_busy = true;
        n->looked_ms = s->loop.now_ms;
        nats_hand_look(n->hand);
    }
    remote_jobs_watch(s, &n->due, &n->waiting, &n->sent);
}

/* ---- news ---- */

static void on_looked(struct nats *n, const struct nats_news *news)
{
    n->hand_busy = false;
    if (news->found == NATS_FOUND_UNSURE) {
        remote_away(n->sink, news->why, news->code);
        wait_before_next(n, LOOK_AGAIN_MS);
    } else if (n->found != news->found) {
        remote_connected(n->sink, news->found == NATS_FOUND_STREAM ? "nats with a stream" : "nats");
    }
    n->found = news->found;
}

static void on_sent(struct nats *n, struct nats_batch *b)
{
    struct remote_sink *s = n->sink;
    n->hand_busy = false;
    /* From the last to the first: what was not sent goes back to the front, in its order. */
    for (unsigned i = b->n; i-- > 0;) {
        struct nats_item *item = &b->items[i];
        struct remote_job *job = slots_get(&n->slots, item->slot);
        if (!job)
            continue; /* refused, answered or timed out meanwhile */
        if (item->fate == NATS_UNSENT) {
            slots_remove(&n->slots, job->slot);
            remote_jobs_remove(&n->sent, job);
            job->due_ms = job->since_ms + s->wait_ms;
            remote_jobs_add_first(&n->waiting, job);
            n->found = NATS_FOUND_UNSURE;
        } else if (item->fate == NATS_TOO_LARGE) {
            remote_complain(s, "remote_nats_failed", STR("max_payload"));
            end_sent(n, job, ERR_LIMIT);
        } else if (item->fate == NATS_BROKEN) {
            end_sent(n, job, ERR_AWAY);
        } else if (!b->to_stream) {
            end_sent(n, job, b->flushed ? ERR_OK : ERR_AWAY);
        }
    }
    if (n->found == NATS_FOUND_UNSURE && !timer_is_set(&n->again))
        wait_before_next(n, LOOK_AGAIN_MS);
    nats_batch_free(b);
}

static void on_reply(struct nats *n, uint64_t slot, enum nats_reply reply)
{
    struct remote_sink *s = n->sink;
    struct remote_job *job = slots_get(&n->slots, slot);
    if (!job)
        return;
    if (reply == NATS_REPLY_NOBODY) {
        remote_complain(s, "remote_nats_failed", STR("no_responders"));
        end_sent(n, job, ERR_NOT_FOUND);
        /* Someone may have removed the stream. */
        if (n->to_stream && s->loop.now_ms - n->looked_ms > LOOK_PAUSE_MS)
            n->found = NATS_FOUND_UNSURE;
    } else if (!n->to_stream || reply == NATS_REPLY_ACK) {
        end_sent(n, job, ERR_OK);
    } else if (reply == NATS_REPLY_ERROR) {
        remote_complain(s, "remote_nats_failed", STR("stream"));
        end_sent(n, job, ERR_SYS);
    }
}

static void read_news(struct remote_sink *s, struct remote_note *note)
{
    struct nats *n = s->own;
    struct nats_news *news = container_of(note, struct nats_news, note);
    if (!n->hand) { /* all jobs are back, and what is told is our own leaving */
        nats_batch_free(news->batch);
        mem_free(news);
        return;
    }
    switch (news->event) {
    case NATS_EVENT_OPENED:
        n->hand_busy = false;
        n->is_open = news->ok;
        if (!news->ok)
            remote_away(s, news->why, news->code);
        wait_before_next(n, n->is_open ? LOOK_AGAIN_MS : OPEN_AGAIN_MS); /* or until it is up */
        break;
    case NATS_EVENT_SHUT:
        if (!n->is_open)
            break;
        remote_away(s, news->why, 0);
        n->is_open = false;
        n->found = NATS_FOUND_UNSURE;
        end_all_sent(n);
        wait_before_next(n, OPEN_AGAIN_MS);
        break;
    case NATS_EVENT_UP:
        n->found = NATS_FOUND_UNSURE;
        timer_stop(&s->loop.timers, &n->again);
        break;
    case NATS_EVENT_DOWN:
        n->found = NATS_FOUND_UNSURE;
        remote_away(s, "disconnected", 0);
        end_all_sent(n);
        wait_before_next(n, LOOK_AGAIN_MS);
        break;
    case NATS_EVENT_LOOKED:
        on_looked(n, news);
        break;
    case NATS_EVENT_SENT:
        on_sent(n, news->batch);
        break;
    case NATS_EVENT_REPLY:
        on_reply(n, news->slot, news->reply);
        break;
    }
    mem_free(news);
}

/* ---- beginning and end ---- */

static enum err open_nats(struct remote_sink *s, const struct remote_options *o, char *why,
                          size_t why_len)
{
    struct nats_hand *hand;
    enum err e = ERR_OK;
    unsigned n_servers = 0;
    for (struct str rest = str_of(o->url); rest.len && !e; n_servers++) {
        struct str one = str_trim(str_cut(&rest, ','));
        size_t scheme = str_starts(one, STR("nats://"))  ? 7
                        : str_starts(one, STR("tls://")) ? 6
                                                         : 0;
        if (!scheme || one.len == scheme || n_servers == NATS_SERVERS_MAX)
            e = ERR_PROTO;
    }
    if (!e)
        e = nats_hand_new(&hand, s->inbox, o->url, o->nats_creds, o->nats_ca);
    if (e) {
        snprintf(why, why_len,
                 "NATS addresses look like nats://HOST:PORT or tls://HOST:PORT, with commas "
                 "between them");
        return e;
    }
    struct nats *n = mem_zalloc(sizeof(*n));
    n->sink = s;
    n->hand = hand;
    n->again.fn = on_again;
    n->due.fn = on_due;
    slots_init(&n->slots);
    s->own = n;
    return ERR_OK;
}

static void start(struct remote_sink *s)
{
    (void)s; /* the end of the first turn gives the first order */
}

static void stop(struct remote_sink *s)
{
    struct nats *n = s->own;
    nats_hand_free(n->hand);
    n->hand = NULL;
    end_all_sent(n);
    for (struct remote_job *job; (job = remote_jobs_take(&n->waiting));)
        remote_finish(s, job, ERR_AWAY);
}

static void close_nats(struct remote_sink *s)
{
    struct nats *n = s->own;
    nats_hand_free(n->hand);
    slots_fini(&n->slots);
    mem_free(n);
    s->own = NULL;
}

const struct remote_backend remote_nats = {
    .open = open_nats,
    .start = start,
    .take = take,
    .news = read_news,
    .turn = turn,
    .stop = stop,
    .close = close_nats,
};
