#include "net/uring.h"
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>
#include "base/mem.h"

struct uring {
    struct io_uring ring;
    unsigned n;
    struct iovec pieces[URING_BATCH][URING_IOV];
    struct msghdr heads[URING_BATCH];
};

enum err uring_new(struct uring **out)
{
    struct uring *u = mem_zalloc(sizeof(*u));
    struct io_uring_params p = {.flags = IORING_SETUP_SUBMIT_ALL};
    int r = io_uring_queue_init_params(URING_BATCH, &u->ring, &p);
    if (r < 0) {
        mem_free(u);
        errno = -r;
        return ERR_SYS;
    }
    *out = u;
    return ERR_OK;
}

void uring_free(struct uring *u)
{
    if (!u)
        return;
    io_uring_queue_exit(&u->ring);
    mem_free(u);
}

struct iovec *uring_pieces(struct uring *u)
{
    assert(u->n < URING_BATCH);
    return u->pieces[u->n];
}

void uring_send(struct uring *u, int fd, unsigned n)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    struct iovec *pieces = u->pieces[u->n];
    assert(sqe && n && n <= URING_IOV);
    if (n == 1) {
        io_uring_prep_send(sqe, fd, pieces[0].iov_base, pieces[0].iov_len,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
        u->heads[u->n] = (struct msghdr){.msg_iov = pieces, .msg_iovlen = n};
        io_uring_prep_sendmsg(sqe, fd, &u->heads[u->n], MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    io_uring_sqe_set_data64(sqe, u->n++);
}

static unsigned take_results(struct uring *u, ssize_t results[])
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        results[io_uring_cqe_get_data64(cqe)] = cqe->res;
        n++;
    }
    io_uring_cq_advance(&u->ring, n);
    return n;
}

void uring_submit(struct uring *u, ssize_t results[])
{
    unsigned done = 0;
    while (done < u->n) {
        int r = io_uring_submit_and_wait(&u->ring, u->n - done);
        unsigned n = take_results(u, results);
        done += n;
        /* The kernel is out of memory for a moment: what it has not taken is tried again. */
        assert(r >= 0 || n || r == -EINTR || r == -EAGAIN || r == -EBUSY || r == -ENOMEM);
    }
    u->n = 0;
}
