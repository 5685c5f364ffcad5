/* push.h - what a push does, whichever API it came by. */
#ifndef API_PUSH_H
#define API_PUSH_H
#include "api/api.h"
#include "base/json.h"

enum err api_publish(struct api *a, enum msg_kind kind, struct str app, struct str target,
                     struct str event, struct str data);

/* A publish that was refused. */
enum api_outcome api_refuse_publish(struct api_reply *r, enum err e);

/* To each channel of the app that matches; all texts are copied. `data` is JSON. */
enum api_outcome api_push_pattern(struct api_call *c, struct pattern *pattern,
                                  struct str expression, struct str event, struct str data);

/* One message of a batch, not decoded. */
struct batch_element {
    struct json channel, event, data; /* a null name is an empty one */
};

/* Reads element number `i`. False: it is none, and the refusal is in the reply. */
typedef bool batch_element_fn(struct api_call *c, unsigned i, struct json value,
                              struct batch_element *out);

/* Judges the whole batch (a JSON array) before the first message of it is sent. *n: how many there
 * are. False: it was refused, and of what was sent the reply tells. */
bool api_push_batch(struct api_call *c, struct json batch, batch_element_fn *read, unsigned *n);

/* A list of names (names.h) out of a JSON array of strings. ERR_PROTO: it is none; ERR_LIMIT: too
 * many. */
enum err api_read_names(struct json list, struct buf *names);

/* What a long name is, without unpacking one that cannot be. */
bool api_is_long_name(struct json name, size_t max);

#endif
