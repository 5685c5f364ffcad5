#include "base/log.h"
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "base/json.h"
#include "base/log_writer.h"

enum { LOG_TEXT_MAX = 512 }; /* bytes of one field; names come from clients */

static enum log_level lowest = LOG_INFO;
static bool json_lines;

/* Logging is off every hot path, so one mutex for the budget will do. */
static pthread_mutex_t budget_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t budget_second;
static unsigned lines_this_second, left_out;

static const char *const level_names[] = {"debug", "info", "warn", "error", "silent"};

void log_setup(enum log_level level, bool as_json)
{
    lowest = level;
    json_lines = as_json;
}

enum log_level log_level(void)
{
    return lowest;
}

/* By a clock that is not stepped. */
static int64_t this_second(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static bool within_budget(enum log_level level, unsigned *missing)
{
    int64_t second = this_second();
    bool ok = true;
    pthread_mutex_lock(&budget_lock);
    *missing = 0;
    if (second != budget_second) {
        budget_second = second;
        lines_this_second = 0;
        *missing = left_out;
        left_out = 0;
    }
    if (level < LOG_ERROR && ++lines_this_second > LOG_LINES_MAX) {
        left_out++;
        ok = false;
    }
    pthread_mutex_unlock(&budget_lock);
    return ok;
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
            return false;
    }
    return s.len > 0;
}

static void add_field(struct buf *line, const char *name, const struct log_field *f)
{
    struct str text = f->text;
    if (text.len > LOG_TEXT_MAX)
        text.len = LOG_TEXT_MAX;
    if (json_lines)
        buf_printf(line, ",\"%s\":", name);
    else
        buf_printf(line, " %s=", name);
    if (f->is_number)
        buf_printf(line, "%lld", (long long)f->number);
    else if (!json_lines && is_plain(text))
        buf_str(line, text);
    else
        json_quote(line, text);
}

/* Takes part in no budget; false: the line is lost. */
static bool write_line(enum log_level level, const char *event, const struct log_field *fields,
                       unsigned missing)
{
    struct timespec now;
    struct tm tm;
    char when[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof(when) - n, ".%03ldZ", now.tv_nsec / 1000000);

    struct buf line = BUF_INIT;
    if (json_lines)
        buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", when,
                   level_names[level], event);
    else
        buf_printf(&line, "%s %-5s %s", when, level_names[level], event);
    for (const struct log_field *f = fields; f->name; f++)
        add_field(&line, f->name, f);
    if (missing)
        add_field(&line, "lines_left_out", &LOG_INT("", missing));
    buf_str(&line, json_lines ? STR("}\n") : STR("\n"));

    /* A log that cannot be written must not stop the service; there is nobody to tell. */
    bool ok = log_writer_runs() ? log_writer_add(buf_as_str(&line))
                                : write(STDERR_FILENO, line.p, line.len) == (ssize_t)line.len;
    buf_fini(&line);
    return ok;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    unsigned missing;
    if (within_budget(level, &missing))
        write_line(level, event, fields, missing);
}

static bool tell_of_lost(unsigned lines, int error)
{
    const char *why = error ? strerror(error) : "it was not read in time";
    return write_line(LOG_ERROR, "log_lines_lost",
                      (struct log_field[]){LOG_INT("count", lines), LOG_CSTR("reason", why), {0}},
                      0);
}

enum err log_start(void)
{
    return log_writer_start(STDERR_FILENO, tell_of_lost);
}
