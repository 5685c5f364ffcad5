#include "http/reply.h"
#include <time.h>

const char *http_reason(int status)
{
    switch (status) {
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 422:
        return "Unprocessable Content";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

static void add_date(struct buf *out, double now_s)
{
    /* Written anew only when the second changes: strftime costs more than the rest of a reply. */
    static _Thread_local time_t cached_second;
    static _Thread_local char line[64];
    static _Thread_local size_t len;
    time_t second = (time_t)now_s;
    if (!len || second != cached_second) {
        struct tm tm;
        gmtime_r(&second, &tm);
        len = strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        cached_second = second;
    }
    buf_add(out, line, len);
}

static void add_number(struct buf *out, size_t n)
{
    char digits[24], *p = digits + sizeof(digits);
    do {
        *--p = (char)('0' + n % 10);
    } while (n /= 10);
    buf_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

void http_reply_write(struct buf *out, const struct http_reply *r, double now_s)
{
    buf_reserve(out, 256 + r->body.len);
    buf_str(out, STR("HTTP/1.1 "));
    add_number(out, (size_t)r->status);
    buf_char(out, ' ');
    buf_str(out, str_of(http_reason(r->status)));
    buf_str(out, STR("\r\n"));
    add_date(out, now_s);
    if (r->type) {
        buf_str(out, STR("Content-Type: "));
        buf_str(out, str_of(r->type));
        buf_str(out, STR("\r\n"));
    }
    bool streams = r->chunked || r->unbounded;
    if (r->chunked)
        buf_str(out, STR("Transfer-Encoding: chunked\r\n"));
    /* RFC 9110 section 8.6: 204 has none, and that of a 304 would be the length of what is not
     * sent. */
    bool is_bare = r->status == 204 || r->status == 304;
    if (!is_bare && !streams) {
        buf_str(out, STR("Content-Length: "));
        add_number(out, r->body.len);
        buf_str(out, STR("\r\n"));
    }
    buf_str(out, r->extra);
    if (r->request_id && r->request_id[0]) {
        buf_str(out, STR("X-Request-Id: "));
        buf_str(out, str_of(r->request_id));
        buf_str(out, STR("\r\n"));
    }
    buf_str(out, r->keep_alive ? STR("\r\n") : STR("Connection: close\r\n\r\n"));
    if (!r->head_only && !is_bare && !streams)
        buf_str(out, r->body);
}

void http_chunk_write(struct buf *out, struct str bytes)
{
    if (!bytes.len)
        return; /* an empty chunk would be the last one */
    buf_printf(out, "%zx\r\n", bytes.len);
    buf_str(out, bytes);
    buf_str(out, STR("\r\n"));
}

void http_chunks_end(struct buf *out, struct str trailers)
{
    buf_str(out, STR("0\r\n"));
    buf_str(out, trailers);
    buf_str(out, STR("\r\n"));
}
