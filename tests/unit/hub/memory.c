/* Memory that is out: every allocation of the hub fails once, in turn, the reserve saves each of
 * them, and nobody who subscribes or publishes notices. */
#include "alloc_each.h"
#include <string.h>
#include "hub/hub.h"
#include "hub/pattern.h"
#include "hub_check.h"
#include "names_text.h"

enum { SOCKETS = 80, BULK_MIN = 32, PUSHES = 40 };

static struct crowd {
    struct hub *hub;
    struct hub_socket sockets[SOCKETS];
    uint64_t got[SOCKETS]; /* bytes */
    int interest;
} crowd;

static unsigned number_of(const struct hub_socket *s)
{
    return (unsigned)(s - crowd.sockets);
}

static void deliver(void *ctx, struct hub_socket *s, struct blob *b, bool bulk)
{
    (void)ctx, (void)bulk;
    crowd.got[number_of(s)] += b->len;
}

static void deliver_range(void *ctx, struct hub_socket *s, const struct blob_range *r)
{
    (void)ctx;
    crowd.got[number_of(s)] += r->to - r->from;
}

static struct blob *encode(void *ctx, unsigned encoder, const struct msg *m)
{
    (void)ctx, (void)encoder;
    return blob_of(m->data);
}

static void note_interest(void *ctx, const struct hub_name *name, bool on)
{
    (void)ctx, (void)name;
    crowd.interest += on ? 1 : -1;
}

static void give_all_due(void)
{
    struct hub_due due[7];
    for (unsigned n; (n = hub_due(crowd.hub, due, 7, SIZE_MAX));) {
        for (unsigned i = 0; i < n; i++) {
            for (unsigned k = 0; k < due[i].n; k++)
                deliver_range(NULL, due[i].socket, &due[i].ranges[k]);
        }
    }
}

static void dispatch(enum msg_kind kind, const char *target, struct str data)
{
    struct msg *m = msg_new(kind, STR("app"), str_of(target), STR("e"), data);
    hub_dispatch(crowd.hub, m);
    msg_unref(m);
}

static void join_all(void)
{
    char text[64];
    for (unsigned i = 0; i < SOCKETS; i++) {
        snprintf(text, sizeof(text), "c*;own%u;*", i % 5);
        struct buf list = names_of(text), remotes = names_of("work;");
        struct grants *g =
            grants_get(hub_grants_pool(crowd.hub), buf_as_str(&list), buf_as_str(&remotes));
        snprintf(text, sizeof(text), "user%u", i % 30);
        hub_join(crowd.hub, &crowd.sockets[i], STR("app"), str_of(text), g, i % 3 == 0);
        buf_fini(&list);
        buf_fini(&remotes);
    }
}

/* One channel of all, and some names of their own for some. */
static enum verdict subscribe_all(void)
{
    enum verdict v = VERDICT_GOOD;
    char text[64];
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct hub_socket *s = &crowd.sockets[i];
        v = worse(v, unless(hub_subscribe(crowd.hub, s, STR("c")) != ERR_OK));
        if (i % 4)
            continue;
        snprintf(text, sizeof(text), "c%u;own%u;c\\;", i, i % 5);
        struct buf list = names_of(text);
        v = worse(v, unless(hub_subscribe_all(crowd.hub, s, buf_as_str(&list)) != ERR_OK));
        buf_fini(&list);
    }
    return v;
}

/* Many large pushes, some sockets stalled meanwhile: tails grow, sockets move between lists. */
static enum verdict push_all(void)
{
    enum verdict v = VERDICT_GOOD;
    char data[3000];
    uint64_t sent = 0;
    memset(data, 'x', sizeof(data));
    for (unsigned i = 0; i < PUSHES; i++) {
        size_t len = i % 3 ? 100 : sizeof(data);
        if (i % 8 == 3)
            hub_set_stalled(crowd.hub, &crowd.sockets[i], true);
        if (i % 8 == 6)
            hub_set_stalled(crowd.hub, &crowd.sockets[i - 3], false);
        dispatch(MSG_CHANNEL, "c", str_make(data, len));
        if (i % 5 == 2)
            hub_catch_up(crowd.hub, &crowd.sockets[i]);
        if (i % 10 == 9)
            give_all_due();
        sent += len;
    }
    give_all_due();
    for (unsigned i = 0; i < SOCKETS; i++) {
        hub_catch_up(crowd.hub, &crowd.sockets[i]);
        v = worse(v, unless(crowd.got[i] != sent));
    }
    return v;
}

