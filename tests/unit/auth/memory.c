/* Memory that is out: every allocation below auth/ fails once, in turn. What is good may be refused
 * then, with an error; nothing bad is taken, nothing good is lost in silence, nothing crashes or is
 * left behind. */
#include "alloc_each.h"
#include <math.h>
#include <openssl/err.h>
#include "auth/bans.h"
#include "auth/jwt.h"
#include "auth/keys.h"
#include "auth/keys_own.h"
#include "auth/master_keys.h"
#include "auth/origins.h"
#include "auth/ticket.h"
#include "jws_make.h"

enum { N_FAMILIES = 6, TEXT_MAX = 4096, SET_MAX = 16384 };

static const char *const algs[N_FAMILIES] = {"RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"};

/* Made by another process, as OpenSSL is to be cold in this one; it lies in shared memory. */
static struct things {
    struct family {
        char pem[TEXT_MAX], good[TEXT_MAX], by_another[TEXT_MAX];
    } families[N_FAMILIES];
    char pem_file[SET_MAX]; /* all of them, then a certificate and the authority that vouches for it
                             */
    char by_authority[TEXT_MAX];
    char jwks[SET_MAX];    /* all of them, and one whose exponent is 1 */
    char forged[TEXT_MAX]; /* for which anybody can sign */
    char private_pem[TEXT_MAX];
} * things;

static const char payload_text[] = "{\"gusher\":{\"user_id\":\"u\",\"app_key\":\"a\"}}";
static const struct str payload = {payload_text, sizeof(payload_text) - 1};

static enum verdict by_error(enum err e)
{
    return e ? VERDICT_REFUSED : VERDICT_GOOD;
}

/* What stays in OpenSSL's queue would be taken for a failure of a TLS connection. */
static enum verdict queue_is_empty(void)
{
    enum verdict v = unless(ERR_peek_error() != 0);
    ERR_clear_error();
    return v;
}

/* ---- what it is made of ---- */

static void keep(char *to, size_t max, struct buf text)
{
    MUST(text.len < max);
    memcpy(to, text.p, text.len);
    to[text.len] = 0;
    buf_fini(&text);
}

/* RSA with the exponent 1: the padded digest is its own signature. */
static struct buf forged_token(void)
{
    static const unsigned char prefix[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
                                           0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                                           0x01, 0x05, 0x00, 0x04, 0x20};
    struct buf token = jws_unsigned(STR("{\"alg\":\"RS256\",\"kid\":\"weak\"}"), payload);
    unsigned char block[256] = {0, 1}, *digest = block + sizeof(block) - 32;
    memset(block + 2, 0xff, sizeof(block) - 2);
    digest[-(int)sizeof(prefix) - 1] = 0;
    memcpy(digest - sizeof(prefix), prefix, sizeof(prefix));
    MUST(EVP_Digest(token.p, token.len, digest, NULL, EVP_sha256(), NULL) == 1);
    buf_char(&token, '.');
    add_base64url(&token, block, sizeof(block));
    return token;
}

static void add_weak_jwk(struct buf *out, EVP_PKEY *rsa)
{
    BIGNUM *one = NULL;
    MUST(BN_dec2bn(&one, "1"));
    buf_str(out, STR(",{\"kty\":\"RSA\",\"kid\":\"weak\""));
    add_key_number(out, rsa, OSSL_PKEY_PARAM_RSA_N, "n", 0);
    add_jwk_number(out, "e", one, 0);
    buf_char(out, '}');
    BN_free(one);
}

static void make_things(void)
{
    struct buf file = BUF_INIT, set = BUF_INIT;
    EVP_PKEY *keys[N_FAMILIES], *another;
    buf_str(&set, STR("{\"keys\":["));
    for (unsigned i = 0; i < N_FAMILIES; i++) {
        struct family *f = &things->families[i];
        char more[32];
        keys[i] = jws_key(algs[i]);
        another = jws_key(algs[i]);
        struct buf pem = jws_pem(keys[i]);
        buf_str(&file, buf_as_str(&pem));
        keep(f->pem, TEXT_MAX, pem);
        keep(f->good, TEXT_MAX, jws_named_token(keys[i], algs[i], NULL, payload));
        keep(f->by_another, TEXT_MAX, jws_named_token(another, algs[i], NULL, payload));
        snprintf(more, sizeof(more), ",\"kid\":\"k%u\"", i);
        buf_str(&set, str_of(i ? "," : ""));
        add_jwk(&set, keys[i], more);
    }
    add_weak_jwk(&set, keys[0]);
    buf_str(&set, STR("]}"));
    keep(things->jwks, SET_MAX, set);
    keep(things->forged, TEXT_MAX, forged_token());
    EVP_PKEY *authority = jws_key("ES256");
    struct buf leaf = jws_certificate(keys[2], false), above = jws_certificate(authority, true);
    buf_str(&file, buf_as_str(&leaf));
    buf_str(&file, buf_as_str(&above));
    keep(things->pem_file, SET_MAX, file);
    keep(things->by_authority, TEXT_MAX, jws_named_token(authority, "ES256", NULL, payload));
    struct buf private = BUF_INIT, public = BUF_INIT;
    MUST(signing_key_generate(&private, &public) == ERR_OK);
    keep(things->private_pem, TEXT_MAX, private);
    _exit(0);
}

