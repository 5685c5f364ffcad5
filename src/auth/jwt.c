#include "auth/jwt.h"
#include "auth/base64url.h"
#include "auth/keys_own.h"
#include "base/json.h"
#include <openssl/err.h>

/* Of every token that we sign. */
#define SIGNING_HEADER STR("{\"alg\":\"RS256\",\"typ\":\"JWT\"}")

/* The parts of a token between its dots; false unless there are exactly three. */
static bool split(struct str jwt, struct str parts[3])
{
    struct str rest = jwt;
    for (unsigned i = 0; i < 2; i++) {
        const char *dot = rest.len ? memchr(rest.p, '.', rest.len) : NULL;
        if (!dot)
            return false;
        parts[i] = str_make(rest.p, (size_t)(dot - rest.p));
        rest = str_make(dot + 1, rest.len - parts[i].len - 1);
    }
    parts[2] = rest;
    return base64url_is(parts[0]) && base64url_is(parts[1]) && base64url_is(parts[2]);
}

/* What a header says. */
struct header {
    enum jws_alg alg;
    struct str kid; /* p is NULL without one */
};

/* The API (section 6) has `typ` and `crit` ignored. For crit RFC 7515 section 4.1.11 says
 * otherwise, but whoever holds the key signs the same claims either way, and tokens that the
 * original takes stay good.
 *
 * Nobody else reads the header: there is no second parser that might understand it in another way.
 * Yet an `alg` or `kid` that stands twice (section 4) is none that somebody would sign in earnest.
 * A kid that is no string is nobody's name. `scratch` may be where the kid is. */
static enum err read_header(struct header *out, struct str text, struct buf *scratch)
{
    struct json header, name, value, alg = {0}, kid = {0};
    enum err e = json_parse(&header, text);
    if (e)
        return e;
    if (header.type != JSON_OBJECT)
        return ERR_PROTO;

    struct json_iter it;
    json_iter_init(&it, header);
    while (json_next(&it, &name, &value)) {
        struct json *to = json_is(name, STR("alg"))   ? &alg
                          : json_is(name, STR("kid")) ? &kid
                                                      : NULL;
        if (!to)
            continue;
        if (to->text.p)
            return ERR_PROTO;
        *to = value;
    }
    out->alg = jws_alg_of(alg);
    out->kid = kid.type == JSON_STRING ? json_text(kid, scratch) : str_make(NULL, 0);
    return out->alg == JWS_N_ALGS ? ERR_DENIED : ERR_OK;
}

/* All but the payload; `scratch` is empty. */
static enum err check(const struct keys *keys, struct str parts[3], struct buf *header_text,
                      struct buf *kid_text, struct buf *signature)
{
    struct header header;
    if (!base64url_decode(header_text, parts[0]) || !base64url_decode(signature, parts[2]))
        return ERR_PROTO;
    enum err e = read_header(&header, buf_as_str(header_text), kid_text);
    if (e)
        return e;
    const struct str text = {parts[0].p, parts[0].len + 1 + parts[1].len};
    bool good = keys_verify(keys, header.alg, header.kid, text, buf_as_str(signature));
    return good ? ERR_OK : ERR_DENIED;
}

enum err jwt_check_signature(struct buf *payload, const struct keys *keys, struct str jwt)
{
    struct str parts[3];
    struct buf header = BUF_INIT, kid = BUF_INIT, signature = BUF_INIT;
    if (jwt.len > JWT_BYTES_MAX)
        return ERR_LIMIT;
    if (!split(jwt, parts))
        return ERR_PROTO;
    enum err e = check(keys, parts, &header, &kid, &signature);
    if (!e && !base64url_decode(payload, parts[1]))
        e = ERR_PROTO;
    buf_fini(&header);
    buf_fini(&kid);
    buf_fini(&signature);

    /* What a failure left in this thread's queue would be taken for one of a TLS connection. Also
     * when another key was good. */
    ERR_clear_error();
    return e;
}

enum err jwt_verify(struct claims **out, const struct keys *keys, struct str jwt,
                    const struct claims_rules *rules, double now_s)
{
    struct buf payload = BUF_INIT;
    enum err e = jwt_check_signature(&payload, keys, jwt);
    if (!e)
        e = claims_from_json(out, buf_as_str(&payload), rules, now_s);
    buf_fini(&payload);
    return e;
}

enum err jwt_payload(struct buf *payload, struct str jwt)
{
    struct str parts[3];
    return split(jwt, parts) && base64url_decode(payload, parts[1]) ? ERR_OK : ERR_PROTO;
}

enum err jwt_sign(struct buf *out, const struct signing_key *key, struct str claims_json)
{
    struct buf token = BUF_INIT, signature = BUF_INIT;
    const struct str header = SIGNING_HEADER;
    base64url_encode(&token, header.p, header.len);
    buf_char(&token, '.');
    base64url_encode(&token, claims_json.p, claims_json.len);
    enum err e = signing_key_sign(&signature, key, buf_as_str(&token));
    if (!e) {
        buf_str(out, buf_as_str(&token));
        buf_char(out, '.');
        buf_str(out, buf_as_str(&signature));
    }
    buf_fini(&token);
    buf_fini(&signature);
    return e;
}
