/* The input is taken three times: as a token, as the header of one, and as the claims behind a
 * good signature. The corpus holds tokens that this key signed. */
#include "auth/jwt.h"
#include <assert.h>
#include <cjose/base64.h>
#include <cjose/util.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW 1700000000.0

static const char public_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAhM90JIgDvyXyKTTbFNDK\n"
    "Buk1EThx9EeP3gDshKZOo/WRZhbj6e61PQW0UK8tmRjj+N5m9Y4M60t90BJCJE7A\n"
    "32OBNFk9c8nilC3Sn3WUBfVAY77EmW4w73uGDUoTLJ3fWPehDzyZMXSL+U2dOFrq\n"
    "uM0TmuIjAMxtUj0E2C0zzTQvsuYl5f7rignuwLTbnxub3WSxKByX9CmPt/3mstao\n"
    "PcSmGUR3TXPwhPhZov9S0voKUjUC9iu3NSaQ6OC4DRZBTIVuSE43wgCeIG0bwrqX\n"
    "EfkrbfVvv3MWL44kBYRnBHYXYebJT+ZEKQn++AvcNh2XOC9aILjCo7pF9yokeqtR\n"
    "gQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
static const struct keys *test_keys(void)
{
    static struct keys *keys;
    char why[160];
    if (!keys && keys_from_pem(&keys, str_of(public_pem), why, sizeof why)) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    return keys;
}

static struct buf written(const struct claims *c)
{
    struct buf text = BUF_INIT;
    claims_write_json(&text, c);
    return text;
}

static void read_claims(struct str json)
{
    struct claims *first, *second;
    if (claims_from_json(&first, json, NOW))
        return;
    for (unsigned i = 1; i < first->n_remotes; i++)
        assert(!str_eq(first->remotes[i - 1].name, first->remotes[i].name));

    /* What decode answers holds the same claims. */
    struct buf a = written(first);
    enum err e = claims_from_json(&second, buf_as_str(&a), NOW);
    assert(e == ERR_OK);
    struct buf b = written(second);
    assert(str_eq(buf_as_str(&a), buf_as_str(&b)));
    buf_fini(&a);
    buf_fini(&b);
    claims_unref(first);
    claims_unref(second);
}

static void verify(struct str token)
{
    struct buf payload = BUF_INIT;
    struct claims *c = NULL;
    enum err signature = jwt_check_signature(&payload, test_keys(), token);
    enum err e = jwt_verify(&c, test_keys(), token, NOW);
    assert(!signature || e == signature);
    assert((c != NULL) == (e == ERR_OK));
    claims_unref(c);
    buf_fini(&payload);
}

static void verify_header(struct str header)
{
    char *encoded;
    size_t len;
    cjose_err failure;
    if (!cjose_base64url_encode((const uint8_t *)header.p, header.len, &encoded, &len, &failure))
        abort();
    struct buf token = BUF_INIT;
    buf_add(&token, encoded, len);
    buf_str(&token, STR(".e30.AAAA"));
    struct buf payload = BUF_INIT;
    enum err e = jwt_check_signature(&payload, test_keys(), buf_as_str(&token));
    assert(e != ERR_OK);
    cjose_get_dealloc()(encoded);
    buf_fini(&token);
    buf_fini(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str input = str_make(len ? (const char *)data : "", len);
    verify(input);
    verify_header(input);
    read_claims(input);
    return 0;
}
