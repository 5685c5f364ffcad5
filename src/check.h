/* check.h - gusher check: whether a server would start with these options, and what would be wrong,
 * in sentences. For the files of src/ alone. */
#ifndef CHECK_H
#define CHECK_H
#include "edge/server.h"
#include "load.h"

/* Looks at ports, keys, certificates, files, and whom the server would talk to; prints a line for
 * each. Usage was judged before. Returns the exit code: 1 when something is wrong. */
int check_all(struct load *l, const struct server_options *o);

#endif
