/* about.h - what a node tells of itself: one JSON object. */
#ifndef EDGE_ABOUT_H
#define EDGE_ABOUT_H
#include "edge/node.h"

/* Any thread, while the node's workers are there. */
void about_write(struct buf *out, struct node *n);

#endif
