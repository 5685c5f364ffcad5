/* glob.h - the permission rule: which names a permission allows (API section 7.3).
 *
 * Each '*' stands for one or more characters (UTF-8 code points; bytes that are no UTF-8 count
 * one each) other than a line feed; all else is literal and case matters. The permission that
 * is exactly "*" allows every name: that is for the caller (grants), not for here. */
#ifndef HUB_GLOB_H
#define HUB_GLOB_H
#include "base/str.h"

/* Time is bounded by pattern length times name length, memory is constant. */
bool glob_match(struct str pattern, struct str name);

#endif
