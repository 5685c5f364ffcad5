/* parse.h - HTTP/1.1 requests out of bytes, by llhttp (RFC 9112), one at a time.
 *
 * The parser keeps the request line and the few headers we read; every size has a limit, and
 * each limit its own status. A body that lies whole in the input is not copied. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H
#include <llhttp.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    /* Bytes of the request target: 414. A token stands in the query of the handshake, and it may be
     * a JWT of 64 KiB or a ticket as long: the rest is for the path. */
    HTTP_TARGET_MAX = 80 * 1024,
    HTTP_HEADERS_N_MAX = 100,  /* header lines: 431 */
    HTTP_FORWARDED_MAX = 1024, /* bytes of X-Forwarded-For; of more lines the last count */
};

enum http_method {
    HTTP_M_OTHER,
    HTTP_M_GET,
    HTTP_M_HEAD,
    HTTP_M_POST,
    HTTP_M_OPTIONS,
    HTTP_M_PUT,
    HTTP_M_DELETE
};

/* The headers that are kept; of several lines of one name the first counts, but for
 * X-Forwarded-For: that is one list, in however many lines (RFC 9110 section 5.3). */
enum http_header {
    HTTP_H_HOST,
    HTTP_H_CONTENT_TYPE,
    HTTP_H_EXPECT,
    HTTP_H_ORIGIN,
    HTTP_H_AUTHORIZATION,
    HTTP_H_UPGRADE,
    HTTP_H_WS_KEY,
    HTTP_H_WS_VERSION,
    HTTP_H_WS_EXTENSIONS,
    HTTP_H_TRANSFER_ENCODING,
    HTTP_H_FORWARDED_FOR,
    HTTP_H_IDEMPOTENCY_KEY,
    HTTP_H_IF_NONE_MATCH,
    HTTP_H_ACCEPT_ENCODING,
    HTTP_H_REQUEST_ID,
    HTTP_H_FETCH_SITE,
    HTTP_H_N
};

struct http_request {
    enum http_method method;
    struct str path, query;       /* as sent, not decoded; query without the '?' */
    struct str headers[HTTP_H_N]; /* p is NULL when missing */
    struct str body;
    bool keep_alive;
    bool is_http_1_0;     /* knows no chunks */
    bool wants_websocket; /* a GET of HTTP/1.1 with Connection: upgrade and Upgrade: websocket */
};

struct http_parser {
    llhttp_t llhttp;
    struct buf text;      /* target and header values */
    struct buf body_part; /* a body that came in pieces */
    struct str body_span; /* a body that lies whole in the input of this call */
    size_t body_max, headers_max, headers_bytes;
    uint32_t target_len;
    struct {
        uint32_t at, len;
    } kept[HTTP_H_N];
    uint32_t kept_mask;
    char name[32];                         /* of the header being read, lower case; */
    uint8_t name_len;                      /* sizeof(name) + 1: too long to be one of ours */
    int8_t current;                        /* enum http_header, -1: not kept */
    uint8_t n_headers, n_hosts, n_codings; /* lines: all, Host, Transfer-Encoding */
    bool in_value, head_done, head_given, complete, wants_continue;
    int refusal; /* the status of what was found wrong in a callback, or 0 */
    struct http_request request;
};

/* `headers_max`: bytes of all header names and values (431). */
void http_parser_init(struct http_parser *p, size_t body_max, size_t headers_max);
void http_parser_fini(struct http_parser *p);

/* Reads on in `data`; *used says how far. ERR_OK: p->request is whole, its spans are valid until
 * the next call or until `data` is gone. ERR_AGAIN: all is used, more is needed. Otherwise the
 * connection can only be answered and closed: *status has the HTTP status (400, 413, 414, 431,
 * 501, 505). */
enum err http_parse(struct http_parser *p, const char *data, size_t len, size_t *used, int *status);

/* "GET"; what is known by no name is "OTHER". */
const char *http_method_name(enum http_method m);

/* The path of the request that is being read, or was refused, as far as it has come. */
struct str http_parser_path(const struct http_parser *p);

/* Between requests, with nothing of the next one read: holds no memory then. */
bool http_parser_is_idle(const struct http_parser *p);

/* True once after the head of a request with "Expect: 100-continue" is in and its body is not. */
bool http_parser_wants_continue(struct http_parser *p);

/* Once after the head of a request is in and its body is not: the request without its body, valid
 * until the next call. Otherwise NULL. */
const struct http_request *http_parser_head(struct http_parser *p);

#endif
