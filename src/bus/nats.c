#include "bus/nats.h"
#include <errno.h>
#include <limits.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include "base/deadline.h"
#include "base/mem.h"

enum {
    SERVERS_MAX = 64,
    URL_MAX = 512,
    CLOSE_WAIT_MS = 5000, /* for callbacks under way; beyond that the memory is left to them */
    READ_MAX = 64,        /* messages read and not destroyed yet, */
    READ_BYTES_MAX = 64 * 1024,
};

struct nats {
    natsConnection *nc;
    natsOptions *opts;
    void *ctx;
    void (*came)(void *ctx, struct str bytes);
    void (*changed)(void *ctx, bool connected);
    void (*over)(void *ctx);
    void (*not_permitted)(void *ctx, const char *what);
    void (*lost)(void *ctx);
    int epoll; /* holds the one socket of the moment */
    atomic_int fd;
    atomic_bool wants_write; /* something is gathered */
    atomic_bool armed;       /* and epoll watches for room: the socket was full */
    pthread_mutex_t flush_lock;
    natsMsg *read[READ_MAX]; /* the delivering thread's */
    unsigned n_read;
    size_t read_bytes;
    char why_not[256]; /* the first attempt to connect failed; "" when it did not */

    struct nats_sub *subs;      /* of the one thread that subscribes */
    pthread_mutex_t users_lock; /* subscriptions and the connection itself, until they are done */
    pthread_cond_t no_user;
    unsigned n_users;
};

struct nats_sub {
    natsSubscription *sub;
    struct nats *nats;
    struct nats_sub *next, *prev;
};

/* Whoever publishes will flush at the end of its turn. */
static _Thread_local bool flushes_itself;

static void take_use(struct nats *n)
{
    pthread_mutex_lock(&n->users_lock);
    n->n_users++;
    pthread_mutex_unlock(&n->users_lock);
}

static void drop_use(void *closure)
{
    struct nats *n = closure;
    pthread_mutex_lock(&n->users_lock);
    if (--n->n_users == 0)
        pthread_cond_signal(&n->no_user);
    pthread_mutex_unlock(&n->users_lock);
}

/* ---- the event loop's side (called with cnats's lock of the connection held) ---- */

static void watch(struct nats *n, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    epoll_ctl(n->epoll, op, fd, &ev);
}

static natsStatus on_attach(void **user, void *loop, natsConnection *nc, natsSock fd)
{
    struct nats *n = loop;
    (void)nc;
    *user = n;
    atomic_store(&n->wants_write, false);
    atomic_store(&n->armed, false);
    atomic_store(&n->fd, fd);
    watch(n, EPOLL_CTL_ADD, fd, EPOLLIN);
    return NATS_OK;
}

/* Taking the reader away is how cnats tells, before all else, that the connection is lost. */
static natsStatus on_read_wanted(void *user, bool add)
{
    struct nats *n = user;
    int fd = atomic_load(&n->fd);
    if (add || fd < 0)
        return NATS_OK;
    atomic_store(&n->fd, -1);
    watch(n, EPOLL_CTL_DEL, fd, 0);
#ifdef GUSHER_NATS_CLOSE_EVENT
    natsConnection_ProcessCloseEvent(&fd); /* newer cnats leave closing to the loop */
#endif
    n->changed(n->ctx, false);
    return NATS_OK;
}

static void arm(struct nats *n, bool on)
{
    int fd = atomic_load(&n->fd);
    if (fd >= 0 && atomic_exchange(&n->armed, on) != on)
        watch(n, EPOLL_CTL_MOD, fd, EPOLLIN | (on ? EPOLLOUT : 0));
}

static natsStatus on_write_wanted(void *user, bool add)
{
    struct nats *n = user;
    atomic_store(&n->wants_write, add);
    /* A ping, say: no worker will flush it. */
    if (!add || !flushes_itself)
        arm(n, add);
    return NATS_OK;
}

static natsStatus on_detach(void *user)
{
    (void)user;
    return NATS_OK;
}

int nats_fd(const struct nats *n)
{
    return n->epoll;
}

