#include "net/inbox.h"
#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/mem.h"

struct inbox {
    _Atomic(struct letter *) newest;
    atomic_uint unread;
    atomic_bool asleep;
    unsigned cap;
    int fd;               /* eventfd, rings the reader's loop */
    struct letter *taken; /* the reader's: oldest first, not read yet */
};

enum err inbox_new(struct inbox **out, unsigned cap)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return ERR_SYS;
    struct inbox *b = mem_zalloc(sizeof(*b));
    b->cap = cap;
    b->fd = fd;
    *out = b;
    return ERR_OK;
}

void inbox_free(struct inbox *b)
{
    if (!b)
        return;
    assert(!atomic_load(&b->newest) && !b->taken);
    close(b->fd);
    mem_free(b);
}

static void push(struct inbox *b, struct letter *l)
{
    struct letter *old = atomic_load(&b->newest);
    do {
        l->next = old;
    } while (!atomic_compare_exchange_weak(&b->newest, &old, l));

    /* Only a reader that sleeps is rung, and only by the first who finds it asleep: a ring
     * costs more than a delivery (12-15 us against 6). The reader looks into the inbox once
     * more after it has said that it sleeps, so no letter is left lying. */
    if (atomic_load(&b->asleep) && atomic_exchange(&b->asleep, false))
        eventfd_write(b->fd, 1);
}

enum err inbox_post(struct inbox *b, struct letter *l)
{
    if (atomic_fetch_add(&b->unread, 1) >= b->cap) {
        atomic_fetch_sub(&b->unread, 1);
        return ERR_FULL;
    }
    push(b, l);
    return ERR_OK;
}

void inbox_post_always(struct inbox *b, struct letter *l)
{
    atomic_fetch_add(&b->unread, 1);
    push(b, l);
}

bool inbox_has_room(const struct inbox *b, unsigned n)
{
    return atomic_load(&b->unread) + n <= b->cap;
}

static struct letter *oldest_first(struct letter *newest)
{
    struct letter *oldest = NULL;
    for (struct letter *next; newest; newest = next) {
        next = newest->next;
        newest->next = oldest;
        oldest = newest;
    }
    return oldest;
}

unsigned inbox_read(struct inbox *b, unsigned budget, letter_fn *read_one, void *reader)
{
    unsigned n = 0;
    if (!b->taken && atomic_load(&b->newest))
        b->taken = oldest_first(atomic_exchange(&b->newest, NULL));
    for (unsigned cost = 0; b->taken && cost < budget; n++) {
        struct letter *l = b->taken;
        b->taken = l->next; /* read_one may free l */
        atomic_fetch_sub(&b->unread, 1);
        cost += read_one(reader, l);
    }
    return n;
}

bool inbox_has_unread(struct inbox *b)
{
    return b->taken || atomic_load(&b->newest);
}

void inbox_empty(struct inbox *b, letter_fn *read_one, void *reader)
{
    /* More than once: what was taken and not read yet comes before what was posted since. */
    while (inbox_read(b, UINT_MAX, read_one, reader))
        ;
}

bool inbox_sleep(struct inbox *b)
{
    atomic_store(&b->asleep, true);
    return inbox_has_unread(b);
}

void inbox_wake(struct inbox *b)
{
    atomic_store(&b->asleep, false);
}

void inbox_silence(struct inbox *b)
{
    eventfd_t rings;
    eventfd_read(b->fd, &rings);
}

int inbox_fd(const struct inbox *b)
{
    return b->fd;
}
