/* pem.h - the blocks of a PEM text (RFC 7468); for the files of auth/ alone. */
#ifndef AUTH_PEM_H
#define AUTH_PEM_H
#include <openssl/bio.h>
#include <stdbool.h>
#include "base/err.h"
#include "base/str.h"

struct pem_block {
    char *name, *header;
    unsigned char *der;
    long len;
};

/* The text as OpenSSL reads it (BIO_free); NULL: it is too long. */
BIO *pem_open(struct str text);

/* The next block in *b (pem_block_fini); false: there is none. Whatever the text says, nobody is
 * asked for a passphrase. */
bool pem_next(BIO *bio, struct pem_block *b);
void pem_block_fini(struct pem_block *b);

bool pem_name_is(const struct pem_block *b, const char *name);
bool pem_name_ends(const struct pem_block *b, const char *end);

/* Writes a sentence; always ERR_PROTO. */
enum err pem_refuse(char *why, size_t why_len, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
