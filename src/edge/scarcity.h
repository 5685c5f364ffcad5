/* scarcity.h - whether memory or descriptors run out, and what is done about it.
 *
 * A thread looks four times a second. When memory is scarce no new sockets are taken, so that those
 * that are there live on; when it is about to end, those are closed that have most waiting for
 * them and take none of it. When descriptors are scarce new sockets are refused too, which the
 * worker sees by itself (edge/door.h), and tells. */
#ifndef EDGE_SCARCITY_H
#define EDGE_SCARCITY_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum {
    SCARCITY_LOOK_MS = 250,
    SCARCITY_LOOK_NEAR_MS = 25, /* at memory, from SCARCITY_NEAR on: it may go fast */
    /* Percent of the limit of memory: */
    SCARCITY_NEAR = 75,
    SCARCITY_SCARCE = 90,
    SCARCITY_SEVERE = 95,
    SCARCITY_LESS_SEVERE = 92, /* and back */
    SCARCITY_ENOUGH = 85,
    SCARCITY_CALM_MS = 2000,  /* without a refusal, before descriptors are enough again */
    SCARCITY_SHED_MS = 1000,  /* between two closings */
    SCARCITY_TRIM_MS = 5000,  /* between two times that free memory is given back to the kernel */
    SCARCITY_AGAIN_MS = 30000 /* between two lines that say that it goes on */
};

enum memory_level { MEMORY_ENOUGH, MEMORY_SCARCE, MEMORY_SEVERE };

struct scarcity;

struct scarcity_options {
    const char *root;        /* as in memory.h */
    uint64_t memory_max;     /* bytes; 0: only the limits of control groups */
    unsigned reserve;        /* descriptors for what is no connection */
    void (*shed)(void *ctx); /* memory is about to end. On the thread */
    void (*mend)(void *ctx); /* each look: to try again what failed. On the thread; may be NULL */
    void *ctx;
};

struct scarcity *scarcity_new(const struct scarcity_options *o);
/* Starts the thread. ERR_SYS: none (errno). */
enum err scarcity_start(struct scarcity *s);
void scarcity_stop(struct scarcity *s); /* ends it; fine when it is not running, and for NULL */
void scarcity_free(struct scarcity *s); /* NULL is fine */

/* What the thread does each time. For tests. */
void scarcity_look(struct scarcity *s, int64_t now_ms);

/* ---- for workers; any thread; NULL: nothing is scarce ---- */

enum memory_level scarcity_memory(const struct scarcity *s);
unsigned scarcity_reserve(const struct scarcity *s);

/* A newcomer was refused, or left waiting, as descriptors or memory are scarce. */
void scarcity_refused(struct scarcity *s);
void scarcity_no_descriptor(struct scarcity *s);

/* One sentence, NULL: nothing is scarce. */
const char *scarcity_trouble(const struct scarcity *s);

#endif
