/* buf.h - bytes that grow. For output and for partial input; what may come into it
 * has met its limit before. */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/str.h"

struct buf {
    char *p; /* owned; NULL while cap is 0 */
    size_t len, cap;
};

#define BUF_INIT ((struct buf){0})

void buf_fini(struct buf *b);                  /* frees; the buf is empty and usable again */
void buf_clear(struct buf *b);                 /* length 0, the memory stays */
char *buf_reserve(struct buf *b, size_t more); /* room for `more` bytes at the end: where they go */
void buf_add(struct buf *b, const void *p, size_t len);
void buf_str(struct buf *b, struct str s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first `len` bytes. */
void buf_consume(struct buf *b, size_t len);

static inline struct str buf_as_str(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->len};
}

#endif
