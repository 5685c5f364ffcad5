/* alloc_fail.h - makes one allocation of a test program fail, whoever asks: our own code, OpenSSL,
 * RE2, cnats, the C library. Not under TSan.
 *
 * Linked to the programs of hub, bus and auth. A program that is run as it is notices nothing. With
 * ALLOC_FAIL_SITES=file it writes which of its allocations by base/mem or `new` are the first of
 * their kind (by what called them); with ALLOC_FAIL_AT=n the n-th of those fails, once. That is
 * what tests/support/alloc_fail.sh does with each program. */
#ifndef TESTS_ALLOC_FAIL_H
#define TESTS_ALLOC_FAIL_H
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From now on all allocations are counted, of all threads; the n-th fails, once. 0: none. */
void alloc_fail_begin(uint64_t n);

/* From now on so many fail in a row, from the n-th on. */
void alloc_fail_in_a_row(uint64_t many);

/* Ends that; returns how many there were. */
uint64_t alloc_fail_end(void);
bool alloc_fail_happened(void);

/* Blocks that are held now. */
int64_t alloc_fail_held(void);

#ifdef __cplusplus
}
#endif

#endif
