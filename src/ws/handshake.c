#include "ws/handshake.h"
#include <assert.h>
#include <openssl/evp.h>

enum { SHA1_LEN = 20 };

void ws_accept(char out[WS_ACCEPT_LEN], struct str key)
{
    static const struct str guid = {"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36};
    unsigned char digest[SHA1_LEN];

    /* OpenSSL fails here only when it has no memory or no SHA-1, and then we can serve nobody. */
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
    int ok = sha1 && EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) &&
             EVP_DigestUpdate(sha1, key.p, key.len) && EVP_DigestUpdate(sha1, guid.p, guid.len) &&
             EVP_DigestFinal_ex(sha1, digest, NULL);
    assert(ok);
    EVP_MD_CTX_free(sha1);

    unsigned char text[WS_ACCEPT_LEN + 1];
    int len = EVP_EncodeBlock(text, digest, sizeof digest);
    assert(len == WS_ACCEPT_LEN);
    memcpy(out, text, WS_ACCEPT_LEN);
}
