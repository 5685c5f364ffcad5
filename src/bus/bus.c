#include "bus/bus.h"
#include "base/mem.h"
#include "bus/gather.h"

struct bus_seat *bus_seat_new(const struct bus_backend *b, struct loop *loop, unsigned worker)
{
    struct bus_seat *s = mem_zalloc(sizeof(*s));
    s->backend = *b;
    s->loop = loop;
    s->worker = worker;
    slots_init(&s->gathers);
    return s;
}

void bus_seat_free(struct bus_seat *s)
{
    if (!s)
        return;
    gathers_end(s);
    slots_fini(&s->gathers);
    buf_fini(&s->scratch);
    mem_free(s);
}

const struct bus_seat_stats *bus_seat_stats(const struct bus_seat *s)
{
    return &s->stats;
}

enum bus_state bus_state(const struct bus_seat *s)
{
    return s->backend.state(s->backend.ctx);
}

size_t bus_message_max(const struct bus_seat *s)
{
    return s->backend.message_max(s->backend.ctx);
}

static enum err publish(struct bus_seat *s, struct msg *m, bool begun)
{
    if (msg_text_bytes(m) > bus_message_max(s))
        return ERR_LIMIT;
    m->came_us = s->loop->now_us;
    enum err e = s->backend.publish(s->backend.ctx, m, begun, &s->scratch);
    counter_add(e ? &s->stats.refused : &s->stats.published[m->kind], 1);
    s->published |= !e;
    return e;
}

enum err bus_publish(struct bus_seat *s, struct msg *m)
{
    return publish(s, m, false);
}

enum err bus_publish_more(struct bus_seat *s, struct msg *m)
{
    return publish(s, m, true);
}

enum err bus_share(struct bus_seat *s, enum bus_note kind, struct str note)
{
    if (!s->backend.share)
        return ERR_OK;
    if (note.len > bus_message_max(s))
        return ERR_LIMIT;
    enum err e = s->backend.share(s->backend.ctx, kind, note, &s->scratch);
    s->published |= !e;
    return e;
}

void bus_seat_gathered(struct bus_seat *s)
{
    s->published = true;
}

void bus_seat_flush(struct bus_seat *s)
{
    if (!s->published)
        return;
    s->published = false;
    if (s->backend.flush)
        s->backend.flush(s->backend.ctx);
}
