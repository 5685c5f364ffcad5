/* claims.h - what a JWT says about somebody: the payload of a token that was verified.
 *
 * No I/O, no clock. */
#ifndef AUTH_CLAIMS_H
#define AUTH_CLAIMS_H
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    JWT_CHANNELS_MAX = 10000, /* permissions in one token */
    JWT_REMOTES_MAX = 1000,   /* remote commands in one token */
};

struct remote {
    struct str name;
    bool allowed;
};

/* Immutable once made, counted atomically, one allocation: any thread may hold it. */
struct claims {
    struct str app_key, user_id;  /* "" when the token has none, */
    struct str jti_text;          /* also this, the token's id */
    const struct str *channels;   /* permissions; */
    unsigned n_channels;          /* has_channels: the member was there and not null */
    const struct remote *remotes; /* sorted by name, each name once (the last one counts) */
    unsigned n_remotes;
    bool has_channels, has_remotes;
    /* The standard claims as JSON text, for decode; len 0 when missing or null. */
    struct str aud, exp, jti, iat, iss, nbf, sub;
    double exp_s; /* unix seconds; 0: never expires */
    size_t bytes; /* of memory, all in all */
};

/* What an operator asks of claims beyond that. Zeroed it asks for nothing more. */
struct claims_rules {
    struct buf audiences, issuers; /* lists (names.h): one of them has to be there; empty: any */
    double leeway_s;               /* how far clocks may be apart: for exp, nbf and iat */
};
void claims_rules_fini(struct claims_rules *r);

struct claims *claims_ref(struct claims *c);
void claims_unref(struct claims *c);

/* Reads the payload of a token at unix time `now_s` (seconds), in *out (release: claims_unref).
 * ERR_PROTO: not a JSON object, or claims of a wrong type; ERR_EXPIRED: exp, nbf or iat speak
 * against it; ERR_DENIED: `rules` (NULL: none) do; ERR_LIMIT: over one of the limits above or
 * JSON_DEPTH_MAX. exp: refused when
 * now_s > exp, 0 or null is none; nbf, iat: refused when in the future. They are JSON numbers,
 * fractions allowed (NumericDate). aud: string or array of strings; iss, sub, jti: strings.
 * gusher.user_id, app_key: strings; channels: array of strings; remotes: object of booleans;
 * missing or null is empty; without gusher the identity is empty. Member names are exact, of
 * several with one name the last counts; text after the object is refused. */
enum err claims_from_json(struct claims **out, struct str json, const struct claims_rules *rules,
                          double now_s);

/* The same for a payload that was judged before: exp, nbf, iat, aud and iss may say what they like.
 */
enum err claims_from_judged_json(struct claims **out, struct str json);

/* The unix second at which the claims are over, with the leeway of `rules`; 0: never. */
double claims_end_s(const struct claims *c, const struct claims_rules *rules);

/* Appends the answer of the decode endpoint (API section 6), without a line feed:
 * {"gusher":{"channels":..,"user_id":..,"app_key":..,"remotes":..},"aud":..,..}. Missing lists are
 * null. */
void claims_write_json(struct buf *out, const struct claims *c);

#endif
