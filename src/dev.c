#include "dev.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/names.h"
#include "cli/token.h"
#include "run.h"

enum { DEV_TOKEN_S = 24 * 3600 }; /* how long a token is good */

bool dev_print_help(const struct config *c, const struct server_options *o, struct str private_pem,
                    const char *program)
{
    static const char *const channels[] = {"*"};
    const struct token_options t = {.app = "demo",
                                    .user = "alice",
                                    .channels = channels,
                                    .n_channels = 1,
                                    .life_s = DEV_TOKEN_S};
    char why[512], folder[4096], slave[64], master[64];
    struct buf token = BUF_INIT;
    if (token_make(&token, &t, private_pem, run_unix_now(), why, sizeof(why))) {
        run_fail(1, why);
        return false;
    }
    run_state_folder(c, folder, sizeof(folder));
    address_write(slave, &o->listens[0].address);
    address_write(master, &o->listens[o->n_listens - 1].address);
    struct str gcs = o->worker.api.slave_prefix, api = o->worker.api.master_prefix;
    /* "s" where a listener speaks TLS */
    const char *slave_s = o->listens[0].tls ? "s" : "";
    const char *master_s = o->listens[o->n_listens - 1].tls ? "s" : "";
    printf("gusher %s is up: browsers at http%s://%s%.*s, backends at http%s://%s%.*s\n\n"
           "A token for app \"demo\", user \"alice\", every channel, good for a day\n"
           "(its key is %s/private.pem):\n\n  %.*s\n\n",
           GUSHER_VERSION, slave_s, slave, (int)gcs.len, gcs.p, master_s, master, (int)api.len,
           api.p, folder, (int)token.len, token.p);
    if (api_has_console)
        printf("The console, where all of it is to be seen and tried:\n\n  http%s://%s/ui/\n\n",
               master_s, master);
    /* Whoever pastes may stand in another folder. */
    char itself[4096];
    ssize_t len = readlink("/proc/self/exe", itself, sizeof(itself) - 1);
    if (len > 0) {
        itself[len] = 0;
        program = itself;
    }
    printf("See it work. In a second terminal, listen:\n\n"
           "  %s subscribe news --url ws%s://%s%.*s/ws/demo --token %.*s\n\n"
           "In a third one, push a message and see who is there:\n\n"
           "  curl -d 'data={\"hello\":\"world\"}' http%s://%s%.*s/push/demo/news/greeting\n\n"
           "  curl http%s://%s%.*s/demo/online/bychannel/news\n\n",
           program, slave_s, slave, (int)gcs.len, gcs.p, (int)token.len, token.p, master_s, master,
           (int)api.len, api.p, master_s, master, (int)api.len, api.p);
    fflush(stdout);
    buf_fini(&token);
    return true;
}

/* A C string of it, in `out`. False: it could not be one. */
static bool add_c_string(struct buf *out, struct str s)
{
    buf_str(out, s);
    buf_char(out, 0);
    return !memchr(s.p, 0, s.len);
}

enum err dev_make_token(void *pem, const struct api_token *t, double now_s, struct buf *out,
                        char *why, size_t why_len)
{
    const struct buf *private_pem = pem;
    struct buf text = BUF_INIT;
    struct str rest = t->channels, name;
    unsigned n = 0;
    bool ok = add_c_string(&text, t->app) && add_c_string(&text, t->user);
    while (ok && names_next(&rest, &name))
        ok = add_c_string(&text, name);
    if (!ok) {
        buf_fini(&text);
        snprintf(why, why_len, "A name with a zero byte in it cannot be in a token made here.");
        return ERR_PROTO;
    }
    const char **channels = mem_alloc(names_count(t->channels) * sizeof(*channels));
    const char *app = text.p, *user = app + t->app.len + 1, *at = user + t->user.len + 1;
    for (rest = t->channels; names_next(&rest, &name); at += name.len + 1)
        channels[n++] = at;
    const struct token_options o = {
        .app = app, .user = user, .channels = channels, .n_channels = n, .life_s = DEV_TOKEN_S};
    enum err e = token_make(out, &o, buf_as_str(private_pem), now_s, why, why_len);
    mem_free(channels);
    buf_fini(&text);
    return e;
}
