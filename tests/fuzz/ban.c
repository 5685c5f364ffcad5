/* ban.c - notes of bans: what is taken can be said again, and says the same. */
#include "auth/bans.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW 1700000000ll

static void say_again(void *note, const struct ban *ban)
{
    ban_write_note(note, ban);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str note = {len ? (const char *)data : "", len};
    struct bans *bans = bans_new();
    struct ban ban;
    struct buf again = BUF_INIT;
    enum err e = bans_take_note(bans, note, NOW, &ban);
    bans_each(bans, NOW, say_again, &again);
    if (e == ERR_OK ? !str_eq(buf_as_str(&again), note) : again.len)
        abort();
    bool is_user = e == ERR_OK && ban.kind == BAN_USER;
    if (e == ERR_OK && bans_keep_out(bans, ban.app, is_user ? ban.name : STR_EMPTY,
                                     is_user ? STR_EMPTY : ban.name, NOW) == ban.lifted)
        abort();
    bans_free(bans);
    buf_fini(&again);
    return 0;
}
