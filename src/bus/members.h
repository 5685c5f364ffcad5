/* members.h - who is in the cluster: nodes that have been heard of lately. Pure: time is an
 * argument.
 *
 * Every node beats every MEMBERS_BEAT_MS; one that has been silent for MEMBERS_DEAD_MS is gone. */
#ifndef BUS_MEMBERS_H
#define BUS_MEMBERS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/str.h"

enum {
    MEMBERS_BEAT_MS = 200,
    MEMBERS_DEAD_MS = 800,
    MEMBERS_MAX = 4096,
    MEMBERS_SERVER_MAX = 64, /* bytes of a server's id */
    MEMBERS_WORKERS_MAX = 64,
};

enum member_role {
    MEMBER_HOLDS_SOCKETS = 1, /* answers questions */
    MEMBER_PUBLISHES = 2,     /* interest has to be known where it is */
};

struct member {
    uint32_t node;
    uint64_t incarnation;
    unsigned roles, n_workers;
    int64_t heard_ms;
    bool knows_us; /* has answered our last hello */
    bool greets;   /* its last beat was a hello */
    char server[MEMBERS_SERVER_MAX];
};

struct members {
    struct member *list; /* in no order */
    unsigned n, cap;
};

void members_init(struct members *m);
void members_fini(struct members *m);

/* A node was heard. True: the list has changed (a new node, another incarnation or server). A node
 * too many, or with impossible numbers, is not taken. */
bool members_heard(struct members *m, uint32_t node, uint64_t incarnation, unsigned roles,
                   unsigned n_workers, struct str server, int64_t now_ms);

struct member *members_find(struct members *m, uint32_t node); /* NULL: not there */
bool members_remove(struct members *m, uint32_t node);         /* false: was not there */

/* Whoever was not heard since the moment that this returns is gone: silent for MEMBERS_DEAD_MS, and
 * also while our own beats still came back, the last time at `echo_ms`. Otherwise it is us who hear
 * nothing, and all are as present as they were. */
int64_t members_silent_since(int64_t now_ms, int64_t echo_ms);

/* Removes one node that was not heard since `since_ms`; false: there is none. */
bool members_expire(struct members *m, int64_t since_ms, uint32_t *node);

/* Time in which we ourselves stood still does not count against the others. */
void members_forgive(struct members *m, int64_t ms);

/* A new hello is asked: nobody has answered it yet. */
void members_forget_welcomes(struct members *m);
bool members_all_know_us(const struct members *m);

#endif
