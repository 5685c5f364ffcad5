/* ticket.h - tickets: short-lived stand-ins for a JWT that was verified once.
 *
 * POST auth trades a JWT for a ticket, the WebSocket handshake shows it. Using a ticket neither
 * consumes nor prolongs it, and the identity is frozen in it: a JWT that expires later does not
 * matter any more. Three kinds serve behind one interface:
 *
 * - local: with the dress of a UUID; what it stands for stays in the memory of this process, so no
 *   other process knows it.
 * - shared: looks the same; every process with the same secret redeems it that was told by a note
 *   what it stands for. The note says nothing that a ticket could be made of without the secret.
 * - bare: the JWT itself, to be verified again each time: any process with the same keys takes it,
 *   but it lives as long as the JWT does, and whoever sees it sees the claims.
 *
 * No kind's text holds a '.' unless it is a JWT. */
#ifndef AUTH_TICKET_H
#define AUTH_TICKET_H
#include <stdint.h>
#include "auth/jwt.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    TICKET_LIFE_MS = 60 * 1000,
    /* A shared ticket may be shown before its note is here: how long to wait for that. */
    TICKET_NOTE_MS = 500,
    /* How far the clocks of two nodes may lie apart for that wait to take place. */
    TICKET_SKEW_MS = 5 * 1000,

    TICKET_UUID_LEN = 36,          /* 8-4-4-4-12 hexadecimal digits, lower case */
    TICKETS_MAX = 1 << 20,         /* held at once, local or shared; then issuing is refused */
    TICKETS_BYTES_MAX = 256 << 20, /* of the claims behind all that are held */

    TICKET_SECRET_MIN = 16, /* bytes of the secret of shared ones */

    TICKET_BYTES_MAX = JWT_BYTES_MAX, /* the longest text of any kind: a bare one */
};

struct tickets; /* any thread */

/* One moment, by both clocks: lives are counted by the monotonic one, what other nodes read is by
 * the wall. */
struct ticket_time {
    double wall_s;   /* unix seconds */
    int64_t mono_ms; /* any beginning */
};

/* Each makes a source of tickets, in *out (release: tickets_free). */

/* At most `max` are alive at once (1 to TICKETS_MAX; the memory grows with use). ERR_SYS: no
 * randomness. */
enum err tickets_new_local(struct tickets **out, uint32_t max);

/* `secret` is not kept, only a key that is derived from it. ERR_LIMIT: it has fewer bytes than
 * TICKET_SECRET_MIN; ERR_SYS: OpenSSL lacks the ciphers. */
enum err tickets_new_shared(struct tickets **out, struct str secret);

/* Its tickets are JWTs, and shown as such: it redeems none itself. */
enum err tickets_new_bare(struct tickets **out);

void tickets_free(struct tickets *t);

/* Appends a ticket for `jwt`, which jwt_verify took just now and made `c` of (a reference is taken
 * where it is kept). Of a shared one the note for all other nodes is appended to `note`; other
 * kinds have none. ERR_FULL: too many are held; ERR_SYS: no randomness; ERR_PROTO: not a JWT;
 * ERR_LIMIT: over JWT_BYTES_MAX. Nothing is appended then. */
enum err ticket_issue(struct tickets *t, struct str jwt, struct claims *c, struct ticket_time now,
                      struct buf *out, struct buf *note);

/* Takes another node's note, which may be any bytes; one that is here already changes nothing.
 * ERR_PROTO: malformed; ERR_LIMIT: the limits of the node that issued it were wider; ERR_FULL: too
 * many are held. Kinds without notes ignore them. */
enum err tickets_take_note(struct tickets *t, struct str note, int64_t mono_ms);

/* The claims behind `ticket`, in *out (release: claims_unref). ERR_NOT_FOUND: not one of ours, or
 * not heard of; ERR_EXPIRED: one of ours, but not of this minute; ERR_AGAIN: a shared one that was
 * issued a moment ago, its note may still be under way. */
enum err ticket_redeem(struct tickets *t, struct str ticket, struct ticket_time now,
                       struct claims **out);

/* How many claims are held, expired ones that wait for their release included. */
uint32_t tickets_held(struct tickets *t);

#endif
