/* sockets.h - what this worker's sockets are and have, as JSON: for the API and the console. */
#ifndef EDGE_SOCKETS_H
#define EDGE_SOCKETS_H
#include "edge/worker.h"

enum {
    SOCKETS_NAMES_MAX = 100,            /* that are told of each list of a socket, */
    SOCKETS_NAMES_BYTES_MAX = 16 << 10, /* and their bytes */
    SOCKETS_LOOKS = 4096,               /* sockets that a page looks at */
};

/* Appends a page of the answer to HUB_SOCKETS or one of its kind: a list (names.h) of objects, from
 * `cursor` on; as hub_answer. A socket that is there all the time is in one page. */
uint32_t sockets_page(struct worker *w, const struct hub_question *q, uint32_t cursor,
                      size_t page_bytes, struct buf *out);

#endif