/* cnats takes an empty write for the end of the connection, so looking and writing are one. */
void nats_flush(struct nats *n)
{
    pthread_mutex_lock(&n->flush_lock);
    if (atomic_load(&n->wants_write)) {
        natsConnection_ProcessWriteEvent(n->nc);
        if (atomic_load(&n->wants_write))
            arm(n, true); /* the socket is full: nats_serve goes on */
    }
    pthread_mutex_unlock(&n->flush_lock);
}

void nats_serve(struct nats *n)
{
    struct epoll_event ev;
    if (epoll_wait(n->epoll, &ev, 1, 0) != 1)
        return;
    if (ev.events & EPOLLOUT)
        nats_flush(n);
    if (ev.events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        natsConnection_ProcessReadEvent(n->nc);
}

/* ---- cnats's callbacks ---- */

static void destroy_read(struct nats *n)
{
    while (n->n_read)
        natsMsg_Destroy(n->read[--n->n_read]);
    n->read_bytes = 0;
}

/* cnats hands what is destroyed to a thread of its own, which is woken for that: once for many
 * costs a fraction of the CPU. */
static void destroy_later(struct nats *n, natsMsg *msg)
{
    n->read[n->n_read++] = msg;
    n->read_bytes += (size_t)natsMsg_GetDataLength(msg);
    if (n->n_read == READ_MAX || n->read_bytes > READ_BYTES_MAX)
        destroy_read(n);
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    struct nats *n = closure;
    (void)nc;
    (void)sub;
    if (!msg)
        return;
    n->came(n->ctx, str_make(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)));
    destroy_later(n, msg);
}

static void on_connected(natsConnection *nc, void *closure)
{
    struct nats *n = closure;
    (void)nc;
    /* A callback of an earlier connection may come late. */
    if (atomic_load(&n->fd) >= 0)
        n->changed(n->ctx, true);
}

static void on_closed(natsConnection *nc, void *closure)
{
    struct nats *n = closure;
    (void)nc;
    n->over(n->ctx);
    drop_use(n);
}

static void tell_not_permitted(struct nats *n, natsConnection *nc)
{
    const char *text = NULL;
    natsStatus s = natsConnection_GetLastError(nc, &text);
    n->not_permitted(n->ctx, s == NATS_NOT_PERMITTED && text ? text : "a subject");
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure)
{
    struct nats *n = closure;
    (void)nc;
    (void)sub;
    if (s == NATS_SLOW_CONSUMER)
        n->lost(n->ctx);
    else if (s == NATS_NOT_PERMITTED)
        tell_not_permitted(n, nc);
}

static int64_t backoff_ms(natsConnection *nc, int attempts, void *closure)
{
    (void)nc;
    (void)closure;
    int64_t ms = NATS_BACKOFF_MAX_MS;
    if (attempts < 8 && (int64_t)NATS_BACKOFF_MIN_MS << attempts < ms)
        ms = (int64_t)NATS_BACKOFF_MIN_MS << attempts;
    return ms / 2 + rand() % (ms / 2); /* so that a thousand nodes do not come in one moment */
}

/* ---- opening ---- */

/* The addresses of the list, one behind the other and NUL-terminated, into `text`. */
static unsigned split(const char *servers, char text[], size_t text_len,
                      const char *list[SERVERS_MAX])
{
    unsigned n = 0;
    struct str rest = str_of(servers);
    char *at = text;
    while (rest.len && n < SERVERS_MAX) {
        struct str one = str_trim(str_cut(&rest, ','));
        if (!one.len || one.len + 1 > text_len - (size_t)(at - text))
            continue;
        list[n++] = at;
        memcpy(at, one.p, one.len);
        at[one.len] = 0;
        at += one.len + 1;
    }
    return n;
}

static enum err check_servers(const char *servers, char *why, size_t why_len)
{
    struct str rest = str_of(servers);
    unsigned n = 0;
    while (rest.len) {
        struct str one = str_trim(str_cut(&rest, ','));
        bool is_plain = str_starts(one, STR("nats://")), is_tls = str_starts(one, STR("tls://"));
        size_t scheme = is_plain ? 7 : 6;
        /* The address itself is not repeated: it may hold a password. */
        if ((!is_plain && !is_tls) || one.len <= scheme || one.len >= URL_MAX) {
            snprintf(why, why_len,
                     "NATS address number %u must be nats://HOST:PORT or tls://HOST:PORT", n + 1);
            return ERR_PROTO;
        }
        n++;
    }
    if (n == 0 || n > SERVERS_MAX) {
        snprintf(why, why_len, "there must be 1 to %u NATS addresses", SERVERS_MAX);
        return ERR_PROTO;
    }
    return ERR_OK;
}

