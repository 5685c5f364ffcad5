#include "edge/server.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "edge/door.h"
#include "edge/scarcity.h"
#include "net/descriptors.h"

#define LOG_AREA LOG_SERVER

struct server {
    struct worker_options worker_options;
    struct node node;
    struct worker *workers[NODE_WORKERS_MAX];
    unsigned n_workers, n_started;
};

static enum err probe(const struct server_options *o, char *why, size_t why_len)
{
    for (unsigned i = 0; i < o->n_listens; i++) {
        if (address_probe(&o->listens[i].address)) {
            char text[64];
            int saved = errno;
            address_write(text, &o->listens[i].address);
            snprintf(why, why_len, "cannot listen on %s: %s", text, strerror(saved));
            return ERR_SYS;
        }
    }
    return ERR_OK;
}

static enum err meet_cluster(struct server *s, const struct server_options *o, char *why,
                             size_t why_len)
{
    struct cluster_options cluster = o->cluster;
    const struct cluster_local local = node_local(&s->node);
    if (!cluster.servers)
        return ERR_OK;
    cluster.node = s->node.id;
    cluster.n_workers = o->n_workers;
    return cluster_start(&s->node.cluster, &cluster, &local, why, why_len);
}

static enum err open_remote(struct server *s, const struct server_options *o, char *why,
                            size_t why_len)
{
    struct remote_options remote = o->remote;
    char detail[256];
    if (!remote.url)
        return ERR_OK;
    remote.done = node_remote_done;
    remote.ctx = &s->node;
    enum err e = remote_new(&s->node.remote, &remote, detail, sizeof(detail));
    if (e)
        snprintf(why, why_len, "the sink of remote commands (--remote-url): %s", detail);
    return e;
}

static void send_to_all(struct server *s, unsigned n, enum mail_kind kind)
{
    for (unsigned i = 0; i < n; i++) {
        struct mail *m = mem_zalloc(sizeof(*m));
        m->kind = kind;
        node_send(&s->node, i, m);
    }
}

static void shed(void *ctx)
{
    struct server *s = ctx;
    send_to_all(s, s->n_workers, MAIL_SHED);
}

static void mend(void *ctx)
{
    struct server *s = ctx;
    if (s->node.stores.ban_file)
        ban_file_mend(s->node.stores.ban_file);
}

static enum err watch_scarcity(struct server *s, const struct server_options *o, char *why,
                               size_t why_len)
{
    unsigned limit, before;
    if (descriptors_raise(&limit, &before)) {
        snprintf(why, why_len, "cannot start: %s", strerror(errno));
        return ERR_SYS;
    }
    const struct scarcity_options scarcity = {.root = "",
                                              .memory_max = o->memory_max,
                                              .reserve = door_reserve(limit, o->n_workers),
                                              .shed = shed,
                                              .mend = mend,
                                              .ctx = s};
    LOG(LOG_INFO, "descriptors", LOG_INT("limit", limit), LOG_INT("raised_from", before),
        LOG_INT("reserve", scarcity.reserve));
    s->node.scarcity = scarcity_new(&scarcity);
    return ERR_OK;
}

static enum err make_workers(struct server *s, struct server_options *o,
                             const struct worker_files *files, char *why, size_t why_len)
{
    for (; s->n_workers < o->n_workers; s->n_workers++) {
        if (worker_new(&s->workers[s->n_workers], &s->node, s->n_workers, &s->worker_options,
                       o->listens, o->n_listens, files)) {
            snprintf(why, why_len, "cannot start worker %u: %s", s->n_workers, strerror(errno));
            return ERR_SYS;
        }
    }
    return ERR_OK;
}

enum err server_new(struct server **out, struct server_options *o, const struct worker_files *files,
                    const struct node_stores *stores, char *why, size_t why_len)
{
    if (probe(o, why, why_len))
        return ERR_SYS;
    struct server *s = mem_zalloc(sizeof(*s));
    s->worker_options = o->worker;
    enum err e = node_init(&s->node, o->n_workers);
    s->node.stores = *stores;
    for (unsigned i = 0; i < o->n_listens; i++)
        s->node.roles |= o->listens[i].roles;
    if (e)
        snprintf(why, why_len, "cannot start: %s", strerror(errno));
    if (!e)
        e = watch_scarcity(s, o, why, why_len);
    if (!e)
        e = open_remote(s, o, why, why_len);
    if (!e)
        e = meet_cluster(s, o, why, why_len);
    if (!e)
        e = make_workers(s, o, files, why, why_len);
    if (e) {
        server_free(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

enum err server_start(struct server *s, char *why, size_t why_len)
{
    while (s->n_started < s->n_workers) {
        atomic_fetch_add(&s->node.n_serving, 1);
        if (worker_start(s->workers[s->n_started])) {
            snprintf(why, why_len, "cannot start a thread: %s", strerror(errno));
            node_served(&s->node);
            server_stop(s);
            return ERR_SYS;
        }
        s->n_started++;
    }
    /* Behind the workers, which read the letters that it sends. */
    if (scarcity_start(s->node.scarcity))
        LOG(LOG_WARN, "scarcity_unwatched", LOG_CSTR("reason", strerror(errno)));
    if (s->node.cluster)
        cluster_serve(s->node.cluster);
    return ERR_OK;
}

void server_exchange(struct server *s, const struct worker_files *files)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct mail *m = mem_zalloc(sizeof(*m));
        m->kind = MAIL_FILES;
        m->trust = trust_ref(files->trust);
        m->tls = files->tls ? tls_context_ref(files->tls) : NULL;
        node_send(&s->node, i, m);
    }
}

void server_stop(struct server *s)
{
    if (s->node.cluster)
        cluster_leave(s->node.cluster);
    send_to_all(s, s->n_started, MAIL_STOP);
    for (unsigned i = 0; i < s->n_started; i++)
        worker_join(s->workers[i]);
    s->n_started = 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    scarcity_stop(s->node.scarcity);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_free(s->workers[i]);
    scarcity_free(s->node.scarcity);
    remote_free(s->node.remote);
    /* Behind the workers: the others hear of our end when our sockets are gone. */
    cluster_stop(s->node.cluster);
    node_fini(&s->node);
    mem_free(s);
}
