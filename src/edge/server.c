#include "edge/server.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

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

enum err server_new(struct server **out, struct server_options *o, const struct keys *keys,
                    struct tickets *tickets, char *why, size_t why_len)
{
    if (probe(o, why, why_len))
        return ERR_SYS;
    struct server *s = mem_zalloc(sizeof(*s));
    s->worker_options = o->worker;
    enum err e = node_init(&s->node, o->n_workers);
    while (!e && s->n_workers < o->n_workers) {
        e = worker_new(&s->workers[s->n_workers], &s->node, s->n_workers, &s->worker_options,
                       o->listens, o->n_listens, keys, tickets);
        s->n_workers += !e;
    }
    if (e) {
        snprintf(why, why_len, "cannot start worker %u: %s", s->n_workers, strerror(errno));
        server_free(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

enum err server_start(struct server *s, char *why, size_t why_len)
{
    while (s->n_started < s->n_workers) {
        if (worker_start(s->workers[s->n_started])) {
            snprintf(why, why_len, "cannot start a thread: %s", strerror(errno));
            server_stop(s);
            return ERR_SYS;
        }
        s->n_started++;
    }
    return ERR_OK;
}

void server_stop(struct server *s)
{
    for (unsigned i = 0; i < s->n_started; i++) {
        struct mail *m = mem_zalloc(sizeof(*m));
        m->kind = MAIL_STOP;
        node_send(&s->node, i, m);
    }
    for (unsigned i = 0; i < s->n_started; i++)
        worker_join(s->workers[i]);
    s->n_started = 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_free(s->workers[i]);
    node_fini(&s->node);
    mem_free(s);
}
