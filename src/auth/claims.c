#include "auth/claims.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/names.h"
#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One allocation: this, then the channels, then the remotes, then the text of all strings. */
struct counted {
    atomic_uint refs;
    struct claims c;
};

struct claims *claims_ref(struct claims *c)
{
    atomic_fetch_add_explicit(&container_of(c, struct counted, c)->refs, 1, memory_order_relaxed);
    return c;
}

void claims_unref(struct claims *c)
{
    if (!c)
        return;
    struct counted *counted = container_of(c, struct counted, c);
    if (atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) == 1)
        mem_free(counted);
}

void claims_rules_fini(struct claims_rules *r)
{
    buf_fini(&r->audiences);
    buf_fini(&r->issuers);
}

double claims_end_s(const struct claims *c, const struct claims_rules *rules)
{
    return c->exp_s != 0 ? c->exp_s + rules->leeway_s : 0;
}

/* The members we know, as they stand in the text. A missing one is all zero, that is JSON_NULL. */
struct members {
    struct json gusher, aud, exp, jti, iat, iss, nbf, sub;
    struct json user_id, channels, app_key, remotes;
};

struct known {
    const char *name;
    size_t offset;
};

#define KNOWN(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct members, name)                                                      \
    }
static const struct known known_claims[] = {
    KNOWN(gusher), KNOWN(aud), KNOWN(exp), KNOWN(jti),
    KNOWN(iat),    KNOWN(iss), KNOWN(nbf), KNOWN(sub),
};
static const struct known known_of_gusher[] = {
    KNOWN(user_id),
    KNOWN(channels),
    KNOWN(app_key),
    KNOWN(remotes),
};

/* Of several members with one name the last stays (RFC 7519 section 4). */
static void pick(struct members *m, const struct known *known, unsigned n, struct json object)
{
    struct json name, value;
    struct json_iter it;
    json_iter_init(&it, object);
    while (json_next(&it, &name, &value))
        for (unsigned i = 0; i < n; i++)
            if (json_is(name, str_of(known[i].name)))
                memcpy((char *)m + known[i].offset, &value, sizeof value);
}

static bool is_or_null(struct json value, enum json_type type)
{
    return value.type == type || value.type == JSON_NULL;
}

/* Whether `list` is an array of strings, or null; their number, and the bytes they take at most. */
static bool measure_strings(struct json list, unsigned *n, size_t *text_len)
{
    if (list.type != JSON_ARRAY)
        return list.type == JSON_NULL;
    struct json element;
    struct json_iter it;
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &element)) {
        if (element.type != JSON_STRING)
            return false;
        ++*n;
        *text_len += element.text.len;
    }
    return true;
}

static bool measure_remotes(struct json remotes, unsigned *n, size_t *text_len)
{
    if (remotes.type != JSON_OBJECT)
        return remotes.type == JSON_NULL;
    struct json name, value;
    struct json_iter it;
    json_iter_init(&it, remotes);
    while (json_next(&it, &name, &value)) {
        if (value.type != JSON_TRUE && value.type != JSON_FALSE)
            return false;
        ++*n;
        *text_len += name.text.len;
    }
    return true;
}

/* A NumericDate (RFC 7519 section 2), or null. */
static bool read_date(struct json date, double *out)
{
    return date.type == JSON_NULL || json_number(date, out);
}

/* Where the text of the strings goes. */
struct writer {
    char *p;
    struct buf scratch;
};

/* A decoded string is never longer than its JSON text: so much room was measured for each, and
 * so much is taken, which also gives every string an address of its own. */
static struct str place(struct writer *w, struct json string)
{
    if (string.type == JSON_NULL)
        return STR_EMPTY;
    buf_clear(&w->scratch);
    struct str text = json_text(string, &w->scratch);
    assert(text.len <= string.text.len);
    char *p = w->p;
    memcpy(p, text.p, text.len);
    w->p += string.text.len;
    return str_make(p, text.len);
}

/* The JSON text itself. */
static struct str place_raw(struct writer *w, struct json value)
{
    if (value.type == JSON_NULL)
        return STR_EMPTY;
    char *p = w->p;
    memcpy(p, value.text.p, value.text.len);
    w->p += value.text.len;
    return str_make(p, value.text.len);
}

