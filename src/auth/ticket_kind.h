/* ticket_kind.h - what a kind of tickets does; for the sources of auth/ticket.h alone. */
#ifndef AUTH_TICKET_KIND_H
#define AUTH_TICKET_KIND_H
#include "auth/ticket.h"

struct ticket_kind {
    void (*free)(struct tickets *t);
    enum err (*issue)(struct tickets *t, struct str jwt, struct claims *c, struct ticket_time now,
                      struct buf *out, struct buf *note);
    enum err (*take_note)(struct tickets *t, struct str note, int64_t mono_ms); /* NULL: ignored */
    enum err (*redeem)(struct tickets *t, struct str ticket, struct ticket_time now,
                       struct claims **out);
    uint32_t (*held)(struct tickets *t); /* NULL: it holds none */
};

/* First member of the struct of each kind. */
struct tickets {
    const struct ticket_kind *kind;
};

#endif
