/* options.h - the table of options that config.c reads: one entry for each command's flag. */
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

#endif
