#include "bus/members.h"
#include "base/mem.h"

void members_init(struct members *m)
{
    *m = (struct members){0};
}

void members_fini(struct members *m)
{
    mem_free(m->list);
    members_init(m);
}

struct member *members_find(struct members *m, uint32_t node)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (m->list[i].node == node)
            return &m->list[i];
    }
    return NULL;
}

static struct member *add(struct members *m)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 8;
        m->list = mem_realloc(m->list, m->cap * sizeof(*m->list));
    }
    return &m->list[m->n++];
}

bool members_heard(struct members *m, uint32_t node, uint64_t incarnation, unsigned roles,
                   unsigned n_workers, struct str server, int64_t now_ms)
{
    if (n_workers > MEMBERS_WORKERS_MAX || server.len >= MEMBERS_SERVER_MAX)
        return false;
    struct member *member = members_find(m, node);
    if (!member && m->n == MEMBERS_MAX)
        return false;
    bool changed = !member || member->incarnation != incarnation || member->roles != roles ||
                   member->n_workers != n_workers || !str_eq(str_of(member->server), server);
    bool knew_us = member && member->incarnation == incarnation && member->knows_us;
    if (!member)
        member = add(m);
    *member = (struct member){.node = node,
                              .incarnation = incarnation,
                              .roles = roles,
                              .n_workers = n_workers,
                              .heard_ms = now_ms,
                              .knows_us = knew_us};
    memcpy(member->server, server.p, server.len);
    return changed;
}

bool members_remove(struct members *m, uint32_t node)
{
    struct member *member = members_find(m, node);
    if (!member)
        return false;
    *member = m->list[--m->n];
    return true;
}

int64_t members_silent_since(int64_t now_ms, int64_t echo_ms)
{
    /* Two nodes' beats may be a beat apart, and on their way for as long. */
    int64_t dead = now_ms - MEMBERS_DEAD_MS,
            cut_off = echo_ms - (MEMBERS_DEAD_MS - 2 * MEMBERS_BEAT_MS);
    return dead < cut_off ? dead : cut_off;
}

bool members_expire(struct members *m, int64_t since_ms, uint32_t *node)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (m->list[i].heard_ms < since_ms) {
            *node = m->list[i].node;
            return members_remove(m, *node);
        }
    }
    return false;
}

void members_forgive(struct members *m, int64_t ms)
{
    for (unsigned i = 0; i < m->n; i++)
        m->list[i].heard_ms += ms;
}

void members_forget_welcomes(struct members *m)
{
    for (unsigned i = 0; i < m->n; i++)
        m->list[i].knows_us = false;
}

bool members_all_know_us(const struct members *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (!m->list[i].knows_us)
            return false;
    }
    return true;
}
