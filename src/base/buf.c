#include "base/buf.h"
#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = BUF_INIT;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

char *buf_reserve(struct buf *b, size_t more)
{
    if (b->cap - b->len < more) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap - b->len < more)
            cap *= 2;
        b->p = mem_realloc(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->len;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    if (!len)
        return;
    memcpy(buf_reserve(b, len), p, len);
    b->len += len;
}

void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.len);
}

void buf_char(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, format, ap);
    assert(len >= 0);
    vsnprintf(buf_reserve(b, (size_t)len + 1), (size_t)len + 1, format, again);
    b->len += (size_t)len;
    va_end(again);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    if (len)
        memmove(b->p, b->p + len, b->len - len);
    b->len -= len;
}
