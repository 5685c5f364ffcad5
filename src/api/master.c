/* master.c - what backends call (API section 4). */
#include "api/api.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/names.h"

static enum api_outcome refuse(struct api_call *c, int status, const char *text)
{
    api_text(c->reply, status, text);
    return API_DONE;
}

/* The JSON of a `data` parameter (API section 5): the text itself when it is JSON, else the text
 * as a JSON string, written to `scratch`. ERR_LIMIT: JSON, but nested too deep. */
static enum err data_json(struct str text, struct buf *scratch, struct str *out)
{
    struct json value;
    enum err e = json_parse(&value, text);
    if (e == ERR_LIMIT)
        return e;
    if (e == ERR_OK) {
        *out = value.text;
        return ERR_OK;
    }
    json_quote(scratch, text);
    *out = buf_as_str(scratch);
    return ERR_OK;
}

static enum api_outcome refuse_depth(struct api_call *c)
{
    return refuse(c, 400, "data is nested too deep");
}

/* The data of a push. False: it is refused. */
static bool read_data(struct api_call *c, struct str text, struct buf *scratch, struct str *data)
{
    if (!text.len)
        refuse(c, 400, "empty data");
    else if (text.len > c->api->options.payload_max)
        api_refuse_size(c->reply, "data", c->api->options.payload_max);
    else if (data_json(text, scratch, data))
        refuse_depth(c);
    else
        return true;
    return false;
}

static enum api_outcome refuse_publish(struct api_call *c, enum err e)
{
    if (e == ERR_LIMIT)
        return refuse(c, 413, "the message is longer than the bus takes");
    return api_refuse(c->reply, e);
}

static enum err publish(struct api *a, enum msg_kind kind, struct str app, struct str target,
                        struct str event, struct str data)
{
    struct msg *m = msg_new(kind, app, target, event, data);
    enum err e = bus_publish(a->bus, m);
    msg_unref(m);
    return e;
}

/* Message number `n` of a push of several: only the first one can be refused for being too much. */
static enum err publish_nth(struct api *a, uint64_t n, struct str app, struct str channel,
                            struct str event, struct str data)
{
    struct msg *m = msg_new(MSG_CHANNEL, app, channel, event, data);
    enum err e = n ? bus_publish_more(a->bus, m) : bus_publish(a->bus, m);
    msg_unref(m);
    return e;
}

/* ---- pushes ---- */

static enum api_outcome on_push_channel(struct api_call *c)
{
    struct str text = api_param(c, STR("data")), data;
    struct str app = c->params[0], channel = c->params[1], event = c->params[2];
    struct buf scratch = BUF_INIT;
    if (!read_data(c, text, &scratch, &data))
        return API_DONE;
    enum err e = publish(c->api, MSG_CHANNEL, app, channel, event, data);
    if (e) {
        buf_fini(&scratch);
        return refuse_publish(c, e);
    }
    struct buf *out = api_json(c->reply);
    buf_reserve(out, 40 + channel.len + event.len + data.len);
    buf_str(out, STR("{\"channel\":"));
    json_quote(out, channel);
    buf_str(out, STR(",\"event\":"));
    json_quote(out, event);
    buf_str(out, STR(",\"data\":"));
    buf_str(out, data);
    buf_char(out, '}');
    buf_fini(&scratch);
    return API_DONE;
}

/* {"<name>":"<target>","data":"<the text as given>"} */
static enum api_outcome echo(struct api_call *c, const char *name, struct str target,
                             struct str text)
{
    struct buf *out = api_json(c->reply);
    buf_printf(out, "{\"%s\":", name);
    json_quote(out, target);
    buf_str(out, STR(",\"data\":"));
    json_quote(out, text);
    buf_char(out, '}');
    return API_DONE;
}

static enum api_outcome push_to(struct api_call *c, enum msg_kind kind, const char *name)
{
    struct str text = api_param(c, STR("data")), data;
    struct buf scratch = BUF_INIT;
    if (!read_data(c, text, &scratch, &data))
        return API_DONE;
    enum err e = publish(c->api, kind, c->params[0], c->params[1], STR_EMPTY, data);
    buf_fini(&scratch);
    return e ? refuse_publish(c, e) : echo(c, name, c->params[1], text);
}

