#include "cli/devkeys.h"
#include "auth/keys.h"
#include "auth/signing_key.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_BYTES_MAX = 64 * 1024 };

struct why {
    char *p;
    size_t len;
};

/* A sentence about `path`, and the error as given. */
__attribute__((format(printf, 4, 5))) static enum err
refuse(struct why *why, enum err e, const char *path, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int len = snprintf(why->p, why->len, "%s: ", path);
    if (len >= 0 && (size_t)len < why->len)
        vsnprintf(why->p + len, why->len - (size_t)len, format, ap);
    va_end(ap);
    return e;
}

static enum err refuse_errno(struct why *why, const char *path)
{
    return refuse(why, ERR_SYS, path, "%s.", strerror(errno));
}

static enum err read_all(struct buf *out, int fd, const char *path, struct why *why)
{
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, 4096), 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse_errno(why, path);
        if (n == 0)
            return ERR_OK;
        out->len += (size_t)n;
        if (out->len > KEY_FILE_BYTES_MAX)
            return refuse(why, ERR_PROTO, path, "This file is too long for a key.");
    }
}

/* ERR_NOT_FOUND: there is no such file. */
static enum err read_file(struct buf *out, const char *path, bool private, struct why *why)
{
    /* O_NONBLOCK: a FIFO in place of the file must not hold up the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : refuse_errno(why, path);

    /* Asked of the open file: the path may lead elsewhere a moment later. */
    struct stat st;
    enum err e;
    if (fstat(fd, &st) != 0)
        e = refuse_errno(why, path);
    else if (!S_ISREG(st.st_mode))
        e = refuse(why, ERR_PROTO, path, "This is no file.");
    else if (private && (st.st_mode & (S_IRWXG | S_IRWXO)))
        e = refuse(why, ERR_DENIED, path,
                   "Others have access to this private key (mode %04o); chmod 600 takes it away.",
                   (unsigned)(st.st_mode & 07777));
    else
        e = read_all(out, fd, path, why);
    close(fd);
    return e;
}

static bool write_all(int fd, struct str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.p, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text.p += n;
        text.len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

/* Puts `text` at `path` under its final mode, whole or not at all. Somebody else's file that is
 * there first stays. */
static enum err put_file(const char *path, struct str text, mode_t mode, struct why *why)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return refuse(why, ERR_SYS, path, "%s.", strerror(ENAMETOOLONG));
    int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 from its first moment */
    if (fd < 0)
        return refuse_errno(why, temporary);

    enum err e = ERR_OK;
    bool written = write_all(fd, text) && (mode == 0600 || fchmod(fd, mode) == 0);
    if (!written)
        e = refuse_errno(why, temporary);
    close(fd);

    /* A link never replaces a file, a rename does. File systems without links get the rename: there
     * two first starts in one moment can disagree, which the next start finds out and says. */
    if (!e && link(temporary, path) != 0 && errno != EEXIST && rename(temporary, path) != 0)
        e = refuse_errno(why, path);
    unlink(temporary);
    return e;
}

/* private.pem is the pair: public.pem follows from it, so a start that was cut off between the
 * two files is mended by the next. */
static enum err ensure_private(struct buf *pem, const char *path, const char *public_path,
                               struct why *why)
{
    enum err e = read_file(pem, path, true, why);
    bool has_public = e == ERR_NOT_FOUND && access(public_path, F_OK) == 0;
    if (has_public)
        e = read_file(pem, path, true, why); /* another process may just have made both */
    if (e != ERR_NOT_FOUND)
        return e;
    if (has_public)
        return refuse(why, ERR_PROTO, public_path,
                      "The private half of this key, private.pem, is not there.");

    struct buf private = BUF_INIT, public = BUF_INIT;
    e = signing_key_generate(&private, &public);
    if (e)
        e = refuse(why, e, path, "OpenSSL could not make a key.");
    else
        e = put_file(path, buf_as_str(&private), 0600, why);
    buf_fini(&private);
    buf_fini(&public);
    if (e)
        return e;
    e = read_file(pem, path, true, why);
    return e == ERR_NOT_FOUND ? refuse(why, ERR_SYS, path, "This file went away again.") : e;
}

/* `half` is what the private key says. */
static enum err ensure_public(struct buf *pem, const char *path, struct str half, struct why *why)
{
    enum err e = read_file(pem, path, false, why);
    if (e == ERR_NOT_FOUND) {
        e = put_file(path, half, 0644, why);
        if (!e)
            buf_str(pem, half);
        return e;
    }
    if (e)
        return e;

    char reason[160];
    struct keys *given, *derived;
    e = keys_from_pem(&given, buf_as_str(pem), reason, sizeof reason);
    if (e)
        return refuse(why, e, path, "%s", reason);
    e = keys_from_pem(&derived, half, reason, sizeof reason);
    assert(!e);
    if (!keys_equal(given, derived))
        e = refuse(why, ERR_PROTO, path, "This is not the other half of private.pem.");
    keys_free(given);
    keys_free(derived);
    return e;
}

enum err devkeys_ensure(const char *folder, struct buf *private_pem, struct buf *public_pem,
                        char *why_text, size_t why_len)
{
    struct why why = {why_text, why_len};
    char private_path[PATH_MAX], public_path[PATH_MAX];
    if (snprintf(private_path, PATH_MAX, "%s/private.pem", folder) >= PATH_MAX ||
        snprintf(public_path, PATH_MAX, "%s/public.pem", folder) >= PATH_MAX)
        return refuse(&why, ERR_SYS, folder, "%s.", strerror(ENAMETOOLONG));
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return refuse_errno(&why, folder);

    struct buf private = BUF_INIT, public = BUF_INIT, half = BUF_INIT;
    enum err e = ensure_private(&private, private_path, public_path, &why);
    if (!e) {
        char reason[160];
        e = signing_key_public_half(&half, buf_as_str(&private), reason, sizeof reason);
        if (e)
            e = refuse(&why, e, private_path, "%s", reason);
    }
    if (!e)
        e = ensure_public(&public, public_path, buf_as_str(&half), &why);
    if (!e) {
        buf_str(private_pem, buf_as_str(&private));
        buf_str(public_pem, buf_as_str(&public));
    }
    buf_fini(&private);
    buf_fini(&public);
    buf_fini(&half);
    return e;
}
