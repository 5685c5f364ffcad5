/* json_sort.h - JSON with the members of its objects in the order of their names. */
#ifndef BASE_JSON_SORT_H
#define BASE_JSON_SORT_H
#include "base/json.h"

/* Appends `value` (of json_parse) without white space, the members of each object sorted by the
 * bytes of their names; of several with one name the last one counts. Numbers and strings stay as
 * written. */
void json_write_sorted(struct buf *out, struct json value);

#endif
