/* deadline.h - waiting for a condition by the clock that is not stepped.
 *
 * pthread_cond_timedwait goes by the wall clock unless it is told otherwise: stepped back by a day,
 * a wait of a second takes a day. */
#ifndef BASE_DEADLINE_H
#define BASE_DEADLINE_H
#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* For waits until a deadline_in_ms (release: pthread_cond_destroy). */
void deadline_cond_init(pthread_cond_t *c);

struct timespec deadline_in_ms(int64_t ms);

/* Seconds by which the wall clock is ahead of the other one: another number when it was stepped.
 * Steered clocks and the moment between two looks make less than DEADLINE_STEP_S of difference. */
enum { DEADLINE_STEP_S = 1 };
double deadline_wall_ahead_s(void);

#endif
