#include "edge/scarcity.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include "base/deadline.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/memory.h"
#include "net/descriptors.h"
#include "net/loop.h"

#define LOG_AREA LOG_SERVER

struct scarcity {
    struct scarcity_options o;
    pthread_t thread;
    bool started, ending;
    pthread_mutex_t lock; /* of `ending` */
    pthread_cond_t wake;
    atomic_int memory; /* enum memory_level */
    atomic_bool descriptors_scarce;
    atomic_bool no_descriptor; /* since the last look */
    atomic_uint refused;       /* since the last line that told of them */
    /* The thread's: */
    int64_t shed_ms, trimmed_ms, told_ms, calm_since_ms;
    double clock_ahead_s;    /* the wall clock, of the one that is not stepped */
    bool has_clock, is_near; /* is_near: the end of memory, at the last look */
};

struct scarcity *scarcity_new(const struct scarcity_options *o)
{
    struct scarcity *s = mem_zalloc(sizeof(*s));
    s->o = *o;
    pthread_mutex_init(&s->lock, NULL);
    deadline_cond_init(&s->wake);
    return s;
}

/* ---- for workers ---- */

enum memory_level scarcity_memory(const struct scarcity *s)
{
    return s ? (enum memory_level)atomic_load_explicit(&s->memory, memory_order_relaxed)
             : MEMORY_ENOUGH;
}

unsigned scarcity_reserve(const struct scarcity *s)
{
    return s ? s->o.reserve : 0;
}

void scarcity_refused(struct scarcity *s)
{
    if (s)
        atomic_fetch_add(&s->refused, 1);
}

void scarcity_no_descriptor(struct scarcity *s)
{
    if (s)
        atomic_store(&s->no_descriptor, true);
}

const char *scarcity_trouble(const struct scarcity *s)
{
    if (scarcity_memory(s))
        return "memory is scarce: no new sockets are taken";
    if (s && atomic_load(&s->descriptors_scarce))
        return "descriptors are scarce: no new sockets are taken";
    return NULL;
}

/* ---- memory ---- */

static double percent_of(const struct memory_use *u)
{
    return 100.0 * (double)u->used / (double)u->limit;
}

static enum memory_level level_of(const struct memory_use *u, enum memory_level before)
{
    double percent = percent_of(u);
    if (percent >= (before == MEMORY_SEVERE ? SCARCITY_LESS_SEVERE : SCARCITY_SEVERE))
        return MEMORY_SEVERE;
    if (percent >= (before ? SCARCITY_ENOUGH : SCARCITY_SCARCE))
        return MEMORY_SCARCE;
    return MEMORY_ENOUGH;
}

static void tell_of_memory(struct scarcity *s, const struct memory_use *u, enum memory_level level,
                           enum memory_level before, int64_t now_ms)
{
    if (level > MEMORY_ENOUGH && (level > before || now_ms - s->told_ms >= SCARCITY_AGAIN_MS)) {
        LOG(LOG_ERROR, "memory_scarce",
            LOG_CSTR("action", level == MEMORY_SEVERE ? "no new sockets; stalled ones are closed"
                                                      : "no new sockets"),
            LOG_INT("used", u->used), LOG_INT("limit", u->limit), LOG_CSTR("limit_of", u->of),
            LOG_INT("refused", atomic_exchange(&s->refused, 0)));
        s->told_ms = now_ms;
    } else if (before && !level) {
        LOG(LOG_WARN, "memory_enough", LOG_INT("used", u->used), LOG_INT("limit", u->limit),
            LOG_INT("refused", atomic_exchange(&s->refused, 0)));
    }
}

