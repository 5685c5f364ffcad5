#include "auth/master_keys.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include "auth/base64url.h"
#include "base/mem.h"

enum { HASH_LEN = 32, SECRET_LEN = 32 };

#define HASH_PREFIX   STR("sha256:")
#define SECRET_PREFIX "gk_"

struct master_key {
    struct str name, apps; /* apps: as in the file */
    unsigned rights;
    unsigned char hash[HASH_LEN];
};

struct master_keys {
    EVP_MD *sha256;
    struct buf text; /* of the file: names and apps lie in it */
    unsigned n;
    struct master_key *keys;
};

/* What stays in this thread's queue of errors would be taken for a failure of a TLS connection. */
static bool hash_of(const struct master_keys *k, struct str secret, unsigned char hash[HASH_LEN])
{
    unsigned len;
    if (EVP_Digest(secret.p, secret.len, hash, &len, k->sha256, NULL) == 1 && len == HASH_LEN)
        return true;
    ERR_clear_error();
    return false;
}

/* ---- the file ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word of a line, STR_EMPTY at its end. */
static struct str next_word(struct str *rest)
{
    while (rest->len && is_blank(rest->p[0]))
        rest->p++, rest->len--;
    struct str word = {rest->p, 0};
    while (word.len < rest->len && !is_blank(rest->p[word.len]))
        word.len++;
    rest->p += word.len;
    rest->len -= word.len;
    return word;
}

static bool read_hash(struct str word, unsigned char hash[HASH_LEN])
{
    if (!str_starts(word, HASH_PREFIX) || word.len != HASH_PREFIX.len + 2 * HASH_LEN)
        return false;
    const char *digits = word.p + HASH_PREFIX.len;
    for (unsigned i = 0; i < HASH_LEN; i++) {
        int high = str_hex_digit(digits[2 * i]), low = str_hex_digit(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool ends_well(struct str list)
{
    return list.len && list.p[list.len - 1] != ',';
}

/* 0: not a list of rights. */
static unsigned read_rights(struct str list)
{
    static const struct {
        struct str name;
        enum master_right right;
    } names[] = {{STR("publish"), MASTER_PUBLISH},
                 {STR("query"), MASTER_QUERY},
                 {STR("admin"), MASTER_ADMIN}};
    unsigned rights = 0;
    if (!ends_well(list))
        return 0;
    while (list.len) {
        struct str name = str_cut(&list, ',');
        unsigned right = 0;
        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (str_eq(name, names[i].name))
                right = names[i].right;
        }
        if (!right)
            return 0;
        rights |= right;
    }
    return rights;
}

static bool is_list_of_apps(struct str list)
{
    if (!ends_well(list))
        return false;
    while (list.len) {
        if (!str_cut(&list, ',').len)
            return false;
    }
    return true;
}

static bool is_name(struct str name)
{
    if (!name.len || name.len > MASTER_KEY_NAME_MAX || name.p[0] == '#')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return false;
    }
    return true;
}

/* What is wrong with a line that has something to say, or NULL. */
static const char *read_line(struct master_key *k, struct str line)
{
    struct str hash;
    k->name = next_word(&line);
    hash = next_word(&line);
    k->apps = next_word(&line);
    k->rights = read_rights(next_word(&line));
    if (!is_name(k->name))
        return "the name must have 1 to 64 visible characters of ASCII";
    if (!read_hash(hash, k->hash))
        return "behind the name \"sha256:\" and 64 hexadecimal digits are wanted";
    if (!is_list_of_apps(k->apps))
        return "behind the hash the apps are wanted, with commas between them, or *";
    if (!k->rights)
        return "behind the apps the rights are wanted: publish, query, admin with commas between "
               "them";
    return next_word(&line).len ? "there is more behind the rights" : NULL;
}

static bool says_nothing(struct str line)
{
    line = str_trim(line);
    return !line.len || line.p[0] == '#';
}

static const struct master_key *find_name(const struct master_keys *k, struct str name)
{
    for (unsigned i = 0; i < k->n; i++) {
        if (str_eq(k->keys[i].name, name))
            return &k->keys[i];
    }
    return NULL;
}

static enum err read_lines(struct master_keys *k, char *why, size_t why_len)
{
    struct str rest = buf_as_str(&k->text);
    for (unsigned number = 1; rest.len; number++) {
        struct str line = str_cut(&rest, '\n');
        struct master_key key;
        if (says_nothing(line))
            continue;
        const char *wrong = read_line(&key, str_trim(line));
        if (!wrong && find_name(k, key.name))
            wrong = "a key of this name was there before";
        if (!wrong && k->n == MASTER_KEYS_MAX)
            wrong = "there are too many keys";
        if (wrong) {
            snprintf(why, why_len, "line %u: %s", number, wrong);
            return ERR_PROTO;
        }
        k->keys = mem_realloc(k->keys, (k->n + 1) * sizeof(*k->keys));
        k->keys[k->n++] = key;
    }
    return ERR_OK;
}

enum err master_keys_parse(struct master_keys **out, struct str text, char *why, size_t why_len)
{
    if (text.len > MASTER_KEYS_FILE_MAX) {
        snprintf(why, why_len, "it has over %d bytes", MASTER_KEYS_FILE_MAX);
        return ERR_LIMIT;
    }
    struct master_keys *k = mem_zalloc(sizeof(*k));
    buf_str(&k->text, text);
    k->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    enum err e = ERR_PROTO;
    if (k->sha256)
        e = read_lines(k, why, why_len);
    else
        snprintf(why, why_len, "OpenSSL has no SHA-256");
    if (e)
        master_keys_free(k);
    else
        *out = k;
    ERR_clear_error();
    return e;
}

void master_keys_free(struct master_keys *k)
{
    if (!k)
        return;
    EVP_MD_free(k->sha256);
    buf_fini(&k->text);
    mem_free(k->keys);
    mem_free(k);
}

/* ---- use ---- */

const struct master_key *master_keys_find(const struct master_keys *k, struct str secret)
{
    unsigned char hash[HASH_LEN];
    const struct master_key *found = NULL;
    if (secret.len > MASTER_KEY_BYTES_MAX || !hash_of(k, secret, hash))
        return NULL;
    for (unsigned i = 0; i < k->n; i++) {
        if (CRYPTO_memcmp(k->keys[i].hash, hash, HASH_LEN) == 0)
            found = &k->keys[i];
    }
    return found;
}

bool master_key_has_right(const struct master_key *k, enum master_right right)
{
    return k->rights & right;
}

bool master_key_has_all_apps(const struct master_key *k)
{
    return str_eq(k->apps, STR("*"));
}

bool master_key_has_app(const struct master_key *k, struct str app)
{
    struct str apps = k->apps;
    bool found = master_key_has_all_apps(k);
    while (apps.len && !found)
        found = str_eq(str_cut(&apps, ','), app);
    return found;
}

struct str master_key_name(const struct master_key *k)
{
    return k->name;
}

/* ---- making ---- */

static bool make_secret(struct buf *secret)
{
    unsigned char random[SECRET_LEN];
    if (RAND_priv_bytes(random, sizeof(random)) != 1)
        return false;
    buf_str(secret, STR(SECRET_PREFIX));
    base64url_encode(secret, random, sizeof(random));
    OPENSSL_cleanse(random, sizeof(random));
    return true;
}

static bool has_blank(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.p[i] <= ' ')
            return true;
    }
    return false;
}

