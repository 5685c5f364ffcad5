#include "remote/fetch.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include "remote/backend.h"

enum { LOOK_MS = 100 };

struct body {
    struct buf *out;
    size_t left; /* bytes that may still come */
};

bool fetch_is_url(const char *text)
{
    return (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) &&
           remote_is_http_url(text);
}

static size_t on_bytes(char *bytes, size_t one, size_t len, void *ctx)
{
    struct body *b = ctx;
    (void)one;
    if (len > b->left)
        return 0;
    buf_add(b->out, bytes, len);
    b->left -= len;
    return len;
}

static void set_options(CURL *easy, const struct fetch_options *o, struct body *body)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_URL, o->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "gusher/" GUSHER_VERSION);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)REMOTE_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, o->wait_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
}

/* Until it is over; false: `stops` ended it. */
static bool run(CURLM *multi, const struct fetch_options *o)
{
    for (int running = 1; running;) {
        if (o->stops && o->stops())
            return false;
        if (curl_multi_perform(multi, &running) ||
            (running && curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL)))
            return true;
    }
    return true;
}

static enum err judge(CURLM *multi, CURL *easy, const struct body *body, char *why, size_t why_len)
{
    int left;
    long status = 0;
    CURLMsg *m = curl_multi_info_read(multi, &left);
    CURLcode code = m ? m->data.result : CURLE_FAILED_INIT;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status == 200)
        return ERR_OK;
    if (code == CURLE_OK)
        snprintf(why, why_len, "the answer has status %ld", status);
    else if (code == CURLE_WRITE_ERROR)
        snprintf(why, why_len, "the answer is longer than the %zu bytes that are read",
                 body->out->len + body->left);
    else
        snprintf(why, why_len, "%s", curl_easy_strerror(code));
    return ERR_SYS;
}

enum err fetch_get(struct buf *out, const struct fetch_options *o, char *why, size_t why_len)
{
    struct buf text = BUF_INIT;
    struct body body = {&text, o->bytes_max};
    remote_begin_curl();
    CURL *easy = curl_easy_init();
    CURLM *multi = curl_multi_init();
    enum err e = ERR_SYS;
    if (!easy || !multi) {
        snprintf(why, why_len, "libcurl cannot begin");
    } else {
        set_options(easy, o, &body);
        curl_multi_add_handle(multi, easy);
        if (run(multi, o)) {
            e = judge(multi, easy, &body, why, why_len);
        } else {
            e = ERR_AWAY;
            snprintf(why, why_len, "it was not waited for");
        }
        curl_multi_remove_handle(multi, easy);
    }
    if (!e)
        buf_str(out, buf_as_str(&text));
    buf_fini(&text);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    return e;
}
