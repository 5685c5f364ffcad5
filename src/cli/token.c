#include "cli/token.h"
#include "auth/jwt.h"
#include "auth/signing_key.h"
#include "base/json.h"
#include "base/utf8.h"
#include <stdio.h>

static struct str text_of(const char *c_string)
{
    return c_string ? str_of(c_string) : STR_EMPTY;
}

static bool all_utf8(const char *const *strings, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!utf8_valid(text_of(strings[i])))
            return false;
    return true;
}

static enum err check(const struct token_options *o, char *why, size_t why_len)
{
    /* JSON would carry other bytes than those that were typed. */
    if (!all_utf8(&o->app, 1) || !all_utf8(&o->user, 1) || !all_utf8(o->channels, o->n_channels) ||
        !all_utf8(o->remotes, o->n_remotes)) {
        snprintf(why, why_len, "App, user, channels and remotes have to be UTF-8.");
        return ERR_PROTO;
    }
    if (o->life_s < 0) {
        snprintf(why, why_len, "The token's life cannot be negative (%ld seconds).", o->life_s);
        return ERR_PROTO;
    }
    if (o->n_channels > JWT_CHANNELS_MAX || o->n_remotes > JWT_REMOTES_MAX) {
        snprintf(why, why_len, "A token holds at most %d channels and %d remotes.",
                 JWT_CHANNELS_MAX, JWT_REMOTES_MAX);
        return ERR_LIMIT;
    }
    return ERR_OK;
}

void token_claims(struct buf *b, const struct token_options *o, double now_s)
{
    double iat = (double)(long long)now_s;
    buf_str(b, STR("{\"gusher\":{\"user_id\":"));
    json_quote(b, text_of(o->user));
    buf_str(b, STR(",\"channels\":["));
    for (unsigned i = 0; i < o->n_channels; i++) {
        if (i)
            buf_char(b, ',');
        json_quote(b, text_of(o->channels[i]));
    }
    buf_str(b, STR("],\"app_key\":"));
    json_quote(b, text_of(o->app));
    buf_str(b, STR(",\"remotes\":{"));
    for (unsigned i = 0; i < o->n_remotes; i++) {
        if (i)
            buf_char(b, ',');
        json_quote(b, text_of(o->remotes[i]));
        buf_str(b, STR(":true"));
    }
    buf_printf(b, "}},\"iat\":%.0f", iat);
    if (o->life_s)
        buf_printf(b, ",\"exp\":%.0f", iat + (double)o->life_s);
    buf_char(b, '}');
}

enum err token_make(struct buf *out, const struct token_options *o, struct str private_pem,
                    double now_s, char *why, size_t why_len)
{
    struct signing_key *key;
    enum err e = check(o, why, why_len);
    if (!e)
        e = signing_key_from_pem(&key, private_pem, why, why_len);
    if (e)
        return e;

    struct buf claims = BUF_INIT, token = BUF_INIT;
    token_claims(&claims, o, now_s);
    e = jwt_sign(&token, key, buf_as_str(&claims));
    if (e) {
        snprintf(why, why_len, "The key does not sign.");
    } else if (token.len > JWT_BYTES_MAX) {
        snprintf(why, why_len, "The token has %zu bytes; servers take at most %d.", token.len,
                 JWT_BYTES_MAX);
        e = ERR_LIMIT;
    } else {
        buf_str(out, buf_as_str(&token));
    }
    buf_fini(&claims);
    buf_fini(&token);
    signing_key_free(key);
    return e;
}
