#include "net/descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* Below the limit by so many, it is looked before each connection. More than all threads together
 * accept between a look of one of them and its next. */
enum { NEAR = 8192 };

static atomic_uint limit_now = UINT_MAX;
static atomic_bool is_near = true;
static atomic_int sample = -1; /* a descriptor to copy */

static unsigned clamp(rlim_t n)
{
    return n < INT_MAX ? (unsigned)n : INT_MAX;
}

unsigned descriptors_look(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0)
        atomic_store(&limit_now, clamp(l.rlim_cur));
    return atomic_load(&limit_now);
}

enum err descriptors_raise(unsigned *limit, unsigned *before)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l))
        return ERR_SYS;
    *before = clamp(l.rlim_cur);
    if (l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
    *limit = descriptors_look();
    if (atomic_load(&sample) < 0)
        atomic_store(&sample, eventfd(0, EFD_CLOEXEC));
    return atomic_load(&sample) < 0 ? ERR_SYS : ERR_OK;
}

unsigned descriptors_used(void)
{
    int fd = fcntl(atomic_load(&sample), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return errno == EMFILE ? atomic_load(&limit_now) : 0;
    close(fd);
    return (unsigned)fd;
}

bool descriptors_leaves(int fd, unsigned spare)
{
    return (unsigned)fd + spare < atomic_load(&limit_now);
}

bool descriptors_left(unsigned spare)
{
    return !atomic_load_explicit(&is_near, memory_order_relaxed) ||
           descriptors_used() + spare < atomic_load(&limit_now);
}

void descriptors_saw(int fd)
{
    bool near = (unsigned)fd + NEAR >= atomic_load_explicit(&limit_now, memory_order_relaxed);
    if (near != atomic_load_explicit(&is_near, memory_order_relaxed))
        atomic_store(&is_near, near);
}