/* The line of a key, and whether the file would take it, as that key and no other. */
static enum err make_line(struct buf *line, const unsigned char hash[HASH_LEN], struct str name,
                          struct str apps, struct str rights, char *why, size_t why_len)
{
    struct master_keys *k;
    if (has_blank(name) || has_blank(apps) || has_blank(rights)) {
        snprintf(why, why_len, "name, apps and rights are words without blanks");
        return ERR_PROTO;
    }
    buf_str(line, name);
    buf_str(line, STR(" sha256:"));
    for (unsigned i = 0; i < HASH_LEN; i++)
        buf_printf(line, "%02x", hash[i]);
    buf_printf(line, " %.*s %.*s\n", (int)apps.len, apps.p, (int)rights.len, rights.p);
    enum err e = master_keys_parse(&k, buf_as_str(line), why, why_len);
    if (e)
        return e;
    if (k->n != 1 || !str_eq(k->keys[0].name, name) || !str_eq(k->keys[0].apps, apps)) {
        snprintf(why, why_len, "with that name it would be no line of a key");
        e = ERR_PROTO;
    }
    master_keys_free(k);
    return e;
}

enum err master_key_make(struct buf *secret, struct buf *line, struct str name, struct str apps,
                         struct str rights, char *why, size_t why_len)
{
    struct master_keys none = {.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)};
    struct buf made = BUF_INIT, text = BUF_INIT;
    unsigned char hash[HASH_LEN];
    enum err e = ERR_SYS;
    if (none.sha256 && make_secret(&made) && hash_of(&none, buf_as_str(&made), hash))
        e = make_line(&text, hash, name, apps, rights, why, why_len);
    else
        snprintf(why, why_len, "OpenSSL gives no random numbers");
    if (!e) {
        buf_str(secret, buf_as_str(&made));
        buf_str(line, buf_as_str(&text));
    }
    if (made.len)
        OPENSSL_cleanse(made.p, made.len);
    EVP_MD_free(none.sha256);
    buf_fini(&made);
    buf_fini(&text);
    ERR_clear_error();
    return e;
}
