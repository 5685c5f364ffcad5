/* ask.c - the commands that ask servers for something: publish, online, channels, kick, top. */
#include "ask.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/json.h"
#include "cli/call.h"
#include "cli/top.h"
#include "run.h"

enum { DATA_BYTES_MAX = 1 << 30 };

static struct call call_of(const struct config *c)
{
    return (struct call){.master = c->master, .key = c->master_key, .ca_file = c->ca_file};
}

static bool is_one_word(const char *text)
{
    return !text || !strpbrk(text, " \t\r\n");
}

/* Asks, and gives the answer. `form` without p: a GET. Nonzero: it was told why there is none. */
static int ask(const struct config *c, struct buf *answer, struct buf *path, struct str form)
{
    char why[512];
    const struct call call = call_of(c);
    if (!is_one_word(c->master_key))
        return run_fail(EXIT_USAGE, "--master-key (GUSHER_MASTER_KEY) is one word");
    enum err e = call_master(answer, &call, buf_as_str(path), form, why, sizeof(why));
    return e ? run_fail(1, why) : 0;
}

static int print_answer(const struct config *c, struct buf *path, struct str form)
{
    struct buf answer = BUF_INIT;
    int code = ask(c, &answer, path, form);
    if (!code)
        printf("%.*s\n", (int)answer.len, answer.p);
    buf_fini(&answer);
    return code;
}

/* ---- gusher publish ---- */

/* All of standard input, without the line feed at its end. */
static bool read_input(struct buf *out, char *why, size_t why_len)
{
    char piece[64 * 1024];
    ssize_t n;
    while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0 && out->len < DATA_BYTES_MAX)
        buf_add(out, piece, (size_t)n);
    if (n < 0)
        snprintf(why, why_len, "cannot read standard input: %s", strerror(errno));
    else if (n)
        snprintf(why, why_len, "that is too much for one message");
    else if (out->len && out->p[out->len - 1] == '\n')
        out->len--;
    return n == 0;
}

/* Where it is to go: exactly one place. False: it was told that there is not. */
static bool begin_push(const struct config *c, struct buf *path, struct buf *form)
{
    unsigned n = !!c->channel + !!c->user + !!c->socket + !!c->channel_pattern;
    if (n != 1) {
        run_fail(EXIT_USAGE, "say where to: a channel, --pattern, --user or --socket");
        return false;
    }
    if (c->channel) {
        call_path(path, "push", c->app, c->channel, c->event, NULL);
    } else if (c->user) {
        call_path(path, "push", "user", c->app, c->user, NULL);
    } else if (c->socket) {
        call_path(path, "push", "socket", c->app, c->socket, NULL);
    } else {
        call_path(path, "push", c->app, NULL);
        call_add_field(form, "channel_pattern", str_of(c->channel_pattern));
        call_add_field(form, "event", str_of(c->event));
    }
    return true;
}

int run_publish(const struct config *c)
{
    char why[512];
    struct buf path = BUF_INIT, form = BUF_INIT, input = BUF_INIT;
    bool reads = !c->data || strcmp(c->data, "-") == 0;
    int code = EXIT_USAGE;
    if (begin_push(c, &path, &form)) {
        code = !reads || read_input(&input, why, sizeof(why)) ? 0 : run_fail(1, why);
        call_add_field(&form, "data", reads ? buf_as_str(&input) : str_of(c->data));
    }
    if (!code)
        code = print_answer(c, &path, buf_as_str(&form));
    buf_fini(&path);
    buf_fini(&form);
    buf_fini(&input);
    return code;
}

/* ---- gusher online, gusher channels ---- */

/* A name a line. False: the answer is no list of names. */
static bool print_names(struct str text)
{
    struct json list, value;
    struct json_iter it;
    if (json_parse(&list, text) || list.type != JSON_ARRAY)
        return false;
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &value)) {
        struct buf scratch = BUF_INIT;
        struct str name = value.type == JSON_STRING ? json_text(value, &scratch) : value.text;
        printf("%.*s\n", (int)name.len, name.p);
        buf_fini(&scratch);
    }
    return true;
}

static bool print_count(struct str text)
{
    struct json object, key, value;
    struct json_iter it;
    if (json_parse(&object, text) || object.type != JSON_OBJECT)
        return false;
    json_iter_init(&it, object);
    if (!json_next(&it, &key, &value))
        return false;
    printf("%.*s\n", (int)value.text.len, value.text.p);
    return true;
}

static int print_list(const struct config *c, struct buf *path)
{
    struct buf answer = BUF_INIT;
    if (c->count)
        buf_str(path, STR("/count"));
    int code = ask(c, &answer, path, (struct str){0});
    if (!code && c->json)
        printf("%.*s\n", (int)answer.len, answer.p);
    else if (!code && !(c->count ? print_count : print_names)(buf_as_str(&answer)))
        code = run_fail(1, "the answer is not what a gusher master answers");
    buf_fini(&answer);
    return code;
}

int run_online(const struct config *c)
{
    struct buf path = BUF_INIT;
    call_path(&path, c->app, "online", NULL);
    if (c->channel)
        call_path(&path, "bychannel", c->channel, NULL);
    int code = print_list(c, &path);
    buf_fini(&path);
    return code;
}

int run_channels(const struct config *c)
{
    struct buf path = BUF_INIT;
    call_path(&path, c->app, "channels", NULL);
    int code = print_list(c, &path);
    buf_fini(&path);
    return code;
}

/* ---- gusher kick ---- */

int run_kick(const struct config *c)
{
    struct buf path = BUF_INIT, form = BUF_INIT;
    unsigned n = !!c->user + !!c->socket + c->everybody;
    if (n != 1)
        return run_fail(EXIT_USAGE, "say whom: --user, --socket or --everybody");
    if (c->user)
        call_path(&path, "kick", "user", c->app, c->user, NULL);
    else if (c->socket)
        call_path(&path, "kick", "socket", c->app, c->socket, NULL);
    else
        call_path(&path, "kick", "app", c->app, NULL);
    if (c->reason)
        call_add_field(&form, "reason", str_of(c->reason));
    buf_reserve(&form, 1); /* a POST, if empty */
    int code = print_answer(c, &path, str_make(form.p, form.len));
    buf_fini(&path);
    buf_fini(&form);
    return code;
}

/* ---- gusher top ---- */

int run_top(const struct config *c)
{
    const struct top_options o = {.urls = c->nodes.items,
                                  .n_urls = c->nodes.n,
                                  .key = c->master_key,
                                  .ca_file = c->ca_file,
                                  .interval_s = (unsigned)c->interval,
                                  .rounds = (unsigned)c->rounds};
    if (!is_one_word(c->master_key))
        return run_fail(EXIT_USAGE, "--master-key (GUSHER_MASTER_KEY) is one word");
    return top_run(&o) ? run_fail(EXIT_USAGE, "those are too many nodes") : 0;
}
