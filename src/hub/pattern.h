/* pattern.h - regular expressions that backends send, by RE2: linear time, whatever the pattern. */
#ifndef HUB_PATTERN_H
#define HUB_PATTERN_H
#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PATTERN_BYTES_MAX = 4096,     /* of the expression */
    PATTERN_MEMORY_MAX = 2 << 20, /* bytes RE2 may use for one expression */
};

struct pattern; /* immutable; any number of threads may match at once */

/* ERR_PROTO: RE2 does not take it (also invalid UTF-8); ERR_LIMIT: too long or too big. */
enum err pattern_new(struct pattern **out, struct str expression);
void pattern_free(struct pattern *p);

/* Whether `text`, any bytes, holds a match anywhere. Bytes that no UTF-8 character is made of
 * match nothing but are stepped over; RE2 takes encoded surrogates for characters. */
bool pattern_match(const struct pattern *p, struct str text);

#ifdef __cplusplus
}
#endif

#endif
