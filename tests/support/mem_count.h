/* mem_count.h - base/mem.h for one test program, with a count of what is allocated.
 *
 * Included by the one source of a test: its definitions come before those of the library, which
 * is static, so that mem.c is not linked. It must define all that mem.h declares. */
#ifndef TESTS_MEM_COUNT_H
#define TESTS_MEM_COUNT_H
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static struct {
    size_t calls; /* allocations and reallocations */
    size_t bytes; /* held now */
    size_t peak;
} mem_count;

/* The size stands before each block; 16 bytes keep the alignment. */
enum { MEM_COUNT_HEAD = 16 };

static void mem_count_add(size_t bytes)
{
    mem_count.calls++;
    mem_count.bytes += bytes;
    if (mem_count.bytes > mem_count.peak)
        mem_count.peak = mem_count.bytes;
}

void *mem_realloc(void *p, size_t bytes)
{
    char *old = p ? (char *)p - MEM_COUNT_HEAD : NULL;
    size_t before = 0;
    if (old)
        memcpy(&before, old, sizeof before);
    char *block = realloc(old, bytes + MEM_COUNT_HEAD);
    if (!block)
        abort();
    memcpy(block, &bytes, sizeof bytes);
    mem_count.bytes -= before;
    mem_count_add(bytes);
    return block + MEM_COUNT_HEAD;
}

void *mem_alloc(size_t bytes)
{
    return mem_realloc(NULL, bytes);
}

void *mem_zalloc(size_t bytes)
{
    return memset(mem_alloc(bytes), 0, bytes);
}

void mem_free(void *p)
{
    if (!p)
        return;
    size_t bytes;
    memcpy(&bytes, (char *)p - MEM_COUNT_HEAD, sizeof bytes);
    mem_count.bytes -= bytes;
    free((char *)p - MEM_COUNT_HEAD);
}

#endif
