/* query.h - who is there and what is live, whichever API asks. */
#ifndef API_QUERY_H
#define API_QUERY_H
#include "api/api.h"

/* A list of names, ["..",..], or only their number, {"count":N}. The app is the first parameter of
 * the path, the channel of HUB_USERS_OF_CHANNEL the second. */
enum api_outcome api_query(struct api_call *c, enum hub_question_kind kind, bool count_only);

/* The sockets of the app (or of a user of it, the second parameter of the path) that have ended
 * within the last minutes: a list of objects. */
enum api_outcome api_query_ended(struct api_call *c);

/* Of all apps that the caller's key is for: [{"app","connections","users"},..], by app; or what
 * they have together, {"apps","connections","users"}. */
enum api_outcome api_query_apps(struct api_call *c, bool sums_only);

#endif
