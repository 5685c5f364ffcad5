#include "edge/reason.h"
#include "edge/node.h"
#include "ws/frame.h"

enum { CLOSE_EXPIRED = 4001, CLOSE_KICKED = 4002 };

const struct reason_entry reasons[REASONS] = {
    [REASON_CLIENT] = {"client", WS_NORMAL, LOG_DEBUG},
    [REASON_GONE] = {"gone", 0, LOG_DEBUG},
    [REASON_NO_PONG] = {"no_pong", WS_POLICY, LOG_INFO},
    [REASON_IDLE] = {"idle", WS_POLICY, LOG_INFO},
    [REASON_SLOW] = {"slow", WS_POLICY, LOG_WARN},
    [REASON_STUCK] = {"stuck", 0, LOG_WARN},
    [REASON_BAD_FRAME] = {"bad_frame", WS_PROTOCOL_ERROR, LOG_INFO},
    [REASON_BAD_TEXT] = {"bad_text", WS_INVALID_DATA, LOG_INFO},
    [REASON_TOO_BIG] = {"too_big", WS_TOO_BIG, LOG_INFO},
    [REASON_BAD_COMMAND] = {"bad_command", WS_POLICY, LOG_INFO},
    [REASON_TOO_MANY] = {"too_many", WS_POLICY, LOG_INFO},
    [REASON_EXPIRED] = {"expired", CLOSE_EXPIRED, LOG_INFO},
    [REASON_KICKED] = {"kicked", CLOSE_KICKED, LOG_INFO},
    [REASON_BANNED] = {"banned", NODE_CLOSE_BANNED, LOG_INFO},
    [REASON_LOST] = {"lost", WS_TRY_LATER, LOG_WARN},
    [REASON_SHUTDOWN] = {"shutdown", WS_GOING_AWAY, LOG_DEBUG},
};
