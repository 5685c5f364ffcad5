/* msg.h - what travels through the bus to the sockets: immutable, counted atomically.
 *
 * One allocation holds the struct and all its text. */
#ifndef HUB_MSG_H
#define HUB_MSG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum msg_kind {
    MSG_CHANNEL, /* to the subscribers of channel `target` */
    MSG_USER,    /* to every socket of user `target` */
    MSG_SOCKET,  /* to the socket whose id is `target` (text form) */
    MSG_ADD,     /* user `target` gets the permission `data`, and is told */
    MSG_RELOAD,  /* user `target` gets the permissions `data` (names.h) for all it had, and is told
                  */
    /* Sockets are closed; `data` is the payload of the close frame: two bytes of code, a reason. */
    MSG_KICK_SOCKET, /* the one whose id is `target` */
    MSG_KICK_USER,   /* those of user `target` */
    MSG_KICK_TOKEN,  /* those that were opened by the token whose jti is `target` */
    MSG_KICK_APP,    /* all of the app */
    MSG_KINDS
};

struct msg {
    atomic_uint refs;
    enum msg_kind kind;
    struct str app, target;
    struct str event; /* MSG_CHANNEL only */
    struct str data;  /* pushes: valid JSON, byte for byte as published */
    int64_t came_us;  /* when it came to this process, by its monotonic clock */
};

/* Copies the texts; one reference. */
struct msg *msg_new(enum msg_kind kind, struct str app, struct str target, struct str event,
                    struct str data);

static inline size_t msg_text_bytes(const struct msg *m)
{
    return m->app.len + m->target.len + m->event.len + m->data.len;
}

/* Whether `data` can be a kick's: a close code of applications (4000 to 4999) and a reason in UTF-8
 * that fit into a control frame. */
bool msg_kick_is_valid(struct str data);

static inline bool msg_is_kick(const struct msg *m)
{
    return m->kind >= MSG_KICK_SOCKET;
}

struct msg *msg_ref(struct msg *m);
void msg_unref(struct msg *m); /* any thread */

#endif
