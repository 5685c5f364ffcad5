/* subject.h - names of any bytes as tokens of a NATS subject.
 *
 * A token may hold no blank, dot, star or angle bracket and may not be empty; a name may hold
 * anything. Letters, digits, '-' and '_' stand for themselves, any other byte is '=' and two upper
 * case hexadecimal digits, the empty name is "=". A name that would get longer than
 * SUBJECT_TOKEN_MAX is "=~" and 32 digits of its hash: two such names may meet in one token, so
 * whoever listens compares the name itself, which travels in the message. */
#ifndef BASE_SUBJECT_H
#define BASE_SUBJECT_H
#include "base/buf.h"
#include "base/str.h"

enum { SUBJECT_TOKEN_MAX = 192 };

/* Appends the token of `name`. The same on every node. */
void subject_token(struct buf *out, struct str name);

#endif
