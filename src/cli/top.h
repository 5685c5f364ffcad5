/* top.h - gusher top: what nodes are doing, on a terminal, anew every second. */
#ifndef CLI_TOP_H
#define CLI_TOP_H
#include <stdbool.h>
#include "cli/call.h"

struct top_options {
    const char *const *urls; /* http(s)://HOST:PORT of listeners: what /metrics stands below */
    unsigned n_urls;
    const char *key, *ca_file; /* as struct call */
    unsigned interval_s;
    unsigned rounds; /* pictures; 0: until the end of the process or "q" */
};

/* ERR_LIMIT: too many addresses. */
enum err top_run(const struct top_options *o);

#endif
