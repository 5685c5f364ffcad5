/* problem.h - refusals that both APIs know: one table of what can be wrong, each with its status,
 * its text as the seed's API says it, and as a problem of the modern one (RFC 9457): a code that
 * programs go by, which stays what it is, and a sentence. */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H
#include "api/reply.h"
#include "base/err.h"
#include "base/str.h"

/* X(name, status, code, the seed's text; NULL: only the modern API says this, sentence; NULL: the
 * text is one, but for its ends) */
#define PROBLEM_MAP(X)                                                                             \
    /* the request as such */                                                                      \
    X(MALFORMED_REQUEST, 400, "malformed_request", "400 Bad Request", "The request is malformed.") \
    X(NOT_FOUND, 404, "not_found", "404 page not found\n", "There is nothing at this path.")       \
    X(METHOD, 405, "method_not_allowed", "", "The path does not take this method.")                \
    X(REQUEST_TIMEOUT, 408, "request_timeout", "408 Request Timeout",                              \
      "The request was not complete in time.")                                                     \
    X(BODY_TOO_LONG, 413, "body_too_long", "413 Content Too Large", "The body is too long.")       \
    X(TARGET_TOO_LONG, 414, "target_too_long", "414 URI Too Long",                                 \
      "The path or query is too long.")                                                            \
    X(HEADERS_TOO_LONG, 431, "headers_too_long", "431 Request Header Fields Too Large",            \
      "The headers are too long, or too many.")                                                    \
    X(NOT_IMPLEMENTED, 501, "not_implemented", "501 Not Implemented",                              \
      "The method or transfer coding is not known.")                                               \
    X(VERSION, 505, "version_not_supported", "505 HTTP Version Not Supported",                     \
      "The version of HTTP is not 1.0 or 1.1.")                                                    \
    X(TOO_MANY_PARAMETERS, 413, "too_many_parameters", "too many parameters", NULL)                \
    /* the body */                                                                                 \
    X(MALFORMED_JSON, 400, "malformed_json", NULL, "The body is not JSON.")                        \
    X(TOO_DEEP, 400, "too_deep", "data is nested too deep", "The body is nested too deep.")        \
    X(WRONG_TYPE, 400, "wrong_type", NULL, NULL)                                                   \
    X(MISSING_MEMBER, 400, "missing_member", NULL, NULL)                                           \
    X(DUPLICATE_MEMBER, 400, "duplicate_member", NULL, NULL)                                       \
    X(EMPTY_MEMBER, 400, "empty_member", NULL, NULL)                                               \
    X(PATTERN, 400, "invalid_pattern", "channel_pattern cant regex",                               \
      "The channel_pattern is not an expression that RE2 takes, or is too long.")                  \
    X(REASON, 400, "invalid_reason", "the reason must have at most 123 bytes of UTF-8", NULL)      \
    X(PERIOD, 400, "invalid_period",                                                               \
      "for how long? until (unix time) or for, in seconds, at most ten years",                     \
      "A ban needs until (unix time) or for (seconds), one of them, in the future and at most "    \
      "ten "                                                                                       \
      "years.")                                                                                    \
    X(BAN_NAME, 400, "invalid_ban_name", "the name is empty or too long", NULL)                    \
    X(LOG_LEVELS, 400, "invalid_log_levels", NULL, NULL)                                           \
    X(PARAMETER, 400, "invalid_parameter", NULL, NULL)                                             \
    X(JWT, 400, "invalid_jwt", "data error", "The jwt is malformed, expired or wrongly signed.")   \
    /* limits */                                                                                   \
    X(NAME_TOO_LONG, 413, "name_too_long", NULL, NULL)                                             \
    X(DATA_TOO_LONG, 413, "data_too_long", NULL, NULL)                                             \
    X(TOO_MANY_MESSAGES, 413, "too_many_messages", "batch_data has too many elements",             \
      "The batch has too many messages.")                                                          \
    X(TOO_MANY_CHANNELS, 413, "too_many_channels", "too many channels", NULL)                      \
    X(CHANNEL_TOO_LONG, 413, "name_too_long", "too long a channel name",                           \
      "The name of the channel is too long.")                                                      \
    X(MESSAGE_TOO_LONG, 413, "message_too_long", "the message is longer than the bus takes", NULL) \
    X(ELEMENT_TOO_LONG, 413, "message_too_long",                                                   \
      "an element of batch_data is longer than the bus takes",                                     \
      "A message of the batch is longer than the bus takes.")                                      \
    X(PUSH_TOO_LARGE, 413, "push_too_large",                                                       \
      "data is too large for the number of channels that match", NULL)                             \
    X(LIMIT, 413, "limit_passed", "a limit was passed", NULL)                                      \
    /* who calls */                                                                                \
    X(KEY_NEEDED, 401, "key_needed", "a key is needed: Authorization: Bearer KEY\n", NULL)         \
    X(KEY_UNKNOWN, 401, "key_unknown", "the key is not known\n", NULL)                             \
    X(KEY_RIGHT, 403, "key_without_right", "the key does not have the right for this\n", NULL)     \
    X(KEY_APPS, 403, "key_of_some_apps", "this is for keys that are for all apps\n", NULL)         \
    X(KEY_APP, 403, "key_of_other_app", "the key is not for this app\n", NULL)                     \
    X(NOT_PERMITTED, 401, "not_permitted", "not permitted", NULL)                                  \
    /* sockets and who opens them */                                                               \
    X(AUTH, 401, "jwt_refused", "jwt decode fail\n",                                               \
      "The jwt is malformed, expired or wrongly signed.")                                          \
    X(TOKEN_NEEDED, 401, "token_needed", "app_key is nil\n", "The parameter token is missing.")    \
    X(TOKEN, 401, "token_refused", "token error\n", "The token is not known, or has expired.")     \
    X(TOKEN_APP, 401, "token_of_other_app", "appkey error\n", "The token is for another app.")     \
    X(BANNED, 403, "banned", "banned\n", "The user, or the token, is banned.")                     \
    X(ORIGIN, 403, "origin_refused", "pages of this origin may not connect\n", NULL)               \
    X(HOST, 403, "host_refused",                                                                   \
      "without keys the master is called by its address, or as localhost\n", NULL)                 \
    X(NOT_A_WEBSOCKET, 400, "not_a_websocket", "Bad Request\n",                                    \
      "This path wants the handshake of a WebSocket.")                                             \
    X(WEBSOCKET_VERSION, 426, "websocket_version", "Upgrade Required\n",                           \
      "The version of WebSocket that is spoken here is 13.")                                       \
    X(TOO_MANY_HANDSHAKES, 429, "too_many_handshakes",                                             \
      "too many handshakes from your address, try again\n", NULL)                                  \
    X(TOO_MANY_CONNECTIONS, 429, "too_many_connections", "too many connections\n", NULL)           \
    X(TICKET_TOO_LONG, 413, "jwt_too_long",                                                        \
      "the jwt is longer than the bus can carry to the other slaves\n", NULL)                      \
    X(TOO_MANY_TICKETS, 503, "too_many_tickets", "too many tickets are alive, try again\n", NULL)  \
    X(NO_TICKET, 503, "no_ticket", "no ticket could be made, try again\n", NULL)                   \
    X(NO_SOCKETS, 503, "no_new_sockets",                                                           \
      "no new sockets are taken here at the moment, try again\n", NULL)                            \
    X(SHUTTING_DOWN, 503, "shutting_down", "server is shutting down\n", NULL)                      \
    X(SERVER_FULL, 503, "server_full", "too many connections, try again\n", NULL)                  \
    /* the bus */                                                                                  \
    X(BUSY, 503, "server_busy", "server busy, try again", "The server is busy, try again.")        \
    X(AWAY, 503, "bus_away", "the bus is away, try again", NULL)                                   \
    X(TOO_MANY_BANS, 503, "too_many_bans", "there are too many bans", NULL)                        \
    X(TIMEOUT, 504, "no_answer_in_time", "no answer in time", "There was no answer in time.")      \
    X(NOT_MATCHED, 504, "not_matched_in_time",                                                     \
      "the channels were not matched in time, nothing was sent", NULL)                             \
    /* idempotency keys */                                                                         \
    X(IDEMPOTENCY_KEY, 400, "invalid_idempotency_key", NULL,                                       \
      "An Idempotency-Key has 1 to 255 visible characters of ASCII.")                              \
    X(IDEMPOTENCY_BUSY, 409, "idempotency_key_in_use", NULL,                                       \
      "The first request with this Idempotency-Key is still under way.")                           \
    X(IDEMPOTENCY_REUSED, 422, "idempotency_key_reused", NULL,                                     \
      "This Idempotency-Key was used for another request.")

enum problem {
#define PROBLEM_ENUM(name, status, code, text, sentence) PROBLEM_##name,
    PROBLEM_MAP(PROBLEM_ENUM)
#undef PROBLEM_ENUM
        PROBLEMS
};

/* Its code; static. */
const char *problem_code(enum problem p);
int problem_status(enum problem p);

/* Refuses, in the words of the API that the reply belongs to. API_DONE. */
enum api_outcome api_problem(struct api_reply *r, enum problem p);

/* The same with a text of its own: what is wrong just here. A JSON pointer (RFC 6901) says where in
 * the body, "": nowhere. */
enum api_outcome api_problem_at(struct api_reply *r, enum problem p, struct str text,
                                struct str pointer);

/* Of a request that cannot be read: the status says it all. */
enum api_outcome api_problem_of_status(struct api_reply *r, int status);

/* Of an err. */
enum api_outcome api_refuse(struct api_reply *r, enum err e);
/* 413: `what` has more than `max` bytes. */
enum api_outcome api_refuse_size(struct api_reply *r, enum problem p, const char *what, size_t max);

/* Whether refusals of what is asked at this path are problems: it is of the modern API. */
bool api_has_problems(struct str path);

#endif