static enum api_outcome on_push_user(struct api_call *c)
{
    return push_to(c, MSG_USER, "user_id");
}

static enum api_outcome on_push_socket(struct api_call *c)
{
    return push_to(c, MSG_SOCKET, "socket_id");
}

/* ---- push by pattern: ask which channels match, then publish to each ---- */

struct pattern_push {
    struct api *api;
    uint64_t call;
    struct buf app, expression, event, data;
};

static void pattern_push_free(struct pattern_push *p)
{
    buf_fini(&p->app);
    buf_fini(&p->expression);
    buf_fini(&p->event);
    buf_fini(&p->data);
    mem_free(p);
}

/* An answer that may be incomplete says so. */
static void add_missing(struct api_reply *r, const struct bus_page *p)
{
    if (p->n_missing)
        buf_printf(&r->extra, "Gusher-Missing-Nodes: %u\r\n", p->n_missing);
}

static size_t bytes_of_each(const struct pattern_push *p, struct str channel)
{
    return p->app.len + channel.len + p->event.len + p->data.len;
}

static bool all_fit(const struct pattern_push *p, struct str channels)
{
    size_t max = bus_message_max(p->api->bus);
    for (struct str name; names_next(&channels, &name);) {
        if (bytes_of_each(p, name) > max)
            return false;
    }
    return true;
}

static void push_to_matched(struct pattern_push *p, const struct bus_page *a, struct api_reply *r)
{
    struct str rest = a->names, name;
    enum err e = ERR_OK;
    for (uint64_t n = 0; !e && names_next(&rest, &name); n++)
        e = publish_nth(p->api, n, buf_as_str(&p->app), name, buf_as_str(&p->event),
                        buf_as_str(&p->data));
    if (e) {
        api_refuse(r, e);
        return;
    }
    struct buf *out = api_json(r);
    buf_printf(out, "{\"total\":%llu,\"pattern\":", (unsigned long long)a->count);
    json_quote(out, buf_as_str(&p->expression));
    buf_char(out, '}');
}

static void on_channels_matched(void *ctx, uint64_t question, const struct bus_page *a)
{
    struct pattern_push *p = ctx;
    struct api_reply reply = {0};
    (void)question;
    if (a->n_missing) {
        /* All or nothing: half a push would come twice to some when it is tried again. */
        api_text(&reply, 504, "the channels were not matched in time, nothing was sent");
    } else if (a->count * (p->data.len + API_PATTERN_MESSAGE_BYTES) > API_PATTERN_BYTES_MAX) {
        api_text(&reply, 413, "data is too large for the number of channels that match");
    } else if (!all_fit(p, a->names)) {
        api_text(&reply, 413, "the message is longer than the bus takes");
    } else {
        push_to_matched(p, a, &reply);
    }
    add_missing(&reply, a);
    p->api->answer(p->api->ctx, p->call, &reply);
    api_reply_fini(&reply);
    pattern_push_free(p);
}

static enum api_outcome on_push_pattern(struct api_call *c)
{
    struct str expression = api_param(c, STR("channel_pattern"));
    struct str event = api_param(c, STR("event")), text = api_param(c, STR("data")), data;
    struct buf scratch = BUF_INIT;
    struct pattern *pattern;
    if (!expression.len || !event.len)
        return refuse(c, 400, "empty param");
    if (event.len > c->api->options.name_max)
        return api_refuse_size(c->reply, "event", c->api->options.name_max);
    if (pattern_new(&pattern, expression))
        return refuse(c, 400, "channel_pattern cant regex");
    if (!read_data(c, text, &scratch, &data)) {
        pattern_free(pattern);
        return API_DONE;
    }
    struct pattern_push *p = mem_zalloc(sizeof(*p));
    p->api = c->api;
    p->call = c->number;
    buf_str(&p->app, c->params[0]);
    buf_str(&p->expression, expression);
    buf_str(&p->event, event);
    buf_str(&p->data, data);
    buf_fini(&scratch);