static enum err check_file(const char *path, const char *what, char *why, size_t why_len)
{
    FILE *f = path ? fopen(path, "re") : NULL;
    if (path && !f) {
        snprintf(why, why_len, "cannot read the file of NATS %s, %s: %s", what, path,
                 strerror(errno));
        return ERR_PROTO;
    }
    if (f)
        fclose(f);
    return ERR_OK;
}

enum err nats_check(const struct nats_options *o, char *why, size_t why_len)
{
    enum err e = check_servers(o->servers, why, why_len);
    if (!e)
        e = check_file(o->creds, "credentials", why, why_len);
    return e ? e : check_file(o->ca_file, "certificate authorities", why, why_len);
}

static natsStatus set_options(struct nats *n, const struct nats_options *o)
{
    char *text = mem_alloc(strlen(o->servers) + 2);
    const char *list[SERVERS_MAX];
    unsigned n_servers = split(o->servers, text, strlen(o->servers) + 2, list);
    natsStatus s = natsOptions_SetServers(n->opts, list, (int)n_servers);
    mem_free(text);
    if (s == NATS_OK && o->creds)
        s = natsOptions_SetUserCredentialsFromFiles(n->opts, o->creds, NULL);
    if (s == NATS_OK && o->ca_file)
        s = natsOptions_LoadCATrustedCertificates(n->opts, o->ca_file);
    if (s == NATS_OK && strstr(o->servers, "tls://"))
        s = natsOptions_SetSecure(n->opts, true);
    if (s != NATS_OK)
        return s;
    natsOptions_SetName(n->opts, o->name);
    natsOptions_SetTimeout(n->opts, NATS_CONNECT_MS);
    natsOptions_SetMaxReconnect(n->opts, INT_MAX);
    natsOptions_SetCustomReconnectDelay(n->opts, backoff_ms, n);
    natsOptions_SetReconnectedCB(n->opts, on_connected, n);
    natsOptions_SetClosedCB(n->opts, on_closed, n);
    natsOptions_SetErrorHandler(n->opts, on_error, n);
    natsOptions_SetPingInterval(n->opts, NATS_PING_MS);
    natsOptions_SetMaxPingsOut(n->opts, 2);
    natsOptions_SetSendAsap(n->opts, true);
    /* One thread that delivers, for all subscriptions: a thread each would be thousands, and their
     * messages would overtake each other. */
    natsOptions_UseGlobalMessageDelivery(n->opts, true);
    return natsOptions_SetEventLoop(n->opts, n, on_attach, on_read_wanted, on_write_wanted,
                                    on_detach);
}

static void release(struct nats *n)
{
    destroy_read(n);
    natsConnection_Destroy(n->nc);
    natsOptions_Destroy(n->opts);
    if (n->epoll >= 0)
        close(n->epoll);
    pthread_mutex_destroy(&n->flush_lock);
    pthread_mutex_destroy(&n->users_lock);
    pthread_cond_destroy(&n->no_user);
    mem_free(n);
}

/* Once with an answer, as only that one says why not; then in the background, for ever. */
static natsStatus first_connect(struct nats *n)
{
    take_use(n); /* until on_closed */
    natsStatus s = natsConnection_Connect(&n->nc, n->opts), last;
    if (s == NATS_OK)
        return s;
    const char *text = nats_GetLastError(&last);
    snprintf(n->why_not, sizeof(n->why_not), "%s", text && *text ? text : natsStatus_GetText(s));
    natsOptions_SetRetryOnFailedConnect(n->opts, true, on_connected, n);
    return natsConnection_Connect(&n->nc, n->opts);
}

