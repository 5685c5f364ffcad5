#include "config.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "options.h"
#include "pages.h"

#define LOG_AREA LOG_SERVER

extern char **environ;

const char *config_command_name(enum config_command command)
{
    return command_of(command)->name;
}

/* ---- texts that live as long as the config ---- */

struct owned {
    struct owned *next;
    char text[];
};

static const char *keep(struct config *c, const char *p, size_t len)
{
    struct owned *o = mem_alloc(sizeof(*o) + len + 1);
    memcpy(o->text, p, len);
    o->text[len] = 0;
    o->next = c->owned;
    c->owned = o;
    return o->text;
}

void config_fini(struct config *c)
{
    for (struct owned *o = c->owned, *next; o; o = next) {
        next = o->next;
        mem_free(o);
    }
    c->owned = NULL;
}

/* ---- setting one option ---- */

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool complain(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "gusher: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return false;
}

static bool is_one_of(const char *text, const char *choices)
{
    struct str rest = str_of(choices);
    while (rest.len) {
        if (str_eq(str_cut(&rest, '|'), str_of(text)))
            return true;
    }
    return false;
}

/* Where a value comes from, weakest first. */
enum source { FROM_DEFAULT, FROM_ENV_FILE, FROM_ENV, FROM_FLAG };

static bool add_to_list(struct config_list *list, const char *text, enum source source,
                        const char *name)
{
    if (list->source != (int)source)
        *list = (struct config_list){.source = (int)source};
    if (list->n == CONFIG_LIST_MAX)
        return complain("%s may stand at most %d times", name, CONFIG_LIST_MAX);
    list->items[list->n++] = text;
    return true;
}

/* The items of a variable stand between commas; blanks around them, and items without anything in
 * them, say nothing. */
static bool set_list(struct config *c, const struct option *o, const char *text, enum source source)
{
    struct str rest = str_of(text);
    struct config_list *list = (struct config_list *)((char *)c + o->offset);
    *list = (struct config_list){.source = (int)source};
    while (rest.len) {
        struct str item = str_trim(str_cut(&rest, ','));
        if (item.len && !add_to_list(list, keep(c, item.p, item.len), source, o->env))
            return false;
    }
    return true;
}

/* `name` is how the text came: "--workers" or "GUSHER_WORKERS". */
static bool set(struct config *c, const struct option *o, const char *text, enum source source,
                const char *name)
{
    void *field = (char *)c + o->offset;
    char *end;
    switch (o->type) {
    case TEXT:
        if (strchr(o->value, '|') && !is_one_of(text, o->value))
            return complain("%s must be one of %s, not \"%s\"", name, o->value, text);
        *(const char **)field = text;
        return true;
    case NUMBER:
        errno = 0;
        long n = strtol(text, &end, 10);
        if (errno || end == text || *end || n < o->min || n > o->max)
            return complain("%s must be a whole number from %ld to %ld, not \"%s\"", name, o->min,
                            o->max, text);
        *(long *)field = n;
        return true;
    case SWITCH:
        if (!is_one_of(text, "on|off|true|false|1|0"))
            return complain("%s must be on or off, not \"%s\"", name, text);
        *(bool *)field = is_one_of(text, "on|true|1");
        return true;
    case LIST:
        return source == FROM_FLAG ? add_to_list(field, text, source, name)
                                   : set_list(c, o, text, source);
    }
    return false;
}

static const struct option *by_env(struct str name)
{
    for (unsigned i = 0; i < n_options; i++) {
        if (options[i].env && str_eq(str_of(options[i].env), name))
            return &options[i];
    }
    return NULL;
}

/* ---- the sources, weakest first ---- */

static bool set_defaults(struct config *c, enum config_command command)
{
    for (unsigned i = 0; i < n_options; i++) {
        const struct option *o = &options[i];
        if (o->commands & command && o->standard && !set(c, o, o->standard, FROM_DEFAULT, o->flag))
            return false;
    }
    return true;
}

/* Whoever comes from the original has its names in the environment. */
static const char *why_ignored(struct str name)
{
    if (str_starts(name, STR("GUSHER_JOB_REDIS_")))
        return "no option of this version: --remote-url (GUSHER_REMOTE_URL) says where remote "
               "commands go";
    if (str_starts(name, STR("GUSHER_REDIS_")))
        return "no option of this version: --nats (GUSHER_NATS_ADDR) makes several processes one";
    return "no option of this version";
}

static void warn_unknown(struct str name)
{
    LOG(LOG_WARN, "option_ignored", LOG_STR("name", name), LOG_CSTR("reason", why_ignored(name)));
}

static bool set_by_env_name(struct config *c, enum config_command command, struct str name,
                            const char *value, enum source source)
{
    bool known = by_env(name) || str_eq(name, STR("GUSHER_ENV_FILE"));
    for (unsigned i = 0; i < n_options; i++) {
        const struct option *o = &options[i];
        if (o->commands & command && o->env && str_eq(str_of(o->env), name))
            return set(c, o, value, source, o->env);
    }
    if (!known && str_starts(name, STR("GUSHER_")))
        warn_unknown(name);
    return true;
}