    const struct bus_ask ask = {.kind = HUB_CHANNELS,
                                .app = c->params[0],
                                .pattern = pattern,
                                .expression = expression,
                                .whole = true};
    uint64_t question;
    enum err e = bus_ask(c->api->bus, &ask, on_channels_matched, p, &question);
    if (!e)
        return API_LATER;
    pattern_push_free(p);
    return api_refuse(c->reply, e);
}

/* ---- push of a batch ---- */

struct element {
    struct json channel, event, data;
};

/* One element of a batch: member names in any case, missing or null members are empty, others
 * are dropped. */
static enum err read_element(struct json object, struct element *out)
{
    static const struct json null = {JSON_NULL, {"null", 4}};
    struct json_iter it;
    struct json key, value;
    *out = (struct element){null, null, null};
    if (object.type != JSON_OBJECT)
        return ERR_PROTO;
    json_iter_init(&it, object);
    while (json_next(&it, &key, &value)) {
        struct buf scratch = BUF_INIT;
        struct str name = json_text(key, &scratch);
        if (str_eq_nocase(name, STR("channel")))
            out->channel = value;
        else if (str_eq_nocase(name, STR("event")))
            out->event = value;
        else if (str_eq_nocase(name, STR("data")))
            out->data = value;
        buf_fini(&scratch);
    }
    bool ok = (out->channel.type == JSON_STRING || out->channel.type == JSON_NULL) &&
              (out->event.type == JSON_STRING || out->event.type == JSON_NULL);
    return ok ? ERR_OK : ERR_PROTO;
}

/* An escape makes several bytes of one: only what looks too long is unpacked to know. */
static bool is_long_name(struct json name, size_t max)
{
    struct buf scratch = BUF_INIT;
    bool is_long =
        name.type == JSON_STRING && name.text.len > max && json_text(name, &scratch).len > max;
    buf_fini(&scratch);
    return is_long;
}

static size_t element_bytes_max(const struct api_call *c)
{
    size_t max = bus_message_max(c->api->bus), app = c->params[0].len;
    return max > app ? max - app : 0;
}

/* Judges the whole batch before the first message of it is sent. False: it is refused. */
static bool judge_batch(struct api_call *c, struct json batch, unsigned *n)
{
    const struct api_options *o = &c->api->options;
    const size_t bytes_max = element_bytes_max(c);
    struct json_iter it;
    struct json value;
    *n = 0;
    json_iter_init(&it, batch);
    while (json_next(&it, NULL, &value)) {
        struct element e;
        if (read_element(value, &e))
            refuse(c, 400, "data error");
        else if (++*n > o->batch_max)
            refuse(c, 413, "batch_data has too many elements");
        else if (is_long_name(e.channel, o->name_max) || is_long_name(e.event, o->name_max))
            api_refuse_size(c->reply, "a name in batch_data", o->name_max);
        else if (e.data.text.len > o->payload_max)
            api_refuse_size(c->reply, "data in batch_data", o->payload_max);
        else if (e.channel.text.len + e.event.text.len + e.data.text.len > bytes_max)
            refuse(c, 413, "an element of batch_data is longer than the bus takes");
        else
            continue;
        return false;
    }
    return true;
}

static struct str text_or_empty(struct json value, struct buf *scratch)
{
    return value.type == JSON_STRING ? json_text(value, scratch) : STR_EMPTY;
}

static enum err publish_element(struct api_call *c, uint64_t n, const struct element *element)
{
    struct buf channel = BUF_INIT, event = BUF_INIT;
    enum err e = publish_nth(c->api, n, c->params[0], text_or_empty(element->channel, &channel),
                             text_or_empty(element->event, &event), element->data.text);
    buf_fini(&channel);
    buf_fini(&event);
    return e;
}

