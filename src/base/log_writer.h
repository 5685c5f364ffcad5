/* log_writer.h - writes the log's lines on a thread of its own, behind a bounded buffer.
 *
 * Standard error may be a pipe that nobody reads, or a file on a full disk: whoever logs must not
 * wait for it. What does not fit into the buffer is lost, counted, and told once writing succeeds
 * again. O_NONBLOCK would do for pipes alone, and hits everybody who shares them. */
#ifndef BASE_LOG_WRITER_H
#define BASE_LOG_WRITER_H
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

enum {
    LOG_WRITER_BYTES = 256 * 1024, /* of lines that wait */
    LOG_WRITER_AGAIN_MS = 250,     /* between two tries of a write that failed */
    LOG_WRITER_END_MS = 1000,      /* that the process's end waits for lines, */
    LOG_WRITER_ABORT_MS = 300,     /* and its end by a signal */
};

/* Adds (log_writer_add) a line that tells of `lines` lost ones; `error` is the errno of the writes,
 * 0: they took too long. False: there was no room. On the writer's thread. */
typedef bool log_lost_fn(unsigned lines, int error);

/* Starts the thread, which writes to `fd`. Lines that wait are written at exit and when a signal
 * like SIGABRT ends the process, too. Once a process. ERR_SYS: no thread (errno). */
enum err log_writer_start(int fd, log_lost_fn *lost);

/* Whether it was started: otherwise lines are to be written by whoever has them. */
bool log_writer_runs(void);

/* Adds a line with its line feed; any thread, waits for nothing. False: it is lost. */
bool log_writer_add(struct str line);

/* Waits until what was added is written, `wait_ms` at most; not when it cannot be written. */
void log_writer_flush(unsigned wait_ms);

#endif
