#include "http/form.h"
#include "base/json.h"
#include "base/mem.h"

/* Decoded text. Each has a buffer of its own that is never written again, so spans of it stay. */
struct chunk {
    struct chunk *next;
    struct buf text;
};

void form_init(struct form *f)
{
    f->n = 0;
    f->chunks = NULL;
}

void form_fini(struct form *f)
{
    for (struct chunk *c = f->chunks, *next; c; c = next) {
        next = c->next;
        buf_fini(&c->text);
        mem_free(c);
    }
    form_init(f);
}

/* An empty buffer that lives as long as the form, with room for `len` bytes. */
static struct buf *chunk_new(struct form *f, size_t len)
{
    struct chunk *c = mem_alloc(sizeof *c);
    c->text = BUF_INIT;
    buf_reserve(&c->text, len);
    c->next = f->chunks;
    f->chunks = c;
    return &c->text;
}

static enum err add(struct form *f, struct str name, struct str value)
{
    if (f->n == FORM_PARAMS_MAX)
        return ERR_LIMIT;
    f->params[f->n++] = (struct form_param){name, value};
    return ERR_OK;
}

/* The byte that the percent escape at the start of `s` stands for, or -1. */
static int percent_byte(struct str s)
{
    if (s.len < 3 || s.p[0] != '%')
        return -1;
    int high = str_hex_digit(s.p[1]);
    int low = str_hex_digit(s.p[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static enum err percent_decode(struct buf *out, struct str s, char plus)
{
    size_t before = out->len;
    buf_reserve(out, s.len + 1);
    while (s.len) {
        size_t taken = 1;
        int byte = s.p[0] == '+' ? plus : s.p[0];
        if (s.p[0] == '%') {
            byte = percent_byte(s);
            taken = 3;
            if (byte < 0) {
                out->len = before;
                return ERR_PROTO;
            }
        }
        buf_char(out, (char)byte);
        s.p += taken;
        s.len -= taken;
    }
    return ERR_OK;
}

enum err form_decode_segment(struct buf *out, struct str segment)
{
    return percent_decode(out, segment, '+');
}

static bool has_byte(struct str s, char c)
{
    return s.len && memchr(s.p, c, s.len);
}

/* Whether every percent sign in `s` begins an escape. */
static bool escapes_whole(struct str s)
{
    for (const char *at; s.len && (at = memchr(s.p, '%', s.len));) {
        s.len -= (size_t)(at - s.p);
        s.p = at;
        if (percent_byte(s) < 0)
            return false;
        s.p += 3;
        s.len -= 3;
    }
    return true;
}

/* One side of a pair, decoded; its escapes are known to be whole. */
static struct str decoded(struct form *f, struct str s)
{
    if (!has_byte(s, '%') && !has_byte(s, '+'))
        return s;
    struct buf *text = chunk_new(f, s.len + 1);
    percent_decode(text, s, ' ');
    return buf_as_str(text);
}

static enum err add_urlencoded(struct form *f, struct str text)
{
    while (text.len) {
        struct str pair = str_cut(&text, '&');
        if (!pair.len || has_byte(pair, ';') || !escapes_whole(pair))
            continue;
        if (f->n == FORM_PARAMS_MAX)
            return ERR_LIMIT; /* before anything is decoded for it */
        struct str name = str_cut(&pair, '=');
        name = decoded(f, name);
        enum err e = add(f, name, decoded(f, pair));
        if (e)
            return e;
    }
    return ERR_OK;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token_char(char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct str cut_token(struct str *rest)
{
    struct str token = {rest->p, 0};
    while (token.len < rest->len && is_token_char(rest->p[token.len]))
        token.len++;
    rest->p += token.len;
    rest->len -= token.len;
    return token;
}

static bool starts_with_char(struct str s, char c)
{
    return s.len && s.p[0] == c;
}

static void skip_blanks(struct str *s)
{
    while (starts_with_char(*s, ' ') || starts_with_char(*s, '\t'))
        s->p++, s->len--;
}

/* Cuts one `; name=value` off *rest. A quoted value comes without its quotes and with its
 * escapes, and *quoted is set. False if something else stands there. */
static bool cut_param(struct str *rest, struct str *name, struct str *value, bool *quoted)
{
    struct str s = *rest;
    if (!starts_with_char(s, ';'))
        return false;
    s.p++, s.len--;
    skip_blanks(&s);
    *name = cut_token(&s);
    if (!name->len || !starts_with_char(s, '='))
        return false;
    s.p++, s.len--;
    *quoted = starts_with_char(s, '"');
    if (*quoted) {
        s.p++, s.len--;
        *value = str_make(s.p, 0);
        while (value->len < s.len && s.p[value->len] != '"')
            value->len += s.p[value->len] == '\\' ? 2 : 1;
        if (value->len >= s.len)
            return false;
        s.p += value->len + 1;
        s.len -= value->len + 1;
    } else {
        *value = cut_token(&s);
        if (!value->len)
            return false;
    }
    skip_blanks(&s);
    *rest = s;
    return true;
}

/* The text of a quoted name. Browsers write the quote and the line ends as percent escapes and
 * nothing else (WHATWG HTML, "multipart form data"), other clients escape by backslash; a
 * backslash before any other character is one of the name, as browsers mean it. */
static struct str unquoted(struct form *f, struct str s)
{
    if (!has_byte(s, '\\') && !has_byte(s, '%'))
        return s;
    struct buf *text = chunk_new(f, s.len);
    while (s.len) {
        size_t taken = 1;
        char c = s.p[0];
        int byte = percent_byte(s);
        if (byte == '"' || byte == '\r' || byte == '\n') {
            c = (char)byte;
            taken = 3;
        } else if (c == '\\' && s.len > 1 && (s.p[1] == '"' || s.p[1] == '\\')) {
            c = s.p[1];
            taken = 2;
        }
        buf_char(text, c);
        s.p += taken;
        s.len -= taken;
    }
    return buf_as_str(text);
}

/* What the headers of a part say of its name. */
struct disposition {
    bool present, named, quoted;
    struct str name; /* as written */
};

static enum err read_disposition(struct disposition *d, struct str value)
{
    if (d->present)
        return ERR_PROTO;
    d->present = true;
    skip_blanks(&value);
    bool is_form_data = str_eq_nocase(cut_token(&value), STR("form-data"));
    skip_blanks(&value);
    while (value.len) {
        struct str key, text;
        bool quoted;
        if (!cut_param(&value, &key, &text, &quoted))
            return ERR_PROTO;
        if (!is_form_data || !str_eq_nocase(key, STR("name")))
            continue;
        /* With two names it is open which one another reader of this body goes by. */
        if (d->named)
            return ERR_PROTO;
        d->named = true;
        d->quoted = quoted;
        d->name = text;
    }
    return ERR_OK;
}

/* Cuts a line with its CRLF off *rest; false if there is none, or a CR or LF within it. */
static bool cut_line(struct str *rest, struct str *line)
{
    const char *at = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;
    if (!at || at == rest->p || at[-1] != '\r')
        return false;
    *line = str_make(rest->p, (size_t)(at - 1 - rest->p));
    rest->len -= (size_t)(at + 1 - rest->p);
    rest->p = at + 1;
    return !has_byte(*line, '\r');
}

/* One part: header lines, an empty line, the value. */
static enum err add_part(struct form *f, struct str part)
{
    struct disposition d = {0};
    for (;;) {
        struct str line;
        if (!cut_line(&part, &line))
            return ERR_PROTO;
        if (!line.len)
            break;
        struct str name = cut_token(&line);
        if (!name.len || !starts_with_char(line, ':'))
            return ERR_PROTO;
        line.p++, line.len--;
        if (str_eq_nocase(name, STR("content-disposition")) && read_disposition(&d, line))
            return ERR_PROTO;
    }
    if (!d.named)
        return ERR_OK;
    if (f->n == FORM_PARAMS_MAX)
        return ERR_LIMIT;
    return add(f, d.quoted ? unquoted(f, d.name) : d.name, part);
}

static bool is_boundary(struct str s)
{
    if (!s.len || s.len > FORM_BOUNDARY_MAX || s.p[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.p[i]) && !(s.p[i] && strchr("'()+_,-./:=? ", s.p[i])))
            return false;
    }
    return true;
}

static enum err add_multipart(struct form *f, struct str body, struct str boundary)
{
    if (!is_boundary(boundary))
        return ERR_PROTO;
    char delimiter[4 + FORM_BOUNDARY_MAX] = "\r\n--";
    size_t delimiter_len = 4 + boundary.len;
    memcpy(delimiter + 4, boundary.p, boundary.len);

    /* What stands before the first delimiter is ignored. That delimiter may begin the body, and
     * then has no line end before it. */
    if (str_starts(body, str_make(delimiter + 2, delimiter_len - 2))) {
        body.p += delimiter_len - 2;
        body.len -= delimiter_len - 2;
    } else {
        const char *at = memmem(body.p, body.len, delimiter, delimiter_len);
        if (!at)
            return ERR_PROTO;
        body.len -= (size_t)(at - body.p) + delimiter_len;
        body.p = at + delimiter_len;
    }
    for (;;) {
        /* Here a delimiter has just been read. No line of a part may begin like one (RFC 2046
         * section 5.1.1), so one that goes on otherwise is refused, not taken for content. */
        bool is_last = str_starts(body, STR("--"));
        if (is_last)
            body.p += 2, body.len -= 2;
        skip_blanks(&body);
        if (is_last && !body.len)
            return ERR_OK;
        if (!str_starts(body, STR("\r\n")))
            return ERR_PROTO;
        if (is_last)
            return ERR_OK;
        body.p += 2, body.len -= 2;

        const char *at = memmem(body.p, body.len, delimiter, delimiter_len);
        if (!at)
            return ERR_PROTO;
        struct str part = str_make(body.p, (size_t)(at - body.p));
        body.len -= part.len + delimiter_len;
        body.p = at + delimiter_len;
        enum err e = add_part(f, part);
        if (e)
            return e;
    }
}

/* The text of a JSON_STRING, for as long as the form lives. */
static struct str json_span(struct form *f, struct json string)
{
    if (!has_byte(string.text, '\\'))
        return json_text(string, NULL);
    return json_text(string, chunk_new(f, string.text.len));
}

static enum err add_json(struct form *f, struct str body)
{
    struct json root;
    enum err e = json_parse(&root, body);
    if (e)
        return e;
    if (root.type != JSON_OBJECT)
        return ERR_PROTO;
    struct json_iter it;
    json_iter_init(&it, root);
    struct json key, value;
    while (json_next(&it, &key, &value)) {
        if (f->n == FORM_PARAMS_MAX)
            return ERR_LIMIT;
        struct str text = value.text;
        if (value.type == JSON_STRING)
            text = json_span(f, value);
        e = add(f, json_span(f, key), text);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* A form that is refused leaves no parameters behind. */
static enum err settled(struct form *f, unsigned n_before, enum err e)
{
    if (e)
        f->n = n_before;
    return e;
}

enum err form_add_urlencoded(struct form *f, struct str text)
{
    unsigned n = f->n;
    return settled(f, n, add_urlencoded(f, text));
}

enum err form_add_multipart(struct form *f, struct str body, struct str boundary)
{
    unsigned n = f->n;
    return settled(f, n, add_multipart(f, body, boundary));
}

enum err form_add_json(struct form *f, struct str body)
{
    unsigned n = f->n;
    return settled(f, n, add_json(f, body));
}

/* The boundary that `rest`, the parameters of a content type, names. */
static bool find_boundary(struct str rest, struct str *boundary)
{
    bool found = false;
    while (rest.len) {
        struct str name, value;
        bool quoted;
        if (!cut_param(&rest, &name, &value, &quoted))
            return false;
        if (!str_eq_nocase(name, STR("boundary")))
            continue;
        if (found)
            return false;
        found = true;
        *boundary = value;
    }
    return found;
}

enum err form_add_body(struct form *f, struct str content_type, struct str body)
{
    struct str params = content_type;
    struct str type = str_trim(str_cut(&params, ';'));
    if (str_eq_nocase(type, STR("application/x-www-form-urlencoded")))
        return form_add_urlencoded(f, body);
    if (str_eq_nocase(type, STR("application/json")))
        return form_add_json(f, body);
    if (str_eq_nocase(type, STR("multipart/form-data"))) {
        /* The list of parameters begins at the semicolon that the cut took away. */
        if (params.p > content_type.p && params.p[-1] == ';')
            params.p--, params.len++;
        struct str boundary;
        if (!find_boundary(str_trim(params), &boundary))
            return ERR_PROTO;
        return form_add_multipart(f, body, boundary);
    }
    return ERR_OK;
}

bool form_get(const struct form *f, struct str name, struct str *value)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (str_eq(f->params[i].name, name)) {
            *value = f->params[i].value;
            return true;
        }
    }
    return false;
}
