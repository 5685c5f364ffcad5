#include "stores.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "run.h"

#define LOG_AREA LOG_SERVER

/* What a ticket of one process stands for is in its memory; in a cluster every slave must know. */
static int make_tickets(struct tickets **out, const struct config *c)
{
    if (c->ticket_secret) {
        enum err e = tickets_new_shared(out, str_of(c->ticket_secret));
        if (e == ERR_LIMIT)
            return run_fail(EXIT_USAGE,
                            "--ticket-secret (GUSHER_TICKET_SECRET) must have at least 16 "
                            "bytes, and be the same on every slave");
        return e ? run_fail(1, "OpenSSL cannot seal tickets") : 0;
    }
    if (c->nats && c->api_listen) {
        LOG(LOG_WARN, "tickets_are_jwts",
            LOG_CSTR("reason", "no --ticket-secret (GUSHER_TICKET_SECRET): POST auth gives the JWT "
                               "itself, so that it opens a socket on any slave"));
        return tickets_new_bare(out) ? run_fail(1, "out of memory") : 0;
    }
    return tickets_new_local(out, TICKETS_MAX) ? run_fail(1, "the system gives no random numbers")
                                               : 0;
}

/* "none" is a network without addresses. */
static int add_networks(struct networks *n, const struct config_list *list, const char *flag)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct str text = str_of(list->items[i]);
        enum err e = str_eq(text, STR("none")) ? ERR_OK : networks_add(n, text);
        if (e) {
            fprintf(stderr, "gusher: --%s: %s is no network (ADDRESS or ADDRESS/BITS)%s\n", flag,
                    list->items[i], e == ERR_LIMIT ? ", or one too many" : "");
            return EXIT_USAGE;
        }
    }
    return 0;
}

int stores_make_gate(struct gate **out, const struct config *c)
{
    struct gate_options o = {
        .limits = {.most = {(uint32_t)c->max_connections, (uint32_t)c->max_connections_per_address,
                            (uint32_t)c->max_connections_per_user,
                            (uint32_t)c->max_connections_per_app},
                   .per_s = {(uint32_t)c->handshake_rate, (uint32_t)c->address_command_rate},
                   .burst = {(uint32_t)c->handshake_burst, (uint32_t)c->address_command_burst}},
        .commands_per_s = (uint32_t)c->command_rate,
        .commands_burst = (uint32_t)c->command_burst};
    int wrong = add_networks(&o.exempt, &c->limits_exempt, "limits-exempt");
    if (!wrong)
        wrong = add_networks(&o.trusted, &c->trusted_proxies, "trusted-proxies");
    if (!wrong)
        wrong = add_networks(&o.proxies, &c->proxy_protocol, "proxy-protocol");
    if (!wrong)
        *out = gate_new(&o);
    return wrong;
}

void stores_close(struct node_stores *s)
{
    ban_file_free(s->ban_file);
    bans_free(s->bans);
    tickets_free(s->tickets);
    gate_free(s->gate);
    idempotency_free(s->idempotency);
}

int stores_open(struct node_stores *s, const struct config *c)
{
    char why[512];
    *s = (struct node_stores){0};
    int wrong = stores_make_gate(&s->gate, c);
    if (!wrong)
        wrong = make_tickets(&s->tickets, c);
    if (wrong) {
        stores_close(s);
        return wrong;
    }
    s->bans = bans_new();
    s->idempotency = idempotency_new();
    if (c->bans_file && ban_file_open(&s->ban_file, c->bans_file, s->bans, (int64_t)run_unix_now(),
                                      why, sizeof(why))) {
        stores_close(s);
        return run_fail(1, why);
    }
    return 0;
}
