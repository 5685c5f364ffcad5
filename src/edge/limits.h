/* limits.h - how much of this process one address, user or app may have: connections at once, and
 * so many things a second.
 *
 * Kept in sketches of fixed size, whatever comes: each name has a cell in two tables, and the
 * lesser of both counts. Two names share both cells once in LIMITS_CELLS squared, and the hashes
 * are seeded with what nobody outside knows; shared cells can only refuse early. No locks, any
 * thread: at the very limit threads may let in one more each. */
#ifndef EDGE_LIMITS_H
#define EDGE_LIMITS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/str.h"

enum { LIMITS_CELLS = 32768 }; /* of one table */

enum limit_count {                    /* things that are held */
                   LIMIT_CONNECTIONS, /* of all together: without a key */
                   LIMIT_OF_ADDRESS,
                   LIMIT_OF_USER,
                   LIMIT_OF_APP,
                   LIMIT_COUNTS
};

enum limit_rate { /* things that are done, by an address */
                  LIMIT_HANDSHAKES,
                  LIMIT_COMMANDS,
                  LIMIT_RATES
};

struct limits_options {
    uint32_t most[LIMIT_COUNTS];                     /* 0: no limit */
    uint32_t per_s[LIMIT_RATES], burst[LIMIT_RATES]; /* per_s 0: no limit; burst: 1 at least */
};

struct limits;

struct limits *limits_new(const struct limits_options *o);
void limits_free(struct limits *l);

/* What stands for an address (of IPv6 the network of 64 bits), a user, an app; never 0. As a key 0
 * is nobody, for whom there is no limit. */
uint32_t limits_key_of_address(const struct limits *l, const struct sockaddr_storage *a);
uint32_t limits_key_of_user(const struct limits *l, struct str app, struct str user);
uint32_t limits_key_of_app(const struct limits *l, struct str app);

/* One more; false: that would be too many, and it is not counted. Each that entered has to leave.
 */
bool limits_enter(struct limits *l, enum limit_count kind, uint32_t key);
void limits_leave(struct limits *l, enum limit_count kind, uint32_t key);

/* One more at this moment: 0; or, when that would be too many, after how many milliseconds it would
 * not be. */
uint32_t limits_take(struct limits *l, enum limit_rate kind, uint32_t key, int64_t now_us);

/* How many were refused so far. */
uint64_t limits_refused_count(const struct limits *l, enum limit_count kind);
uint64_t limits_refused_rate(const struct limits *l, enum limit_rate kind);

#endif
