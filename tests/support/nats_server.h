/* nats_server.h - a real nats-server as a test's peer, and a client that stands for whoever else is
 * connected to it. */
#ifndef TESTS_NATS_SERVER_H
#define TESTS_NATS_SERVER_H
#include <nats/nats.h>
#include "peer.h"

/* Starts one on `port`, with further words for its command line (NULL ends them; NULL: none), and
 * waits until it listens. End it by peer_kill. */
static inline pid_t nats_server_start(unsigned port, const char *const more[])
{
    char number[16];
    const char *words[16] = {"nats-server", "-a", "127.0.0.1", "-p", number};
    snprintf(number, sizeof(number), "%u", port);
    for (unsigned i = 0, n = 5; more && more[i]; i++)
        words[n++] = more[i];
    pid_t pid = peer_run(words);
    peer_wait_for_port(port);
    return pid;
}

static inline natsConnection *nats_server_client(unsigned port)
{
    natsConnection *nc = NULL;
    WAIT_UNTIL(natsConnection_ConnectTo(&nc, peer_url("nats://127.0.0.1:PORT", port)) == NATS_OK);
    return nc;
}

/* The server knows of it when this returns. */
static inline natsSubscription *nats_server_listen(natsConnection *nc, const char *subject)
{
    natsSubscription *sub = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&sub, nc, subject), NATS_OK);
    assert_int_equal(natsConnection_Flush(nc), NATS_OK);
    return sub;
}

/* The next message, to be destroyed. */
static inline natsMsg *nats_server_next(natsSubscription *sub)
{
    natsMsg *msg = NULL;
    assert_int_equal(natsSubscription_NextMsg(&msg, sub, PEER_WAIT_MS), NATS_OK);
    return msg;
}

#endif
