/* http.c - a sink that POSTs to an HTTP endpoint, by libcurl's multi interface.
 *
 * Each request that is under way holds one of REMOTE_HTTP_PARALLEL lanes, also while it waits to be
 * tried again: an endpoint that is down is asked by few, and the rest keeps its order. */
#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include "base/log.h"
#include "base/mem.h"
#include "remote/backend.h"

enum {
    AGAIN_MIN_MS = 200,
    AGAIN_MAX_MS = 3200,
    REPLY_BYTES_MAX = 64 << 10, /* read and thrown away; more ends the connection */
    HEADER_MAX = 64,
};

struct http;

struct lane { /* one request */
    struct http *http;
    struct remote_job *job; /* NULL: free */
    CURL *easy;             /* NULL: waits for `again` */
    struct buf body;
    struct curl_slist *headers;
    size_t reply_bytes;
    unsigned attempt;
    struct timer again;
};

struct watched { /* a socket of curl's */
    struct io io;
    struct http *http;
    struct watched *next; /* to be freed at the turn's end */
};

struct http {
    struct remote_sink *sink;
    char *url;
    CURLM *multi;
    struct timer curl_timer, due;
    bool curl_is_due; /* it wants to be called, but not from within its own call */
    struct watched *ended;
    struct remote_jobs waiting;
    unsigned n_busy;
    struct lane lanes[REMOTE_HTTP_PARALLEL];
};

/* ---- curl's events on our loop ---- */

static void look_for_ends(struct http *h);

static void act(struct http *h, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(h->multi, fd, what, &running);
    look_for_ends(h);
}

static void on_io(struct io *io, uint32_t events)
{
    struct watched *w = container_of(io, struct watched, io);
    int what =
        (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
    if (events & (EPOLLERR | EPOLLHUP))
        what |= CURL_CSELECT_ERR;
    act(w->http, io->fd, what);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *of_socket)
{
    struct http *h = ctx;
    struct watched *w = of_socket;
    struct loop *l = &h->sink->loop;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            loop_remove(l, &w->io);
            w->next = h->ended;
            h->ended = w;
            curl_multi_assign(h->multi, fd, NULL);
        }
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (w) {
        loop_change(l, &w->io, events);
        return 0;
    }
    w = mem_zalloc(sizeof(*w));
    w->http = h;
    w->io = (struct io){.fn = on_io, .fd = fd};
    if (loop_add(l, &w->io, events)) {
        mem_free(w);
        return -1;
    }
    curl_multi_assign(h->multi, fd, w);
    return 0;
}

static int on_curl_wants_time(CURLM *multi, long wait_ms, void *ctx)
{
    struct http *h = ctx;
    struct loop *l = &h->sink->loop;
    (void)multi;
    h->curl_is_due = wait_ms == 0;
    if (wait_ms > 0)
        timer_set(&l->timers, &h->curl_timer, l->now_ms + wait_ms);
    else
        timer_stop(&l->timers, &h->curl_timer);
    return 0;
}

static void on_curl_timer(struct timer *t)
{
    act(container_of(t, struct http, curl_timer), CURL_SOCKET_TIMEOUT, 0);
}

static void free_ended(struct http *h)
{
    for (struct watched *w = h->ended, *next; w; w = next) {
        next = w->next;
        mem_free(w);
    }
    h->ended = NULL;
}

/* ---- one request ---- */

static size_t on_reply_bytes(char *bytes, size_t one, size_t len, void *ctx)
{
    struct lane *lane = ctx;
    (void)bytes;
    (void)one;
    lane->reply_bytes += len;
    return lane->reply_bytes > REPLY_BYTES_MAX ? 0 : len;
}

static void drop_easy(struct lane *lane)
{
    if (!lane->easy)
        return;
    curl_multi_remove_handle(lane->http->multi, lane->easy);
    curl_easy_cleanup(lane->easy);
    lane->easy = NULL;
}

static void finish(struct lane *lane, enum err e)
{
    struct remote_sink *s = lane->http->sink;
    struct remote_job *job = lane->job;
    drop_easy(lane);
    timer_stop(&s->loop.timers, &lane->again);
    curl_slist_free_all(lane->headers);
    buf_fini(&lane->body);
    lane->headers = NULL;
    lane->job = NULL;
    lane->http->n_busy--;
    remote_finish(s, job, e);
}

static void attempt(struct lane *lane)
{
    struct http *h = lane->http;
    struct remote_sink *s = h->sink;
    int64_t left_ms = lane->job->due_ms - s->loop.now_ms;
    if (left_ms <= 0) {
        remote_complain(s, "remote_late", STR("timeout"));
        finish(lane, ERR_TIMEOUT);
        return;
    }
    CURL *easy = curl_easy_init();
    if (!easy) {
        finish(lane, ERR_SYS);
        return;
    }
    lane->easy = easy;
    lane->reply_bytes = 0;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_URL, h->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, lane);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)lane->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, lane->body.p); /* not copied */
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lane->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "gusher/" GUSHER_VERSION);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)REMOTE_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, lane);
    CURLMcode added = curl_multi_add_handle(h->multi, easy);
    assert(added == CURLM_OK);
    (void)added;
}

static void on_again(struct timer *t)
{
    attempt(container_of(t, struct lane, again));
}

/* After `wait_ms`, unless the job's time is over before. */
static void try_again(struct lane *lane, int64_t wait_ms)
{
    struct loop *l = &lane->http->sink->loop;
    int64_t backoff = remote_backoff_ms(lane->attempt++, AGAIN_MIN_MS, AGAIN_MAX_MS);
    if (wait_ms < backoff)
        wait_ms = backoff;
    if (l->now_ms + wait_ms >= lane->job->due_ms)
        finish(lane, ERR_TIMEOUT);
    else
        timer_set(&l->timers, &lane->again, l->now_ms + wait_ms);
}

