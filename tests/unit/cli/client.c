#include "cli/client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void expect(struct buf *got, struct str text)
{
    assert_int_equal(got->len, text.len);
    assert_memory_equal(got->p, text.p, text.len);
    buf_fini(got);
}

static void escapes_all_that_is_not_unreserved(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    client_add_escaped(&out, STR("aZ09-._~ /%\xff\0+"));
    expect(&out, STR("aZ09-._~%20%2F%25%FF%00%2B"));
}

static void writes_the_handshake(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    client_add_handshake(&out, STR("/gcs/ws/app"), STR("a.b c"), STR("[::1]:80"));
    expect(&out, STR("GET /gcs/ws/app?token=a.b%20c HTTP/1.1\r\nHost: [::1]:80\r\n"
                     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: Z3VzaGVyIHN1YnNjcmliZQ==\r\n\r\n"));
    client_add_handshake(&out, STR("/x?y=z"), STR("t"), STR("h"));
    assert_non_null(memmem(out.p, out.len, "GET /x?y=z&token=t HTTP/1.1\r\n", 29));
    buf_fini(&out);
}

static void accepts_only_the_answer_to_its_key(void **unused)
{
    (void)unused;
    /* SHA-1 of the key and the GUID of RFC 6455, computed elsewhere. */
    assert_true(
        client_is_accepted(STR("HTTP/1.1 101 Switching Protocols\r\n"
                               "Sec-WebSocket-Accept: RIpdme1AgFpeoUSvUgku+oJzwfk=\r\n\r\n")));
    assert_false(client_is_accepted(STR("HTTP/1.1 200 OK\r\nSec-WebSocket-Accept: "
                                        "RIpdme1AgFpeoUSvUgku+oJzwfk=\r\n\r\n")));
    assert_false(client_is_accepted(STR("HTTP/1.1 101 Switching Protocols\r\n"
                                        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                        "\r\n")));
}

/* The server's reader takes them as they are meant. */
static void masks_frames_as_a_server_reads_them(void **unused)
{
    (void)unused;
    static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf text = BUF_INIT, out = BUF_INIT;
        for (size_t k = 0; k < lengths[i]; k++)
            buf_char(&text, (char)('a' + k % 26));
        assert_int_equal(client_add_frame(&out, WS_TEXT, buf_as_str(&text)), ERR_OK);
        struct ws_reader r;
        struct ws_message m;
        char *p = out.p;
        size_t len = out.len;
        ws_reader_init(&r);
        assert_int_equal(ws_read(&r, &p, &len, &(struct ws_rules){1 << 20, false}, &m), ERR_OK);
        assert_int_equal(len, 0);
        assert_true(str_eq(m.data, buf_as_str(&text)));
        ws_reader_fini(&r);
        buf_fini(&text);
        buf_fini(&out);
    }
}

static void subscribes_to_any_name(void **unused)
{
    (void)unused;
    struct buf out = BUF_INIT;
    struct ws_reader r;
    struct ws_message m;
    assert_int_equal(client_add_subscribe(&out, STR("a\"b")), ERR_OK);
    char *p = out.p;
    size_t len = out.len;
    ws_reader_init(&r);
    assert_int_equal(ws_read(&r, &p, &len, &(struct ws_rules){512, false}, &m), ERR_OK);
    assert_true(
        str_eq(m.data, STR("{\"event\":\"gusher.subscribe\",\"data\":{\"channel\":\"a\\\"b\"}}")));
    ws_reader_fini(&r);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_all_that_is_not_unreserved),
        cmocka_unit_test(writes_the_handshake),
        cmocka_unit_test(accepts_only_the_answer_to_its_key),
        cmocka_unit_test(masks_frames_as_a_server_reads_them),
        cmocka_unit_test(subscribes_to_any_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
