#include "load.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/names.h"
#include "cli/devkeys.h"
#include "net/loop.h"
#include "remote/fetch.h"
#include "run.h"

#define LOG_AREA LOG_SERVER

enum {
    KEYS_FILE_MAX = 1 << 20,   /* bytes of a file with public keys */
    TLS_FILE_MAX = 256 * 1024, /* of a certificate with its chain, of a private key */
    JWKS_WAIT_MS = 10 * 1000,  /* for --jwks-url, each time */
    JWKS_START_PAUSE_MS = 500, /* between the tries of the start */
};

static const struct str no_kid = {NULL, 0};

void load_fini(struct load *l)
{
    buf_fini(&l->jwks);
    buf_fini(&l->private_pem);
}

/* ---- options ---- */

static bool has_keys_in_files(const struct config *c)
{
    return c->public_pem_file || c->public_pem_folder || c->jwks_file;
}

static struct origins *read_origins(const struct config *c, char *why, size_t why_len)
{
    struct origins *o = origins_new();
    for (unsigned i = 0; i < c->allowed_origins.n; i++) {
        const char *pattern = c->allowed_origins.items[i];
        if (!origins_add(o, str_of(pattern)))
            continue;
        snprintf(why, why_len,
                 "--allow-origin (GUSHER_ALLOW_ORIGIN) takes what browsers send, as "
                 "https://shop.example or https://*.shop.example without a path, not \"%s\"",
                 pattern);
        origins_free(o);
        return NULL;
    }
    return o;
}

bool load_check(const struct config *c, char *why, size_t why_len)
{
    const char *wrong = NULL;
    if (c->dev && (has_keys_in_files(c) || c->jwks_url))
        wrong = "--dev makes its own key: leave --public-pem-file (GUSHER_PUBLIC_PEM_FILE) and the "
                "other sources of keys out";
    else if (!c->dev && !has_keys_in_files(c) && !c->jwks_url)
        wrong = "a public key is needed to verify JWTs: --public-pem-file "
                "(GUSHER_PUBLIC_PEM_FILE), --public-pem-folder, --jwks-file or --jwks-url; or "
                "--dev to try things out";
    else if (c->jwks_url && !fetch_is_url(c->jwks_url))
        wrong = "--jwks-url (GUSHER_JWKS_URL) takes http(s)://HOST[:PORT][/PATH]";
    else if (c->tls_cert_files.n != c->tls_key_files.n)
        wrong = "each certificate needs its key: --tls-cert-file (GUSHER_TLS_CERT_FILE) and "
                "--tls-key-file (GUSHER_TLS_KEY_FILE) must stand equally often";
    if (wrong) {
        snprintf(why, why_len, "%s", wrong);
        return false;
    }
    struct origins *o = read_origins(c, why, why_len);
    origins_free(o);
    return o;
}

/* ---- keys in files ---- */

/* Puts the file's name before what is wrong with it. */
static bool blame(const char *path, const char *detail, char *why, size_t why_len)
{
    snprintf(why, why_len, "%s: %s", path, detail);
    return false;
}

static bool add_pem_file(struct keys *k, const char *path, struct str kid, char *why,
                         size_t why_len)
{
    struct buf pem = BUF_INIT;
    char detail[256];
    bool ok = run_read_file(path, KEYS_FILE_MAX, &pem, why, why_len);
    if (ok && keys_add_pem(k, buf_as_str(&pem), kid, detail, sizeof(detail)))
        ok = blame(path, detail, why, why_len);
    buf_fini(&pem);
    return ok;
}

static int is_visible_pem(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".pem") == 0;
}

static bool add_pem_folder(struct keys *k, const char *folder, char *why, size_t why_len)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_visible_pem, alphasort);
    bool ok = n >= 0;
    if (!ok)
        snprintf(why, why_len, "cannot read %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        ok = ok && add_pem_file(k, path, str_make(name, strlen(name) - 4), why, why_len);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return ok;
}