/* NAME=value lines; '#' comments, an "export" in front and quotes around are understood. */
static bool read_env_file(struct config *c, enum config_command command, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return complain("cannot read --env-file %s: %s", path, strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    bool ok = true;
    for (unsigned n = 1; ok && (len = getline(&line, &cap, f)) >= 0; n++) {
        struct str value = str_trim(str_make(line, (size_t)len));
        if (!value.len || value.p[0] == '#')
            continue;
        if (!memchr(value.p, '=', value.len)) {
            ok = complain("%s line %u is not NAME=value", path, n);
            break;
        }
        struct str name = str_trim(str_cut(&value, '='));
        if (str_starts(name, STR("export ")))
            name = str_trim(str_make(name.p + 7, name.len - 7));
        value = str_trim(value);
        if (value.len >= 2 && (value.p[0] == '"' || value.p[0] == '\'') &&
            value.p[value.len - 1] == value.p[0])
            value = str_make(value.p + 1, value.len - 2);
        ok = set_by_env_name(c, command, name, keep(c, value.p, value.len), FROM_ENV_FILE);
    }
    free(line);
    fclose(f);
    return ok;
}

static bool read_environment(struct config *c, enum config_command command)
{
    for (char **e = environ; *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals || strncmp(*e, "GUSHER_", 7) != 0)
            continue;
        if (!set_by_env_name(c, command, str_make(*e, (size_t)(equals - *e)), equals + 1, FROM_ENV))
            return false;
    }
    return true;
}

static const struct option *by_flag(enum config_command command, struct str flag)
{
    for (unsigned i = 0; i < n_options; i++) {
        if (options[i].commands & command && str_eq(str_of(options[i].flag), flag))
            return &options[i];
    }
    return NULL;
}

/* Everybody on the machine can read the arguments of a process: secrets among them are copied and
 * blotted out. Addresses may have passwords in them. */
static const char *hide(struct config *c, const struct option *o, char *value)
{
    static const char *const secrets[] = {"ticket-secret", "token",      "master-key",
                                          "nats",          "remote-url", "jwks-url"};
    for (unsigned i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (strcmp(o->flag, secrets[i]) != 0)
            continue;
        const char *copy = keep(c, value, strlen(value));
        memset(value, 'x', strlen(value));
        return copy;
    }
    return value;
}

/* What an argument without a flag is; NULL: nothing. */
static const struct option *next_place(const struct config *c, enum config_command command)
{
    switch (command) {
    case CONFIG_SUBSCRIBE:
        return by_flag(command, STR("channel"));
    case CONFIG_TOP:
        return by_flag(command, STR("node"));
    case CONFIG_ONLINE:
        return c->channel ? NULL : by_flag(command, STR("channel"));
    case CONFIG_PUBLISH:
        if (!c->channel && !c->user && !c->socket && !c->channel_pattern)
            return by_flag(command, STR("channel"));
        return c->data ? NULL : by_flag(command, STR("data"));
    default:
        return NULL;
    }
}

/* One argument: a flag and, from it or from the next argument, its value; or what stands without
 * one. `counts`: for the last time, so a secret need not stay. */
static bool take_flag(struct config *c, enum config_command command, int argc, char **argv, int *i,
                      const char **env_file, bool counts)
{
    char *arg = argv[*i];
    if (arg[0] != '-' || !arg[1]) {
        const struct option *place = next_place(c, command);
        if (place)
            return set(c, place, arg, FROM_FLAG, place->flag);
    }
    if (strncmp(arg, "--", 2) != 0 && strcmp(arg, "-e") != 0)
        return complain("unexpected argument \"%s\"; see gusher %s --help", arg,
                        config_command_name(command));
    bool is_env_file = strcmp(arg, "-e") == 0;
    struct str name = is_env_file ? STR("env-file") : str_of(arg + 2);
    char *equals = strchr(arg, '=');
    if (equals)
        name.len = (size_t)(equals - arg - 2);
    is_env_file = str_eq(name, STR("env-file"));

    const struct option *o = is_env_file ? NULL : by_flag(command, name);
    if (!o && !is_env_file)
        return complain("unknown option \"%.*s\"; see gusher %s --help", (int)name.len + 2, arg,
                        config_command_name(command));
    char *value = equals ? equals + 1 : NULL;
    char source[64];
    if (o)
        snprintf(source, sizeof(source), "--%s", o->flag);
    if (!value && o && o->type == SWITCH &&
        (*i + 1 == argc || !is_one_of(argv[*i + 1], "on|off|true|false|1|0")))
        return set(c, o, "on", FROM_FLAG, source);
    if (!value && ++*i == argc)
        return complain("%s needs a value", arg);
    if (!value)
        value = argv[*i];
    if (is_env_file) {
        *env_file = value;
        return true;
    }
    return set(c, o, counts ? hide(c, o, value) : value, FROM_FLAG, source);
}

int config_read(struct config *c, enum config_command command, int argc, char **argv,
                int *exit_code)
{
    const char *env_file = getenv("GUSHER_ENV_FILE");
    *c = (struct config){0};
    *exit_code = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            pages_help(command);
            return -1;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("gusher %s\n", GUSHER_VERSION);
            return -1;
        }
    }
    /* Flags are read twice: at first only to find the env file and judge them all, then, on top
     * of the weaker sources, to count. */
    struct config probe = {0};
    bool ok = true;
    for (int i = 0; ok && i < argc; i++)
        ok = take_flag(&probe, command, argc, argv, &i, &env_file, false);
    ok = ok && set_defaults(c, command);
    if (ok && env_file)
        ok = read_env_file(c, command, env_file);
    ok = ok && read_environment(c, command);
    for (int i = 0; ok && i < argc; i++)
        ok = take_flag(c, command, argc, argv, &i, &env_file, true);
    if (ok)
        return 0;
    config_fini(c);
    *exit_code = 2;
    return -1;
}
