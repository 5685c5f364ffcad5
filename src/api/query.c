#include "api/query.h"
#include <inttypes.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/names.h"

/* A query while its answer comes in. */
struct query {
    struct api *api;
    uint64_t call;
    bool began;     /* a piece of the list has been given */
    bool any;       /* with a name */
    bool sums_only; /* of apps */
    enum hub_question_kind kind;
    struct trust *trust; /* a reference, for: */
    const struct master_key *key;
};

/* An answer that may be incomplete says so. */
void api_add_missing(struct api_reply *r, unsigned n_missing)
{
    if (n_missing)
        buf_printf(&r->extra, "Gusher-Missing-Nodes: %u\r\n", n_missing);
}

static void query_free(struct query *q)
{
    if (!q)
        return;
    trust_unref(q->trust);
    mem_free(q);
}

static void write_names(struct query *q, const struct bus_page *p, struct buf *out)
{
    struct str rest = p->names;
    if (!q->began)
        buf_char(out, '[');
    for (struct str name; names_next(&rest, &name);) {
        if (hub_is_of_host(q->kind) && !json_is_object(name)) /* of another node */
            continue;
        if (q->any)
            buf_char(out, ',');
        q->any = true;
        if (hub_is_of_host(q->kind))
            buf_str(out, name);
        else
            json_quote(out, name);
    }
    if (p->last)
        buf_char(out, ']');
}

/* With what fits into one page: the query is over. */
static void answer(struct query *q, const struct bus_page *p, struct api_reply *r)
{
    api_add_missing(r, p->n_missing);
    q->api->answer(q->api->ctx, q->call, r);
    api_reply_fini(r);
    query_free(q);
}

/* ---- one ---- */

static void write_one(const struct bus_page *p, struct api_reply *r)
{
    struct str rest = p->names, object;
    r->has_problems = true;
    if (names_next(&rest, &object) && json_is_object(object))
        buf_str(api_json(r), object);
    else
        api_problem_at(r, PROBLEM_NOT_FOUND, STR("there is no such socket"), STR_EMPTY);
}

static void on_one(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api_reply reply = {0};
    (void)question;
    write_one(p, &reply);
    answer(q, p, &reply);
}

/* ---- names with numbers ---- */

static void write_found(const struct query *q, const struct bus_page *p, struct buf *out)
{
    const bool of_users = q->kind == HUB_FIND_USERS;
    buf_printf(out, "{\"total\":%" PRIu64 ",\"%s\":[", p->count, of_users ? "users" : "channels");
    for (size_t i = 0; i < p->n_tallies; i++) {
        buf_printf(out, "%s{\"%s\":", i ? "," : "", of_users ? "user_id" : "channel");
        json_quote(out, p->tallies[i].app);
        buf_printf(out, ",\"%s\":%" PRIu64 "}", of_users ? "connections" : "subscriptions",
                   p->tallies[i].connections);
    }
    buf_str(out, STR("]}"));
}

static void on_found(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api_reply reply = {0};
    (void)question;
    write_found(q, p, api_json(&reply));
    answer(q, p, &reply);
}

/* ---- lists ---- */

/* A list that is whole with its first page has a length; a longer one is streamed, and names that
 * go missing on the way are told behind it. */
static void on_names(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api *api = q->api;
    struct api_reply reply = {0};
    write_names(q, p, api_json(&reply));
    api_add_missing(&reply, p->n_missing);
    if (p->last && !q->began) {
        api->answer(api->ctx, q->call, &reply);
    } else {
        enum api_piece piece = p->last ? API_LAST : q->began ? API_NEXT : API_FIRST;
        if (piece == API_FIRST)
            buf_str(&reply.extra, STR("Trailer: Gusher-Missing-Nodes\r\n"));
        q->began = true;
        bool goes_on = api->stream(api->ctx, q->call, &reply, question, piece);
        if (!p->last && !goes_on) {
            bus_cancel(api->bus, question);
            query_free(q);
            q = NULL;
        }
    }
    if (p->last)
        query_free(q);
    api_reply_fini(&reply);
}

