/* top_view.h - two readings of /metrics (docs/METRICS.md) of each node, as a picture of text. Pure.
 */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H
#include "base/buf.h"
#include "base/str.h"

enum { TOP_NODES_MAX = 64 };

struct top_reading {
    struct str text; /* what /metrics said; empty: nothing */
    double at_s;     /* when, by a clock that does not go back */
};

struct top_node {
    const char *name;
    const char *trouble; /* why there is no new reading; NULL: there is one */
    struct top_reading before, now;
};

/* The value of one sample ("name" or "name{label=\"x\"}"); 0 if it is not there. */
double top_sample(struct str text, const char *name);

/* Appends the picture: a line a node, all together, and what was refused and closed. Lines are at
 * most `columns` wide; each ends in a line feed. */
void top_draw(struct buf *out, const struct top_node *nodes, unsigned n, unsigned columns);

#endif
