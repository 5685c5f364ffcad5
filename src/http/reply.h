/* reply.h - HTTP/1.1 responses into bytes (RFC 9112 section 4). */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H
#include "base/buf.h"
#include "base/str.h"

#define HTTP_TEXT    "text/plain; charset=utf-8"
#define HTTP_JSON    "application/json;charset=UTF-8"
#define HTTP_PROBLEM "application/problem+json"

struct http_reply {
    int status;
    const char *type; /* Content-Type; NULL: none */
    struct str body;
    struct str extra;       /* further header lines, each ending in CRLF */
    const char *request_id; /* NULL or "": it is not told */
    bool keep_alive;
    bool chunked;   /* the body is to come by http_chunk_write; `body` is not sent */
    bool unbounded; /* the same without chunks (HTTP/1.0): the connection's end is the body's */
    bool head_only; /* the answer to HEAD: the length is told, the body not sent */
};

/* Appends the whole response. `now_s`: unix seconds, for Date. */
void http_reply_write(struct buf *out, const struct http_reply *r, double now_s);

/* Appends one chunk (RFC 9112 section 7.1; nothing for an empty one), and the end of them all with
 * trailer lines, each ending in CRLF. */
void http_chunk_write(struct buf *out, struct str bytes);
void http_chunks_end(struct buf *out, struct str trailers);

/* The reason phrase of a status we send. */
const char *http_reason(int status);

#endif
