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

/* The text as OpenSSL reads it, in *out (BIO_free). ERR_LIMIT, ERR_SYS: it is too long, or memory
 * is out; `why` gets one sentence. Clears this thread's queue of errors. */
enum err pem_open(BIO **out, struct str text, char *why, size_t why_len);

/* The next block in *b (pem_block_fini); false: there is none, or, where pem_lacks_memory, it
 * could not be read. Whatever the text says, nobody is asked for a passphrase. */
bool pem_next(BIO *bio, struct pem_block *b);

/* Whether memory was out for OpenSSL since this thread's queue of errors was cleared. What fails
 * then says nothing about a key: it is an error, not a key that is no good. */
bool pem_lacks_memory(void);
void pem_block_fini(struct pem_block *b);

bool pem_name_is(const struct pem_block *b, const char *name);
bool pem_name_ends(const struct pem_block *b, const char *end);

/* To be called where OpenSSL has failed: it says why in that queue, and where it says nothing it
 * could not allocate what it reads with. */
void pem_note_silence(void);

/* Says that, in `why`; always ERR_SYS. */
enum err pem_refuse_for_memory(char *why, size_t why_len);

/* Writes a sentence; always ERR_PROTO. */
enum err pem_refuse(char *why, size_t why_len, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
