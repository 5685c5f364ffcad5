#include "check.h"
#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "bus/nats.h"
#include "net/loop.h"
#include "run.h"

enum { PEER_WAIT_MS = 5000, DESCRIPTORS_FEW = 4096, EXPIRES_SOON_S = 14 * 86400 };

struct checks {
    struct load *load;
    const struct config *config;
    const struct server_options *options;
    unsigned n_wrong;
};

static void say(const char *how, const char *format, va_list ap)
{
    printf("%-5s ", how);
    vprintf(format, ap);
    printf("\n");
}

static void fine(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void fine(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("ok", format, ap);
    va_end(ap);
}

/* It works, but may not be what is meant. */
static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("note", format, ap);
    va_end(ap);
}

static void wrong(struct checks *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(struct checks *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("wrong", format, ap);
    va_end(ap);
    c->n_wrong++;
}

/* ---- what is on this machine ---- */

static void check_ports(struct checks *c)
{
    for (unsigned i = 0; i < c->options->n_listens; i++) {
        char text[64];
        address_write(text, &c->options->listens[i].address);
        if (address_probe(&c->options->listens[i].address))
            wrong(c, "cannot listen on %s: %s%s", text, strerror(errno),
                  errno == EADDRINUSE ? " (is gusher running already?)" : "");
        else
            fine("%s is free", text);
    }
}

static void check_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    if (limit.rlim_max < DESCRIPTORS_FEW)
        note("only %llu descriptors are permitted, so about as many connections (ulimit -Hn, "
             "LimitNOFILE)",
             (unsigned long long)limit.rlim_max);
    else
        fine("%llu descriptors are permitted", (unsigned long long)limit.rlim_max);
}

static void check_user(struct checks *c)
{
    char name[256];
    const char *user = c->config->run_as;
    if (!user)
        return;
    snprintf(name, sizeof(name), "%s", user);
    char *group = strchr(name, ':');
    if (group)
        *group++ = 0;
    if (!getpwnam(name))
        wrong(c, "--user: there is no user %s", name);
    else if (group && !getgrnam(group))
        wrong(c, "--user: there is no group %s", group);
    else if (geteuid() != 0)
        wrong(c, "--user takes a start as root");
    else
        fine("user %s", user);
}

static void check_bans_file(struct checks *c)
{
    const char *path = c->config->bans_file;
    struct stat s;
    if (!path)
        return;
    if (stat(path, &s) == 0 ? access(path, R_OK | W_OK) != 0 : errno != ENOENT) {
        wrong(c, "--bans-file: %s: %s", path, strerror(errno));
        return;
    }
    char folder[4096];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    if (access(slash ? folder : ".", W_OK | X_OK))
        wrong(c, "--bans-file: no file can be made in %s: %s", slash ? folder : ".",
              strerror(errno));
    else
        fine("bans are kept in %s", path);
}

/* ---- keys and certificates ---- */

static void check_keys(struct checks *c)
{
    char why[512];
    if (c->config->dev) {
        fine("--dev makes its own key");
        return;
    }
    if (c->config->jwks_url && !load_first_jwks(c->load, NULL, why, sizeof(why)))
        wrong(c, "%s", why);
    struct trust *trust = load_trust(c->load, why, sizeof(why));
    if (!trust) {
        wrong(c, "%s", why);
        return;
    }
    unsigned n = keys_count(trust->keys);
    fine("%u public key%s to verify JWTs", n, n == 1 ? "" : "s");
    if (c->config->master_keys_file)
        fine("%s has keys for the master", c->config->master_keys_file);
    else if (c->config->master_open)
        note("the master serves everybody who reaches it (--master-open)");
    trust_unref(trust);
}

static void check_certificates(struct checks *c)
{
    char why[512], text[32] = "?";
    struct tls_context *tls;
    struct tm tm;
    if (!c->config->tls_cert_files.n)
        return;
    if (!load_tls(c->load, NULL, &tls, why, sizeof(why))) {
        wrong(c, "%s", why);
        return;
    }
    time_t expires = (time_t)tls_context_expires(tls);
    if (gmtime_r(&expires, &tm))
        strftime(text, sizeof(text), "%Y-%m-%d", &tm);
    if ((double)expires < run_unix_now())
        wrong(c, "a certificate has expired on %s", text);
    else if ((double)expires < run_unix_now() + EXPIRES_SOON_S)
        note("a certificate expires on %s", text);
    else
        fine("%u certificate%s, good until %s", c->config->tls_cert_files.n,
             c->config->tls_cert_files.n == 1 ? "" : "s", text);
    tls_context_unref(tls);
}

