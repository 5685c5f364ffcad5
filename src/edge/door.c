#include "edge/door.h"
#include "edge/http_conn.h"
#include "edge/proxied.h"
#include "edge/scarcity.h"
#include "net/descriptors.h"

enum { RESERVE_LEAST = 32, RESERVE_OF_WORKER = 2 * DOOR_GUESTS_OF_RESERVE, RESERVE_PART = 4 };

unsigned door_reserve(unsigned limit, unsigned n_workers)
{
    unsigned reserve = RESERVE_LEAST + n_workers * RESERVE_OF_WORKER;
    return reserve < limit / RESERVE_PART ? reserve : limit / RESERVE_PART;
}

static unsigned spare(const struct worker *w, unsigned roles)
{
    unsigned reserve = scarcity_reserve(w->node->scarcity);
    return roles & API_SLAVE ? reserve : reserve / 2;
}

static bool is_memory_scarce(const struct worker *w, unsigned roles)
{
    enum memory_level level = scarcity_memory(w->node->scarcity);
    return roles & API_SLAVE ? level >= MEMORY_SCARCE : level >= MEMORY_SEVERE;
}

const char *door_why_not(struct worker *w, unsigned roles)
{
    struct scarcity *s = w->node->scarcity;
    if (is_memory_scarce(w, roles) && w->n_guests >= DOOR_GUESTS)
        return "memory is scarce";
    if (descriptors_left(spare(w, roles)))
        return NULL;
    scarcity_no_descriptor(s);
    bool has_place = roles & API_SLAVE && w->n_guests < DOOR_GUESTS_OF_RESERVE &&
                     descriptors_left(spare(w, API_MASTER));
    return has_place ? NULL : "descriptors are scarce";
}

void door_enter(struct worker *w, int fd, unsigned listener, const struct sockaddr_storage *client,
                bool by_proxy)
{
    unsigned roles = w->listener_roles[listener];
    bool is_guest = is_memory_scarce(w, roles) || !descriptors_leaves(fd, spare(w, roles));
    http_conn_open(w, fd, listener, client, by_proxy, is_guest);
}

void door_take(struct worker *w, int fd, unsigned listener, const struct sockaddr_storage *peer)
{
    descriptors_saw(fd);
    if (gate_awaits_header(w->node->stores.gate, peer))
        proxied_open(w, fd, listener, peer);
    else
        door_enter(w, fd, listener, peer, false);
}

bool door_refuses_sockets(const struct worker *w)
{
    return is_memory_scarce(w, API_SLAVE);
}
