/* body.h - bodies of the modern API: JSON that is read as what it is. A string stays a string, and
 * a value is the span of the body that it was sent as. What the media type says does not matter. */
#ifndef API_BODY_H
#define API_BODY_H
#include "api/api.h"
#include "base/json.h"

enum { /* bits by enum json_type */
       BODY_NUMBER = 1 << JSON_NUMBER,
       BODY_STRING = 1 << JSON_STRING,
       BODY_ARRAY = 1 << JSON_ARRAY,
       BODY_ANY = ~0
};

/* A member of an object: what it is to be, and what it is. */
struct body_member {
    const char *name;
    int types; /* that it may have */
    bool is_optional;
    bool is_nonempty; /* a string with something in it */
    bool is_there;
    struct json value;
};

/* Reads the body as an object of these members; others are passed over. False: it is none, or a
 * member is missing, there twice or of another type: the refusal is in the reply. */
bool body_read(struct api_call *c, struct body_member *members, unsigned n);
/* The same; no body at all is an empty object. */
bool body_read_optional(struct api_call *c, struct body_member *members, unsigned n);

/* Reads the body as an array, and its element number `i` as an object. */
bool body_read_array(struct api_call *c, struct json *array);
bool body_read_element(struct api_call *c, unsigned i, struct json element,
                       struct body_member *members, unsigned n);

/* The text of a string, "" when it is not there; valid until `scratch` changes. */
struct str body_text(const struct body_member *m, struct buf *scratch);

/* Refuses a member of the body's object: it has to be `what`. */
void body_wrong_type(struct api_call *c, const struct body_member *m, const char *what);

/* A member of the body's object that is an array: its strings as a list (names.h) of grants. False:
 * they are too many, or not all strings; the refusal is in the reply. */
bool body_names(struct api_call *c, const struct body_member *m, struct buf *names);

/* The member "jwt" of the body. */
bool body_jwt(struct api_call *c, struct buf *scratch, struct str *jwt);

#endif
