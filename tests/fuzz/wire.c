/* wire.c - letters between nodes, from anybody who can publish to the same NATS. What was read is
 * written again and reads the same; lists of names and records of a census in it are walked when
 * they are valid. */
#include "bus/wire.h"
#include "base/names.h"
#include "hub/census.h"
#include "hub/msg.h"
#include "fuzz_check.h"

static void check_same(const struct wire *a, const struct wire *b)
{
    CHECK(a->kind == b->kind);
    CHECK(a->node == b->node && a->worker == b->worker && a->number == b->number);
    CHECK(a->msg_kind == b->msg_kind && a->question_kind == b->question_kind);
    CHECK(a->page_bytes == b->page_bytes && a->seed == b->seed);
    CHECK(a->count_only == b->count_only && a->follows == b->follows);
    CHECK(a->from_worker == b->from_worker && a->cursor == b->cursor);
    CHECK(a->incarnation == b->incarnation && a->roles == b->roles);
    CHECK(a->n_workers == b->n_workers);
    CHECK(str_eq(a->app, b->app) && str_eq(a->target, b->target));
    CHECK(str_eq(a->event, b->event) && str_eq(a->data, b->data));
    CHECK(str_eq(a->channel, b->channel) && str_eq(a->pattern, b->pattern));
    CHECK(str_eq(a->server, b->server));
}

static void check_within(struct str text, struct str letter)
{
    CHECK(!text.len || (text.p >= letter.p && text.p + text.len <= letter.p + letter.len));
}

/* What is valid can be walked, and written again. */
static void check_names(struct str list)
{
    if (!names_valid(list))
        return;
    struct buf again = BUF_INIT;
    uint32_t n = 0;
    for (struct str rest = list, name; names_next(&rest, &name); n++) {
        check_within(name, list);
        names_add(&again, name);
    }
    CHECK(n == names_count(list));
    CHECK(str_eq(buf_as_str(&again), list));
    buf_fini(&again);
}

static void check_census(struct str list)
{
    if (!census_valid(list))
        return;
    struct buf again = BUF_INIT;
    struct str rest = list;
    for (struct census_record r; census_next(&rest, &r);) {
        check_within(r.app, list);
        check_within(r.users, list);
        census_add(&again, &r);
    }
    CHECK(str_eq(buf_as_str(&again), list));
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str letter = str_make(len ? (const char *)data : "", len);
    struct wire w, again;
    enum err e = wire_read(&w, letter);
    CHECK(e == ERR_OK || e == ERR_PROTO || e == ERR_LIMIT);
    if (e)
        return 0;
    CHECK(w.kind >= WIRE_MSG && w.kind < WIRE_KINDS);
    const struct str texts[] = {w.app, w.target, w.event, w.data, w.channel, w.pattern, w.server};
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_within(texts[i], letter);

    struct buf written = BUF_INIT;
    wire_write(&written, &w);
    /* Never longer than it came: what was there twice, empty or unknown is gone. */
    CHECK(written.len <= len);
    CHECK(wire_read(&again, buf_as_str(&written)) == ERR_OK);
    check_same(&w, &again);
    buf_fini(&written);

    if (w.kind == WIRE_PART || (w.kind == WIRE_MSG && w.msg_kind == MSG_RELOAD))
        check_names(w.data);
    if (w.kind == WIRE_PART)
        check_census(w.data);
    return 0;
}
