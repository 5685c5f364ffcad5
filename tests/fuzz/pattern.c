/* The first line of the input is an expression, the rest the text it is matched against. */
#include "hub/pattern.h"
#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str text = str_make(len ? (const char *)data : "", len);
    struct str expression = str_cut(&text, '\n');
    struct pattern *p = NULL;
    enum err e = pattern_new(&p, expression);
    assert((p != NULL) == (e == ERR_OK));
    if (p) {
        bool found = pattern_match(p, text);
        assert(pattern_match(p, text) == found);
        pattern_match(p, STR(""));
        pattern_match(p, expression);
    }
    pattern_free(p);
    return 0;
}
