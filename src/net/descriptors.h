/* descriptors.h - how many descriptors this process may have, and how many are left.
 *
 * Whoever accepts connections stops before the end, so that something is left for what is none: a
 * connection to NATS, files that are read again. Any thread. */
#ifndef NET_DESCRIPTORS_H
#define NET_DESCRIPTORS_H
#include <stdbool.h>
#include "base/err.h"

/* Raises the limit as far as it goes without privileges, and notes it. Later changes of the limit
 * are noticed by descriptors_look. ERR_SYS: errno. */
enum err descriptors_raise(unsigned *limit, unsigned *before);

/* The limit as it is now. */
unsigned descriptors_look(void);

/* Whether a descriptor that is opened now leaves `spare` others. Costs two system calls when
 * descriptors_saw has seen that it may not, and nothing before. */
bool descriptors_left(unsigned spare);

/* The same of one that has been opened. The kernel gives the lowest number that is free, so the
 * number says how many there are at least. */
bool descriptors_leaves(int fd, unsigned spare);

/* How many there are, about: the lowest free number. */
unsigned descriptors_used(void);

/* Each descriptor of a connection is shown. */
void descriptors_saw(int fd);

#endif
