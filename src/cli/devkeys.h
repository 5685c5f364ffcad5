/* devkeys.h - the key pair of `--dev`: made at the first start, kept in a folder. */
#ifndef CLI_DEVKEYS_H
#define CLI_DEVKEYS_H
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

/* Appends both halves of the pair in `folder`: private.pem and public.pem. Makes what is missing:
 * the folder (0700; its parent must be there), the pair (0600 and 0644), or public.pem from
 * private.pem. Several processes may do so at once and get the same pair. A private key that
 * others may read, that is broken or that is not the other half of public.pem is refused.
 * ERR_SYS, ERR_DENIED, ERR_PROTO: `why` gets one sentence. */
enum err devkeys_ensure(const char *folder, struct buf *private_pem, struct buf *public_pem,
                        char *why, size_t why_len);

#endif
