/* json.h - a small strict JSON reader (RFC 8259) over text that stays where it is.
 *
 * json_parse judges the whole text once; what it accepted is then walked without errors.
 * Values are spans of the input: nothing is copied or re-printed, so a payload passes byte
 * for byte. No recursion, no allocation (json_decode and json_quote write to a buf). */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { JSON_DEPTH_MAX = 512 }; /* arrays and objects inside each other */

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_type type;
    struct str text; /* the value as written, without white space around it */
};

/* Judges `text` (one value, white space around it) and gives the value in *out.
 * ERR_PROTO: not JSON (or not UTF-8); ERR_LIMIT: nested deeper than JSON_DEPTH_MAX. */
enum err json_parse(struct json *out, struct str text);

/* Whether the text is JSON, and an object. */
bool json_is_object(struct str text);

/* Walks the members of an object or the elements of an array that json_parse accepted.
 * json_next returns false at the end; `key` (a JSON_STRING) is set for objects only and may
 * be NULL. Duplicate members come one by one, in the order of the text. */
struct json_iter {
    const char *p, *end;
    bool in_object;
};
void json_iter_init(struct json_iter *it, struct json container);
bool json_next(struct json_iter *it, struct json *key, struct json *value);

/* The first member of `object` with this name, in *out; false if there is none or `object`
 * is no object. */
bool json_get(struct json object, struct str name, struct json *out);

/* Whether the JSON_STRING, decoded, is `text`. False for other types. */
bool json_is(struct json string, struct str text);

/* Appends the decoded text of a JSON_STRING; a lone surrogate becomes U+FFFD. */
void json_decode(struct buf *out, struct json string);

/* The decoded text: a span of the input when the string has no escapes, else appended to
 * `scratch` (the span is valid until scratch changes again). */
struct str json_text(struct json string, struct buf *scratch);

/* A JSON_NUMBER as a double; false for other types and for what a double cannot hold. */
bool json_number(struct json number, double *out);

/* Appends `text` as a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD. */
void json_quote(struct buf *out, struct str text);

#endif
