#include "cli/call.h"
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "cli/client.h"

void call_path(struct buf *out, const char *first, ...)
{
    va_list segments;
    va_start(segments, first);
    for (const char *segment = first; segment; segment = va_arg(segments, const char *)) {
        buf_char(out, '/');
        client_add_escaped(out, str_of(segment));
    }
    va_end(segments);
}

void call_add_field(struct buf *form, const char *name, struct str value)
{
    if (form->len)
        buf_char(form, '&');
    buf_str(form, str_of(name));
    buf_char(form, '=');
    client_add_escaped(form, value);
}

static size_t on_bytes(char *bytes, size_t one, size_t len, void *ctx)
{
    struct buf *answer = ctx;
    (void)one;
    if (answer->len + len > CALL_ANSWER_MAX)
        return 0;
    buf_add(answer, bytes, len);
    return len;
}

static struct curl_slist *headers_of(const struct call *c)
{
    struct buf line = BUF_INIT;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (c->key) {
        buf_printf(&line, "Authorization: Bearer %s", c->key);
        buf_char(&line, 0);
        list = curl_slist_append(list, line.p);
    }
    buf_fini(&line);
    return list;
}

/* The sentence that a refusal has for a body, in one line. */
static void tell_refusal(long status, struct str body, char *why, size_t why_len)
{
    struct str line = str_trim(str_cut(&body, '\n'));
    snprintf(why, why_len, "the master answers %ld%s%.*s", status, line.len ? ": " : "",
             line.len > 200 ? 200 : (int)line.len, line.p);
}

enum err call_master(struct buf *out, const struct call *c, struct str path, struct str form,
                     char *why, size_t why_len)
{
    struct buf url = BUF_INIT, answer = BUF_INIT;
    size_t prefix = strlen(c->master);
    while (prefix && c->master[prefix - 1] == '/')
        prefix--;
    buf_add(&url, c->master, prefix);
    buf_str(&url, path);
    buf_char(&url, 0);
    struct curl_slist *headers = headers_of(c);
    CURL *easy = curl_easy_init();
    long status = 0;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_URL, url.p);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "gusher/" GUSHER_VERSION);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)CALL_WAIT_MS);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    if (c->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
    if (form.p) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)form.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form.p);
    }
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    enum err e = code ? ERR_SYS : status == 200 ? ERR_OK : ERR_DENIED;
    if (e == ERR_SYS)
        snprintf(why, why_len, "%s: %s", c->master, curl_easy_strerror(code));
    else if (e)
        tell_refusal(status, buf_as_str(&answer), why, why_len);
    else
        buf_str(out, buf_as_str(&answer));
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    buf_fini(&url);
    buf_fini(&answer);
    return e;
}
