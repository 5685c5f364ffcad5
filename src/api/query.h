/* query.h - who is there and what is live, whichever API asks. */
#ifndef API_QUERY_H
#define API_QUERY_H
#include "api/api.h"

/* A list of names, ["..",..], or only their number, {"count":N}. The app is the first parameter of
 * the path, the channel of HUB_USERS_OF_CHANNEL the second. */
enum api_outcome api_query(struct api_call *c, enum hub_question_kind kind, bool count_only);

/* A list of objects, or for HUB_SOCKET the one (404: there is none), of a kind that hub_is_of_host.
 * The app, if any, is the first parameter of the path, what is asked for (a user, a channel, a
 * socket) the second; without one it is "". */
enum api_outcome api_query_objects(struct api_call *c, enum hub_question_kind kind);

/* HUB_FIND_*: how many names contain the text, and the first `limit` of these behind `after` with
 * their numbers: {"total","channels":[{"channel","subscriptions"},..]} or
 * {"total","users":[{"user_id","connections"},..]}. */
enum api_outcome api_query_found(struct api_call *c, enum hub_question_kind kind, struct str text,
                                 struct str after, size_t limit);

/* Of all apps that the caller's key is for: [{"app","connections","users"},..], by app; or what
 * they have together, {"apps","connections","users"}. */
enum api_outcome api_query_apps(struct api_call *c, bool sums_only);

#endif
