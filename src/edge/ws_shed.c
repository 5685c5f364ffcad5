/* ws_shed.c - memory is about to end: who has most waiting and takes none of it makes room. */
#include "edge/ws_own.h"

enum { SHED_BYTES_MIN = 16 * 1024 }; /* below, closing frees nothing worth a socket */

static struct ws_conn *next_stalled(struct worker *w, uint32_t *place)
{
    for (struct hub_socket *socket; (socket = hub_each(w->hub, place));) {
        struct ws_conn *s = container_of(socket, struct ws_conn, socket);
        if (s->conn.stalled && !conn_is_ending(&s->conn))
            return s;
    }
    return NULL;
}

void ws_conns_shed(struct worker *w)
{
    uint32_t most = 0, place = 0;
    unsigned n = 0;
    for (struct ws_conn *s; (s = next_stalled(w, &place));)
        most = s->conn.queued_bytes > most ? s->conn.queued_bytes : most;
    if (most < SHED_BYTES_MIN)
        return;
    place = 0;
    for (struct ws_conn *s; (s = next_stalled(w, &place));) {
        if (s->conn.queued_bytes < most / 2)
            continue;
        s->is_slow = true; /* what waits is dropped */
        ws_close(s, REASON_SLOW, STR("memory is scarce"));
        n++;
    }
    LOG(LOG_WARN, "sockets_shed", LOG_INT("worker", w->index), LOG_INT("sockets", n),
        LOG_INT("queued_bytes", most));
}