static void place_channels(struct writer *w, struct str *channels, struct json list)
{
    struct json element;
    struct json_iter it;
    json_iter_init(&it, list);
    while (json_next(&it, NULL, &element))
        *channels++ = place(w, element);
}

static int by_name_then_place(const void *left, const void *right)
{
    const struct remote *a = left, *b = right;
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = memcmp(a->name.p, b->name.p, len);
    if (order)
        return order;
    if (a->name.len != b->name.len)
        return a->name.len < b->name.len ? -1 : 1;
    return a->name.p < b->name.p ? -1 : 1;
}

/* Returns how many are left. */
static unsigned place_remotes(struct writer *w, struct remote *remotes, struct json object)
{
    struct json name, value;
    struct json_iter it;
    unsigned n = 0;
    json_iter_init(&it, object);
    while (json_next(&it, &name, &value))
        remotes[n++] = (struct remote){place(w, name), value.type == JSON_TRUE};
    qsort(remotes, n, sizeof *remotes, by_name_then_place);

    /* Equal names stand in the order of the text now: the last one stays. */
    unsigned n_kept = 0;
    for (unsigned i = 0; i < n; i++) {
        if (n_kept && str_eq(remotes[n_kept - 1].name, remotes[i].name))
            n_kept--;
        remotes[n_kept++] = remotes[i];
    }
    return n_kept;
}

struct dates {
    double exp_s, nbf_s, iat_s;
};

static bool are_against(const struct dates *d, double leeway_s, double now_s)
{
    double latest = now_s + leeway_s;
    return (d->exp_s != 0 && now_s > d->exp_s + leeway_s) || d->nbf_s > latest || d->iat_s > latest;
}

/* Whether `value`, a string or an array of strings, has a name of the list. */
static bool has_one_of(struct json value, struct str names)
{
    struct json element;
    struct json_iter it;
    for (struct str name; names_next(&names, &name);) {
        if (json_is(value, name))
            return true;
        if (value.type != JSON_ARRAY)
            continue;
        json_iter_init(&it, value);
        while (json_next(&it, NULL, &element)) {
            if (json_is(element, name))
                return true;
        }
    }
    return false;
}

/* The moment and the rules that claims are judged by. */
struct judge {
    const struct claims_rules *rules;
    double now_s;
};

static enum err judge(const struct judge *by, const struct members *m, const struct dates *d)
{
    const struct claims_rules *r = by->rules;
    if (are_against(d, r ? r->leeway_s : 0, by->now_s))
        return ERR_EXPIRED;
    if (r && r->audiences.len && !has_one_of(m->aud, buf_as_str(&r->audiences)))
        return ERR_DENIED;
    if (r && r->issuers.len && !has_one_of(m->iss, buf_as_str(&r->issuers)))
        return ERR_DENIED;
    return ERR_OK;
}

/* `by` NULL: dates, audience and issuer are not judged. */
static enum err read_claims(struct claims **out, struct str json, const struct judge *by)
{
    struct json root;
    struct members m = {0};
    enum err e = json_parse(&root, json);
    if (e)
        return e;
    if (root.type != JSON_OBJECT)
        return ERR_PROTO;
    pick(&m, known_claims, sizeof known_claims / sizeof *known_claims, root);
    if (!is_or_null(m.gusher, JSON_OBJECT))
        return ERR_PROTO;
    if (m.gusher.type == JSON_OBJECT)
        pick(&m, known_of_gusher, sizeof known_of_gusher / sizeof *known_of_gusher, m.gusher);

    unsigned n_channels = 0, n_remotes = 0, n_aud = 0;
    size_t text_len = 0, aud_len = 0;
    struct dates d = {0, -INFINITY, -INFINITY};
    if (!is_or_null(m.user_id, JSON_STRING) || !is_or_null(m.app_key, JSON_STRING) ||
        !is_or_null(m.iss, JSON_STRING) || !is_or_null(m.sub, JSON_STRING) ||
        !is_or_null(m.jti, JSON_STRING) ||
        !(m.aud.type == JSON_STRING || measure_strings(m.aud, &n_aud, &aud_len)) ||
        !measure_strings(m.channels, &n_channels, &text_len) ||
        !measure_remotes(m.remotes, &n_remotes, &text_len) || !read_date(m.exp, &d.exp_s) ||
        !read_date(m.nbf, &d.nbf_s) || !read_date(m.iat, &d.iat_s))
        return ERR_PROTO;
    if (n_channels > JWT_CHANNELS_MAX || n_remotes > JWT_REMOTES_MAX)
        return ERR_LIMIT;
    e = by ? judge(by, &m, &d) : ERR_OK;
    if (e)
        return e;