void api_go_on(struct api *a, uint64_t question, bool alive)
{
    if (alive)
        bus_more(a->bus, question);
    else
        query_free(bus_cancel(a->bus, question));
}

static void on_count(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api_reply reply = {0};
    (void)question;
    buf_printf(api_json(&reply), "{\"count\":%" PRIu64 "}", p->count);
    answer(q, p, &reply);
}

/* ---- apps ---- */

static void write_app(struct buf *out, const struct bus_tally *t)
{
    buf_str(out, STR("{\"app\":"));
    json_quote(out, t->app);
    buf_printf(out, ",\"connections\":%" PRIu64 ",\"users\":%" PRIu64 "}", t->connections,
               t->users);
}

static void on_apps(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api_reply reply = {0};
    struct buf *out = api_json(&reply);
    struct bus_tally sum = {.app = STR_EMPTY};
    unsigned n = 0;
    (void)question;
    if (!q->sums_only)
        buf_char(out, '[');
    for (const struct bus_tally *t = p->tallies; t < p->tallies + p->n_tallies; t++) {
        if (q->key && !master_key_has_app(q->key, t->app))
            continue;
        if (!q->sums_only && n)
            buf_char(out, ',');
        if (!q->sums_only)
            write_app(out, t);
        n++;
        sum.connections += t->connections;
        sum.users += t->users;
    }
    if (q->sums_only)
        buf_printf(out, "{\"apps\":%u,\"connections\":%" PRIu64 ",\"users\":%" PRIu64 "}", n,
                   sum.connections, sum.users);
    else
        buf_char(out, ']');
    answer(q, p, &reply);
}

/* ---- asking ---- */

static enum api_outcome ask(struct api_call *c, const struct bus_ask *ask, bus_page_fn *came,
                            bool sums_only)
{
    struct query *q = mem_zalloc(sizeof(*q));
    uint64_t question;
    q->api = c->api;
    q->call = c->number;
    q->sums_only = sums_only;
    q->kind = ask->kind;
    if (c->key) {
        q->trust = trust_ref(c->api->trust);
        q->key = c->key;
    }
    enum err e = bus_ask(c->api->bus, ask, came, q, &question);
    if (!e)
        return API_LATER;
    query_free(q);
    return api_refuse(c->reply, e);
}

enum api_outcome api_query(struct api_call *c, enum hub_question_kind kind, bool count_only)
{
    const struct bus_ask what = {.kind = kind,
                                 .app = c->params[0],
                                 .channel = kind == HUB_USERS_OF_CHANNEL ? c->params[1] : STR_EMPTY,
                                 .count_only = count_only};
    return ask(c, &what, count_only ? on_count : on_names, false);
}

enum api_outcome api_query_objects(struct api_call *c, enum hub_question_kind kind)
{
    const struct bus_ask what = {.kind = kind,
                                 .app = c->n_params ? c->params[0] : STR_EMPTY,
                                 .channel = c->n_params > 1 ? c->params[1] : STR_EMPTY,
                                 .whole = kind == HUB_SOCKET};
    return ask(c, &what, kind == HUB_SOCKET ? on_one : on_names, false);
}

enum api_outcome api_query_found(struct api_call *c, enum hub_question_kind kind, struct str text,
                                 struct str after, size_t limit)
{
    const struct bus_ask what = {
        .kind = kind, .app = c->params[0], .channel = text, .after = after, .limit = limit};
    return ask(c, &what, on_found, false);
}

enum api_outcome api_query_apps(struct api_call *c, bool sums_only)
{
    const struct bus_ask what = {.kind = HUB_CENSUS, .app = STR_EMPTY, .channel = STR_EMPTY};
    return ask(c, &what, on_apps, sums_only);
}
