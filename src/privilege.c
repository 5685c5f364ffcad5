#include "privilege.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Sanitizers look into their own process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LOOKS_AT_ITSELF = 1 };
#else
enum { LOOKS_AT_ITSELF = 0 };
#endif

void privilege_forbid_dumps(void)
{
    /* The limit alone does not hold where the kernel pipes dumps to a program. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!LOOKS_AT_ITSELF)
        prctl(PR_SET_DUMPABLE, 0);
}

bool privilege_drop(const char *name, char *why, size_t why_len)
{
    char user[64];
    const char *colon = strchr(name, ':');
    snprintf(user, sizeof(user), "%.*s", colon ? (int)(colon - name) : (int)strlen(name), name);
    const struct passwd *u = getpwnam(user);
    if (!u) {
        snprintf(why, why_len, "--user: there is no user \"%s\"", user);
        return false;
    }
    uid_t uid = u->pw_uid;
    gid_t gid = u->pw_gid;
    if (colon) {
        const struct group *g = getgrnam(colon + 1);
        if (!g) {
            snprintf(why, why_len, "--user: there is no group \"%s\"", colon + 1);
            return false;
        }
        gid = g->gr_gid;
    }
    /* The C library has every thread do it. */
    if (initgroups(user, gid) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) {
        snprintf(why, why_len, "--user: cannot become %s: %s", name, strerror(errno));
        return false;
    }
    /* And not back again. */
    if (uid && (setuid(0) == 0 || geteuid() != uid)) {
        snprintf(why, why_len, "--user: still root after becoming %s", name);
        return false;
    }
    return true;
}
