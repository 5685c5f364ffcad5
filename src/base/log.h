/* log.h - one line per event on standard error, for people (text) or programs (JSON).
 *
 * Secrets have no business here: no token, JWT, key or payload is ever a field. Callable from
 * any thread; a line is one write, or in one with others. Lines under LOG_ERROR share a budget of
 * LOG_LINES_MAX a second, so that a peer cannot fill a disk; what was left out is counted in the
 * next second. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum { LOG_LINES_MAX = 200 };

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_SILENT };

struct log_field {
    const char *name; /* NULL ends the list */
    struct str text;
    int64_t number;
    bool is_number;
};

#define LOG_STR(field, value)  ((struct log_field){.name = (field), .text = (value)})
#define LOG_CSTR(field, value) ((struct log_field){.name = (field), .text = str_of(value)})
#define LOG_INT(field, value)                                                                      \
    ((struct log_field){.name = (field), .number = (int64_t)(value), .is_number = true})

/* LOG(LOG_WARN, "socket_closed", LOG_CSTR("reason", why), LOG_INT("queued", n)) */
#define LOG(level, event, ...)                                                                     \
    do {                                                                                           \
        if ((level) >= log_level())                                                                \
            log_write(level, event, (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});          \
    } while (0)

/* Before any thread starts. */
void log_setup(enum log_level lowest, bool as_json);
enum log_level log_level(void);

/* From now on lines are written by a thread of their own (log_writer.h), so that nobody who logs
 * waits for standard error. ERR_SYS: they are not (errno). */
enum err log_start(void);

void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
