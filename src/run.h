/* run.h - what the commands share: complaints, files, the moment. For the files of src/ alone. */
#ifndef RUN_H
#define RUN_H
#include "base/buf.h"
#include "config.h"

enum { EXIT_USAGE = 2 };

/* Tells it on standard error, and returns `code`. */
int run_fail(int code, const char *why);

double run_unix_now(void);

/* Reads a whole file of at most `max` bytes. False: `why` says what is wrong. */
bool run_read_file(const char *path, size_t max, struct buf *out, char *why, size_t why_len);

/* Where --dev keeps its keys; the folders above it are made. */
void run_state_folder(const struct config *c, char *out, size_t len);

/* The commands that serve: all, slave, master. */
int run_server(const struct config *c, enum config_command command, const char *program);

/* Whether one of them would start with these options. */
int run_check(const struct config *c, enum config_command command);

#endif
