#include "auth/pem.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err pem_open(BIO **out, struct str text, char *why, size_t why_len)
{
    if (text.len > INT_MAX) {
        pem_refuse(why, why_len, "The PEM text is too long.");
        return ERR_LIMIT;
    }
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
    ERR_clear_error();
    if (!bio)
        return pem_refuse_for_memory(why, why_len);
    *out = bio;
    return ERR_OK;
}

/* PEM_read_bio only takes the armour off: it never asks for a passphrase, as the readers for whole
 * keys do on the terminal. */
bool pem_next(BIO *bio, struct pem_block *b)
{
    *b = (struct pem_block){0};
    if (PEM_read_bio(bio, &b->name, &b->header, &b->der, &b->len) == 1)
        return true;
    pem_note_silence();
    return false;
}

void pem_note_silence(void)
{
    if (!ERR_peek_error())
        ERR_raise(ERR_LIB_PEM, ERR_R_MALLOC_FAILURE);
}

bool pem_lacks_memory(void)
{
    bool lacks = false;
    unsigned long code;
    while ((code = ERR_get_error()))
        lacks |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    return lacks;
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

enum err pem_refuse_for_memory(char *why, size_t why_len)
{
    pem_refuse(why, why_len, "There is no memory to read the keys with.");
    return ERR_SYS;
}

enum err pem_refuse(char *why, size_t why_len, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, why_len, format, ap);
    va_end(ap);
    return ERR_PROTO;
}
