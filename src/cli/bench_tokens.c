#include "cli/bench_tokens.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "auth/jwt.h"
#include "auth/signing_key.h"
#include "base/mem.h"
#include "cli/token.h"

enum {
    THREADS_MAX = 16,
    LIFE_S = 86400,
};

struct share { /* one thread's */
    pthread_t thread;
    struct bench_tokens *tokens;
    const struct bench_tokens_options *o;
    struct str private_pem;
    unsigned first, step;
    enum err e;
    char why[256];
};

static enum err sign_one(struct share *s, const struct signing_key *key, unsigned i)
{
    char user[32];
    struct buf claims = BUF_INIT;
    snprintf(user, sizeof(user), "bench-%u", i);
    const struct token_options t = {.app = s->o->app,
                                    .user = user,
                                    .channels = &s->o->channels,
                                    .n_channels = 1,
                                    .life_s = LIFE_S};
    token_claims(&claims, &t, s->o->now_s);
    enum err e = jwt_sign(&s->tokens->items[i], key, buf_as_str(&claims));
    buf_fini(&claims);
    if (e)
        snprintf(s->why, sizeof(s->why), "The key does not sign.");
    return e;
}

static void *sign_share(void *ctx)
{
    struct share *s = ctx;
    struct signing_key *key; /* for one thread, so each reads it */
    s->e = signing_key_from_pem(&key, s->private_pem, s->why, sizeof(s->why));
    if (s->e)
        return NULL;
    for (unsigned i = s->first; i < s->tokens->n && !s->e; i += s->step)
        s->e = sign_one(s, key, i);
    signing_key_free(key);
    return NULL;
}

static unsigned thread_count(unsigned n)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned wanted = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
    return wanted < n ? wanted : n;
}

enum err bench_tokens_make(struct bench_tokens *t, const struct bench_tokens_options *o,
                           struct str private_pem, char *why, size_t why_len)
{
    struct share shares[THREADS_MAX];
    unsigned n = thread_count(o->n), started = 0;
    *t = (struct bench_tokens){.items = mem_zalloc(o->n * sizeof(*t->items)), .n = o->n};
    for (unsigned i = 0; i < n; i++) {
        shares[i] =
            (struct share){.tokens = t, .o = o, .private_pem = private_pem, .first = i, .step = n};
        if (i && pthread_create(&shares[i].thread, NULL, sign_share, &shares[i]) == 0)
            started |= 1u << i;
    }
    enum err e = ERR_OK;
    for (unsigned i = 0; i < n; i++) {
        if (started & 1u << i)
            pthread_join(shares[i].thread, NULL);
        else
            sign_share(&shares[i]); /* this thread's, and that of one that did not start */
        if (shares[i].e && !e) {
            e = shares[i].e;
            snprintf(why, why_len, "%s", shares[i].why);
        }
    }
    return e;
}

void bench_tokens_fini(struct bench_tokens *t)
{
    for (unsigned i = 0; i < t->n; i++)
        buf_fini(&t->items[i]);
    mem_free(t->items);
    *t = (struct bench_tokens){0};
}
