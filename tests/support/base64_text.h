/* base64_text.h - base64url by OpenSSL: not by the code under test. */
#ifndef TESTS_BASE64_TEXT_H
#define TESTS_BASE64_TEXT_H
#include <openssl/evp.h>
#include <stdlib.h>
#include "base/buf.h"

/* Appends the text of some bytes. */
static inline void add_base64url(struct buf *out, const void *p, size_t len)
{
    unsigned char *text = malloc(len / 3 * 4 + 5);
    int n = EVP_EncodeBlock(text, p, (int)len);
    while (n > 0 && text[n - 1] == '=')
        n--;
    for (int i = 0; i < n; i++)
        buf_char(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i]);
    free(text);
}

/* Appends the bytes of a text that is good. */
static inline void add_from_base64url(struct buf *out, struct str text)
{
    struct buf padded = BUF_INIT;
    for (size_t i = 0; i < text.len; i++)
        buf_char(&padded, text.p[i] == '-' ? '+' : text.p[i] == '_' ? '/' : text.p[i]);
    size_t missing = (4 - text.len % 4) % 4;
    for (size_t i = 0; i < missing; i++)
        buf_char(&padded, '=');
    unsigned char *to = (unsigned char *)buf_reserve(out, padded.len + 1);
    int n = EVP_DecodeBlock(to, (unsigned char *)padded.p, (int)padded.len);
    if (n < 0)
        abort();
    out->len += (size_t)n - missing;
    buf_fini(&padded);
}

#endif