static void log_passed_over(const struct jwks_report *r)
{
    if (r->n_passed_over)
        LOG(LOG_WARN, "jwks_keys_passed_over", LOG_INT("keys", r->n_passed_over),
            LOG_INT("taken", r->n_taken), LOG_CSTR("reason", r->reason));
}

static bool add_jwks_file(struct keys *k, const char *path, char *why, size_t why_len)
{
    struct buf json = BUF_INIT;
    struct jwks_report report;
    char detail[256];
    bool ok = run_read_file(path, JWKS_BYTES_MAX, &json, why, why_len);
    if (ok && keys_add_jwks(k, buf_as_str(&json), &report, detail, sizeof(detail)))
        ok = blame(path, detail, why, why_len);
    else if (ok)
        log_passed_over(&report);
    buf_fini(&json);
    return ok;
}

static bool add_dev_key(struct load *l, struct keys *k, char *why, size_t why_len)
{
    struct buf pem = BUF_INIT;
    char folder[4096];
    run_state_folder(l->config, folder, sizeof(folder));
    buf_clear(&l->private_pem);
    bool ok = devkeys_ensure(folder, &l->private_pem, &pem, why, why_len) == ERR_OK &&
              keys_add_pem(k, buf_as_str(&pem), no_kid, why, why_len) == ERR_OK;
    buf_fini(&pem);
    return ok;
}

static bool add_all_keys(struct load *l, struct keys *k, char *why, size_t why_len)
{
    const struct config *c = l->config;
    struct jwks_report report;
    if ((c->dev && !add_dev_key(l, k, why, why_len)) ||
        (c->public_pem_file && !add_pem_file(k, c->public_pem_file, no_kid, why, why_len)) ||
        (c->public_pem_folder && !add_pem_folder(k, c->public_pem_folder, why, why_len)) ||
        (c->jwks_file && !add_jwks_file(k, c->jwks_file, why, why_len)) ||
        (l->jwks.len && keys_add_jwks(k, buf_as_str(&l->jwks), &report, why, why_len)))
        return false;
    if (!keys_count(k))
        snprintf(why, why_len, "there is no key that could verify a JWT");
    return keys_count(k);
}

/* ---- all of it ---- */

static bool add_master_keys(struct trust *t, const char *path, char *why, size_t why_len)
{
    struct buf text = BUF_INIT;
    char detail[256];
    bool ok = run_read_file(path, MASTER_KEYS_FILE_MAX, &text, why, why_len);
    if (ok && master_keys_parse(&t->master_keys, buf_as_str(&text), detail, sizeof(detail))) {
        snprintf(why, why_len, "%s, %s", path, detail);
        ok = false;
    }
    buf_fini(&text);
    return ok;
}

static void add_names(struct buf *names, const struct config_list *list)
{
    for (unsigned i = 0; i < list->n; i++)
        names_add(names, str_of(list->items[i]));
}

struct trust *load_trust(struct load *l, char *why, size_t why_len)
{
    const struct config *c = l->config;
    struct trust *t = trust_new();
    t->keys = keys_new();
    add_names(&t->rules.audiences, &c->jwt_audiences);
    add_names(&t->rules.issuers, &c->jwt_issuers);
    t->rules.leeway_s = (double)c->jwt_leeway;
    bool ok = add_all_keys(l, t->keys, why, why_len);
    if (ok && c->master_keys_file)
        ok = add_master_keys(t, c->master_keys_file, why, why_len);
    if (ok && c->allowed_origins.n)
        ok = (t->origins = read_origins(c, why, why_len)) != NULL;
    if (ok)
        return t;
    trust_unref(t);
    return NULL;
}

/* ---- certificates ---- */

struct tls_files {
    struct buf certificate, key;
};

static bool read_tls_files(struct tls_files *f, const char *certificate, const char *key, char *why,
                           size_t why_len)
{
    return run_read_file(certificate, TLS_FILE_MAX, &f->certificate, why, why_len) &&
           run_read_file(key, TLS_FILE_MAX, &f->key, why, why_len);
}