    const struct json texts[] = {m.user_id, m.app_key, m.aud, m.exp, m.jti,
                                 m.jti,     m.iat,     m.iss, m.nbf, m.sub};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].type != JSON_NULL)
            text_len += texts[i].text.len;

    size_t bytes = sizeof(struct counted) + n_channels * sizeof(struct str) +
                   n_remotes * sizeof(struct remote) + text_len;
    struct counted *counted = mem_alloc(bytes);
    struct str *channels = (struct str *)(counted + 1);
    struct remote *remotes = (struct remote *)(channels + n_channels);
    struct writer w = {.p = (char *)(remotes + n_remotes), .scratch = BUF_INIT};
    const char *end = w.p + text_len;

    atomic_init(&counted->refs, 1);
    counted->c = (struct claims){
        .channels = channels,
        .n_channels = n_channels,
        .remotes = remotes,
        .has_channels = m.channels.type != JSON_NULL,
        .has_remotes = m.remotes.type != JSON_NULL,
        .exp_s = d.exp_s,
        .bytes = bytes,
    };
    struct claims *c = &counted->c;
    c->app_key = place(&w, m.app_key);
    c->user_id = place(&w, m.user_id);
    c->aud = place_raw(&w, m.aud);
    c->exp = place_raw(&w, m.exp);
    c->jti = place_raw(&w, m.jti);
    c->jti_text = place(&w, m.jti);
    c->iat = place_raw(&w, m.iat);
    c->iss = place_raw(&w, m.iss);
    c->nbf = place_raw(&w, m.nbf);
    c->sub = place_raw(&w, m.sub);
    if (c->has_channels)
        place_channels(&w, channels, m.channels);
    if (c->has_remotes)
        c->n_remotes = place_remotes(&w, remotes, m.remotes);
    assert(w.p == end);
    buf_fini(&w.scratch);
    *out = c;
    return ERR_OK;
}

enum err claims_from_json(struct claims **out, struct str json, const struct claims_rules *rules,
                          double now_s)
{
    return read_claims(out, json, &(struct judge){rules, now_s});
}

enum err claims_from_judged_json(struct claims **out, struct str json)
{
    return read_claims(out, json, NULL);
}

static void write_channels(struct buf *out, const struct claims *c)
{
    if (!c->has_channels) {
        buf_str(out, STR("null"));
        return;
    }
    buf_char(out, '[');
    for (unsigned i = 0; i < c->n_channels; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(out, c->channels[i]);
    }
    buf_char(out, ']');
}

static void write_remotes(struct buf *out, const struct claims *c)
{
    if (!c->has_remotes) {
        buf_str(out, STR("null"));
        return;
    }
    buf_char(out, '{');
    for (unsigned i = 0; i < c->n_remotes; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(out, c->remotes[i].name);
        buf_str(out, c->remotes[i].allowed ? STR(":true") : STR(":false"));
    }
    buf_char(out, '}');
}

void claims_write_json(struct buf *out, const struct claims *c)
{
    buf_str(out, STR("{\"gusher\":{\"channels\":"));
    write_channels(out, c);
    buf_str(out, STR(",\"user_id\":"));
    json_quote(out, c->user_id);
    buf_str(out, STR(",\"app_key\":"));
    json_quote(out, c->app_key);
    buf_str(out, STR(",\"remotes\":"));
    write_remotes(out, c);
    buf_char(out, '}');

    const struct {
        const char *name;
        struct str text;
    } standard[] = {
        {"aud", c->aud}, {"exp", c->exp}, {"jti", c->jti}, {"iat", c->iat},
        {"iss", c->iss}, {"nbf", c->nbf}, {"sub", c->sub},
    };
    for (unsigned i = 0; i < sizeof standard / sizeof *standard; i++)
        if (standard[i].text.len) {
            buf_printf(out, ",\"%s\":", standard[i].name);
            buf_str(out, standard[i].text);
        }
    buf_char(out, '}');
}
