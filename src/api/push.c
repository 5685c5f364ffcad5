#include "api/push.h"
#include <assert.h>
#include "base/mem.h"
#include "base/names.h"

enum api_outcome api_refuse_publish(struct api_reply *r, enum err e)
{
    return e == ERR_LIMIT ? api_problem(r, PROBLEM_MESSAGE_TOO_LONG) : api_refuse(r, e);
}

enum err api_publish(struct api *a, enum msg_kind kind, struct str app, struct str target,
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

/* ---- by pattern: ask which channels match, then publish to each ---- */

struct pattern_push {
    struct api *api;
    uint64_t call;
    bool has_problems;
    struct once once;
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
    struct api_reply reply = {.has_problems = p->has_problems};
    (void)question;
    if (a->n_missing) {
        /* All or nothing: half a push would come twice to some when it is tried again. */
        api_problem(&reply, PROBLEM_NOT_MATCHED);
    } else if (a->count * (p->data.len + API_PATTERN_MESSAGE_BYTES) > API_PATTERN_BYTES_MAX) {
        api_problem(&reply, PROBLEM_PUSH_TOO_LARGE);
    } else if (!all_fit(p, a->names)) {
        api_problem(&reply, PROBLEM_MESSAGE_TOO_LONG);
    } else {
        push_to_matched(p, a, &reply);
    }
    api_add_missing(&reply, a->n_missing);
    api_once_end(p->api, &p->once, &reply);
    p->api->answer(p->api->ctx, p->call, &reply);
    api_reply_fini(&reply);
    pattern_push_free(p);
}

enum api_outcome api_push_pattern(struct api_call *c, struct pattern *pattern,
                                  struct str expression, struct str event, struct str data)
{
    struct pattern_push *p = mem_zalloc(sizeof(*p));
    p->api = c->api;
    p->call = c->number;
    p->has_problems = c->reply->has_problems;
    p->once = c->once;
    buf_str(&p->app, c->params[0]);
    buf_str(&p->expression, expression);
    buf_str(&p->event, event);
    buf_str(&p->data, data);

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

/* ---- a batch ---- */

/* An escape makes several bytes of one: only what looks too long is unpacked to know. */
bool api_is_long_name(struct json name, size_t max)
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

static bool judge_batch(struct api_call *c, struct json batch, batch_element_fn *read, unsigned *n)
{
    const struct api_options *o = &c->api->options;
    const size_t bytes_max = element_bytes_max(c);
    const bool is_v1 = c->reply->has_problems;
    struct json_iter it;
    struct json value;
    *n = 0;
    json_iter_init(&it, batch);
    while (json_next(&it, NULL, &value)) {
        struct batch_element e;
        if (!read(c, *n, value, &e))
            return false;
        if (++*n > o->batch_max)
            api_problem(c->reply, PROBLEM_TOO_MANY_MESSAGES);
        else if (api_is_long_name(e.channel, o->name_max) || api_is_long_name(e.event, o->name_max))
            api_refuse_size(c->reply, PROBLEM_NAME_TOO_LONG,
                            is_v1 ? "a name" : "a name in batch_data", o->name_max);
        else if (e.data.text.len > o->payload_max)
            api_refuse_size(c->reply, PROBLEM_DATA_TOO_LONG,
                            is_v1 ? "the data of a message" : "data in batch_data", o->payload_max);
        else if (e.channel.text.len + e.event.text.len + e.data.text.len > bytes_max)
            api_problem(c->reply, PROBLEM_ELEMENT_TOO_LONG);
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

static enum err publish_element(struct api_call *c, uint64_t n, const struct batch_element *element)
{
    struct buf channel = BUF_INIT, event = BUF_INIT;
    enum err e = publish_nth(c->api, n, c->params[0], text_or_empty(element->channel, &channel),
                             text_or_empty(element->event, &event), element->data.text);
    buf_fini(&channel);
    buf_fini(&event);
    return e;
}

bool api_push_batch(struct api_call *c, struct json batch, batch_element_fn *read, unsigned *n)
{
    struct json_iter it;
    struct json value;
    unsigned sent = 0;
    enum err e = ERR_OK;
    if (!judge_batch(c, batch, read, n))
        return false;
    json_iter_init(&it, batch);
    while (!e && json_next(&it, NULL, &value)) {
        struct batch_element element;
        bool is_element = read(c, sent, value, &element);
        assert(is_element);
        e = publish_element(c, sent++, &element);
    }
    if (e)
        api_refuse(c->reply, e);
    return !e;
}

/* ---- a user's channels ---- */

enum err api_read_names(struct json list, struct buf *names)
{
    struct json value;
    struct json_iter it;
    unsigned n = 0;
    if (list.type != JSON_ARRAY)
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
