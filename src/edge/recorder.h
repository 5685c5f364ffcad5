/* recorder.h - the flight recorder of a worker: which WebSockets have ended lately, and why.
 *
 * Records are JSON objects, kept for some minutes and within a budget of bytes, oldest first to go;
 * long names are cut. One thread's. */
#ifndef EDGE_RECORDER_H
#define EDGE_RECORDER_H
#include "base/buf.h"
#include "edge/reason.h"

enum {
    RECORDER_BYTES = 512 * 1024, /* of all records of a worker, */
    RECORDER_KEEP_MS = 15 * 60 * 1000,
    RECORDER_NAME_MAX = 128, /* bytes of a user's id that are kept */
    RECORDER_CURSOR_END = UINT32_MAX,
};

struct recorder;

struct recorder_end {
    struct str socket, app, user; /* user "": anonymous */
    enum reason why;
    unsigned code; /* of the close frame, 1006 without one */
    struct str detail;
    int64_t since_s, ended_s; /* unix time */
};

struct recorder *recorder_new(void);
void recorder_free(struct recorder *r); /* NULL is fine */

void recorder_add(struct recorder *r, const struct recorder_end *e, int64_t now_ms);

/* Appends what is known of an app's sockets as a list (names.h) of JSON objects, from the oldest to
 * the newest; of one user's alone unless `user` is "". Begins at `cursor` (0 at first) and stops at
 * page_bytes or more; returns the cursor of the next page, RECORDER_CURSOR_END behind the last. */
uint32_t recorder_page(struct recorder *r, struct str app, struct str user, uint32_t cursor,
                       size_t page_bytes, int64_t now_ms, struct buf *out);

#endif