static enum api_outcome on_push_batch(struct api_call *c)
{
    struct str text = api_param(c, STR("batch_data"));
    struct json batch, value;
    unsigned n, sent = 0;
    if (!text.len)
        return refuse(c, 400, "empty batch data");
    enum err e = json_parse(&batch, text);
    if (e == ERR_LIMIT)
        return refuse_depth(c);
    if (e || batch.type != JSON_ARRAY)
        return refuse(c, 400, "data error");
    if (!judge_batch(c, batch, &n))
        return API_DONE;

    struct json_iter it;
    json_iter_init(&it, batch);
    while (!e && json_next(&it, NULL, &value)) {
        struct element element;
        read_element(value, &element);
        e = publish_element(c, sent++, &element);
    }
    if (e)
        return api_refuse(c->reply, e);
    buf_printf(api_json(c->reply), "{\"total\":%u,\"cap\":%zu}", n, text.len);
    return API_DONE;
}

/* ---- a user's channels ---- */

static enum err read_grants(struct str text, struct buf *names)
{
    struct json list, value;
    struct json_iter it;
    unsigned n = 0;
    if (json_parse(&list, text) || list.type != JSON_ARRAY)
        return ERR_PROTO;
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &value)) {
        struct buf scratch = BUF_INIT;
        if (value.type != JSON_STRING)
            return ERR_PROTO;
        if (++n > API_GRANTS_MAX)
            return ERR_LIMIT;
        names_add(names, json_text(value, &scratch));
        buf_fini(&scratch);
    }
    return ERR_OK;
}

static enum api_outcome on_reload(struct api_call *c)
{
    struct str text = api_param(c, STR("data"));
    struct buf names = BUF_INIT;
    enum err e = text.len > API_GRANTS_BYTES_MAX ? ERR_LIMIT : read_grants(text, &names);
    if (e) {
        buf_fini(&names);
        return e == ERR_LIMIT ? refuse(c, 413, "too many channels")
                              : refuse(c, 400, "data unmarshal error");
    }
    e = publish(c->api, MSG_RELOAD, c->params[0], c->params[1], STR_EMPTY, buf_as_str(&names));
    buf_fini(&names);
    return e ? refuse_publish(c, e) : echo(c, "user_id", c->params[1], text);
}

static enum api_outcome on_add(struct api_call *c)
{
    struct str channel = api_param(c, STR("data"));
    if (!channel.len)
        return refuse(c, 400, "data empty error");
    if (channel.len > API_GRANTS_BYTES_MAX)
        return refuse(c, 413, "too long a channel name");
    enum err e = publish(c->api, MSG_ADD, c->params[0], c->params[1], STR_EMPTY, channel);
    return e ? refuse_publish(c, e) : echo(c, "user_id", c->params[1], channel);
}

/* ---- decode, ping ---- */

static enum api_outcome on_decode(struct api_call *c)
{
    struct claims *claims;
    if (trust_verify(&claims, c->api->trust, api_param(c, STR("data")), c->now_s))
        return refuse(c, 400, "data error");
    if (api_has_app(c, claims->app_key)) {
        struct buf *out = api_json(c->reply);
        claims_write_json(out, claims);
        buf_char(out, '\n');
    }
    claims_unref(claims);
    return API_DONE;
}

static enum api_outcome on_ping(struct api_call *c)
{
    return refuse(c, 200, "pong");
}

/* ---- queries ---- */

/* A query while its answer comes in. */
struct query {
    struct api *api;
    uint64_t call;
    bool began; /* a piece of the list has been given */
    bool any;   /* with a name */
};

static void write_names(struct query *q, const struct bus_page *p, struct buf *out)
{
    struct str rest = p->names;
    if (!q->began)
        buf_char(out, '[');
    for (struct str name; names_next(&rest, &name); q->any = true) {
        if (q->any)
            buf_char(out, ',');
        json_quote(out, name);
    }
    if (p->last)
        buf_char(out, ']');
}

/* A list that is whole with its first page has a length; a longer one is streamed, and names that
 * go missing on the way are told behind it. */
static void on_names(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api *api = q->api;
    struct api_reply reply = {0};
    write_names(q, p, api_json(&reply));
    add_missing(&reply, p);
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
            mem_free(q);
            q = NULL;
        }
    }
    if (p->last)
        mem_free(q);
    api_reply_fini(&reply);
}

