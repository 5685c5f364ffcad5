#include "base/log.h"
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "base/json.h"
#include "base/log_writer.h"

enum { LOG_TEXT_MAX = 512 }; /* bytes of one field; names come from clients */

_Atomic uint8_t log_lowest[LOG_AREAS] = {[0 ... LOG_AREAS - 1] = LOG_INFO};
static bool json_lines;

/* Logging is off every hot path, so one mutex for the budget will do. */
static pthread_mutex_t budget_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t budget_second;
static unsigned lines_this_second, left_out;

static const char *const level_names[] = {"debug", "info", "warn", "error", "silent"};
static const char *const area_names[LOG_AREAS] = {
    [LOG_SERVER] = "server", [LOG_HTTP] = "http", [LOG_SOCKETS] = "sockets",
    [LOG_LIMITS] = "limits", [LOG_BUS] = "bus",   [LOG_REMOTE] = "remote"};

void log_setup(enum log_level level, bool as_json)
{
    for (unsigned i = 0; i < LOG_AREAS; i++)
        atomic_store(&log_lowest[i], (uint8_t)level);
    json_lines = as_json;
}

/* ---- levels ---- */

static bool find_name(const char *const *names, unsigned n, struct str name, unsigned *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (!str_eq(str_of(names[i]), name))
            continue;
        *out = i;
        return true;
    }
    return false;
}

static bool read_level(struct log_levels *l, struct str part)
{
    unsigned area = 0, n = LOG_AREAS, level;
    if (part.len && memchr(part.p, '=', part.len)) {
        if (!find_name(area_names, LOG_AREAS, str_trim(str_cut(&part, '=')), &area))
            return false;
        n = 1;
    }
    if (!find_name(level_names, LOG_SILENT + 1, str_trim(part), &level))
        return false;
    for (unsigned i = area; i < area + n; i++)
        l->of[i] = (enum log_level)level;
    return true;
}

bool log_levels_read(struct log_levels *out, struct str text)
{
    struct log_levels l = *out;
    do {
        if (!read_level(&l, str_trim(str_cut(&text, ','))))
            return false;
    } while (text.len);
    *out = l;
    return true;
}

static enum log_level most_frequent(const struct log_levels *l)
{
    unsigned n[LOG_SILENT + 1] = {0}, best = LOG_INFO;
    for (unsigned i = 0; i < LOG_AREAS; i++)
        n[l->of[i]]++;
    for (unsigned i = 0; i <= LOG_SILENT; i++)
        best = n[i] > n[best] ? i : best;
    return (enum log_level)best;
}

void log_levels_write(struct buf *out, const struct log_levels *l)
{
    enum log_level all = most_frequent(l);
    buf_str(out, str_of(level_names[all]));
    for (unsigned i = 0; i < LOG_AREAS; i++) {
        if (l->of[i] != all)
            buf_printf(out, ",%s=%s", area_names[i], level_names[l->of[i]]);
    }
}

void log_set_levels(const struct log_levels *l)
{
    for (unsigned i = 0; i < LOG_AREAS; i++)
        atomic_store(&log_lowest[i], (uint8_t)l->of[i]);
}

struct log_levels log_levels(void)
{
    struct log_levels l;
    for (unsigned i = 0; i < LOG_AREAS; i++)
        l.of[i] = (enum log_level)atomic_load(&log_lowest[i]);
    return l;
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
