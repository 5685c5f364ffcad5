/* presence.c - a slave without sockets: presence NATS PREFIX APP FIRST N WORKERS.
 *
 * It holds N made-up users, u<FIRST> and so on, all on channel "all" but for the first ten of
 * each worker, which are on "few". From the hub on everything is the slave's own: workers, node and
 * cluster are put together as edge/server.c does. Prints "ready" when the cluster knows of all, and
 * lives until it is killed. Nothing may be pushed to its users, as there are no sockets behind. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <malloc.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/names.h"
#include "edge/worker.h"

enum { FEW = 10, WAIT_MS = 10000 };

static struct node node;
static struct cluster_local of_node;
static struct worker *workers[MEMBERS_WORKERS_MAX];
static atomic_uint_fast64_t sure[MEMBERS_WORKERS_MAX];

static void on_confirmed(void *ctx, unsigned worker, uint64_t seq)
{
    atomic_store(&sure[worker], seq);
    of_node.confirmed(ctx, worker, seq);
}

/* Sockets are never given back: the process ends with them. */
static void come_online(struct worker *w, struct str app, unsigned number, bool is_few)
{
    static struct buf all_names = BUF_INIT;
    char user[16];
    struct hub_socket *socket = mem_zalloc(sizeof(*socket));
    int len = snprintf(user, sizeof(user), "u%07u", number);
    if (!all_names.len)
        names_add(&all_names, STR("*"));
    struct grants *g = grants_get(hub_grants_pool(w->hub), buf_as_str(&all_names), STR(""));
    hub_join(w->hub, socket, app, str_make(user, (size_t)len), g, 0);
    if (hub_subscribe(w->hub, socket, is_few ? STR("few") : STR("all")))
        abort();
}

int main(int argc, char **argv)
{
    static struct worker_options options = {.subscriptions_max = 1};
    char why[256];
    if (argc != 7) {
        fprintf(stderr, "usage: presence NATS PREFIX APP FIRST N WORKERS\n");
        return 2;
    }
    unsigned first = (unsigned)atoi(argv[4]), n = (unsigned)atoi(argv[5]);
    unsigned n_workers = (unsigned)atoi(argv[6]);
    if (n_workers < 1 || n_workers > MEMBERS_WORKERS_MAX || node_init(&node, n_workers))
        return 1;
    of_node = node_local(&node);
    static const struct worker_files files;
    struct cluster_local local = of_node;
    local.confirmed = on_confirmed;
    const struct cluster_options o = {.servers = argv[1],
                                      .prefix = argv[2],
                                      .node = node.id,
                                      .n_workers = n_workers,
                                      .roles = MEMBER_HOLDS_SOCKETS,
                                      .wait_ms = WAIT_MS};
    if (cluster_start(&node.cluster, &o, &local, why, sizeof(why))) {
        fprintf(stderr, "presence: %s\n", why);
        return 1;
    }
    for (unsigned w = 0; w < n_workers; w++) {
        if (worker_new(&workers[w], &node, w, &options, NULL, 0, &files))
            return 1;
    }
    for (unsigned i = 0; i < n; i++)
        come_online(workers[i % n_workers], str_of(argv[3]), first + i, i / n_workers < FEW);
    for (unsigned w = 0; w < n_workers; w++) {
        uint64_t told = workers[w]->told;
        if (worker_start(workers[w]))
            return 1;
        while (atomic_load(&sure[w]) < told)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    cluster_serve(node.cluster);
    /* What coming online took is over: the next to ask for memory is an answer. */
    malloc_trim(0);
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
