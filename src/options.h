/* options.h - the tables of commands and of their options: config.c reads by them, pages.c prints
 * them. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include <stddef.h>
#include "config.h"

enum option_type { TEXT, NUMBER, SWITCH, LIST };

struct option {
    unsigned commands; /* enum config_command bits */
    const char *flag, *env, *standard;
    enum option_type type;
    size_t offset; /* of its field in struct config */
    long min, max; /* NUMBER */
    const char *value, *help;
};

extern const struct option options[];
extern const unsigned n_options;

struct command {
    enum config_command bit;
    const char *name, *arguments; /* those without a flag, as a synopsis names them */
    const char *help;
};

extern const struct command commands[];
extern const unsigned n_commands;

const struct command *command_of(enum config_command bit);

#endif
