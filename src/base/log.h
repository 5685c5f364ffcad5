/* log.h - one line per event on standard error, for people (text) or programs (JSON).
 *
 * Secrets have no business here: no token, JWT, key or payload is ever a field. Callable from
 * any thread; a line is one write, or in one with others. Lines under LOG_ERROR share a budget of
 * LOG_LINES_MAX a second, so that a peer cannot fill a disk; what was left out is counted in the
 * next second.
 *
 * Each line belongs to an area, and each area has a level of its own, which may be changed at any
 * time. A file says which area it logs for: #define LOG_AREA LOG_BUS. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { LOG_LINES_MAX = 200 };

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_SILENT };

enum log_area {
    LOG_SERVER,  /* beginning, end, files, what is scarce */
    LOG_HTTP,    /* listeners, requests, TLS */
    LOG_SOCKETS, /* WebSockets */
    LOG_LIMITS,  /* who has met one */
    LOG_BUS,     /* the other nodes */
    LOG_REMOTE,  /* remote commands */
    LOG_AREAS
};

struct log_levels {
    enum log_level of[LOG_AREAS];
};

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
        if (log_is_on(LOG_AREA, level))                                                            \
            log_write(level, event, (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});          \
    } while (0)

/* Before any thread starts; the same level in all areas. */
void log_setup(enum log_level lowest, bool as_json);

/* "LEVEL" for all areas, "AREA=LEVEL" for one, with commas between them: "info,bus=debug". The
 * names of levels are those of the option, of areas "server", "http", ... False, and *out stays:
 * something else. */
bool log_levels_read(struct log_levels *out, struct str text);
#define LOG_LEVELS_WRONG                                                                           \
    "the levels are LEVEL and AREA=LEVEL, with commas: debug, info, warn, error or silent, of "    \
    "server, http, sockets, limits, bus or remote"
/* The shortest text that says them. */
void log_levels_write(struct buf *out, const struct log_levels *l);

/* From now on; any thread. */
void log_set_levels(const struct log_levels *l);
struct log_levels log_levels(void);

extern _Atomic uint8_t log_lowest[LOG_AREAS];
static inline bool log_is_on(enum log_area area, enum log_level level)
{
    return level >= atomic_load_explicit(&log_lowest[area], memory_order_relaxed);
}

/* From now on lines are written by a thread of their own (log_writer.h), so that nobody who logs
 * waits for standard error. ERR_SYS: they are not (errno). */
enum err log_start(void);

void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
