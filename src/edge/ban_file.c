#include "edge/ban_file.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "auth/base64url.h"
#include "base/log.h"
#include "base/mem.h"

#define LOG_AREA LOG_SERVER

enum {
    FILE_MAX = 256 << 20,
    WAITING_MAX = 16 << 20, /* bytes that wait for room on the disk */
};

struct ban_file {
    pthread_mutex_t lock; /* nobody who looks bans up waits for a disk */
    int fd;
    char *path;
    off_t len;          /* of whole lines: a write that fails leaves half of one behind */
    struct buf waiting; /* lines that are to come behind them */
    unsigned n_lost;    /* that found no room there */
};

static void append_line(struct buf *out, const struct ban *ban)
{
    struct buf note = BUF_INIT;
    ban_write_note(&note, ban);
    base64url_encode(out, note.p, note.len);
    buf_char(out, '\n');
    buf_fini(&note);
}

static bool write_all(int fd, struct str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.p, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text.p += n;
        text.len -= (size_t)n;
    }
    return true;
}

static enum err read_line(struct bans *b, struct str line, int64_t now_s)
{
    struct buf note = BUF_INIT;
    struct ban ban;
    enum err e = ERR_PROTO;
    if (base64url_decode(&note, line))
        e = bans_take_note(b, buf_as_str(&note), now_s, &ban);
    buf_fini(&note);
    return e == ERR_EXPIRED ? ERR_OK : e;
}

/* A line without its end was being written when the process died. */
static enum err read_text(const struct ban_file *f, struct bans *b, struct str text, int64_t now_s,
                          char *why, size_t why_len)
{
    for (unsigned number = 1; text.len && memchr(text.p, '\n', text.len); number++) {
        enum err e = read_line(b, str_cut(&text, '\n'), now_s);
        if (e) {
            snprintf(why, why_len, "%s, line %u: %s", f->path, number,
                     e == ERR_FULL ? "there are too many bans" : "this is no ban");
            return e;
        }
    }
    return ERR_OK;
}

static enum err read_file(const struct ban_file *f, struct bans *b, int64_t now_s, char *why,
                          size_t why_len)
{
    struct buf text = BUF_INIT;
    ssize_t n = 1;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return ERR_OK;
    while (fd >= 0 && n > 0 && text.len < FILE_MAX) {
        n = read(fd, buf_reserve(&text, 1 << 16), 1 << 16);
        text.len += n > 0 ? (size_t)n : 0;
    }
    enum err e = ERR_SYS;
    if (fd < 0 || n != 0)
        snprintf(why, why_len, "cannot read %s: %s", f->path,
                 fd >= 0 && n > 0 ? "it is too large" : strerror(errno));
    else
        e = read_text(f, b, buf_as_str(&text), now_s, why, why_len);
    if (fd >= 0)
        close(fd);
    buf_fini(&text);
    return e;
}

static void add_line(void *out, const struct ban *ban)
{
    append_line(out, ban);
}

/* Without those that are over, and each once. */
static enum err rewrite_file(struct ban_file *f, struct bans *b, int64_t now_s, char *why,
                             size_t why_len)
{
    struct buf text = BUF_INIT, path = BUF_INIT;
    bans_each(b, now_s, add_line, &text);
    buf_printf(&path, "%s.new", f->path);
    buf_char(&path, 0);
    f->fd = open(path.p, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    bool ok = f->fd >= 0 && write_all(f->fd, buf_as_str(&text)) && fsync(f->fd) == 0 &&
              rename(path.p, f->path) == 0;
    if (!ok)
        snprintf(why, why_len, "cannot write %s: %s", path.p, strerror(errno));
    f->len = (off_t)text.len;
    buf_fini(&text);
    buf_fini(&path);
    return ok ? ERR_OK : ERR_SYS;
}

enum err ban_file_open(struct ban_file **out, const char *path, struct bans *bans, int64_t now_s,
                       char *why, size_t why_len)
{
    struct ban_file *f = mem_zalloc(sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    f->fd = -1;
    f->waiting = BUF_INIT;
    f->path = mem_alloc(strlen(path) + 1);
    strcpy(f->path, path);
    enum err e = read_file(f, bans, now_s, why, why_len);
    if (!e)
        e = rewrite_file(f, bans, now_s, why, why_len);
    if (e)
        ban_file_free(f);
    else
        *out = f;
    return e;
}

void ban_file_free(struct ban_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    pthread_mutex_destroy(&f->lock);
    buf_fini(&f->waiting);
    mem_free(f->path);
    mem_free(f);
}

/* Lines behind those that are there; all or none of them. */
static bool write_lines(struct ban_file *f, struct str lines)
{
    if (write_all(f->fd, lines)) {
        f->len += (off_t)lines.len;
        return true;
    }
    int saved = errno;
    /* Where this fails, too, ban_file_mend begins with it. */
    if (ftruncate(f->fd, f->len))
        saved = errno;
    errno = saved;
    return false;
}

static void wait_for_room(struct ban_file *f, struct str line)
{
    if (!f->waiting.len)
        LOG(LOG_ERROR, "ban_not_kept", LOG_CSTR("file", f->path),
            LOG_CSTR("reason", strerror(errno)));
    if (f->waiting.len + line.len <= WAITING_MAX)
        buf_str(&f->waiting, line);
    else
        f->n_lost++;
}

/* It is in force all the same. */
void ban_file_keep(struct ban_file *f, const struct ban *ban)
{
    struct buf line = BUF_INIT;
    append_line(&line, ban);
    pthread_mutex_lock(&f->lock);
    if (f->waiting.len || !write_lines(f, buf_as_str(&line)))
        wait_for_room(f, buf_as_str(&line));
    pthread_mutex_unlock(&f->lock);
    buf_fini(&line);
}

void ban_file_mend(struct ban_file *f)
{
    pthread_mutex_lock(&f->lock);
    if (f->waiting.len && ftruncate(f->fd, f->len) == 0 &&
        write_lines(f, buf_as_str(&f->waiting))) {
        LOG(LOG_WARN, "bans_kept", LOG_CSTR("file", f->path), LOG_INT("lost", f->n_lost));
        buf_fini(&f->waiting);
        f->n_lost = 0;
    }
    pthread_mutex_unlock(&f->lock);
}
