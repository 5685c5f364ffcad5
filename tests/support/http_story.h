/* http_story.h - feeds an HTTP parser in pieces and writes down what comes out of it. */
#ifndef TESTS_HTTP_STORY_H
#define TESTS_HTTP_STORY_H
#include "http/parse.h"
#include <stdlib.h>

enum { HEADERS_MAX = 32 * 1024 };

struct http_story {
    struct http_parser parser;
    struct buf text; /* what came out so far */
    size_t fed;      /* bytes of all pieces before this one */
    size_t end;      /* where the last request ended, counted in bytes fed */
    bool over;       /* refused, or the last request of this connection is in */
};

static inline void http_story_init(struct http_story *s, size_t body_max)
{
    *s = (struct http_story){.text = BUF_INIT};
    http_parser_init(&s->parser, body_max, HEADERS_MAX);
}

static inline void http_story_fini(struct http_story *s)
{
    http_parser_fini(&s->parser);
    buf_fini(&s->text);
}

/* "<method> <path>?<query> <header>=<value> .. body=<body>[ close][ ws]" and a line feed. */
static inline void http_story_request(struct http_story *s)
{
    static const char *const methods[] = {"OTHER",   "GET", "HEAD",  "POST",
                                          "OPTIONS", "PUT", "DELETE"};
    static const struct {
        enum http_header header;
        const char *name;
    } told[] = {{HTTP_H_HOST, "host"},          {HTTP_H_CONTENT_TYPE, "type"},
                {HTTP_H_EXPECT, "expect"},      {HTTP_H_ORIGIN, "origin"},
                {HTTP_H_UPGRADE, "upgrade"},    {HTTP_H_WS_KEY, "key"},
                {HTTP_H_WS_VERSION, "version"}, {HTTP_H_FORWARDED_FOR, "forwarded"}};
    const struct http_request *r = &s->parser.request;
    buf_printf(&s->text, "%s ", methods[r->method]);
    buf_str(&s->text, r->path);
    buf_char(&s->text, '?');
    buf_str(&s->text, r->query);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        struct str value = r->headers[told[i].header];
        if (value.p) {
            buf_printf(&s->text, " %s=", told[i].name);
            buf_str(&s->text, value);
        }
    }
    buf_str(&s->text, STR(" body="));
    buf_str(&s->text, r->body);
    buf_printf(&s->text, "%s%s\n", r->keep_alive ? "" : " close", r->wants_websocket ? " ws" : "");
}

/* Feeds one piece, as a connection does: request after request, until one says that it is the
 * last one. */
static inline void http_story_feed(struct http_story *s, const char *bytes, size_t len)
{
    /* A copy of just this size: a sanitizer sees a step too far, and a span kept too long. */
    char *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, bytes, len);
    for (size_t at = 0; !s->over;) {
        size_t used;
        int status;
        enum err e = http_parse(&s->parser, copy + at, len - at, &used, &status);
        if (used > len - at)
            abort();
        at += used;
        if (e == ERR_AGAIN) {
            if (at != len)
                abort();
            break;
        }
        if (e) {
            buf_printf(&s->text, "%d\n", status);
            s->over = true;
            break;
        }
        http_story_request(s);
        s->end = s->fed + at;
        s->over = !s->parser.request.keep_alive || s->parser.request.wants_websocket;
    }
    s->fed += len;
    free(copy);
}

#endif
