#include "remote/nats_hand.h"
#include <assert.h>
#include <limits.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/deadline.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define LOG_AREA LOG_REMOTE

enum {
    PING_MS = 10000,
    CLOSE_WAIT_MS = 5000, /* for callbacks under way; beyond that the memory is left to them */
    REPLY_SUBJECT_MAX = 128,
};

enum order { ORDER_NONE, ORDER_OPEN, ORDER_LOOK, ORDER_SEND, ORDER_STOP };

struct nats_hand {
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    enum order order;
    bool stopping;
    struct nats_batch *batch;
    struct inbox *news; /* NULL: nobody reads any more */
    unsigned n_users;   /* callbacks that may still come: the connection's and the subscription's */
    int64_t n_replies;  /* read by on_reply, from `replies` */
    natsSubscription *replies;

    /* The hand's own. */
    natsOptions *options;
    natsConnection *nc;
    jsCtx *js;
    natsInbox *inbox;     /* the first part of the subjects of replies */
    double clock_ahead_s; /* at its last look */
};

/* ---- news ---- */

static void tell_locked(struct nats_hand *h, struct nats_news news)
{
    if (!h->news)
        return;
    struct nats_news *n = mem_alloc(sizeof(*n));
    *n = news;
    n->note.kind = REMOTE_NEWS;
    inbox_post_always(h->news, &n->note.letter);
}

static void tell(struct nats_hand *h, struct nats_news news)
{
    pthread_mutex_lock(&h->lock);
    tell_locked(h, news);
    pthread_mutex_unlock(&h->lock);
}

static void add_user(struct nats_hand *h)
{
    pthread_mutex_lock(&h->lock);
    h->n_users++;
    pthread_mutex_unlock(&h->lock);
}

