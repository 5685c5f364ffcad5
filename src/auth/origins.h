/* origins.h - which pages may open a WebSocket: a list of origins (RFC 6454).
 *
 * A browser tells the page's origin and no script can change it, so another site's page is told
 * from ours even where it has a token. Whoever is no browser may say what he likes. */
#ifndef AUTH_ORIGINS_H
#define AUTH_ORIGINS_H
#include "base/err.h"
#include "base/str.h"

struct origins; /* immutable once filled; any thread */

struct origins *origins_new(void);
void origins_free(struct origins *o); /* NULL is fine */

/* Adds "https://shop.example", "https://shop.example:8443" or "null"; a host may begin with "*.",
 * which stands for one label. The default port may be there or not. ERR_PROTO: it is no origin as
 * browsers write it. */
enum err origins_add(struct origins *o, struct str pattern);

/* Whether `origin`, the value of the header, is in the list; without regard to case. */
bool origins_allow(const struct origins *o, struct str origin);

#endif
