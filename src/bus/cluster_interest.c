/* cluster_interest.c - what this node listens to, and when that is sure. */
#include "bus/cluster_own.h"

static void confirm(struct cluster *c, const uint64_t *seqs)
{
    for (unsigned w = 0; w < c->o.n_workers; w++) {
        if (seqs[w] <= c->confirmed[w])
            continue;
        c->confirmed[w] = seqs[w];
        c->local.confirmed(c->local.ctx, w, seqs[w]);
    }
}

void cluster_confirm_what_is_sure(struct cluster *c)
{
    if (c->fence.flying || !c->connected || !topics_catch_up(&c->topics))
        return;
    if (!c->fence_wanted) {
        confirm(c, c->told);
        return;
    }
    c->fence_wanted = false;
    memcpy(c->covered, c->told, sizeof(c->covered));
    fence_start(&c->fence, &c->members, c->server);
}

void cluster_fence_back(struct cluster *c, uint32_t node, uint64_t number)
{
    if (fence_back(&c->fence, node, number))
        confirm(c, c->covered);
}

void cluster_fence_review(struct cluster *c)
{
    if (fence_review(&c->fence, &c->members))
        confirm(c, c->covered);
}

void cluster_fence_beat(struct cluster *c)
{
    if (c->fence_seen == c->fence.number)
        fence_again(&c->fence);
    c->fence_seen = c->fence.number;
}

void cluster_fence_lost(struct cluster *c)
{
    if (!c->fence.flying)
        return;
    fence_drop(&c->fence);
    c->fence_wanted = true;
}

static void send_fence(void *ctx, uint32_t node, uint64_t number)
{
    struct cluster *c = ctx;
    struct wire w = {.kind = WIRE_FENCE, .node = c->o.node, .number = number};
    cluster_send_to_node(c, node, &w);
}

static bool subscribe_topic(void *ctx, struct topic *t)
{
    struct cluster *c = ctx;
    struct nats_sub *sub;
    c->fence_wanted = true;
    if (!c->connected || nats_subscribe(&sub, atomic_load(&c->nats), t->subject))
        return false;
    t->sub = sub;
    return true;
}

static void unsubscribe_topic(void *ctx, struct topic *t)
{
    (void)ctx;
    nats_unsubscribe(t->sub);
}

void cluster_note_interest(struct cluster *c, const struct cluster_letter *l)
{
    if (l->is_user)
        cluster_user_subject(c, &c->scratch, l->app, l->name);
    else
        cluster_channel_subject(c, &c->scratch, l->app, l->name);
    if (l->on)
        topics_add(&c->topics, buf_as_str(&c->scratch));
    else
        topics_drop(&c->topics, buf_as_str(&c->scratch), c->loop.now_ms);
    c->told[l->worker] = l->seq;
}

void cluster_interest_init(struct cluster *c)
{
    topics_init(&c->topics, subscribe_topic, unsubscribe_topic, c);
    fence_init(&c->fence, c->o.node, send_fence, c);
}
