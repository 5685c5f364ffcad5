/* mem.h - small allocations that cannot fail, and where a struct begins.
 *
 * For sizes that are ours or that met a named limit before: without memory for
 * those the process cannot go on, and says so. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stddef.h>

void *mem_alloc(size_t bytes);            /* uninitialised; aborts when memory is out */
void *mem_zalloc(size_t bytes);           /* zeroed */
void *mem_realloc(void *p, size_t bytes); /* p may be NULL */
void mem_free(void *p);                   /* NULL is fine */

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
