/* wiring.h - from what the commands that serve are told to the options of a server. */
#ifndef WIRING_H
#define WIRING_H
#include "config.h"
#include "edge/server.h"

/* Judges the options as far as they can be without a look at anything else, and fills in where to
 * listen. 0; or the exit code, and what is wrong has been said. */
int wiring_judge(struct server_options *o, const struct config *c, enum config_command command);

/* The rest of them; `prefixes` (of the slave's and the master's paths, to be released by the
 * caller) have to live as long as `o`. */
void wiring_fill(struct server_options *o, const struct config *c, enum config_command command,
                 struct buf prefixes[2]);

#endif
