/* pages.h - what is printed of the tables of commands and options (options.h), on standard output.
 */
#ifndef PAGES_H
#define PAGES_H
#include <stdbool.h>
#include <stdio.h>
#include "config.h"

/* All commands, a line each. */
void pages_usage(FILE *out);

/* The options of one command. */
void pages_help(enum config_command command);

/* The page docs/CONFIG.md. */
void pages_markdown(void);

/* The manual page of a command in roff (man(7)); 0: that of gusher itself. */
void pages_man(enum config_command command);

/* What makes a shell complete the commands and their flags. False: no shell that is known. */
bool pages_completions(const char *shell);

#endif
