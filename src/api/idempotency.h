/* idempotency.h - publishes that are carried out once, however often they come: what was answered
 * to those that came with a key (the header Idempotency-Key) is remembered for a while.
 *
 * A request is told by a hash of who asks, the path and the key; what it says, by a hash of its
 * body. Only an answer that says the publish was carried out is kept. One table for all workers. */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    IDEMPOTENCY_KEEP_MS = 5 * 60 * 1000,
    IDEMPOTENCY_ENTRIES_MAX = 64 * 1024, /* at once, */
    IDEMPOTENCY_BYTES_MAX = 64 << 20,    /* and of their answers; the oldest go first */
    IDEMPOTENCY_KEY_MAX = 255,           /* bytes of a key */
    IDEMPOTENCY_HASH_BYTES = 32,         /* SHA-256: nodes compare them, so no seed hides them */
};

/* One request; zeroed: it has no key. */
struct once {
    bool has_key;
    unsigned char id[IDEMPOTENCY_HASH_BYTES], body[IDEMPOTENCY_HASH_BYTES];
};

enum once_verdict {
    ONCE_FIRST,     /* carry it out, and say how that ended */
    ONCE_ANSWERED,  /* the answer is in *answer */
    ONCE_UNDER_WAY, /* another one is being carried out */
    ONCE_OTHER,     /* another one came with this key */
};

struct idempotency; /* any thread */

struct idempotency *idempotency_new(void);
void idempotency_free(struct idempotency *t);

/* Whether a header's value is a key: 1 to 255 visible characters of ASCII. */
bool idempotency_key_is_valid(struct str key);

/* Who asks by what path, the key, and the body, into *out. ERR_SYS: OpenSSL has no memory. */
enum err once_make(struct once *out, struct str who, struct str path, struct str key,
                   struct str body);

/* What is to become of a request; ONCE_ANSWERED appends to `answer`. */
enum once_verdict idempotency_begin(struct idempotency *t, const struct once *o, int64_t now_ms,
                                    struct buf *answer);

/* It was carried out and answered 200 with this body. What was forgotten meanwhile stays so. */
void idempotency_done(struct idempotency *t, const struct once *o, struct str answer);

/* It was not carried out: the key may come again. */
void idempotency_forget(struct idempotency *t, const struct once *o);

/* The same for other nodes: what `o` was answered, as a note; and one that came from there.
 * ERR_PROTO: malformed. */
void idempotency_write_note(struct buf *out, const struct once *o, struct str answer);
enum err idempotency_take_note(struct idempotency *t, struct str note, int64_t now_ms);

#endif