static void drop_user(void *closure)
{
    struct nats_hand *h = closure;
    pthread_mutex_lock(&h->lock);
    h->n_users--;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

/* ---- cnats's callbacks, on its threads ---- */

static void on_up(natsConnection *nc, void *closure)
{
    (void)nc;
    tell(closure, (struct nats_news){.event = NATS_EVENT_UP});
}

static void on_down(natsConnection *nc, void *closure)
{
    (void)nc;
    tell(closure, (struct nats_news){.event = NATS_EVENT_DOWN});
}

/* What went wrong last, without cnats's own words about it: they may name an address. */
static const char *last_error(natsConnection *nc)
{
    const char *text;
    natsStatus s = natsConnection_GetLastError(nc, &text);
    return s == NATS_OK ? "cannot connect" : natsStatus_GetText(s);
}

/* The last callback of a connection. */
static void on_closed(natsConnection *nc, void *closure)
{
    tell(closure, (struct nats_news){.event = NATS_EVENT_SHUT, .why = last_error(nc)});
    drop_user(closure);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure)
{
    (void)nc;
    (void)sub;
    (void)closure;
    LOG(LOG_WARN, "remote_nats_error", LOG_CSTR("error", natsStatus_GetText(s)));
}

static int64_t backoff_ms(natsConnection *nc, int attempts, void *closure)
{
    (void)nc;
    (void)closure;
    return remote_backoff_ms(attempts > 0 ? (unsigned)attempts : 0, REMOTE_BACKOFF_MIN_MS,
                             REMOTE_BACKOFF_MAX_MS);
}

/* A stream answers {"stream":..,"seq":..} or {"error":{..}}. */
static enum nats_reply judge(natsMsg *msg)
{
    struct json answer, member;
    if (natsMsg_IsNoResponders(msg))
        return NATS_REPLY_NOBODY;
    struct str text = str_make(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    if (!text.len || json_parse(&answer, text))
        return NATS_REPLY_OTHER;
    if (json_get(answer, STR("error"), &member) && member.type == JSON_OBJECT)
        return NATS_REPLY_ERROR;
    if (json_get(answer, STR("stream"), &member) && json_get(answer, STR("seq"), &member))
        return NATS_REPLY_ACK;
    return NATS_REPLY_OTHER;
}

static void on_reply(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    struct nats_hand *h = closure;
    (void)nc;
    if (!msg)
        return;
    const char *last = strrchr(natsMsg_GetSubject(msg), '.');
    struct nats_news news = {.event = NATS_EVENT_REPLY,
                             .slot = last ? strtoull(last + 1, NULL, 16) : 0,
                             .reply = judge(msg)};
    natsMsg_Destroy(msg);
    pthread_mutex_lock(&h->lock);
    tell_locked(h, news);
    if (sub == h->replies) {
        h->n_replies++;
        pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
}

/* ---- opening ---- */

/* Waits until no callback can come any more; false: it took too long. */
static bool wait_for_users(struct nats_hand *h)
{
    const struct timespec until = deadline_in_ms(CLOSE_WAIT_MS);
    pthread_mutex_lock(&h->lock);
    for (int r = 0; h->n_users && r == 0;)
        r = pthread_cond_timedwait(&h->changed, &h->lock, &until);
    bool none = h->n_users == 0;
    pthread_mutex_unlock(&h->lock);
    return none;
}

static bool shut(struct nats_hand *h)
{
    if (!h->nc)
        return true;
    natsConnection_Close(h->nc);
    bool is_over = wait_for_users(h);
    pthread_mutex_lock(&h->lock);
    natsSubscription *replies = h->replies;
    h->replies = NULL;
    pthread_mutex_unlock(&h->lock);
    natsSubscription_Destroy(replies);
    jsCtx_Destroy(h->js);
    natsConnection_Destroy(h->nc);
    h->js = NULL;
    h->nc = NULL;
    return is_over;
}

static natsStatus listen_for_replies(struct nats_hand *h)
{
    char subject[REPLY_SUBJECT_MAX];
    natsSubscription *sub;
    snprintf(subject, sizeof(subject), "%s.*", h->inbox);
    natsStatus s = natsConnection_Subscribe(&sub, h->nc, subject, on_reply, h);
    if (s != NATS_OK)
        return s;
    add_user(h);
    if (natsSubscription_SetOnCompleteCB(sub, drop_user, h) != NATS_OK)
        drop_user(h); /* it is over already */
    pthread_mutex_lock(&h->lock);
    h->replies = sub;
    h->n_replies = 0;
    pthread_mutex_unlock(&h->lock);
    /* A refusal that was dropped would make a success of it. */
    return natsSubscription_SetPendingLimits(sub, -1, -1);
}

static void open_connection(struct nats_hand *h)
{
    jsOptions js_options;
    jsOptions_Init(&js_options);
    js_options.Wait = NATS_CALL_MS;
    shut(h);
    h->clock_ahead_s = deadline_wall_ahead_s();
    add_user(h); /* until on_closed */
    natsStatus s = natsConnection_Connect(&h->nc, h->options);
    if (s != NATS_OK && s != NATS_NOT_YET_CONNECTED) {
        h->nc = NULL;
        drop_user(h);
    } else {
        bool is_up = s == NATS_OK;
        s = listen_for_replies(h);
        if (s == NATS_OK)
            s = natsConnection_JetStream(&h->js, h->nc, &js_options);
        if (s == NATS_OK) {
            tell(h, (struct nats_news){.event = NATS_EVENT_OPENED, .ok = true});
            if (is_up)
                tell(h, (struct nats_news){.event = NATS_EVENT_UP});
            return;
        }
        shut(h);
    }
    tell(h, (struct nats_news){.event = NATS_EVENT_OPENED, .why = natsStatus_GetText(s)});
}

/* ---- looking for JetStream ---- */

static struct nats_news found(enum nats_found what)
{
    return (struct nats_news){.event = NATS_EVENT_LOOKED, .found = what};
}

static struct nats_news unsure(const char *why, int code)
{
    struct nats_news news = found(NATS_FOUND_UNSURE);
    news.why = why;
    news.code = code;
    return news;
}

static struct nats_news ensure_stream(struct nats_hand *h)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus s = js_GetStreamInfo(&info, h->js, NATS_STREAM, NULL, &code);
    jsStreamInfo_Destroy(info);
    if (s == NATS_OK)
        return found(NATS_FOUND_STREAM);
    if (s != NATS_NOT_FOUND && code != JSStreamNotFoundErr)
        return unsure("JetStream does not say whether there is a stream", (int)code);
    const char *subjects[] = {NATS_SUBJECT ".>"};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = NATS_STREAM;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_WorkQueuePolicy;
    config.Storage = js_FileStorage;
    code = 0;
    s = js_AddStream(NULL, h->js, &config, NULL, &code);
    if (s == NATS_OK)
        LOG(LOG_INFO, "remote_nats_stream_made", LOG_CSTR("stream", NATS_STREAM));
    /* Another node was faster, or the operator has a stream for this subject: it serves so. */
    if (s == NATS_OK || code == JSStreamNameExistErr || code == JSStreamSubjectOverlapErr)
        return found(NATS_FOUND_STREAM);
    return unsure("JetStream does not make the stream", (int)code);
}

/* cnats waits by the wall clock for its next try to connect: stepped back, for as long as that. */
static void look_at_clock(struct nats_hand *h)
{
    double ahead_s = deadline_wall_ahead_s();
    bool stepped_back = ahead_s < h->clock_ahead_s - DEADLINE_STEP_S;
    h->clock_ahead_s = ahead_s;
    if (stepped_back && natsConnection_Status(h->nc) != NATS_CONN_STATUS_CONNECTED)
        natsConnection_Close(h->nc);
}

/* Only a definite no makes a plain server of it: taking silence for a no would turn promises of a
 * stream into hopes, without anyone noticing. */
static struct nats_news look(struct nats_hand *h)
{
    if (!h->nc)
        return unsure("not open", 0);
    look_at_clock(h);
    /* The news of it may have come before those of its opening. */
    if (natsConnection_IsClosed(h->nc))
        tell(h, (struct nats_news){.event = NATS_EVENT_SHUT, .why = last_error(h->nc)});
    if (natsConnection_Status(h->nc) != NATS_CONN_STATUS_CONNECTED)
        return unsure(last_error(h->nc), 0);
    jsAccountInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus s = js_GetAccountInfo(&info, h->js, NULL, &code);
    jsAccountInfo_Destroy(info);
    if (s == NATS_OK)
        return ensure_stream(h);
    if (s == NATS_NO_RESPONDERS || code == JSNotEnabledErr || code == JSNotEnabledForAccountErr)
        return found(NATS_FOUND_PLAIN);
    return unsure("the server does not say whether there is JetStream", (int)code);
}

/* ---- sending ---- */

static uint64_t count_reconnects(struct nats_hand *h)
{
    natsStatistics *stats;
    uint64_t n = 0;
    if (natsStatistics_Create(&stats) != NATS_OK)
        return 0;
    natsConnection_GetStats(h->nc, stats);
    natsStatistics_GetCounts(stats, NULL, NULL, NULL, NULL, &n);
    natsStatistics_Destroy(stats);
    return n;
}

/* A refusal is read from the socket before the PONG, but handed to on_reply by another thread than
 * this one: waits until that has told all that was read by now. */
static bool wait_for_refusals(struct nats_hand *h)
{
    int pending = 0;
    int64_t delivered = 0;
    if (natsSubscription_GetStats(h->replies, &pending, NULL, NULL, NULL, &delivered, NULL))
        return false;
    const struct timespec until = deadline_in_ms(NATS_CALL_MS);
    pthread_mutex_lock(&h->lock);
    for (int r = 0; h->n_replies < delivered + pending && r == 0;)
        r = pthread_cond_timedwait(&h->changed, &h->lock, &until);
    bool all = h->n_replies >= delivered + pending;
    pthread_mutex_unlock(&h->lock);
    return all;
}

static enum nats_fate send_item(struct nats_hand *h, struct nats_batch *b, struct nats_item *item)
{
    char reply[REPLY_SUBJECT_MAX];
    snprintf(reply, sizeof(reply), "%s.%llx", h->inbox, (unsigned long long)item->slot);
    natsStatus s = natsConnection_PublishRequest(h->nc, b->text.p + item->subject_at, reply,
                                                 b->text.p + item->body_at, (int)item->body_len);
    if (s == NATS_OK)
        return NATS_SENT;
    return s == NATS_MAX_PAYLOAD ? NATS_TOO_LARGE : NATS_BROKEN;
}

static void send_batch(struct nats_hand *h, struct nats_batch *b)
{
    uint64_t before = h->nc ? count_reconnects(h) : 0;
    bool sent = false;
    for (unsigned i = 0; i < b->n; i++) {
        /* cnats keeps what is published while it is away; we let it wait where it can time out. */
        if (!h->nc || natsConnection_Status(h->nc) != NATS_CONN_STATUS_CONNECTED)
            break;
        b->items[i].fate = send_item(h, b, &b->items[i]);
        sent |= b->items[i].fate == NATS_SENT;
    }
    /* A PONG of the next connection says nothing about what was written to the last one. */
    if (!b->to_stream && sent)
        b->flushed = natsConnection_FlushTimeout(h->nc, NATS_CALL_MS) == NATS_OK &&
                     count_reconnects(h) == before && wait_for_refusals(h);
    tell(h, (struct nats_news){.event = NATS_EVENT_SENT, .batch = b});
}

struct nats_batch *nats_batch_new(bool to_stream)
{
    struct nats_batch *b = mem_zalloc(sizeof(*b));
    b->to_stream = to_stream;
    return b;
}

void nats_batch_free(struct nats_batch *b)
{
    if (!b)
        return;
    buf_fini(&b->text);
    mem_free(b);
}

/* ---- the thread ---- */

static enum order next_order(struct nats_hand *h, struct nats_batch **batch)
{
    pthread_mutex_lock(&h->lock);
    while (h->order == ORDER_NONE && !h->stopping)
        pthread_cond_wait(&h->changed, &h->lock);
    enum order order = h->stopping ? ORDER_STOP : h->order;
    if (!h->stopping) {
        *batch = h->batch;
        h->batch = NULL;
    }
    h->order = ORDER_NONE;
    pthread_mutex_unlock(&h->lock);
    return order;
}

static void *run(void *arg)
{
    struct nats_hand *h = arg;
    for (;;) {
        struct nats_batch *batch = NULL;
        switch (next_order(h, &batch)) {
        case ORDER_OPEN:
            open_connection(h);
            break;
        case ORDER_LOOK:
            tell(h, look(h));
            break;
        case ORDER_SEND:
            send_batch(h, batch);
            break;
        case ORDER_STOP:
            return NULL;
        case ORDER_NONE:
            break;
        }
    }
}

static void give(struct nats_hand *h, enum order order, struct nats_batch *batch)
{
    pthread_mutex_lock(&h->lock);
    assert(h->order == ORDER_NONE);
    h->order = order;
    h->batch = batch;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void nats_hand_open(struct nats_hand *h)
{
    give(h, ORDER_OPEN, NULL);
}

void nats_hand_look(struct nats_hand *h)
{
    give(h, ORDER_LOOK, NULL);
}

void nats_hand_send(struct nats_hand *h, struct nats_batch *batch)
{
    give(h, ORDER_SEND, batch);
}

/* ---- beginning and end ---- */

static natsStatus set_servers(struct nats_hand *h, const char *servers)
{
    char *text = mem_alloc(strlen(servers) + 1), *at = text;
    const char *list[NATS_SERVERS_MAX];
    int n = 0;
    for (struct str rest = str_of(servers); rest.len && n < NATS_SERVERS_MAX;) {
        struct str one = str_trim(str_cut(&rest, ','));
        memcpy(at, one.p, one.len);
        at[one.len] = 0; /* where the comma was, at the latest */
        list[n++] = at;
        at += one.len + 1;
    }
    natsStatus s = natsOptions_SetServers(h->options, list, n);
    mem_free(text);
    return s;
}

static natsStatus set_options(struct nats_hand *h, const char *servers, const char *creds,
                              const char *ca)
{
    natsStatus s = set_servers(h, servers);
    if (s == NATS_OK && creds)
        s = natsOptions_SetUserCredentialsFromFiles(h->options, creds, NULL);
    if (s == NATS_OK && ca)
        s = natsOptions_LoadCATrustedCertificates(h->options, ca);
    if (s == NATS_OK && strstr(servers, "tls://"))
        s = natsOptions_SetSecure(h->options, true);
    if (s != NATS_OK)
        return s;
    natsOptions_SetName(h->options, "gusher remote");
    natsOptions_SetTimeout(h->options, NATS_CALL_MS);
    natsOptions_SetWriteDeadline(h->options, NATS_CALL_MS);
    natsOptions_SetMaxReconnect(h->options, INT_MAX);
    natsOptions_SetCustomReconnectDelay(h->options, backoff_ms, h);
    natsOptions_SetRetryOnFailedConnect(h->options, true, on_up, h);
    natsOptions_SetReconnectedCB(h->options, on_up, h);
    natsOptions_SetDisconnectedCB(h->options, on_down, h);
    natsOptions_SetClosedCB(h->options, on_closed, h);
    natsOptions_SetErrorHandler(h->options, on_error, h);
    natsOptions_SetPingInterval(h->options, PING_MS);
    return natsOptions_SetMaxPingsOut(h->options, 1);
}

static void release(struct nats_hand *h)
{
    natsInbox_Destroy(h->inbox);
    natsOptions_Destroy(h->options);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    nats_batch_free(h->batch);
    mem_free(h);
}

enum err nats_hand_new(struct nats_hand **out, struct inbox *news, const char *servers,
                       const char *creds, const char *ca)
{
    struct nats_hand *h = mem_zalloc(sizeof(*h));
    h->news = news;
    pthread_mutex_init(&h->lock, NULL);
    deadline_cond_init(&h->changed);
    natsStatus s = natsOptions_Create(&h->options);
    if (s == NATS_OK)
        s = natsInbox_Create(&h->inbox);
    if (s == NATS_OK)
        s = set_options(h, servers, creds, ca);
    if (s != NATS_OK || pthread_create(&h->thread, NULL, run, h)) {
        release(h);
        return s != NATS_OK ? ERR_PROTO : ERR_SYS;
    }
    *out = h;
    return ERR_OK;
}

void nats_hand_free(struct nats_hand *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    bool is_over = shut(h);
    pthread_mutex_lock(&h->lock);
    h->news = NULL;
    pthread_mutex_unlock(&h->lock);
    if (is_over)
        release(h);
}