static enum verdict push_to_some(void)
{
    char id[HUB_SOCKET_ID_LEN + 1] = "";
    uint64_t before = crowd.got[3];
    dispatch(MSG_USER, "user3", STR("12345"));
    hub_socket_id(crowd.hub, &crowd.sockets[3], id);
    dispatch(MSG_SOCKET, id, STR("1234567"));
    return unless(crowd.got[3] != before + 12);
}

static enum verdict change_grants(void)
{
    struct buf list = names_of("own1;c*;"), revoked = BUF_INIT;
    dispatch(MSG_ADD, "user4", STR("more"));
    dispatch(MSG_RELOAD, "user4", buf_as_str(&list));
    enum verdict v = unless(!grants_allow(crowd.sockets[4].grants, STR("cx")) ||
                            grants_allow(crowd.sockets[4].grants, STR("own4")));
    struct grants *g =
        grants_reloaded(hub_grants_pool(crowd.hub), crowd.sockets[8].grants, STR_EMPTY);
    hub_set_grants(crowd.hub, &crowd.sockets[8], g, &revoked);
    v = worse(v, unless(crowd.sockets[8].n_subs != 0 || names_count(buf_as_str(&revoked)) != 4));
    buf_fini(&list);
    buf_fini(&revoked);
    return v;
}

static enum verdict ask(enum hub_question_kind kind, bool hashes, unsigned at_least)
{
    const struct hub_question q = {kind, STR("app"), STR("c"), 7};
    struct buf out = BUF_INIT;
    uint32_t cursor = HUB_CURSOR_BEGIN;
    while (cursor != HUB_CURSOR_END)
        cursor = hub_answer(crowd.hub, &q, hashes, cursor, 200, &out);
    unsigned n = hashes ? (unsigned)(out.len / 16) : names_count(buf_as_str(&out));
    buf_fini(&out);
    return unless(n < at_least);
}

static enum verdict run_hub(void *ctx)
{
    const struct hub_host host = {NULL, deliver, deliver_range, encode, note_interest};
    const struct hub_options o = {
        .node = 1, .worker = 2, .subscriptions_max = 20, .name_max = 1024, .bulk_min = BULK_MIN};
    (void)ctx;
    memset(&crowd, 0, sizeof(crowd));
    crowd.hub = hub_new(&host, &o);
    join_all();
    enum verdict v = subscribe_all();
    v = worse(v, push_all());
    v = worse(v, push_to_some());
    v = worse(v, ask(HUB_CHANNELS, false, 20));
    v = worse(v, ask(HUB_USERS, true, 30));
    v = worse(v, ask(HUB_USERS_OF_CHANNEL, false, 30));
    v = worse(v, change_grants());
    v = worse(v, unless(hub_check(crowd.hub)));
    for (unsigned i = 0; i < SOCKETS; i++)
        hub_leave(crowd.hub, &crowd.sockets[i]);
    v = worse(v, unless(hub_check(crowd.hub) || crowd.interest != 0));
    hub_free(crowd.hub);
    return v;
}

/* RE2 allocates by `new`, also while it matches. */
static enum verdict run_pattern(void *ctx)
{
    struct pattern *p;
    char long_name[2000];
    (void)ctx;
    memset(long_name, 'a', sizeof(long_name));
    if (pattern_new(&p, STR("^(room|hall)-([a-z]+|\\d{2,5})(x|yy)*$")))
        return VERDICT_REFUSED;
    enum verdict v = unless(!pattern_match(p, STR("room-abcyyx")));
    v = worse(v, unless(!pattern_match(p, STR("hall-1234"))));
    v = worse(v, unless(pattern_match(p, STR("hall-1"))));
    v = worse(v, unless(pattern_match(p, str_make(long_name, sizeof(long_name)))));
    pattern_free(p);
    v = worse(v, unless(pattern_new(&p, STR("(a")) != ERR_PROTO));
    return worse(v, unless(pattern_new(&p, STR("((a{100}){100}){100}")) == ERR_OK));
}

static void of_the_hub(void **unused)
{
    (void)unused;
    const struct alloc_scenario s = {.name = "hub", .run = run_hub, .saved_by_reserve = true};
    alloc_each(&s, false, 6);
}

static void of_a_pattern(void **unused)
{
    (void)unused;
    const struct alloc_scenario s = {
        .name = "pattern", .run = run_pattern, .saved_by_reserve = true};
    alloc_each(&s, false, 3);
    alloc_each(&s, true, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_hub),
        cmocka_unit_test(of_a_pattern),
    };
    cmocka_set_test_filter(getenv("ALLOC_FAIL_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