void api_go_on(struct api *a, uint64_t question, bool alive)
{
    if (alive)
        bus_more(a->bus, question);
    else
        mem_free(bus_cancel(a->bus, question));
}

static void on_count(void *ctx, uint64_t question, const struct bus_page *p)
{
    struct query *q = ctx;
    struct api_reply reply = {0};
    (void)question;
    buf_printf(api_json(&reply), "{\"count\":%llu}", (unsigned long long)p->count);
    add_missing(&reply, p);
    q->api->answer(q->api->ctx, q->call, &reply);
    api_reply_fini(&reply);
    mem_free(q);
}

static enum api_outcome query(struct api_call *c, enum hub_question_kind kind, bool count_only)
{
    const struct bus_ask ask = {.kind = kind,
                                .app = c->params[0],
                                .channel = kind == HUB_USERS_OF_CHANNEL ? c->params[1] : STR_EMPTY,
                                .count_only = count_only};
    struct query *q = mem_zalloc(sizeof(*q));
    uint64_t question;
    q->api = c->api;
    q->call = c->number;
    enum err e = bus_ask(c->api->bus, &ask, count_only ? on_count : on_names, q, &question);
    if (!e)
        return API_LATER;
    mem_free(q);
    return api_refuse(c->reply, e);
}

static enum api_outcome on_channels(struct api_call *c)
{
    return query(c, HUB_CHANNELS, false);
}

static enum api_outcome on_channels_count(struct api_call *c)
{
    return query(c, HUB_CHANNELS, true);
}

static enum api_outcome on_online(struct api_call *c)
{
    return query(c, HUB_USERS, false);
}

static enum api_outcome on_online_count(struct api_call *c)
{
    return query(c, HUB_USERS, true);
}

static enum api_outcome on_bychannel(struct api_call *c)
{
    return query(c, HUB_USERS_OF_CHANNEL, false);
}

static enum api_outcome on_bychannel_count(struct api_call *c)
{
    return query(c, HUB_USERS_OF_CHANNEL, true);
}

#define ENTRY(handler, right)                                                                      \
    &(const struct api_entry)                                                                      \
    {                                                                                              \
        handler, right                                                                             \
    }

/* The literal routes stand first: app keys "user" and "socket" cannot use the plain push. */
const struct route api_master_commands[] = {
    {HTTP_M_GET, "ping", ENTRY(on_ping, 0)},
    {HTTP_M_POST, "decode", ENTRY(on_decode, MASTER_QUERY)},
    {HTTP_M_POST, "push_batch/{}", ENTRY(on_push_batch, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/user/{}/{}", ENTRY(on_push_user, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/socket/{}/{}", ENTRY(on_push_socket, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/{}/{}/{}", ENTRY(on_push_channel, MASTER_PUBLISH)},
    {HTTP_M_POST, "push/{}", ENTRY(on_push_pattern, MASTER_PUBLISH)},
    {HTTP_M_POST, "reload/channel/user/{}/{}", ENTRY(on_reload, MASTER_ADMIN)},
    {HTTP_M_POST, "add/channel/user/{}/{}", ENTRY(on_add, MASTER_ADMIN)},
};
const unsigned api_n_master_commands = sizeof(api_master_commands) / sizeof(api_master_commands[0]);

const struct route api_master_queries[] = {
    {HTTP_M_GET, "{}/channels", ENTRY(on_channels, MASTER_QUERY)},
    {HTTP_M_GET, "{}/channels/count", ENTRY(on_channels_count, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online", ENTRY(on_online, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online/count", ENTRY(on_online_count, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online/bychannel/{}", ENTRY(on_bychannel, MASTER_QUERY)},
    {HTTP_M_GET, "{}/online/bychannel/{}/count", ENTRY(on_bychannel_count, MASTER_QUERY)},
};
const unsigned api_n_master_queries = sizeof(api_master_queries) / sizeof(api_master_queries[0]);