/* What another attempt may mend: the peer or the way to it, not our request. */
static bool is_passing(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static void ended(struct lane *lane, CURLcode code)
{
    struct remote_sink *s = lane->http->sink;
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(lane->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(lane->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    drop_easy(lane);
    /* Once the status is there, an answer that is too long to read changes nothing. */
    if (code == CURLE_WRITE_ERROR && lane->reply_bytes > REPLY_BYTES_MAX)
        code = CURLE_OK;
    if (code == CURLE_OK && status >= 200 && status < 300) {
        finish(lane, ERR_OK);
        return;
    }
    char word[HEADER_MAX];
    snprintf(word, sizeof(word), code ? "curl_%d" : "status_%d", code ? (int)code : (int)status);
    remote_complain(s, "remote_http_failed", str_of(word));
    bool again = code ? is_passing(code) : status >= 500 || status == 429 || status == 408;
    if (!again)
        finish(lane, ERR_SYS);
    else if (retry_after_s > s->http_ms / 1000)
        finish(lane, ERR_TIMEOUT);
    else
        try_again(lane, retry_after_s * 1000);
}

static void look_for_ends(struct http *h)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct lane *lane;
        CURLcode code = m->data.result; /* m is gone with its handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&lane);
        ended(lane, code);
    }
}

static void begin(struct lane *lane, struct remote_job *job)
{
    char key[REMOTE_KEY_LEN + 1], header[HEADER_MAX];
    remote_random_key(key);
    snprintf(header, sizeof(header), "Idempotency-Key: %s", key);
    lane->headers = curl_slist_append(NULL, "Content-Type: application/json");
    lane->headers = curl_slist_append(lane->headers, header);
    lane->headers = curl_slist_append(lane->headers, "Expect:"); /* no round trip before the body */
    remote_body(&lane->body, job, false);
    lane->job = job;
    lane->attempt = 0;
    lane->http->n_busy++;
    attempt(lane);
}

/* ---- jobs ---- */

static void take(struct remote_sink *s, struct remote_job *job)
{
    struct http *h = s->own;
    job->due_ms = job->since_ms + s->http_ms;
    remote_jobs_add(&h->waiting, job);
}

static void turn(struct remote_sink *s)
{
    struct http *h = s->own;
    for (unsigned i = 0; h->waiting.first && h->n_busy < REMOTE_HTTP_PARALLEL; i++)
        if (!h->lanes[i % REMOTE_HTTP_PARALLEL].job)
            begin(&h->lanes[i % REMOTE_HTTP_PARALLEL], remote_jobs_take(&h->waiting));
    if (h->curl_is_due) {
        h->curl_is_due = false;
        act(h, CURL_SOCKET_TIMEOUT, 0);
    }
    free_ended(h);
    /* A lane that became free here is taken in the next turn. */
    s->loop.busy = h->curl_is_due || (h->waiting.first && h->n_busy < REMOTE_HTTP_PARALLEL);
    remote_jobs_watch(s, &h->due, &h->waiting, NULL);
}

static void on_due(struct timer *t)
{
    struct http *h = container_of(t, struct http, due);
    remote_jobs_expire(h->sink, &h->waiting);
}

/* ---- beginning and end ---- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void remote_begin_curl(void)
{
    pthread_once(&curl_once, init_curl);
}

bool remote_is_http_url(const char *text)
{
    /* curl would take the next word for the host. */
    if (strchr("/?#", strstr(text, "://")[3]))
        return false;
    CURLU *u = curl_url();
    char *host = NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host;
    curl_free(host);
    curl_url_cleanup(u);
    return ok;
}

static enum err open_http(struct remote_sink *s, const struct remote_options *o, char *why,
                          size_t why_len)
{
    remote_begin_curl();
    if (!remote_is_http_url(o->url)) {
        snprintf(why, why_len, "an HTTP address looks like http(s)://HOST[:PORT][/PATH]");
        return ERR_PROTO;
    }
    CURLM *multi = curl_multi_init();
    if (!multi) {
        snprintf(why, why_len, "libcurl cannot begin");
        return ERR_SYS;
    }
    struct http *h = mem_zalloc(sizeof(*h));
    h->sink = s;
    h->url = mem_alloc(strlen(o->url) + 1);
    strcpy(h->url, o->url);
    h->multi = multi;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_wants_time);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)REMOTE_HTTP_PARALLEL);
    h->curl_timer.fn = on_curl_timer;
    h->due.fn = on_due;
    for (unsigned i = 0; i < REMOTE_HTTP_PARALLEL; i++) {
        h->lanes[i].http = h;
        h->lanes[i].again.fn = on_again;
    }
    s->own = h;
    return ERR_OK;
}

static void start(struct remote_sink *s)
{
    (void)s; /* connections come with the requests */
}

static void stop(struct remote_sink *s)
{
    struct http *h = s->own;
    for (unsigned i = 0; i < REMOTE_HTTP_PARALLEL; i++)
        if (h->lanes[i].job)
            finish(&h->lanes[i], ERR_AWAY);
    for (struct remote_job *job; (job = remote_jobs_take(&h->waiting));)
        remote_finish(s, job, ERR_AWAY);
}

static void close_http(struct remote_sink *s)
{
    struct http *h = s->own;
    curl_multi_cleanup(h->multi);
    free_ended(h);
    mem_free(h->url);
    mem_free(h);
    s->own = NULL;
}

const struct remote_backend remote_http = {
    .open = open_http,
    .start = start,
    .take = take,
    .turn = turn,
    .stop = stop,
    .close = close_http,
};
