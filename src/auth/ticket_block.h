/* ticket_block.h - a ticket as one AES-128 block in the dress of a UUID; for the sources of
 * auth/ticket.h alone.
 *
 * The block before sealing: an id of 64 bits, a stamp of 32, and 32 bits that are 0. Without the
 * key it can neither be read, made nor changed: a block that somebody made up opens to any of 2^128
 * texts. */
#ifndef AUTH_TICKET_BLOCK_H
#define AUTH_TICKET_BLOCK_H
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include "auth/ticket.h"

enum { TICKET_BLOCK_BYTES = 16 };

/* Not for two threads at once. */
struct ticket_block {
    EVP_CIPHER_CTX *seal, *open;
};

/* ERR_SYS: OpenSSL lacks the cipher; nothing is left behind then. */
enum err ticket_block_init(struct ticket_block *b, const unsigned char key[TICKET_BLOCK_BYTES]);
void ticket_block_fini(struct ticket_block *b);

/* Writes TICKET_UUID_LEN bytes. */
void ticket_block_write(struct ticket_block *b, uint64_t id, uint32_t stamp, char *out);

/* False: it was not sealed with this key, or is not the text that ticket_block_write makes: upper
 * case would be a second name for one ticket. */
bool ticket_block_read(struct ticket_block *b, struct str text, uint64_t *id, uint32_t *stamp);

#endif
