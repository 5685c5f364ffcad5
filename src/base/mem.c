#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

static void *checked(void *p, size_t bytes)
{
    if (!p && bytes) {
        fprintf(stderr, "gusher: out of memory (%zu bytes)\n", bytes);
        abort();
    }
    return p;
}

void *mem_alloc(size_t bytes)
{
    return checked(malloc(bytes), bytes);
}

void *mem_zalloc(size_t bytes)
{
    return checked(calloc(1, bytes), bytes);
}

void *mem_realloc(void *p, size_t bytes)
{
    return checked(realloc(p, bytes), bytes);
}

void mem_free(void *p)
{
    free(p);
}