enum err nats_open(struct nats **out, const struct nats_options *o, char *why, size_t why_len)
{
    struct nats *n = mem_zalloc(sizeof(*n));
    n->ctx = o->ctx;
    n->came = o->came;
    n->changed = o->changed;
    n->over = o->over;
    n->not_permitted = o->not_permitted;
    n->lost = o->lost;
    atomic_init(&n->fd, -1);
    pthread_mutex_init(&n->flush_lock, NULL);
    pthread_mutex_init(&n->users_lock, NULL);
    deadline_cond_init(&n->no_user);
    n->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (n->epoll < 0) {
        snprintf(why, why_len, "no descriptor left: %s", strerror(errno));
        release(n);
        return ERR_SYS;
    }
    natsStatus s = natsOptions_Create(&n->opts);
    if (s == NATS_OK)
        s = set_options(n, o);
    if (s == NATS_OK)
        s = first_connect(n);
    if (s == NATS_OK) {
        n->changed(n->ctx, true);
    } else if (s != NATS_NOT_YET_CONNECTED) {
        snprintf(why, why_len, "NATS cannot be connected to: %s%s", natsStatus_GetText(s),
                 s == NATS_SSL_ERROR && o->ca_file
                     ? " (is the file of certificate authorities one?)"
                     : "");
        release(n);
        return ERR_PROTO;
    }
    *out = n;
    return ERR_OK;
}

static void sub_free(struct nats_sub *s)
{
    *(s->prev ? &s->prev->next : &s->nats->subs) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    natsSubscription_Destroy(s->sub);
    mem_free(s);
}

void nats_give_up(struct nats *n)
{
    natsConnection_Close(n->nc);
}

void nats_close(struct nats *n)
{
    if (!n)
        return;
    const struct timespec until = deadline_in_ms(CLOSE_WAIT_MS);
    natsConnection_Close(n->nc);
    while (n->subs)
        sub_free(n->subs);
    pthread_mutex_lock(&n->users_lock);
    int r = 0;
    while (n->n_users && r == 0)
        r = pthread_cond_timedwait(&n->no_user, &n->users_lock, &until);
    bool is_free = n->n_users == 0;
    pthread_mutex_unlock(&n->users_lock);
    if (is_free)
        release(n);
}

/* ---- publishing and subscribing ---- */

enum err nats_publish(struct nats *n, const char *subject, struct str bytes, bool anyway)
{
    if (atomic_load(&n->fd) < 0)
        return ERR_AWAY;
    if (!anyway && natsConnection_Buffered(n->nc) > NATS_BUFFER_MAX)
        return ERR_FULL;
    flushes_itself = true;
    natsStatus s = natsConnection_Publish(n->nc, subject, bytes.p, (int)bytes.len);
    flushes_itself = false;
    return s == NATS_OK ? ERR_OK : s == NATS_MAX_PAYLOAD ? ERR_LIMIT : ERR_AWAY;
}

enum err nats_subscribe(struct nats_sub **out, struct nats *n, const char *subject)
{
    struct nats_sub *s = mem_zalloc(sizeof(*s));
    flushes_itself = true;
    natsStatus status = natsConnection_Subscribe(&s->sub, n->nc, subject, on_message, n);
    flushes_itself = false;
    if (status != NATS_OK) {
        mem_free(s);
        return ERR_SYS;
    }
    take_use(n);
    if (natsSubscription_SetOnCompleteCB(s->sub, drop_use, n) != NATS_OK)
        drop_use(n); /* it is over already */
    s->nats = n;
    s->next = n->subs;
    if (n->subs)
        n->subs->prev = s;
    n->subs = s;
    *out = s;
    return ERR_OK;
}

void nats_unsubscribe(struct nats_sub *s)
{
    if (!s)
        return;
    flushes_itself = true;
    natsSubscription_Unsubscribe(s->sub);
    flushes_itself = false;
    sub_free(s);
}

size_t nats_max_payload(struct nats *n)
{
    int64_t max = natsConnection_GetMaxPayload(n->nc);
    return max > 0 ? (size_t)max : 0;
}

void nats_server_id(struct nats *n, char out[NATS_SERVER_ID_LEN])
{
    if (natsConnection_GetConnectedServerId(n->nc, out, NATS_SERVER_ID_LEN) != NATS_OK)
        out[0] = 0;
}

const char *nats_last_error(struct nats *n)
{
    const char *text = NULL;
    natsStatus s = natsConnection_GetLastError(n->nc, &text);
    /* "No server" is what cnats says when it has given up, not why. */
    if (text && *text && s != NATS_NO_SERVER)
        return text;
    return n->why_not[0] ? n->why_not : "no server answers";
}
