/* mem.h - small allocations that do not fail, and where a struct begins.
 *
 * For sizes that are ours or that met a named limit before. A process that serves keeps a reserve:
 * when the system gives no memory the reserve is given back to it, and the allocation is tried
 * again. Who asked notices nothing, and the process has the time to take in nobody new. Only when
 * that fails too it ends, with a sentence.
 *
 * What others allocate below us (OpenSSL, cnats, curl) is not saved by it: it fails, and their
 * errors are handled where they are called.
 *
 * None of them returns NULL, of no bytes neither. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MEM_RESERVE_BYTES = 1 << 20 };

void *mem_alloc(size_t bytes);            /* uninitialised; ends the process when memory is out */
void *mem_zalloc(size_t bytes);           /* zeroed */
void *mem_realloc(void *p, size_t bytes); /* p may be NULL */
void mem_free(void *p);                   /* NULL is fine */

/* Takes the reserve, once, before threads are started; false: there is no memory for it. */
bool mem_keep_reserve(void);

/* Gives the reserve back, if it is there: before trying again what has failed. Returns how often
 * that was done, by whatever thread: where the number stays, trying again is in vain. */
unsigned mem_give_back(void);

/* Whether the reserve was given back and cannot be taken again yet: nobody new should be taken in.
 * Any thread; costs a load until memory was short. */
bool mem_is_short(void);

/* Memory is out for good: says so and ends the process. */
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void mem_end(size_t bytes);

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#ifdef __cplusplus
}
#endif

#endif
