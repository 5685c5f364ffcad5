/* stores.h - what all workers of a process share (edge/node.h), made of its options. */
#ifndef STORES_H
#define STORES_H
#include "config.h"
#include "edge/node.h"

/* 0; or the exit code: what is wrong has been said, and nothing is left behind. */
int stores_open(struct node_stores *s, const struct config *c);
void stores_close(struct node_stores *s);

/* The gate alone: who comes in, and what each may have. */
int stores_make_gate(struct gate **out, const struct config *c);

#endif
