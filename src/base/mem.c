#include "base/mem.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *reserve;       /* this and the next under the lock */
static unsigned n_given;    /* how often it was given back */
static atomic_bool was_out; /* the reserve has been given back, and is not there again */

/* Every page is written to: what was only promised would not be there when it is needed. */
static void *taken(void)
{
    void *p = malloc(MEM_RESERVE_BYTES);
    if (p)
        memset(p, 0xa5, MEM_RESERVE_BYTES);
    return p;
}

bool mem_keep_reserve(void)
{
    pthread_mutex_lock(&lock);
    if (!reserve)
        reserve = taken();
    bool there = reserve;
    pthread_mutex_unlock(&lock);
    return there;
}

unsigned mem_give_back(void)
{
    pthread_mutex_lock(&lock);
    if (reserve) {
        atomic_store(&was_out, true);
        n_given++;
    }
    free(reserve);
    reserve = NULL;
    unsigned n = n_given;
    pthread_mutex_unlock(&lock);
    return n;
}

bool mem_is_short(void)
{
    if (!atomic_load_explicit(&was_out, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&lock);
    if (!reserve)
        reserve = taken();
    if (reserve)
        atomic_store(&was_out, false);
    bool is_short = !reserve;
    pthread_mutex_unlock(&lock);
    return is_short;
}

void mem_end(size_t bytes)
{
    fprintf(stderr, "gusher: out of memory (%zu bytes)\n", bytes);
    abort();
}

/* The second try. Also without a reserve: another thread may have given it back just now. */
static void *again(void *p, size_t bytes, bool zeroed)
{
    mem_give_back();
    p = zeroed ? calloc(1, bytes) : realloc(p, bytes);
    if (!p)
        mem_end(bytes);
    return p;
}

void *mem_alloc(size_t bytes)
{
    bytes += !bytes;
    void *p = malloc(bytes);
    return p ? p : again(NULL, bytes, false);
}

void *mem_zalloc(size_t bytes)
{
    bytes += !bytes;
    void *p = calloc(1, bytes);
    return p ? p : again(NULL, bytes, true);
}

void *mem_realloc(void *p, size_t bytes)
{
    bytes += !bytes;
    void *q = realloc(p, bytes);
    return q ? q : again(p, bytes, false);
}

void mem_free(void *p)
{
    free(p);
}
