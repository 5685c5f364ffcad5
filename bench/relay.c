/* relay.c - what the kernel alone asks for two further processes between a sender and a receiver.
 *
 * A message of 128 bytes goes over loopback TCP from this process through HOPS others, which do
 * nothing but pass it on, and back; all are idle in between. Prints the median in microseconds:
 * relay HOPS [MESSAGES]. The price of a hop is the difference between two of them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HOPS_MAX = 8, MESSAGE = 128, GAP_US = 5000 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* A connected pair of TCP sockets. */
static void tcp_pair(int pair[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int on = 1, l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (struct sockaddr *)&a, len) || listen(l, 1) ||
        getsockname(l, (struct sockaddr *)&a, &len))
        fail("listen");
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(pair[0], (struct sockaddr *)&a, len))
        fail("connect");
    pair[1] = accept(l, NULL, NULL);
    setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    close(l);
}

static pid_t pass_on(int from, int to)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    char m[MESSAGE];
    for (;;) {
        if (recv(from, m, sizeof(m), MSG_WAITALL) != MESSAGE)
            _exit(0);
        send(to, m, sizeof(m), MSG_NOSIGNAL);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int hops = argc > 1 ? atoi(argv[1]) : 1, n = argc > 2 ? atoi(argv[2]) : 600;
    if (hops < 1 || hops > HOPS_MAX || n < 1) {
        fprintf(stderr, "usage: relay HOPS [MESSAGES]\n");
        return 2;
    }
    int pairs[HOPS_MAX + 1][2];
    pid_t pids[HOPS_MAX];
    int64_t *took = malloc((size_t)n * sizeof(*took));
    for (int i = 0; i <= hops; i++)
        tcp_pair(pairs[i]);
    for (int i = 0; i < hops; i++)
        pids[i] = pass_on(pairs[i][1], pairs[i + 1][0]);
    char m[MESSAGE] = {0};
    for (int i = 0; i < n; i++) {
        usleep(GAP_US);
        int64_t began = now_ns();
        send(pairs[0][0], m, sizeof(m), MSG_NOSIGNAL);
        if (recv(pairs[hops][1], m, sizeof(m), MSG_WAITALL) != MESSAGE)
            fail("recv");
        took[i] = now_ns() - began;
    }
    for (int i = 0; i < hops; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    qsort(took, (size_t)n, sizeof(*took), compare);
    printf("%.1f\n", (double)took[n / 2] / 1e3);
    free(took);
    return 0;
}
