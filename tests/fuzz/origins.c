/* origins.c - the input is an item of the list, a line feed, and what a browser says: what is taken
 * allows itself, and what is allowed differs from the item by a label at most. */
#include "auth/origins.h"
#include "fuzz_check.h"
#include <string.h>

static bool has_star(struct str text)
{
    return text.len && memchr(text.p, '*', text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str origin = {len ? (const char *)data : "", len};
    struct str item = str_cut(&origin, '\n');
    struct origins *o = origins_new();
    if (origins_add(o, item) == ERR_OK) {
        CHECK(item.len && !memchr(item.p, 0, item.len));
        if (origins_allow(o, origin)) {
            CHECK(!has_star(origin));
            /* A default port may be written in the item alone; a star is worth one byte or more. */
            CHECK(has_star(item) || str_eq_nocase(str_make(item.p, origin.len), origin));
            CHECK(!has_star(item) || origin.len + sizeof(":443") > item.len);
        }
        /* No item stands for nothing. */
        CHECK(!origins_allow(o, STR_EMPTY) && !origins_allow(o, STR("https://")));
    } else {
        CHECK(!origins_allow(o, origin) && !origins_allow(o, item));
    }
    origins_free(o);
    return 0;
}
