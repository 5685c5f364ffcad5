/* bench_reply.h - an HTTP/1.1 reply out of bytes, in pieces of any size: the status, the beginning
 * of the body, and where it ends (RFC 9112 section 6.3). */
#ifndef CLI_BENCH_REPLY_H
#define CLI_BENCH_REPLY_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum {
    BENCH_REPLY_HEAD_MAX = 32 * 1024, /* bytes of status line and headers */
};

enum bench_reply_part {
    BENCH_REPLY_HEAD,
    BENCH_REPLY_BODY,
    BENCH_REPLY_CHUNK_SIZE,
    BENCH_REPLY_CHUNK,
    BENCH_REPLY_CHUNK_END,
    BENCH_REPLY_TRAILER,
    BENCH_REPLY_TO_THE_END, /* of the connection */
};

struct bench_reply {
    enum bench_reply_part part;
    unsigned status; /* 0 until the head is whole */
    bool closes;     /* the server ends the connection behind it */
    uint64_t left;   /* bytes of the body or chunk that are still to come */
    size_t body_max; /* bytes of the body that are kept; the rest passes */
    struct buf head; /* the head until it is whole (that of a 101 stays), lines between chunks */
    struct buf body;
};

void bench_reply_init(struct bench_reply *r, size_t body_max);
void bench_reply_fini(struct bench_reply *r);
void bench_reply_clear(struct bench_reply *r); /* for the next reply; the memory stays */

/* Reads on. ERR_OK: the reply is whole, *p is behind it. ERR_AGAIN: more is to come. ERR_PROTO:
 * not HTTP/1; ERR_LIMIT: its head is too long. 1xx replies but 101 are passed over. */
enum err bench_reply_read(struct bench_reply *r, const char **p, size_t *len);

/* Whether the end of the connection is the end of this reply. */
bool bench_reply_ends_with_connection(const struct bench_reply *r);

/* "401 token error": the status and the first line of the body, for people. */
void bench_reply_describe(const struct bench_reply *r, char *out, size_t out_len);

#endif
