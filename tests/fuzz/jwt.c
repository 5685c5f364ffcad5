/* The input is taken three times: as a token, as the header of one, and as the claims behind a
 * good signature. The corpus holds tokens that these keys signed: an RSA key without a name, and
 * one of each other family with one. */
#include "auth/jwt.h"
#include "base/names.h"
#include "base64_text.h"
#include <assert.h>
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
static const char jwks[] =
    "{\"keys\":["
    "{\"kty\":\"EC\",\"x\":\"X1WpUy9EVt6O0JB7DdSZo2KCaDPnjwon6Peij9k31IU\",\"y\":\"_YoXr"
    "Y_VUGTNFxo13XV30ZRr4al0ITYJzgL8E-4NtIQ\",\"crv\":\"P-256\",\"kid\":\"es256\"},"
    "{\"kty\":\"EC\",\"x\":\"bcYHlUHw0_iRwwCdemBMfT5hBuxPhY22iQNUXHEawqeAouwfTCHCmd5"
    "5ZVxNY7Xv\",\"y\":\"WCt-yL-iDmPcaYFPVPQmnF3ai8xWTl8YW3BBBLdWMqvpoN7PrPjwuRqT"
    "RduzkEpi\",\"crv\":\"P-384\",\"kid\":\"es384\"},"
    "{\"kty\":\"EC\",\"x\":\"AbzfWijLX7l1eerba7Mbyy4DHoPlyt_27DxWEREIOqOtux-iYg61dH7"
    "4ZzaiTLGSRK9fgTsgIjyDkZKh7WTkaBd2\",\"y\":\"AGMPXnNo7FzAoCPEP9XLaM5kVetZwzup"
    "Il-f6rblcf5JrBwAKsq6ZlA75nrGAVec8hnEnDnfk4iGoi9xHqeuAu0r\",\"crv\":\"P-521\","
    "\"kid\":\"es512\"},"
    "{\"crv\":\"Ed25519\",\"x\":\"A9DxcqBU1CrjTWHvpVtoZaQ07b2HQktZI45UQXnL4K0\",\"kty\""
    ":\"OKP\",\"kid\":\"eddsa\"},"
    "{\"kty\":\"RSA\",\"n\":\"pRgXuBMiYu0jDvdQeyHToc7_GFhRoMKj-rx29ocpRier1covWbJv5i"
    "K6T6DwjXyWHXkOTcd36GlFKhssFWrYCB6H10N_BnMj2R0XiEP9NeAzSv72YTG_11PRFWaXBY"
    "GPiCOoCSosVn1rpkd9uuEqLoeoww4QfGOdyuMOCmPGhbMlUPV5fbrBKf6bvg316CbMeA5EEW"
    "bPVtM0XTNHNyadeDx9PSOuZ8FhWkhuaKdLNYCEDV6-xmZfxQCPbnsxYfrYfVXMtWrdJmwnob"
    "U7IkEzrc4PrW1bYnOdGa_5Sr8-bQaNNr5ZmqFZ-5q48RSpCyPerWGkZ5QhTjgo3W9rouw-hw"
    "\",\"e\":\"AQAB\",\"kid\":\"ps256\",\"alg\":\"PS256\"}"
    "]}";

static const struct keys *test_keys(void)
{
    static struct keys *keys;
    struct jwks_report report;
    char why[320];
    if (keys)
        return keys;
    keys = keys_new();
    if (keys_add_pem(keys, str_of(public_pem), str_make(NULL, 0), why, sizeof why) ||
        keys_add_jwks(keys, str_of(jwks), &report, why, sizeof why)) {
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

/* Rules only take away. */
static void read_by_rules(struct str json)
{
    static struct claims_rules rules;
    struct claims *with, *without;
    if (!rules.audiences.len) {
        names_add(&rules.audiences, STR("a"));
        names_add(&rules.issuers, STR("i"));
    }
    enum err e = claims_from_json(&with, json, &rules, NOW);
    if (e)
        return;
    e = claims_from_json(&without, json, NULL, NOW);
    assert(e == ERR_OK && with->aud.len && str_eq(with->iss, without->iss));
    claims_unref(with);
    claims_unref(without);
}

static void read_claims(struct str json)
{
    struct claims *first, *second;
    if (claims_from_json(&first, json, NULL, NOW))
        return;
    for (unsigned i = 1; i < first->n_remotes; i++)
        assert(!str_eq(first->remotes[i - 1].name, first->remotes[i].name));

    /* What decode answers holds the same claims. */
    struct buf a = written(first);
    enum err e = claims_from_json(&second, buf_as_str(&a), NULL, NOW);
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
    enum err e = jwt_verify(&c, test_keys(), token, NULL, NOW);
    assert(!signature || e == signature);
    assert((c != NULL) == (e == ERR_OK));
    claims_unref(c);
    buf_fini(&payload);
}

static void verify_header(struct str header)
{
    struct buf token = BUF_INIT, payload = BUF_INIT;
    add_base64url(&token, header.p, header.len);
    buf_str(&token, STR(".e30.AAAA"));
    enum err e = jwt_check_signature(&payload, test_keys(), buf_as_str(&token));
    assert(e != ERR_OK);
    buf_fini(&token);
    buf_fini(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str input = str_make(len ? (const char *)data : "", len);
    verify(input);
    verify_header(input);
    read_claims(input);
    read_by_rules(input);
    return 0;
}
