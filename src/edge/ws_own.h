/* ws_own.h - what the files of a WebSocket share: ws_conn.c, ws_out.c, ws_command.c, ws_token.c
 * alone. */
#ifndef EDGE_WS_OWN_H
#define EDGE_WS_OWN_H
#include "base/log.h"
#include "base/mem.h"
#include "edge/reason.h"
#include "edge/ws_conn.h"
#include "ws/deflate.h"
#include "ws/frame.h"
#include "ws/handshake.h"

#define LOG_AREA LOG_SOCKETS

struct ws_conn {
    struct conn conn;
    struct hub_socket socket;
    struct ws_reader reader;
    struct timer timer;
    struct held *held;         /* replies that wait; NULL: none do */
    uint32_t ping_at, pong_by; /* low bits of the millisecond */
    uint64_t token;            /* the hash of its jti; 0: it had none */
    uint32_t address;          /* struct visitor */
    uint32_t command_clock;    /* gate_command */
    uint32_t ends_s;           /* unix second at which its token is over; 0: nobody asks */
    bool joined, is_slow, got_close;
    bool is_warned; /* of that end */
};

/* The connections of a thread share what is part of its worker. */
static inline struct worker *ws_worker(const struct ws_conn *s)
{
    return container_of(s->conn.net, struct worker, net);
}

static inline struct gate *ws_gate(const struct ws_conn *s)
{
    return ws_worker(s)->node->stores.gate;
}

/* An encoder's number: a dialect, and whether messages are compressed. */
enum { ENCODER_DEFLATE = 4 };

const struct proto *ws_proto_of(const struct hub_socket *s);

/* Payloads are written behind room for the longest header; the header then goes right in front,
 * and the whole is copied once, to where the sockets share it. */
struct buf *ws_begin_payload(struct worker *w);
void ws_begin_payload_in(struct buf *b); /* where the worker's own buffer is in use */
struct blob *ws_end_payload(struct buf *b, unsigned op);

void ws_send_handshake(struct ws_conn *s, const char accept[WS_ACCEPT_LEN], struct str extensions);
/* Nothing may go out before it. */
void ws_ensure_handshake(struct ws_conn *s);

/* An answer; a socket that cannot take it is closed. */
void ws_reply(struct ws_conn *s, struct buf *payload, enum ws_op op);

/* The same for a text that must not overtake replies that wait. */
void ws_answer(struct ws_conn *s, struct buf *payload);

/* Sets the timer for whatever comes first. */
void ws_set_timer(struct ws_conn *s);

/* The grants that claims stand for: a reference. */
struct grants *ws_grants_of(struct hub *hub, const struct claims *c);

/* From now on the end of these claims counts. */
void ws_token_begins(struct ws_conn *s, const struct claims *c);
/* How long nothing is to be done about that. */
int64_t ws_token_wait_ms(const struct ws_conn *s);
/* The time has come: warns, or closes. */
void ws_token_is_due(struct ws_conn *s);

/* The command of a client (struct proto_host). */
const char *ws_refresh(void *worker, struct hub_socket *socket, struct str token);

/* A text message: a command. */
void ws_on_text(struct ws_conn *s, struct str text);

/* The end that we choose: a close frame, the hub left at once, then the peer's turn. */
void ws_close(struct ws_conn *s, enum reason why, struct str detail);
/* The same with another code than the reason's own. */
void ws_close_as(struct ws_conn *s, enum reason why, unsigned code, struct str detail);
void ws_close_slow(struct ws_conn *s);

#endif
