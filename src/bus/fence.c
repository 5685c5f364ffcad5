#include "bus/fence.h"
#include <assert.h>
#include "base/mem.h"

void fence_init(struct fence *f, uint32_t self, fence_send_fn *send, void *ctx)
{
    *f = (struct fence){.self = self, .send = send, .ctx = ctx};
    f->posts = mem_zalloc(FENCE_SERVERS_MAX * sizeof(*f->posts));
}

void fence_fini(struct fence *f)
{
    mem_free(f->posts);
}

static struct fence_post *find(struct fence *f, const char *server)
{
    for (unsigned i = 0; i < f->n_posts; i++) {
        if (strcmp(f->posts[i].server, server) == 0)
            return &f->posts[i];
    }
    return NULL;
}

static void add_post(struct fence *f, const char *server, uint32_t node)
{
    if (f->n_posts == FENCE_SERVERS_MAX || find(f, server))
        return;
    struct fence_post *post = &f->posts[f->n_posts++];
    *post = (struct fence_post){.node = node};
    size_t len = strlen(server);
    assert(len < sizeof(post->server));
    memcpy(post->server, server, len + 1);
}

void fence_start(struct fence *f, const struct members *m, const char *server)
{
    f->flying = true;
    f->number++;
    f->n_posts = 0;
    add_post(f, server, f->self);
    for (unsigned i = 0; i < m->n; i++) {
        if (m->list[i].roles & MEMBER_PUBLISHES)
            add_post(f, m->list[i].server, m->list[i].node);
    }
    for (unsigned i = 0; i < f->n_posts; i++)
        f->send(f->ctx, f->posts[i].node, f->number);
}

static bool complete(struct fence *f)
{
    for (unsigned i = 0; i < f->n_posts; i++) {
        if (!f->posts[i].done)
            return false;
    }
    f->flying = false;
    return true;
}

bool fence_back(struct fence *f, uint32_t node, uint64_t number)
{
    if (!f->flying || number != f->number)
        return false;
    for (unsigned i = 0; i < f->n_posts; i++)
        f->posts[i].done |= f->posts[i].node == node;
    return complete(f);
}

/* Somebody behind this server; our own is answered by ourselves. */
static const struct member *anyone_at(const struct members *m, const char *server)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (strcmp(m->list[i].server, server) == 0)
            return &m->list[i];
    }
    return NULL;
}

static bool is_still_there(const struct members *m, const struct fence_post *post)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (m->list[i].node == post->node)
            return strcmp(m->list[i].server, post->server) == 0;
    }
    return false;
}

bool fence_review(struct fence *f, const struct members *m)
{
    if (!f->flying)
        return false;
    for (unsigned i = 1; i < f->n_posts; i++) {
        struct fence_post *post = &f->posts[i];
        if (post->done || is_still_there(m, post))
            continue;
        const struct member *other = anyone_at(m, post->server);
        if (other) {
            post->node = other->node;
            f->send(f->ctx, other->node, f->number);
        } else {
            post->done = true; /* nobody is there who could publish */
        }
    }
    return complete(f);
}

void fence_again(struct fence *f)
{
    for (unsigned i = 0; f->flying && i < f->n_posts; i++) {
        if (!f->posts[i].done)
            f->send(f->ctx, f->posts[i].node, f->number);
    }
}

void fence_drop(struct fence *f)
{
    f->flying = false;
}
