#include "auth/ticket_block.h"
#include <assert.h>
#include <endian.h>
#include <openssl/err.h>
#include <string.h>

/* One block at a time in ECB mode is just the cipher, and every block is another one: an id never
 * comes twice. */
static EVP_CIPHER_CTX *cipher_new(const unsigned char *key, bool encrypts)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx && EVP_CipherInit_ex2(ctx, EVP_aes_128_ecb(), key, NULL, encrypts, NULL) == 1 &&
        EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

enum err ticket_block_init(struct ticket_block *b, const unsigned char key[TICKET_BLOCK_BYTES])
{
    b->seal = cipher_new(key, true);
    b->open = cipher_new(key, false);
    /* What stays in this thread's queue would be taken for a failure of a TLS connection; there may
     * be something of what was tried in vain although all is well. */
    ERR_clear_error();
    if (b->seal && b->open)
        return ERR_OK;
    ticket_block_fini(b);
    return ERR_SYS;
}

void ticket_block_fini(struct ticket_block *b)
{
    EVP_CIPHER_CTX_free(b->seal);
    EVP_CIPHER_CTX_free(b->open);
    *b = (struct ticket_block){0};
}

static void apply(EVP_CIPHER_CTX *cipher, unsigned char block[TICKET_BLOCK_BYTES])
{
    unsigned char result[TICKET_BLOCK_BYTES];
    int len = 0;
    int done = EVP_CipherUpdate(cipher, result, &len, block, TICKET_BLOCK_BYTES);
    assert(done == 1 && len == TICKET_BLOCK_BYTES);
    memcpy(block, result, sizeof result);
}

/* ---- the text ---- */

static bool is_hyphen_at(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static void write_text(char *out, const unsigned char block[TICKET_BLOCK_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    unsigned nibble = 0;
    for (size_t i = 0; i < TICKET_UUID_LEN; i++) {
        if (is_hyphen_at(i)) {
            out[i] = '-';
            continue;
        }
        unsigned char byte = block[nibble / 2];
        out[i] = digits[nibble++ % 2 ? byte & 0xf : byte >> 4];
    }
}

static bool read_text(unsigned char block[TICKET_BLOCK_BYTES], struct str text)
{
    if (text.len != TICKET_UUID_LEN)
        return false;
    unsigned nibble = 0;
    memset(block, 0, TICKET_BLOCK_BYTES);
    for (size_t i = 0; i < TICKET_UUID_LEN; i++) {
        char c = text.p[i];
        if (is_hyphen_at(i)) {
            if (c != '-')
                return false;
            continue;
        }
        int digit = c >= 'A' && c <= 'F' ? -1 : str_hex_digit(c);
        if (digit < 0)
            return false;
        block[nibble / 2] |= (unsigned char)(nibble % 2 ? digit : digit << 4);
        nibble++;
    }
    return true;
}

/* ---- the block; big endian, as nodes of several kinds may share a key ---- */

void ticket_block_write(struct ticket_block *b, uint64_t id, uint32_t stamp, char *out)
{
    unsigned char block[TICKET_BLOCK_BYTES] = {0};
    uint64_t id_bytes = htobe64(id);
    uint32_t stamp_bytes = htobe32(stamp);
    memcpy(block, &id_bytes, sizeof id_bytes);
    memcpy(block + sizeof id_bytes, &stamp_bytes, sizeof stamp_bytes);
    apply(b->seal, block);
    write_text(out, block);
}

bool ticket_block_read(struct ticket_block *b, struct str text, uint64_t *id, uint32_t *stamp)
{
    static const unsigned char check[TICKET_BLOCK_BYTES - sizeof *id - sizeof *stamp];
    unsigned char block[TICKET_BLOCK_BYTES];
    if (!read_text(block, text))
        return false;
    apply(b->open, block);
    memcpy(id, block, sizeof *id);
    memcpy(stamp, block + sizeof *id, sizeof *stamp);
    *id = be64toh(*id);
    *stamp = be32toh(*stamp);
    return memcmp(block + sizeof *id + sizeof *stamp, check, sizeof check) == 0;
}
