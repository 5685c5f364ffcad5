#include "auth/jwt.h"
#include "auth/base64url.h"
#include "base/json.h"
#include <cjose/header.h>
#include <cjose/jws.h>
#include <openssl/err.h>

/* The header of every token we sign. */
static const char signing_alg[] = "RS256";

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

static bool is_accepted_alg(struct json alg)
{
    return json_is(alg, STR("RS256")) || json_is(alg, STR("RS384")) || json_is(alg, STR("RS512"));
}

/* The API (section 6) has `typ`, `kid` and `crit` ignored. For crit RFC 7515 section 4.1.11 says
 * otherwise, but whoever holds the key signs the same claims either way, and tokens that the
 * original takes stay good.
 *
 * cjose reads the header again with another JSON parser, and of two members with one name that
 * one takes the last. A second `alg` is refused, so both have the same in view. */
static enum err check_header(struct str text)
{
    struct json header, name, value, alg = {0};
    enum err e = json_parse(&header, text);
    if (e)
        return e;
    if (header.type != JSON_OBJECT)
        return ERR_PROTO;

    unsigned n_alg = 0;
    struct json_iter it;
    json_iter_init(&it, header);
    while (json_next(&it, &name, &value)) {
        if (json_is(name, STR("alg"))) {
            alg = value;
            n_alg++;
        }
    }
    if (n_alg > 1)
        return ERR_PROTO;
    return n_alg && is_accepted_alg(alg) ? ERR_OK : ERR_DENIED;
}

static enum err check_encoded_header(struct str encoded)
{
    struct buf text = BUF_INIT;
    enum err e = ERR_PROTO;
    if (base64url_decode(&text, encoded))
        e = check_header(buf_as_str(&text));
    buf_fini(&text);
    return e;
}

/* Threads may share a key here, without a lock of ours. A cjose_jwk_t counts its references
 * without atomics, but cjose_jws_verify neither retains nor changes it: it reads the type and
 * hands the RSA key to RSA_verify. That one computes the Montgomery form of the modulus at its
 * first use and keeps it, under the lock that every OpenSSL 3 key carries. All else (header,
 * digest, signature) belongs to the cjose_jws_t, which is made for each token. */
enum err jwt_check_signature(struct buf *payload, const struct keys *keys, struct str jwt)
{
    struct str parts[3];
    if (jwt.len > JWT_BYTES_MAX)
        return ERR_LIMIT;
    if (!split(jwt, parts))
        return ERR_PROTO;
    enum err e = check_encoded_header(parts[0]);
    if (e)
        return e;

    cjose_err failure;
    cjose_jws_t *jws = cjose_jws_import(jwt.p, jwt.len, &failure);
    uint8_t *p;
    size_t len;
    if (!jws)
        e = ERR_PROTO;
    else if (!cjose_jws_verify(jws, keys_jwk(keys), &failure))
        e = ERR_DENIED;
    else if (!cjose_jws_get_plaintext(jws, &p, &len, &failure))
        e = ERR_PROTO;
    else
        buf_add(payload, p, len);
    cjose_jws_release(jws);

    /* What a failure left in this thread's queue would be taken for one of a TLS connection. */
    if (e)
        ERR_clear_error();
    return e;
}

enum err jwt_verify(struct claims **out, const struct keys *keys, struct str jwt, double now_s)
{
    struct buf payload = BUF_INIT;
    enum err e = jwt_check_signature(&payload, keys, jwt);
    if (!e)
        e = claims_from_json(out, buf_as_str(&payload), now_s);
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
    enum err e = ERR_SYS;
    cjose_err failure;
    cjose_jws_t *jws = NULL;
    const char *compact;
    cjose_header_t *header = cjose_header_new(&failure);
    if (header && cjose_header_set(header, CJOSE_HDR_ALG, signing_alg, &failure) &&
        cjose_header_set(header, "typ", "JWT", &failure) &&
        (jws = cjose_jws_sign(signing_key_jwk(key), header, (const uint8_t *)claims_json.p,
                              claims_json.len, &failure)) &&
        cjose_jws_export(jws, &compact, &failure)) {
        buf_str(out, str_of(compact));
        e = ERR_OK;
    }
    cjose_jws_release(jws);
    if (header)
        cjose_header_release(header);
    ERR_clear_error();
    return e;
}
