/* names.h - a list of names in one run of bytes: what grants, reloads and answers are made of.
 *
 * Each is its length (4 bytes, little endian: lists also travel between nodes), then its bytes. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H
#include <stdint.h>
#include "base/buf.h"
#include "base/str.h"

/* Appends a name (any bytes, under 4 GiB). */
void names_add(struct buf *list, struct str name);

/* Takes the next name off the front of *rest, into *name; false at the end. */
bool names_next(struct str *rest, struct str *name);

/* Whether bytes of unknown origin are a list. */
bool names_valid(struct str list);

/* How many names there are. */
uint32_t names_count(struct str list);

#endif
