/* ask.h - the commands that ask a master for something and end. Each returns the exit code. */
#ifndef ASK_H
#define ASK_H
#include "config.h"

int run_publish(const struct config *c);
int run_online(const struct config *c);
int run_channels(const struct config *c);
int run_kick(const struct config *c);
int run_top(const struct config *c);

#endif
