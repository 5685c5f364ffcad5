/* ticket.h - tickets: short-lived stand-ins for a JWT that was verified once.
 *
 * POST auth trades a JWT for a ticket, the WebSocket handshake shows it. A ticket is one
 * AES-128 block in the dress of a UUID: serial number and a check of 64 bits, sealed with a key
 * that this process makes at start. Without the key it can neither be read, made nor changed.
 * What it stands for is kept in a ring in the order of issue: all tickets live equally long, so
 * the oldest is always the next to go. One mutex guards the ring; it is taken once a handshake,
 * never on the way of a message. */
#ifndef AUTH_TICKET_H
#define AUTH_TICKET_H
#include <stdint.h>
#include "auth/jwt.h"
#include "base/err.h"
#include "base/str.h"

enum {
    TICKET_LEN = 36, /* 8-4-4-4-12 hexadecimal digits, lower case */
    TICKET_LIFE_MS = 60 * 1000,
    TICKETS_BYTES_MAX = 256 << 20, /* of the claims behind all tickets that are held */
    TICKETS_MAX = 1 << 20, /* alive at once; beyond that issuing is refused */
};

struct tickets; /* any thread */

/* Makes an empty ring for at most `max` tickets alive at once (1 to TICKETS_MAX; its memory grows
 * with use), in *out (release: tickets_free). ERR_SYS: no randomness. */
enum err tickets_new(struct tickets **out, uint32_t max);
void tickets_free(struct tickets *t);

/* Issues a ticket for `c` (a reference is taken) at `now_ms` (monotonic). Using a ticket neither
 * consumes nor prolongs it. ERR_FULL: `max` tickets, or TICKETS_BYTES_MAX of them, are alive. */
enum err ticket_issue(struct tickets *t, struct claims *c, int64_t now_ms, char out[TICKET_LEN]);

/* The claims behind `ticket`, in *out (release: claims_unref). ERR_NOT_FOUND: not one of ours;
 * ERR_EXPIRED: it was. */
enum err ticket_redeem(struct tickets *t, struct str ticket, int64_t now_ms, struct claims **out);

/* How many claims the ring holds, expired ones that wait for their release included. */
uint32_t tickets_held(struct tickets *t);

#endif