static void tls_files_fini(struct tls_files *f)
{
    if (f->key.p)
        explicit_bzero(f->key.p, f->key.cap);
    buf_fini(&f->key);
    buf_fini(&f->certificate);
}

bool load_tls(const struct load *l, const struct tls_context *before, struct tls_context **out,
              char *why, size_t why_len)
{
    const struct config_list *certificates = &l->config->tls_cert_files;
    const struct config_list *keys = &l->config->tls_key_files;
    struct tls_files files[CONFIG_LIST_MAX] = {0};
    struct tls_certificate list[CONFIG_LIST_MAX];
    unsigned n = certificates->n;
    bool ok = true;
    *out = NULL;
    for (unsigned i = 0; ok && i < n; i++) {
        ok = read_tls_files(&files[i], certificates->items[i], keys->items[i], why, why_len);
        list[i] =
            (struct tls_certificate){buf_as_str(&files[i].certificate), buf_as_str(&files[i].key),
                                     certificates->items[i], keys->items[i]};
    }
    if (ok && n)
        ok = tls_context_new(out, list, n, before, why, why_len) == ERR_OK;
    for (unsigned i = 0; i < n; i++)
        tls_files_fini(&files[i]);
    return ok;
}

/* ---- keys from an address ---- */

/* A set that has a usable key, appended to *json. What is as it was (`known`) was judged before,
 * and nothing is said of it again. */
static bool fetch_jwks(const struct config *c, bool (*stops)(void), struct str known,
                       struct buf *json, char *why, size_t why_len)
{
    const struct fetch_options o = {c->jwks_url, JWKS_BYTES_MAX, JWKS_WAIT_MS, stops};
    struct jwks_report report;
    if (fetch_get(json, &o, why, why_len))
        return false;
    if (known.len && str_eq(buf_as_str(json), known))
        return true;
    struct keys *k = keys_new();
    bool good = keys_add_jwks(k, buf_as_str(json), &report, why, why_len) == ERR_OK;
    if (good)
        log_passed_over(&report);
    keys_free(k);
    return good;
}

static void rest(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void log_not_refreshed(const char *why)
{
    LOG(LOG_ERROR, "jwks_not_refreshed", LOG_CSTR("reason", why));
}

bool load_first_jwks(struct load *l, bool (*stops)(void), char *why, size_t why_len)
{
    char detail[256];
    int64_t end_ms = loop_clock_ms() + JWKS_WAIT_MS;
    bool is_only_source = !has_keys_in_files(l->config), again;
    do {
        buf_clear(&l->jwks);
        if (fetch_jwks(l->config, stops, STR_EMPTY, &l->jwks, detail, sizeof(detail)))
            return true;
        again = is_only_source && loop_clock_ms() < end_ms && !stops();
        if (again)
            rest(JWKS_START_PAUSE_MS);
    } while (again);
    buf_clear(&l->jwks);
    if (is_only_source)
        snprintf(why, why_len, "no keys came from --jwks-url (GUSHER_JWKS_URL) in %d s: %s",
                 JWKS_WAIT_MS / 1000, detail);
    else
        log_not_refreshed(detail);
    return !is_only_source;
}

bool load_refresh_jwks(struct load *l, bool (*stops)(void), struct trust **out)
{
    char why[512];
    struct buf json = BUF_INIT, before = l->jwks;
    bool ok = fetch_jwks(l->config, stops, buf_as_str(&before), &json, why, sizeof(why));
    *out = NULL;
    if (ok && !str_eq(buf_as_str(&json), buf_as_str(&before))) {
        l->jwks = json;
        json = BUF_INIT;
        *out = load_trust(l, why, sizeof(why));
        ok = *out;
        struct buf loser = ok ? before : l->jwks;
        l->jwks = ok ? l->jwks : before;
        buf_fini(&loser);
    }
    buf_fini(&json);
    if (*out)
        LOG(LOG_INFO, "jwks_refreshed", LOG_INT("keys", keys_count((*out)->keys)));
    else if (!ok && !stops())
        log_not_refreshed(why);
    return ok;
}
