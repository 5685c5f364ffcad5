/* bench_feed.h - frames of a server as the load generator reads them: in place, and no more of a
 * long one than its beginning.
 *
 * ws/frame.h reads messages as RFC 6455 wants them judged; this reader only counts: text is not
 * checked, fragments are frames of their own. A frame that lies whole in the input costs no copy.
 * Of one that is cut at most BENCH_FEED_HEAD bytes are kept, however long it is. */
#ifndef CLI_BENCH_FEED_H
#define CLI_BENCH_FEED_H
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "ws/frame.h"

enum { BENCH_FEED_HEAD = 1024 }; /* bytes of a payload that are looked at */

struct bench_feed {
    char *kept;       /* owned: a header and the head of a frame that is cut; NULL until one is */
    uint32_t n_kept;  /* bytes in it */
    uint64_t skipped; /* bytes behind the head that have passed */
};

struct bench_frame {
    enum ws_op op;
    struct str
        head;     /* the payload, or its first BENCH_FEED_HEAD bytes; valid until the next call */
    uint64_t len; /* of the whole payload */
};

void bench_feed_init(struct bench_feed *f);
void bench_feed_fini(struct bench_feed *f);

/* Takes the next frame out of the bytes at *p (*len of them; both advance). ERR_AGAIN: all input
 * is used up and no frame is whole. ERR_PROTO: not what a server may send. */
enum err bench_feed_next(struct bench_feed *f, const char **p, size_t *len,
                         struct bench_frame *out);

#endif
