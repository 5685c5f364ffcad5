#include "api/problem.h"
#include <ctype.h>
#include "base/json.h"

static const struct {
    int status;
    const char *code, *text, *sentence;
} problems[] = {
#define PROBLEM_ROW(name, status, code, text, sentence) {status, code, text, sentence},
    PROBLEM_MAP(PROBLEM_ROW)
#undef PROBLEM_ROW
};

const char *problem_code(enum problem p)
{
    return problems[p].code;
}

int problem_status(enum problem p)
{
    return problems[p].status;
}

bool api_has_problems(struct str path)
{
    return str_eq(path, STR("/v1")) || str_starts(path, STR("/v1/"));
}

/* A text with a capital at its beginning and a full stop at its end. */
static void add_sentence(struct buf *out, struct str text)
{
    struct buf sentence = BUF_INIT;
    text = str_trim(text);
    buf_str(&sentence, text);
    if (text.len) {
        sentence.p[0] = (char)toupper((unsigned char)sentence.p[0]);
        if (text.p[text.len - 1] != '.')
            buf_char(&sentence, '.');
    }
    json_quote(out, buf_as_str(&sentence));
    buf_fini(&sentence);
}

static void write_problem(struct api_reply *r, enum problem p, struct str text, struct str pointer)
{
    struct buf *out = &r->body;
    r->status = problems[p].status;
    r->type = HTTP_PROBLEM;
    buf_clear(out);
    buf_printf(out,
               "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\","
               "\"detail\":",
               http_reason(r->status), r->status, problems[p].code);
    add_sentence(out, text);
    if (pointer.len) {
        buf_str(out, STR(",\"pointer\":"));
        json_quote(out, pointer);
    }
    buf_char(out, '}');
}

enum api_outcome api_problem_at(struct api_reply *r, enum problem p, struct str text,
                                struct str pointer)
{
    if (r->has_problems) {
        write_problem(r, p, text, pointer);
        return API_DONE;
    }
    api_text(r, problems[p].status, "");
    buf_str(&r->body, text);
    return API_DONE;
}

enum api_outcome api_problem(struct api_reply *r, enum problem p)
{
    const char *text = problems[p].text;
    if (r->has_problems && problems[p].sentence)
        text = problems[p].sentence;
    return api_problem_at(r, p, str_of(text), STR_EMPTY);
}

/* What is wrong with a request as such stands first in the table. */
enum api_outcome api_problem_of_status(struct api_reply *r, int status)
{
    unsigned p = 0;
    while (p < PROBLEMS && problems[p].status != status)
        p++;
    return api_problem(r, p < PROBLEMS ? (enum problem)p : PROBLEM_MALFORMED_REQUEST);
}

enum api_outcome api_refuse(struct api_reply *r, enum err e)
{
    switch (e) {
    case ERR_FULL:
    case ERR_AWAY:
        buf_str(&r->extra, STR("Retry-After: 1\r\n"));
        return api_problem(r, e == ERR_FULL ? PROBLEM_BUSY : PROBLEM_AWAY);
    case ERR_TIMEOUT:
        return api_problem(r, PROBLEM_TIMEOUT);
    case ERR_LIMIT:
        return api_problem(r, PROBLEM_LIMIT);
    case ERR_NOT_FOUND:
        return api_problem(r, PROBLEM_NOT_FOUND);
    case ERR_DENIED:
    case ERR_EXPIRED:
        return api_problem(r, PROBLEM_NOT_PERMITTED);
    case ERR_OK:
    case ERR_SYS:
    case ERR_AGAIN:
    case ERR_PROTO:
        break;
    }
    r->close = true;
    return api_problem(r, PROBLEM_MALFORMED_REQUEST);
}

enum api_outcome api_refuse_size(struct api_reply *r, enum problem p, const char *what, size_t max)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s is longer than %zu bytes\n", what, max);
    api_problem_at(r, p, buf_as_str(&text), STR_EMPTY);
    buf_fini(&text);
    return API_DONE;
}