static void look_at_memory(struct scarcity *s, int64_t now_ms)
{
    struct memory_use u;
    enum memory_level before = scarcity_memory(s), level = MEMORY_ENOUGH;
    s->is_near = memory_look(s->o.root, s->o.memory_max, &u) && percent_of(&u) >= SCARCITY_NEAR;
    if (s->is_near)
        level = level_of(&u, before);
    atomic_store(&s->memory, level);
    tell_of_memory(s, &u, level, before, now_ms);
    if (level == MEMORY_SEVERE && now_ms - s->shed_ms >= SCARCITY_SHED_MS) {
        s->shed_ms = now_ms;
        s->o.shed(s->o.ctx);
    }
    /* What was freed stays with the allocator, and so with us in the eyes of the kernel. */
    if (level && now_ms - s->trimmed_ms >= SCARCITY_TRIM_MS) {
        s->trimmed_ms = now_ms;
        malloc_trim(0);
    }
}

/* ---- descriptors ---- */

/* What a look sees is a moment: a socket that ends leaves room for one. So they are enough when
 * nobody had to be refused for a while. */
static void look_at_descriptors(struct scarcity *s, int64_t now_ms)
{
    unsigned limit = descriptors_look(), used = descriptors_used();
    bool none = atomic_exchange(&s->no_descriptor, false) || used + s->o.reserve >= limit;
    if (none || !s->calm_since_ms)
        s->calm_since_ms = now_ms;
    bool before = atomic_load(&s->descriptors_scarce);
    bool scarce = none || (before && now_ms - s->calm_since_ms < SCARCITY_CALM_MS);
    atomic_store(&s->descriptors_scarce, scarce);
    if (scarce && !before)
        LOG(LOG_ERROR, "descriptors_scarce", LOG_CSTR("action", "no new sockets"),
            LOG_INT("limit", limit), LOG_INT("reserve", s->o.reserve));
    else if (before && !scarce)
        LOG(LOG_WARN, "descriptors_enough", LOG_INT("refused", atomic_exchange(&s->refused, 0)));
}

/* ---- the clock ---- */

/* Nothing here waits by it; what is judged by it (JWTs, bans) is judged otherwise now. */
static void look_at_clock(struct scarcity *s)
{
    double ahead_s = deadline_wall_ahead_s(), step_s = ahead_s - s->clock_ahead_s;
    if (s->has_clock && (step_s > DEADLINE_STEP_S || step_s < -DEADLINE_STEP_S))
        LOG(LOG_WARN, "clock_stepped", LOG_INT("ms", step_s * 1000));
    s->has_clock = true;
    s->clock_ahead_s = ahead_s;
}

/* ---- the thread ---- */

void scarcity_look(struct scarcity *s, int64_t now_ms)
{
    look_at_memory(s, now_ms);
    look_at_descriptors(s, now_ms);
    look_at_clock(s);
    if (s->o.mend)
        s->o.mend(s->o.ctx);
}

static bool is_ending_after(struct scarcity *s, int64_t ms)
{
    const struct timespec until = deadline_in_ms(ms);
    int r = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->ending && r == 0)
        r = pthread_cond_timedwait(&s->wake, &s->lock, &until);
    bool ending = s->ending;
    pthread_mutex_unlock(&s->lock);
    return ending;
}

/* Until the next look at everything; at memory alone more often, when its end is near. */
static bool is_ending_after_rest(struct scarcity *s)
{
    int64_t next_ms = loop_clock_ms() + SCARCITY_LOOK_MS;
    for (int64_t left; (left = next_ms - loop_clock_ms()) > 0;) {
        bool looks = s->is_near && left > SCARCITY_LOOK_NEAR_MS;
        if (is_ending_after(s, looks ? SCARCITY_LOOK_NEAR_MS : left))
            return true;
        if (looks)
            look_at_memory(s, loop_clock_ms());
    }
    return false;
}

static void *run(void *arg)
{
    struct scarcity *s = arg;
    do
        scarcity_look(s, loop_clock_ms());
    while (!is_ending_after_rest(s));
    return NULL;
}

enum err scarcity_start(struct scarcity *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->started = r == 0;
    errno = r;
    return r ? ERR_SYS : ERR_OK;
}

void scarcity_stop(struct scarcity *s)
{
    if (!s || !s->started)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->started = false;
}

void scarcity_free(struct scarcity *s)
{
    if (!s)
        return;
    scarcity_stop(s);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
