/* uring.h - many sends in one system call, by io_uring: the one file that knows it.
 *
 * A batch is gathered and submitted whole; every send is carried out within the call, as send(2)
 * with MSG_DONTWAIT would, so nothing is under way when it returns. */
#ifndef NET_URING_H
#define NET_URING_H
#include <sys/types.h>
#include <sys/uio.h>
#include "base/err.h"

enum {
    URING_BATCH = 128, /* sends in one call */
    URING_IOV = 8,     /* pieces of one send */
};

struct uring; /* one thread's at a time */

/* ERR_SYS: the kernel has none, or does not permit it here (errno). */
enum err uring_new(struct uring **out);
void uring_free(struct uring *u);

/* The pieces of the batch's next send, to be filled (URING_IOV of them); at most URING_BATCH times
 * between two submits. */
struct iovec *uring_pieces(struct uring *u);
/* The next send: `n` of these pieces, which stay as they are until uring_submit, with their bytes.
 */
void uring_send(struct uring *u, int fd, unsigned n);

/* Carries all of them out; results[i] is what send i has sent, or -errno. */
void uring_submit(struct uring *u, ssize_t results[]);

#endif
