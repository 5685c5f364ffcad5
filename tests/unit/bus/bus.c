#include "bus/seat.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- a backend that notes what it is given ---- */

static struct {
    unsigned n_published, n_begun, n_shared, n_flushed;
    struct buf *scratch;
    size_t message_max;
    enum bus_state state;
    enum err error;
} backend;

static struct loop loop;
static struct inbox *inbox;
static struct bus_seat *seat;
static struct msg *msg;

static enum err publish(void *ctx, struct msg *m, bool begun, struct buf *scratch)
{
    assert_ptr_equal(ctx, &backend);
    assert_ptr_equal(m, msg);
    assert_non_null(scratch);
    buf_clear(scratch);
    buf_str(scratch, STR("the backend's to write in"));
    backend.n_published++;
    backend.n_begun += begun;
    return backend.error;
}

static enum err share(void *ctx, enum bus_note kind, struct str note, struct buf *scratch)
{
    assert_ptr_equal(ctx, &backend);
    assert_int_equal(kind, BUS_NOTE_BAN);
    assert_true(str_eq(note, STR("a note")));
    assert_non_null(scratch);
    backend.n_shared++;
    return backend.error;
}

static void flush(void *ctx)
{
    assert_ptr_equal(ctx, &backend);
    backend.n_flushed++;
}

static enum bus_state state(void *ctx)
{
    assert_ptr_equal(ctx, &backend);
    return backend.state;
}

static size_t message_max(void *ctx)
{
    assert_ptr_equal(ctx, &backend);
    return backend.message_max;
}

static unsigned read_letter(void *reader, struct letter *l)
{
    (void)reader;
    (void)l;
    return 1;
}

static void sit_down(bool gathers)
{
    const struct bus_backend b = {.ctx = &backend,
                                  .publish = publish,
                                  .share = gathers ? share : NULL,
                                  .flush = gathers ? flush : NULL,
                                  .state = state,
                                  .message_max = message_max};
    seat = bus_seat_new(&b, &loop, 0);
}

static int set_up(void **unused)
{
    (void)unused;
    memset(&backend, 0, sizeof backend);
    backend.message_max = SIZE_MAX;
    msg = msg_new(MSG_CHANNEL, STR("app"), STR("chan"), STR("event"), STR("123456"));
    if (inbox_new(&inbox, 16) || loop_init(&loop, inbox, read_letter, NULL))
        return -1;
    sit_down(true);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    bus_seat_free(seat);
    assert_int_equal(msg->refs, 1);
    msg_unref(msg);
    loop_fini(&loop);
    inbox_free(inbox);
    return 0;
}

static void hands_messages_on(void **unused)
{
    (void)unused;
    static const enum err errors[] = {ERR_OK, ERR_FULL, ERR_AWAY, ERR_LIMIT};
    for (unsigned i = 0; i < 4; i++) {
        backend.error = errors[i];
        assert_int_equal(bus_publish(seat, msg), errors[i]);
        assert_int_equal(backend.n_published, 2 * i + 1);
        assert_int_equal(backend.n_begun, i);
        assert_int_equal(bus_publish_more(seat, msg), errors[i]);
        assert_int_equal(backend.n_begun, i + 1);
    }
}

/* What is too long does not get as far as the backend. */
static void refuses_long_messages(void **unused)
{
    (void)unused;
    backend.message_max = 3 + 4 + 5 + 6;
    assert_int_equal(bus_message_max(seat), 18);
    assert_int_equal(bus_publish(seat, msg), ERR_OK);
    assert_int_equal(bus_publish_more(seat, msg), ERR_OK);
    /* The backend may change its mind: another server takes less. */
    backend.message_max--;
    assert_int_equal(bus_message_max(seat), 17);
    assert_int_equal(bus_publish(seat, msg), ERR_LIMIT);
    assert_int_equal(bus_publish_more(seat, msg), ERR_LIMIT);
    assert_int_equal(backend.n_published, 2);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 1);
    assert_int_equal(bus_publish(seat, msg), ERR_LIMIT);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 1);
    backend.message_max = 0;
    struct msg *filled = msg;
    msg = msg_new(MSG_CHANNEL, STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY);
    assert_int_equal(bus_publish(seat, msg), ERR_OK);
    msg_unref(filled);
}

static void tells_whether_it_is_up(void **unused)
{
    (void)unused;
    assert_int_equal(bus_state(seat), BUS_AWAY);
    backend.state = BUS_UP;
    assert_int_equal(bus_state(seat), BUS_UP);
}

/* Once a turn, however much there was; not at all when there was nothing. */
static void flushes_what_was_published(void **unused)
{
    (void)unused;
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(bus_publish(seat, msg), ERR_OK);
    assert_int_equal(backend.n_flushed, 0);
    bus_seat_flush(seat);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 1);
    assert_int_equal(bus_publish_more(seat, msg), ERR_OK);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 2);
    /* One that was refused after one that was taken does not hold it up. */
    assert_int_equal(bus_publish(seat, msg), ERR_OK);
    backend.error = ERR_FULL;
    assert_int_equal(bus_publish(seat, msg), ERR_FULL);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 3);
    assert_int_equal(bus_publish(seat, msg), ERR_FULL);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 3);
    bus_seat_gathered(seat);
    bus_seat_flush(seat);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 4);
}

static void needs_no_flush(void **unused)
{
    (void)unused;
    bus_seat_free(seat);
    sit_down(false);
    assert_int_equal(bus_publish(seat, msg), ERR_OK);
    bus_seat_flush(seat);
    bus_seat_gathered(seat);
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 0);
}

static void shares_notes(void **unused)
{
    (void)unused;
    static const enum err errors[] = {ERR_FULL, ERR_AWAY, ERR_LIMIT, ERR_OK};
    backend.message_max = 6;
    for (unsigned i = 0; i < 4; i++) {
        bus_seat_flush(seat);
        assert_int_equal(backend.n_flushed, 0);
        backend.error = errors[i];
        assert_int_equal(bus_share(seat, BUS_NOTE_BAN, STR("a note")), errors[i]);
        assert_int_equal(backend.n_shared, i + 1);
    }
    bus_seat_flush(seat);
    assert_int_equal(backend.n_flushed, 1);
    backend.message_max = 5;
    assert_int_equal(bus_share(seat, BUS_NOTE_BAN, STR("a note")), ERR_LIMIT);
    assert_int_equal(backend.n_shared, 4);
}

/* A process alone has nobody to tell, however long the note. */
static void shares_nothing_alone(void **unused)
{
    (void)unused;
    bus_seat_free(seat);
    sit_down(false);
    backend.message_max = 0;
    assert_int_equal(bus_share(seat, BUS_NOTE_BAN, STR("a note")), ERR_OK);
    assert_int_equal(backend.n_shared, 0);
}

static void frees_no_seat(void **unused)
{
    (void)unused;
    bus_seat_free(NULL);
}

#define WITH_SEAT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SEAT(hands_messages_on),      WITH_SEAT(refuses_long_messages),
        WITH_SEAT(tells_whether_it_is_up), WITH_SEAT(flushes_what_was_published),
        WITH_SEAT(needs_no_flush),         WITH_SEAT(shares_notes),
        WITH_SEAT(shares_nothing_alone),   cmocka_unit_test(frees_no_seat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
