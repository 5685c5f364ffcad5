#include "http/route.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* Handlers are told apart by their first letter. */
static const struct route routes[] = {
    {HTTP_M_GET, "ping", "ping"},
    {HTTP_M_POST, "push/user/{}/{}", "user"},
    {HTTP_M_POST, "push/{}/{}/{}", "channel"},
    {HTTP_M_POST, "push/{}", "pattern"},
    {HTTP_M_POST, "auth", "auth"},
    {HTTP_M_OPTIONS, "auth", "preflight"},
    {HTTP_M_GET, "{}/online", "online"},
    {HTTP_M_GET, "{}/online/bychannel/{}", "bychannel"},
    {HTTP_M_GET, "{}/{}/{}/{}", "four"},
    {HTTP_M_GET, "ui", "bare"},
    {HTTP_M_GET, "ui/", "slashed"},
    {HTTP_M_GET, "ui/app.js", "file"},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };

/* "<handler> <param>|<param>.." or the error and the methods. */
static void expect_below(const char *prefix, enum http_method method, struct str path,
                         const char *expected)
{
    struct route_match m;
    struct buf got = BUF_INIT;
    /* A copy of just this size: a sanitizer sees a step too far. */
    struct buf copy = BUF_INIT;
    buf_str(&copy, path);
    enum err e = route_find(&m, routes, N_ROUTES, str_of(prefix), method, buf_as_str(&copy));
    buf_fini(&copy);
    if (e == ERR_OK) {
        buf_str(&got, str_of(m.route->handler));
        for (unsigned i = 0; i < m.n_params; i++) {
            buf_char(&got, i ? '|' : ' ');
            buf_str(&got, m.params[i]);
        }
    } else {
        buf_str(&got, e == ERR_NOT_FOUND ? STR("404") : e == ERR_PROTO ? STR("400") : STR("405"));
        if (e == ERR_DENIED)
            buf_printf(&got, " %x", m.allowed);
        assert_null(m.route);
    }
    if (!str_eq(buf_as_str(&got), str_of(expected)))
        fail_msg("'%.*s': got '%.*s', expected '%s'", (int)path.len, path.p, (int)got.len, got.p,
                 expected);
    buf_fini(&got);
    route_match_fini(&m);
}

#define GET(path, expected)  expect_below("/api", HTTP_M_GET, STR(path), expected)
#define POST(path, expected) expect_below("/api", HTTP_M_POST, STR(path), expected)

static void finds_routes(void **unused)
{
    (void)unused;
    GET("/api/ping", "ping");
    POST("/api/push/app/ch/ev", "channel app|ch|ev");
    POST("/api/push/app", "pattern app");
    GET("/api/app/online", "online app");
    GET("/api/app/online/bychannel/c", "bychannel app|c");
    GET("/api/a/b/c/d", "four a|b|c|d");
    /* A slash at the end is another path, where there is one. */
    GET("/api/ui", "bare");
    GET("/api/ui/", "slashed");
    GET("/api/ui/app.js", "file");
    GET("/api/ui//", "404");
    GET("/api/ui/app.js/", "404");
    GET("/api//", "404");
    expect_below("/api", HTTP_M_HEAD, STR("/api/ping"), "ping");
    expect_below("/api", HTTP_M_OPTIONS, STR("/api/auth"), "preflight");
    /* The first that fits: literals stand before what would take them too. */
    POST("/api/push/user/app/ann", "user app|ann");
    POST("/api/push/users/app/ann", "channel users|app|ann");
}

static void finds_nothing_else(void **unused)
{
    (void)unused;
    GET("/api", "404");
    GET("/api/", "404");
    GET("/apiping", "404");
    GET("/ap/ping", "404");
    GET("/ping", "404");
    GET("", "404");
    GET("*", "404");
    GET("http://h/api/ping", "404");
    GET("/api/ping/", "404");
    GET("/api//ping", "404");
    GET("//api/ping", "404");
    GET("/api/Ping", "404");
    GET("/API/ping", "404");
    GET("/api/ping/x", "404");
    GET("/api/pin", "404");
    GET("/api/./ping", "404");
    GET("/api/x/../ping", "404");
    GET("/api/../online", "404");
    GET("/api/app/online/bychannel", "404");
    GET("/api/1/2/3/4/5/6/7/8", "404");
    GET("/api/1/2/3/4/5/6/7/8/9", "404");
    POST("/api/push/app/ch/", "404");
    POST("/api/push//ch/ev", "404");
    POST("/api/push/app/ch/..", "404");
}

static void tells_which_methods_there_are(void **unused)
{
    (void)unused;
    POST("/api/ping", "405 2");
    GET("/api/push/app", "405 8");
    expect_below("/api", HTTP_M_HEAD, STR("/api/push/app"), "405 8");
    GET("/api/auth", "405 18");
    expect_below("/api", HTTP_M_OTHER, STR("/api/auth"), "405 18");
    expect_below("/api", HTTP_M_OPTIONS, STR("/api/ping"), "405 2");
    /* Two routes of one form. */
    expect_below("/api", HTTP_M_OTHER, STR("/api/push/a/b/c"), "405 a");
    GET("/api/push/user/b/c", "four push|user|b|c");
}

static void decodes_after_splitting(void **unused)
{
    (void)unused;
    POST("/api/push/a%2Fb/%E2%82%AC/%25", "channel a/b|\xe2\x82\xac|%");
    POST("/api/push/a+b/c%2bd/e%20f", "channel a+b|c+d|e f");
    POST("/api/push/%2e%2E/%2e/..x", "channel ..|.|..x");
    GET("/api/%70in%67", "ping");
    GET("/api/p%2Fing", "404");
    POST("/api/push%2Fapp", "404");
    POST("/api/push/user%2Fapp/b/c", "channel user/app|b|c");
    POST("/api/push/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"
         "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/"
         "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
         "channel aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|"
         "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb|"
         "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");

    struct route_match m;
    assert_int_equal(route_find(&m, routes, N_ROUTES, STR_EMPTY, HTTP_M_POST, STR("/push/a%00b")),
                     ERR_OK);
    assert_true(str_eq(m.params[0], STR("a\0b")));
    route_match_fini(&m);
}

static void refuses_broken_escapes(void **unused)
{
    (void)unused;
    GET("/api/%", "400");
    GET("/api/%7", "400");
    GET("/api/%zz", "400");
    POST("/api/push/app/ch%/ev", "400");
    POST("/api/push/app/ch/ev%f", "400");
    POST("/api/push/app/%7/1", "400");
    /* Also where no route would be. */
    GET("/nowhere/%", "400");
    GET("/api/1/2/3/4/5/6/7/8/9/%f", "400");
}

static void works_without_a_prefix(void **unused)
{
    (void)unused;
    expect_below("", HTTP_M_GET, STR("/ping"), "ping");
    expect_below("", HTTP_M_GET, STR("/app/online"), "online app");
    expect_below("", HTTP_M_GET, STR("/"), "404");
    expect_below("", HTTP_M_GET, STR(""), "404");
    expect_below("/a/b", HTTP_M_GET, STR("/a/b/ping"), "ping");
    expect_below("/a/b", HTTP_M_GET, STR("/a/ping"), "404");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_routes),
        cmocka_unit_test(finds_nothing_else),
        cmocka_unit_test(tells_which_methods_there_are),
        cmocka_unit_test(decodes_after_splitting),
        cmocka_unit_test(refuses_broken_escapes),
        cmocka_unit_test(works_without_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
