/* privilege.h - what the process gives up before it serves. For the files of src/ alone. */
#ifndef PRIVILEGE_H
#define PRIVILEGE_H
#include <stdbool.h>
#include <stddef.h>

/* No core dumps, which would hold tokens and keys; nor may others of the same user look into the
 * process. */
void privilege_forbid_dumps(void);

/* All threads go on as this user, with its groups alone; `name` is USER or USER:GROUP. Only root
 * can. False: `why` gets one sentence. */
bool privilege_drop(const char *name, char *why, size_t why_len);

#endif
