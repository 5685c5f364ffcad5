#include "bus/topics.h"
#include <assert.h>
#include "base/mem.h"

static struct str key_of(const void *item)
{
    const struct topic *t = item;
    return str_make(t->subject, t->subject_len);
}

void topics_init(struct topics *t, topics_subscribe_fn *subscribe,
                 topics_unsubscribe_fn *unsubscribe, void *ctx)
{
    *t = (struct topics){.subscribe = subscribe, .unsubscribe = unsubscribe, .ctx = ctx};
    map_init(&t->map, key_of);
}

void topics_fini(struct topics *t)
{
    uint32_t place = 0;
    for (struct topic *topic; (topic = map_each(&t->map, &place));)
        mem_free(topic);
    map_fini(&t->map);
}

static void idle_add(struct topics *t, struct topic *topic)
{
    topic->next_idle = NULL;
    topic->prev_idle = t->last_idle;
    *(t->last_idle ? &t->last_idle->next_idle : &t->first_idle) = topic;
    t->last_idle = topic;
    t->n_idle++;
}

static void idle_remove(struct topics *t, struct topic *topic)
{
    *(topic->prev_idle ? &topic->prev_idle->next_idle : &t->first_idle) = topic->next_idle;
    *(topic->next_idle ? &topic->next_idle->prev_idle : &t->last_idle) = topic->prev_idle;
    t->n_idle--;
}

static struct topic *make(struct topics *t, struct str subject)
{
    struct topic *topic = mem_zalloc(sizeof(*topic) + subject.len + 1);
    topic->subject_len = (uint32_t)subject.len;
    memcpy(topic->subject, subject.p, subject.len);
    map_put(&t->map, topic);
    return topic;
}

bool topics_add(struct topics *t, struct str subject)
{
    struct topic *topic = map_get(&t->map, subject);
    bool is_new = !topic;
    if (is_new)
        topic = make(t, subject);
    else if (!topic->refs)
        idle_remove(t, topic);
    topic->refs++;
    if (is_new) {
        topic->subscribed = t->subscribe(t->ctx, topic);
        t->n_waiting += !topic->subscribed;
    }
    return is_new || !topic->subscribed;
}

static void forget(struct topics *t, struct topic *topic)
{
    map_remove(&t->map, topic);
    t->n_waiting -= !topic->subscribed;
    mem_free(topic);
}

static void end(struct topics *t, struct topic *idle)
{
    idle_remove(t, idle);
    t->unsubscribe(t->ctx, idle);
    forget(t, idle);
}

void topics_drop(struct topics *t, struct str subject, int64_t now_ms)
{
    struct topic *topic = map_get(&t->map, subject);
    assert(topic && topic->refs);
    if (--topic->refs)
        return;
    if (!topic->subscribed) {
        forget(t, topic);
        return;
    }
    topic->idle_ms = now_ms;
    idle_add(t, topic);
}

void topics_run(struct topics *t, int64_t now_ms, unsigned n)
{
    for (struct topic *topic; n && (topic = t->first_idle); n--) {
        if (now_ms - topic->idle_ms < TOPICS_GRACE_MS)
            return;
        end(t, topic);
    }
}

void topics_trim(struct topics *t)
{
    while (t->n_idle > TOPICS_IDLE_MAX)
        end(t, t->first_idle);
}

bool topics_catch_up(struct topics *t)
{
    uint32_t place = 0;
    for (struct topic *topic; t->n_waiting && (topic = map_each(&t->map, &place));) {
        if (topic->subscribed)
            continue;
        topic->subscribed = t->subscribe(t->ctx, topic);
        if (!topic->subscribed)
            return false;
        t->n_waiting--;
    }
    return true;
}

void topics_forget(struct topics *t)
{
    uint32_t place = 0;
    while (t->first_idle) {
        struct topic *idle = t->first_idle;
        idle_remove(t, idle);
        forget(t, idle);
    }
    for (struct topic *topic; (topic = map_each(&t->map, &place));) {
        topic->subscribed = false;
        topic->sub = NULL;
    }
    t->n_waiting = t->map.n;
}
