/* health.c - what load balancers, supervisors and Prometheus ask, on every listener, below no
 * prefix. */
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

static enum api_outcome on_version(struct api_call *c)
{
    api_text(c->reply, 200, GUSHER_VERSION);
    return API_DONE;
}

/* How many are here is nobody's business. Where the master has keys one is needed (struct
 * api_entry) that is for all apps, as these are; where it has none, whoever reaches it may ask;
 * others have to be on this machine. */
static enum api_outcome on_metrics(struct api_call *c)
{
    if (!c->api->trust->master_keys && !(c->roles & API_MASTER) &&
        !c->api->is_local(c->api->ctx, c->number)) {
        api_text(c->reply, 403, "metrics are for this machine, or for a key of the master\n");
        return API_DONE;
    }
    if (!api_has_all_apps(c))
        return API_DONE;
    c->reply->status = 200;
    c->reply->type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    c->api->metrics(c->api->ctx, &c->reply->body);
    return API_DONE;
}

const struct route api_health_routes[] = {
    {HTTP_M_GET, "healthz", &(const struct api_entry){on_healthz, 0}},
    {HTTP_M_GET, "readyz", &(const struct api_entry){on_readyz, 0}},
    {HTTP_M_GET, "version", &(const struct api_entry){on_version, 0}},
    {HTTP_M_GET, "metrics", &(const struct api_entry){on_metrics, MASTER_QUERY}},
};
const unsigned api_n_health_routes = sizeof(api_health_routes) / sizeof(api_health_routes[0]);
