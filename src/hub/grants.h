/* grants.h - what a socket may do: permissions for channels, and remote commands.
 *
 * Immutable and shared: sockets with the same grants hold the same object (one worker's, no
 * atomics), so a hundred thousand clients with the same JWT claims cost one. */
#ifndef HUB_GRANTS_H
#define HUB_GRANTS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/map.h"
#include "base/str.h"

enum { GRANTS_BYTES_MAX = 1 << 20 }; /* of all permissions of one socket, as a list (names.h) */

struct grants;

struct grants_pool { /* one a hub */
    struct map known;
};

void grants_pool_init(struct grants_pool *p);
void grants_pool_fini(struct grants_pool *p); /* after all grants are gone */

/* `channels`: a list (names.h) of permissions; `remotes`: a list of the names of allowed remote
 * commands. One reference. */
struct grants *grants_get(struct grants_pool *p, struct str channels, struct str remotes);
struct grants *grants_ref(struct grants *g);
void grants_unref(struct grants_pool *p, struct grants *g);

/* The permission rule (API section 7.3): "*" allows every name, otherwise some permission
 * matches the whole name. */
bool grants_allow(const struct grants *g, struct str channel);
bool grants_allow_remote(const struct grants *g, struct str remote);

struct str grants_channels(const struct grants *g); /* the list as given */
struct str grants_remotes(const struct grants *g);  /* the other one */

/* The grants after an add: those of `g` with `channel` at the end unless it is there already, or
 * the list would pass GRANTS_BYTES_MAX: then they stay as they are. */
struct grants *grants_with(struct grants_pool *p, const struct grants *g, struct str channel);

/* The grants after a reload: these channels, g's remotes. */
struct grants *grants_reloaded(struct grants_pool *p, const struct grants *g, struct str channels);

#endif
