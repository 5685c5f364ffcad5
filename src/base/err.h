/* err.h - what can go wrong, one list for the whole house.
 *
 * HTTP statuses and close codes are made of these where they leave the process:
 * api/api.c and proto/. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_MAP(X)                                                                                 \
    X(OK, "ok")                                                                                    \
    X(SYS, "system call failed")                                                                   \
    X(AGAIN, "more input needed")                                                                  \
    X(PROTO, "malformed input")                                                                    \
    X(LIMIT, "a named limit was met")                                                              \
    X(FULL, "a queue is full")                                                                     \
    X(DENIED, "not permitted")                                                                     \
    X(EXPIRED, "no longer valid")                                                                  \
    X(NOT_FOUND, "not found")                                                                      \
    X(TIMEOUT, "no answer in time")                                                                \
    X(AWAY, "the bus is away")

enum err {
#define ERR_ENUM(name, text) ERR_##name,
    ERR_MAP(ERR_ENUM)
#undef ERR_ENUM
};

/* A few words in English; static. */
const char *err_text(enum err e);

#endif
