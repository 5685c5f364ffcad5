/* server.h - the whole of a process that serves: its node, its workers, their beginning and end. */
#ifndef EDGE_SERVER_H
#define EDGE_SERVER_H
#include "edge/worker.h"

struct server_options {
    struct worker_options worker;
    unsigned n_workers;
    struct worker_listen listens[WORKER_LISTENERS_MAX];
    unsigned n_listens;
    uint64_t memory_max;            /* bytes of this process; 0: as its control groups say */
    struct remote_options remote;   /* where remote commands go; without url: nowhere */
    struct cluster_options cluster; /* without servers: alone. Node and workers are filled in */
};

struct server;

/* Meets the cluster if there is one, makes all workers and binds their listeners; on ERR_OK
 * connections are taken as soon as server_start was called. o->listens gets the ports that were
 * given for port 0. References to what is in `files` are taken, what is in `stores` is borrowed
 * until server_free. ERR_SYS, ERR_PROTO, ERR_TIMEOUT: `why` gets one sentence. */
enum err server_new(struct server **out, struct server_options *o, const struct worker_files *files,
                    const struct node_stores *stores, char *why, size_t why_len);

enum err server_start(struct server *s, char *why, size_t why_len);

/* From now on workers go by these (references are taken): each from its next turn on. Connections
 * that are open go on with the certificate that they began with. */
void server_exchange(struct server *s, const struct worker_files *files);

/* Asks all workers to end in order, and waits until they have (at most WORKER_STOP_MS). */
void server_stop(struct server *s);
void server_free(struct server *s);

#endif
