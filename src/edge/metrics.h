/* metrics.h - what this process counts, as text that Prometheus reads (OpenMetrics 1.0). */
#ifndef EDGE_METRICS_H
#define EDGE_METRICS_H
#include "base/buf.h"
#include "edge/node.h"

/* Appends all of it. Any thread, while the node's workers are there. */
void metrics_write(struct buf *out, const struct node *n);

#endif