static int make_things_elsewhere(void **unused)
{
    (void)unused;
    things = mmap(NULL, sizeof(*things), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        make_things();
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

/* ---- tokens ---- */

static enum verdict good_token(const struct keys *keys, const char *text)
{
    struct claims *c = NULL;
    enum err e = jwt_verify(&c, keys, str_of(text), NULL, 0);
    enum verdict v = e ? unless(c) : unless(!str_eq(c->user_id, STR("u")));
    claims_unref(c);
    return worse(worse(v, by_error(e)), queue_is_empty());
}

static enum verdict bad_token(const struct keys *keys, const char *text)
{
    struct claims *c = NULL;
    enum err e = jwt_verify(&c, keys, str_of(text), NULL, 0);
    claims_unref(c);
    return worse(unless(!e), queue_is_empty());
}

/* The text with one letter of its signature changed, and one of its payload. */
static enum verdict changed_tokens(const struct keys *keys, const char *text)
{
    char changed[TEXT_MAX];
    enum verdict v = VERDICT_GOOD;
    const size_t places[] = {strlen(text) - 20, (size_t)(strchr(text, '.') - text) + 5};
    for (unsigned i = 0; i < 2; i++) {
        snprintf(changed, sizeof(changed), "%s", text);
        changed[places[i]] = changed[places[i]] == 'A' ? 'B' : 'A';
        v = worse(v, bad_token(keys, changed));
    }
    return v;
}

static enum verdict run_family(void *ctx)
{
    const struct family *f = &things->families[*(const unsigned *)ctx];
    struct keys *keys;
    char why[256] = "";
    if (keys_from_pem(&keys, str_of(f->pem), why, sizeof(why)))
        return worse(VERDICT_REFUSED, worse(unless(!*why), queue_is_empty()));
    enum verdict v = good_token(keys, f->good);
    v = worse(v, bad_token(keys, f->by_another));
    v = worse(v, changed_tokens(keys, f->good));
    keys_free(keys);
    return v;
}

/* ---- files and sets of keys: all of their keys, or an error ---- */

static enum verdict all_families(const struct keys *keys)
{
    enum verdict v = VERDICT_GOOD;
    for (unsigned i = 0; i < N_FAMILIES; i++) {
        v = worse(v, good_token(keys, things->families[i].good));
        v = worse(v, bad_token(keys, things->families[i].by_another));
    }
    return v;
}

static enum verdict run_pem_file(void *ctx)
{
    struct keys *keys;
    char why[256] = "";
    (void)ctx;
    if (keys_from_pem(&keys, str_of(things->pem_file), why, sizeof(why)))
        return worse(VERDICT_REFUSED, worse(unless(!*why), queue_is_empty()));
    unsigned n = keys_count(keys);
    enum verdict v = n < N_FAMILIES + 1 ? VERDICT_LOST : unless(n > N_FAMILIES + 1);
    v = worse(v, all_families(keys));
    v = worse(v, bad_token(keys, things->by_authority));
    keys_free(keys);
    return v;
}

static enum verdict run_jwks(void *ctx)
{
    struct keys *keys = keys_new();
    struct jwks_report report;
    char why[256] = "";
    (void)ctx;
    enum verdict v = queue_is_empty();
    if (keys_add_jwks(keys, str_of(things->jwks), &report, why, sizeof(why))) {
        v = worse(VERDICT_REFUSED, unless(!*why));
    } else {
        v = unless(report.n_taken > N_FAMILIES || keys_count(keys) != report.n_taken);
        if (report.n_taken < N_FAMILIES)
            v = worse(v, VERDICT_LOST);
        v = worse(v, all_families(keys));
    }
    v = worse(v, bad_token(keys, things->forged));
    keys_free(keys);
    return v;
}

/* ---- what signs ---- */

static enum verdict run_signing(void *ctx)
{
    struct signing_key *key;
    struct buf token = BUF_INIT, public = BUF_INIT;
    struct keys *keys;
    char why[256] = "";
    const struct str pem = str_of(things->private_pem);
    (void)ctx;
    enum verdict v = by_error(signing_key_public_half(&public, pem, why, sizeof(why)));
    if (signing_key_from_pem(&key, pem, why, sizeof(why))) {
        v = VERDICT_REFUSED;
    } else {
        enum err e = jwt_sign(&token, key, payload);
        v = worse(v, e ? worse(VERDICT_REFUSED, unless(token.len)) : VERDICT_GOOD);
        signing_key_free(key);
    }
    v = worse(v, queue_is_empty());
    if (v == VERDICT_GOOD) {
        if (keys_from_pem(&keys, buf_as_str(&public), why, sizeof(why))) {
            v = VERDICT_REFUSED;
        } else {
            buf_char(&token, 0);
            v = good_token(keys, token.p);
            keys_free(keys);
        }
    }
    buf_fini(&token);
    buf_fini(&public);
    return v;
}

/* ---- tickets ---- */

static const struct ticket_time now = {1000000, 5000};

static enum verdict redeem(struct tickets *t, struct str ticket, bool is_good)
{
    struct claims *c = NULL;
    enum err e = ticket_redeem(t, ticket, now, &c);
    enum verdict v = !is_good ? unless(!e || c) : e ? VERDICT_REFUSED : VERDICT_GOOD;
    if (!e)
        v = worse(v, unless(!str_eq(c->user_id, STR("u"))));
    claims_unref(c);
    return worse(v, queue_is_empty());
}

static enum verdict use_tickets(struct tickets *t, struct tickets *elsewhere)
{
    struct buf ticket = BUF_INIT, note = BUF_INIT;
    struct claims *c;
    enum verdict v = VERDICT_GOOD;
    const struct str jwt = str_of(things->families[2].good);
    if (claims_from_judged_json(&c, payload))
        return VERDICT_WRONG;
    for (unsigned i = 0; i < 70; i++) { /* until tables grow */
        buf_clear(&ticket);
        buf_clear(&note);
        enum err e = ticket_issue(t, jwt, c, now, &ticket, &note);
        if (e) {
            v = worse(worse(v, VERDICT_REFUSED), unless(ticket.len || note.len));
            continue;
        }
        v = worse(v, redeem(t, buf_as_str(&ticket), true));
        if (elsewhere) {
            e = tickets_take_note(elsewhere, buf_as_str(&note), now.mono_ms);
            v = worse(v, e ? VERDICT_REFUSED : redeem(elsewhere, buf_as_str(&ticket), true));
        }
        ticket.p[i % 8] = ticket.p[i % 8] == 'a' ? 'b' : 'a';
        v = worse(v, redeem(t, buf_as_str(&ticket), false));
    }
    claims_unref(c);
    buf_fini(&ticket);
    buf_fini(&note);
    return worse(v, queue_is_empty());
}

static enum verdict run_local_tickets(void *ctx)
{
    struct tickets *t;
    (void)ctx;
    if (tickets_new_local(&t, 100))
        return worse(VERDICT_REFUSED, queue_is_empty());
    enum verdict v = use_tickets(t, NULL);
    tickets_free(t);
    return v;
}

static enum verdict run_shared_tickets(void *ctx)
{
    struct tickets *t, *elsewhere;
    const struct str secret = STR("a secret of sixteen bytes, and more");
    (void)ctx;
    if (tickets_new_shared(&t, secret))
        return worse(VERDICT_REFUSED, queue_is_empty());
    enum verdict v = VERDICT_REFUSED;
    if (!tickets_new_shared(&elsewhere, secret)) {
        v = use_tickets(t, elsewhere);
        tickets_free(elsewhere);
    }
    tickets_free(t);
    return worse(v, queue_is_empty());
}

/* ---- who calls the master ---- */

static enum verdict use_master_keys(struct str line, struct str secret)
{
    struct master_keys *keys;
    char why[256] = "";
    if (master_keys_parse(&keys, line, why, sizeof(why)))
        return worse(VERDICT_REFUSED, worse(unless(!*why), queue_is_empty()));
    const struct master_key *k = master_keys_find(keys, secret);
    enum verdict v = k ? unless(!master_key_has_right(k, MASTER_PUBLISH) ||
                                master_key_has_right(k, MASTER_ADMIN) ||
                                !master_key_has_app(k, STR("a")) || master_key_has_app(k, STR("b")))
                       : VERDICT_REFUSED;
    v = worse(v, queue_is_empty());
    secret.len--;
    v = worse(v, unless(master_keys_find(keys, secret)));
    v = worse(v, unless(master_keys_find(keys, STR(""))));
    master_keys_free(keys);
    return worse(v, queue_is_empty());
}

static enum verdict run_master_keys(void *ctx)
{
    struct buf secret = BUF_INIT, line = BUF_INIT;
    char why[256] = "";
    (void)ctx;
    enum err e = master_key_make(&secret, &line, STR("name"), STR("a"), STR("publish,query"), why,
                                 sizeof(why));
    enum verdict v = e ? worse(VERDICT_REFUSED, unless(secret.len || line.len || !*why))
                       : use_master_keys(buf_as_str(&line), buf_as_str(&secret));
    buf_fini(&secret);
    buf_fini(&line);
    return worse(v, queue_is_empty());
}

/* ---- what only our own code allocates ---- */

static enum verdict run_bans(void *ctx)
{
    struct bans *b = bans_new();
    struct buf note = BUF_INIT;
    enum verdict v = VERDICT_GOOD;
    char user[32];
    (void)ctx;
    for (unsigned i = 0; i < 60; i++) {
        snprintf(user, sizeof(user), "u%u", i);
        struct ban ban = {BAN_USER, STR("a"), str_of(user), 2000, 1000 + i, false};
        buf_clear(&note);
        ban_write_note(&note, &ban);
        v = worse(v, unless(bans_take_note(b, buf_as_str(&note), 1000, &ban)));
    }
    v = worse(v, unless(!bans_keep_out(b, STR("a"), STR("u7"), STR(""), 1000)));
    v = worse(v, unless(bans_keep_out(b, STR("b"), STR("u7"), STR("u7"), 1000)));
    buf_fini(&note);
    bans_free(b);
    return v;
}

static enum verdict run_claims(void *ctx)
{
    struct claims *c;
    struct buf out = BUF_INIT;
    static const char json[] =
        "{\"gusher\":{\"user_id\":\"\\u0041\",\"app_key\":\"a\",\"channels\":[\"b\\n\",\"c\"],"
        "\"remotes\":{\"x\":true,\"y\":false}},\"exp\":5,\"aud\":[\"q\"],\"jti\":\"\\u0042\"}";
    (void)ctx;
    if (claims_from_json(&c, str_of(json), NULL, 4))
        return VERDICT_REFUSED;
    enum verdict v = unless(!str_eq(c->user_id, STR("A")) || c->n_channels != 2 ||
                            c->n_remotes != 2 || !str_eq(c->jti_text, STR("B")));
    claims_write_json(&out, c);
    claims_unref(c);
    buf_fini(&out);
    return worse(v, unless(claims_from_json(&c, str_of(json), NULL, 6) != ERR_EXPIRED));
}

/* ---- each in turn ---- */

/* OpenSSL itself must have started, which it does once: without memory for that it crashes by
 * itself. A process that serves has come as far as this before it listens. */
static void start_openssl(void)
{
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA1", NULL);
    MUST(md);
    EVP_MD_free(md);
}

static void each(const char *name, enum verdict (*run)(void *), bool saved, double warm,
                 double cold)
{
    const struct alloc_scenario s = {
        .name = name, .run = run, .begin = start_openssl, .saved_by_reserve = saved};
    alloc_each(&s, false, warm);
    if (cold > 0)
        alloc_each(&s, true, cold);
}

static void tokens_of_every_family(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < N_FAMILIES; i++) {
        const struct alloc_scenario s = {
            .name = algs[i], .run = run_family, .ctx = &i, .begin = start_openssl};
        alloc_each(&s, false, 0.6);
        alloc_each(&s, true, 0.3);
    }
}

static void files_of_keys(void **unused)
{
    (void)unused;
    each("pem file", run_pem_file, false, 2, 1);
    each("jwks", run_jwks, false, 2, 1);
}

static void a_key_that_signs(void **unused)
{
    (void)unused;
    each("signing", run_signing, false, 1, 0.5);
}

static void tickets(void **unused)
{
    (void)unused;
    each("local tickets", run_local_tickets, false, 1, 0.5);
    each("shared tickets", run_shared_tickets, false, 1, 0.5);
}

static void keys_of_the_master(void **unused)
{
    (void)unused;
    each("master keys", run_master_keys, false, 1, 0.5);
}

static void bans_and_claims(void **unused)
{
    (void)unused;
    each("bans", run_bans, true, 1, 0);
    each("claims", run_claims, true, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_every_family), cmocka_unit_test(files_of_keys),
        cmocka_unit_test(a_key_that_signs),       cmocka_unit_test(tickets),
        cmocka_unit_test(keys_of_the_master),     cmocka_unit_test(bans_and_claims),
    };
    cmocka_set_test_filter(getenv("ALLOC_FAIL_TEST"));
    return cmocka_run_group_tests(tests, make_things_elsewhere, NULL);
}
