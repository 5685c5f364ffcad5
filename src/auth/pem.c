#include "auth/pem.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

BIO *pem_open(struct str text)
{
    return text.len <= INT_MAX ? BIO_new_mem_buf(text.p, (int)text.len) : NULL;
}

/* PEM_read_bio only takes the armour off: it never asks for a passphrase, as the readers for whole
 * keys do on the terminal. */
bool pem_next(BIO *bio, struct pem_block *b)
{
    *b = (struct pem_block){0};
    return PEM_read_bio(bio, &b->name, &b->header, &b->der, &b->len) == 1;
}

void pem_block_fini(struct pem_block *b)
{
    OPENSSL_free(b->name);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->der, (size_t)b->len);
    *b = (struct pem_block){0};
}

bool pem_name_is(const struct pem_block *b, const char *name)
{
    return strcmp(b->name, name) == 0;
}

bool pem_name_ends(const struct pem_block *b, const char *end)
{
    size_t len = strlen(b->name), end_len = strlen(end);
    return len >= end_len && strcmp(b->name + len - end_len, end) == 0;
}

enum err pem_refuse(char *why, size_t why_len, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, why_len, format, ap);
    va_end(ap);
    return ERR_PROTO;
}
