#include "edge/recorder.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/names.h"

struct record {
    struct record *next;
    int64_t ended_ms;
    uint32_t number; /* they rise; never RECORDER_CURSOR_END */
    uint32_t app_len, user_len, text_len;
    char bytes[]; /* all three */
};

struct recorder {
    struct record *first, *last;
    size_t bytes;
    uint32_t next_number;
};

struct recorder *recorder_new(void)
{
    struct recorder *r = mem_zalloc(sizeof(*r));
    r->next_number = 1;
    return r;
}

static size_t size_of(const struct record *e)
{
    return sizeof(*e) + e->app_len + e->user_len + e->text_len;
}

static void drop_first(struct recorder *r)
{
    struct record *e = r->first;
    r->first = e->next;
    if (!r->first)
        r->last = NULL;
    r->bytes -= size_of(e);
    mem_free(e);
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    while (r->first)
        drop_first(r);
    mem_free(r);
}

static void forget(struct recorder *r, int64_t now_ms)
{
    while (r->first &&
           (r->bytes > RECORDER_BYTES || now_ms - r->first->ended_ms > RECORDER_KEEP_MS))
        drop_first(r);
}

static struct str cut(struct str name)
{
    return str_make(name.p, name.len < RECORDER_NAME_MAX ? name.len : RECORDER_NAME_MAX);
}

static void write_record(struct buf *out, const struct recorder_end *e)
{
    buf_str(out, STR("{\"socket_id\":"));
    json_quote(out, e->socket);
    buf_str(out, STR(",\"user_id\":"));
    json_quote(out, cut(e->user));
    buf_printf(out, ",\"reason\":\"%s\",\"code\":%u,\"detail\":", reasons[e->why].word, e->code);
    json_quote(out, e->detail);
    buf_printf(out, ",\"since\":%lld,\"ended\":%lld}", (long long)e->since_s,
               (long long)e->ended_s);
}

void recorder_add(struct recorder *r, const struct recorder_end *end, int64_t now_ms)
{
    struct buf text = BUF_INIT;
    const struct str user = cut(end->user);
    write_record(&text, end);
    struct record *e = mem_alloc(sizeof(*e) + end->app.len + user.len + text.len);
    *e = (struct record){.ended_ms = now_ms,
                         .number = r->next_number++,
                         .app_len = (uint32_t)end->app.len,
                         .user_len = (uint32_t)user.len,
                         .text_len = (uint32_t)text.len};
    memcpy(e->bytes, end->app.p, end->app.len);
    memcpy(e->bytes + e->app_len, user.p, user.len);
    memcpy(e->bytes + e->app_len + e->user_len, text.p, text.len);
    buf_fini(&text);
    if (r->next_number == RECORDER_CURSOR_END)
        r->next_number = 1;
    *(r->last ? &r->last->next : &r->first) = e;
    r->last = e;
    r->bytes += size_of(e);
    forget(r, now_ms);
}

static bool is_asked_for(const struct record *e, struct str app, struct str user)
{
    return str_eq(str_make(e->bytes, e->app_len), app) &&
           (!user.len || str_eq(str_make(e->bytes + e->app_len, e->user_len), cut(user)));
}

uint32_t recorder_page(struct recorder *r, struct str app, struct str user, uint32_t cursor,
                       size_t page_bytes, int64_t now_ms, struct buf *out)
{
    forget(r, now_ms);
    for (const struct record *e = r->first; e; e = e->next) {
        if (e->number < cursor || !is_asked_for(e, app, user))
            continue;
        if (out->len >= page_bytes)
            return e->number;
        names_add(out, str_make(e->bytes + e->app_len + e->user_len, e->text_len));
    }
    return RECORDER_CURSOR_END;
}
