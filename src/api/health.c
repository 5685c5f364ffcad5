/* health.c - what load balancers and supervisors ask, on every listener, below no prefix. */
#include "api/api.h"

/* The process serves; whatever is wrong around it, a restart would not help. */
static enum api_outcome on_healthz(struct api_call *c)
{
    api_text(c->reply, 200, "ok");
    return API_DONE;
}

/* Clients and backends may be sent here. */
static enum api_outcome on_readyz(struct api_call *c)
{
    const char *trouble = c->api->trouble ? c->api->trouble(c->api->ctx) : NULL;
    if (bus_state(c->api->bus) != BUS_UP)
        trouble = "nats not connected";
    api_text(c->reply, trouble ? 503 : 200, trouble ? trouble : "ready");
    return API_DONE;
}

const struct route api_health_routes[] = {
    {HTTP_M_GET, "healthz", &(const struct api_entry){on_healthz, 0}},
    {HTTP_M_GET, "readyz", &(const struct api_entry){on_readyz, 0}},
};
const unsigned api_n_health_routes = sizeof(api_health_routes) / sizeof(api_health_routes[0]);