/* ---- whom the server would talk to ---- */

static void on_message(void *ctx, struct str bytes)
{
    (void)ctx;
    (void)bytes;
}

static void on_change(void *ctx, bool connected)
{
    atomic_store((atomic_bool *)ctx, connected);
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_refusal(void *ctx, const char *what)
{
    (void)ctx;
    (void)what;
}

static void check_nats(struct checks *c)
{
    static atomic_bool connected;
    char why[512];
    struct nats *n;
    const struct nats_options o = {.servers = c->config->nats,
                                   .creds = c->config->nats_creds,
                                   .ca_file = c->config->nats_ca_file,
                                   .name = "gusher check",
                                   .ctx = &connected,
                                   .came = on_message,
                                   .changed = on_change,
                                   .over = on_nothing,
                                   .not_permitted = on_refusal,
                                   .lost = on_nothing};
    if (!c->config->nats)
        return;
    if (nats_open(&n, &o, why, sizeof(why))) {
        wrong(c, "--nats: %s", why);
        return;
    }
    int64_t until_ms = loop_clock_ms() + PEER_WAIT_MS;
    while (!atomic_load(&connected) && loop_clock_ms() < until_ms) {
        struct pollfd p = {.fd = nats_fd(n), .events = POLLIN};
        poll(&p, 1, 100);
        nats_serve(n);
    }
    if (atomic_load(&connected))
        fine("NATS answers");
    else
        wrong(c, "NATS does not let us in within %d s: %s", PEER_WAIT_MS / 1000,
              nats_last_error(n));
    nats_close(n);
}

/* The port that a scheme has if none is said, where libcurl does not know it. */
static const char *standard_port(const char *url)
{
    return strncmp(url, "redis:", 6) == 0 ? "6379" : strncmp(url, "nats:", 5) == 0 ? "4222" : NULL;
}

static bool connects(const char *host, const char *port, char *why, size_t why_len)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int e = getaddrinfo(host, port, &hints, &list), fd = -1;
    if (e) {
        snprintf(why, why_len, "%s: %s", host, gai_strerror(e));
        return false;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        const struct timeval wait = {.tv_sec = PEER_WAIT_MS / 1000};
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            snprintf(why, why_len, "%s:%s: %s", host, port, strerror(errno));
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Whether somebody is there; what it makes of commands shows when there are some. */
static void check_remote(struct checks *c)
{
    const char *url = c->config->remote_url;
    char why[512], first[1024], *host = NULL, *port = NULL;
    if (!url)
        return;
    snprintf(first, sizeof(first), "%.*s", (int)strcspn(url, ","), url);
    CURLU *u = curl_url();
    bool is_url = u && !curl_url_set(u, CURLUPART_URL, first, CURLU_NON_SUPPORT_SCHEME) &&
                  !curl_url_get(u, CURLUPART_HOST, &host, 0);
    if (is_url)
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    const char *at = port ? port : standard_port(first);
    if (!is_url || !at)
        wrong(c, "--remote-url: that is no address");
    else if (!connects(host, at, why, sizeof(why)))
        wrong(c, "--remote-url: %s", why);
    else
        fine("%s:%s answers, for remote commands", host, at);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
}

int check_all(struct load *l, const struct server_options *o)
{
    struct checks c = {.load = l, .config = l->config, .options = o};
    check_ports(&c);
    check_descriptors();
    check_user(&c);
    check_keys(&c);
    check_certificates(&c);
    check_bans_file(&c);
    check_nats(&c);
    check_remote(&c);
    if (c.n_wrong)
        printf("\n%u thing%s wrong.\n", c.n_wrong, c.n_wrong == 1 ? " is" : "s are");
    else
        printf("\nIt would start.\n");
    return c.n_wrong ? 1 : 0;
}
