/* master_keys.c - keys files: what is taken can be asked, and a key is found only by its hash. */
#include "auth/master_keys.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Of "one". */
#define HASH STR("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")

static bool has_hash(struct str text)
{
    for (; text.len >= HASH.len; text.p++, text.len--) {
        if (str_eq_nocase(str_make(text.p, HASH.len), HASH))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str text = {len ? (const char *)data : "", len};
    struct master_keys *k = NULL;
    char why[200] = "";
    enum err e = master_keys_parse(&k, text, why, sizeof(why));
    if ((e == ERR_OK) != !why[0])
        abort();
    if (e)
        return 0;
    const struct master_key *key = master_keys_find(k, STR("one"));
    if (key) {
        struct str name = master_key_name(key);
        bool any = master_key_has_right(key, MASTER_PUBLISH) ||
                   master_key_has_right(key, MASTER_QUERY) ||
                   master_key_has_right(key, MASTER_ADMIN);
        if (!any || !name.len || name.len > MASTER_KEY_NAME_MAX || !has_hash(text))
            abort();
        (void)master_key_has_app(key, STR("demo"));
    }
    if (master_keys_find(k, text) && has_hash(text))
        abort();
    master_keys_free(k);
    return 0;
}
