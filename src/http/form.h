/* form.h - parameters of a request, in whichever of four forms they came.
 *
 * Query strings and urlencoded bodies (WHATWG URL section 5, with the rules of the API: a
 * pair with a broken percent escape or a raw ';' is dropped, the rest used), multipart/form-data
 * (RFC 7578) and JSON objects (a string gives its text, any other value its JSON text).
 * The first of several values counts; sources read earlier win over later ones. */
#ifndef HTTP_FORM_H
#define HTTP_FORM_H
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    FORM_PARAMS_MAX = 64,   /* parameters kept; a form with more is refused */
    FORM_BOUNDARY_MAX = 70, /* RFC 2046 section 5.1.1 */
};

struct form_param {
    struct str name,
        value; /* spans of the source when nothing was escaped, else of `text` chunks */
};

struct form {
    struct form_param params[FORM_PARAMS_MAX];
    unsigned n;
    void *chunks; /* owned: decoded text; addresses stay valid until form_fini */
};

void form_init(struct form *f);
void form_fini(struct form *f);

/* Each adds what `text` holds; `text` must stay until form_fini. ERR_LIMIT: more than
 * FORM_PARAMS_MAX parameters, or JSON nested too deep; ERR_PROTO: the form as such is malformed
 * (a multipart body without its end, text that is no JSON object). Urlencoded text is never
 * malformed. After an error the form holds what it held before. */
enum err form_add_urlencoded(struct form *f, struct str text);
enum err form_add_multipart(struct form *f, struct str body, struct str boundary);
enum err form_add_json(struct form *f, struct str body);

/* By content-type: one of the three above, or nothing for any other type (ERR_OK). Types are
 * compared without regard to case, parameters such as charset are ignored. */
enum err form_add_body(struct form *f, struct str content_type, struct str body);

/* The first value under this name, in *value; false if there is none. */
bool form_get(const struct form *f, struct str name, struct str *value);

/* Percent-decodes one path segment, appending to `out` ('+' is a plus). ERR_PROTO: a broken
 * escape. */
enum err form_decode_segment(struct buf *out, struct str segment);

#endif
