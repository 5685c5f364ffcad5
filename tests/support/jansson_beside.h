/* jansson_beside.h - jansson beside base/json.h: six of its names are ours as well, and get others
 * here. Its macros that use them, json_is_string and the like, cannot be used then. */
#ifndef TESTS_JANSSON_BESIDE_H
#define TESTS_JANSSON_BESIDE_H
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE   JANSSON_TRUE
#define JSON_FALSE  JANSSON_FALSE
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#endif
